"""Other rules, for the comparison: what others ship, written anew from their code, and rules that are known to fail."""

from collections import deque
from math import ceil, log10
from statistics import fmean

from holdfast.sim.fronts import Refusing
from holdfast.sim.request import Request
from holdfast.sim.worker import Worker


class Fixed:
    """Always the same."""

    def __init__(self, limit: float = 100.0) -> None:
        """`limit` at once."""
        self.limit: float = limit

    def ended(self, now: float, took_s: float, in_flight: int, *, in_time: bool) -> None:
        """Nothing is learned."""


class SuccessAimd:
    """Additive increase, multiplicative decrease by the successes among the last 100, as aioresilience has it."""

    def __init__(self) -> None:
        """Begin with 100."""
        self.limit: float = 100.0
        self._seen = 0
        self._good = 0

    def ended(self, now: float, took_s: float, in_flight: int, *, in_time: bool) -> None:
        """What is answered counts as a success, however late."""
        del now, took_s, in_flight, in_time
        self._seen += 1
        self._good += 1
        if self._seen >= 100:
            share = self._good / self._seen
            if share > 0.95:
                self.limit = min(1000.0, self.limit + 1)
            elif share < 0.8:
                self.limit = max(1.0, self.limit * 0.9)
            self._seen = self._good = 0


class _Windowed:
    """A window of a second and ten samples, and their mean, as Netflix' concurrency-limits has it."""

    def __init__(self, limit: float) -> None:
        self.limit: float = limit
        self._until = 1.0
        self._took: list[float] = []
        self._most = 0

    def ended(self, now: float, took_s: float, in_flight: int, *, in_time: bool) -> None:
        """Gather, and move the limit at the end of a window."""
        del in_time
        self._took.append(took_s)
        self._most = max(self._most, in_flight)
        if now >= self._until and len(self._took) >= 10:
            self._move(fmean(self._took), self._most)
            self._took, self._most, self._until = [], 0, now + 1.0

    def _move(self, took_s: float, in_flight: int) -> None:
        raise NotImplementedError


class Gradient2(_Windowed):
    """The gradient of a long and a short mean."""

    limit: float

    def __init__(self, least: float = 20.0) -> None:
        """Begin with 20, which is the least, too, unless told otherwise."""
        super().__init__(20.0)
        self._least = least
        self._long = 0.0
        self._count = 0

    def _move(self, took_s: float, in_flight: int) -> None:
        self._count += 1
        if self._count <= 10:
            self._long += (took_s - self._long) / self._count
        else:
            self._long += (took_s - self._long) * 2 / 601
        if self._long / took_s > 2:
            self._long *= 0.95
        if in_flight < self.limit / 2:
            return
        gradient = max(0.5, min(1.0, 1.5 * self._long / took_s))
        self.limit = max(self._least, min(200.0, 0.8 * self.limit + 0.2 * (self.limit * gradient + 4)))


class Vegas(_Windowed):
    """The queue, estimated from the least time ever seen, is to be short."""

    limit: float

    def __init__(self) -> None:
        """Begin with 20."""
        super().__init__(20.0)
        self._least_s = 0.0
        self._until_anew = 0

    def _move(self, took_s: float, in_flight: int) -> None:
        self._until_anew -= 1
        if not self._least_s or took_s < self._least_s or self._until_anew <= 0:
            self._least_s = took_s
            self._until_anew = int(22 * self.limit)
            return
        if in_flight * 2 < self.limit:
            return
        queue = ceil(self.limit * (1 - self._least_s / took_s))
        step = max(1.0, log10(max(1.0, self.limit)))
        if queue <= step:
            self.limit += 6 * step
        elif queue < 3 * step:
            self.limit += step
        elif queue > 6 * step:
            self.limit -= step
        self.limit = max(1.0, min(1000.0, self.limit))


class LagOnly:
    """Only the turn of the loop moves the limit: half of Holdfast's rule. It is blind to queues elsewhere."""

    def __init__(self) -> None:
        """Begin with 20."""
        self.limit: float = 20.0
        self.turns: list[float] = []
        self._until = 0.05

    def ended(self, now: float, took_s: float, in_flight: int, *, in_time: bool) -> None:
        """Move the limit at the end of a window."""
        del took_s, in_time
        if now < self._until:
            return
        turn = min(self.turns, default=0.0)
        if turn > 0.005:
            self.limit = max(2.0, self.limit * max(0.5, 1 - 0.1 * (turn - 0.005) / 0.005))
        elif in_flight >= 0.8 * self.limit:
            self.limit = min(1000.0, self.limit + max(0.5, 0.05 * self.limit))
        self.turns, self._until = [], now + 0.05


class RefusingByTurns(Refusing):
    """A limit that is moved by the turns of the loop."""

    wants_turns = True

    def __init__(self, worker: Worker) -> None:
        """With `LagOnly`."""
        self._lag = LagOnly()
        super().__init__(worker, self._lag)

    def turned(self, took_s: float) -> None:
        """Gather."""
        self._lag.turns.append(took_s)


class Codel:
    """As Facebook's folly has it: while the least wait of 100 ms was above 5 ms, what waited for 10 ms is refused."""

    wants_turns = True
    sees_gone = False

    def __init__(self, worker: Worker, target_s: float = 0.01) -> None:
        """The wait is judged by the turn of the loop."""
        self._worker = worker
        self._target_s = target_s
        self._least = self._last = 0.0
        self._until = 0.0
        self._overloaded = False

    def arrived(self, request: Request) -> None:
        """Start it, or refuse it."""
        now = self._worker.clock
        if now >= self._until:
            self._overloaded = self._least > self._target_s
            self._until, self._least = now + 0.1, self._last
        if self._overloaded and self._last > 2 * self._target_s:
            self._worker.refuse(request)
        else:
            self._worker.start(request)

    def ended(self, request: Request, took_s: float) -> None:
        """Nothing is learned."""

    def turned(self, took_s: float) -> None:
        """Gather."""
        self._last = took_s
        self._least = min(self._least, took_s)


class OwnCompletions:
    """Must fail: takes what it answered lately for its capacity, and refuses what comes beyond that. Once it has
    refused more than it had to, its capacity is what it left over."""

    wants_turns = False
    sees_gone = False

    def __init__(self, worker: Worker) -> None:
        """The capacity is learned over a second."""
        self._worker = worker
        self._came: deque[float] = deque()
        self._good: deque[float] = deque()
        self._chance = worker.world.chance("own completions")

    def arrived(self, request: Request) -> None:
        """Start it, or refuse a share."""
        now = self._worker.clock
        self._came.append(now)
        for times in (self._came, self._good):
            while times and times[0] < now - 1.0:
                times.popleft()
        excess = max(0.0, 1 - 1.02 * len(self._good) / len(self._came)) if now > 1.0 else 0.0
        if self._chance.random() < excess:
            self._worker.refuse(request)
        else:
            self._worker.start(request)

    def ended(self, request: Request, took_s: float) -> None:
        """What was in time is what can be done."""
        del took_s
        if self._worker.clock <= request.gives_up:
            self._good.append(self._worker.clock)

    def turned(self, took_s: float) -> None:
        """The turns are not its concern."""
