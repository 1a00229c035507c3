"""Who sends requests: an open loop of users that come whether or not anybody is served, with patience, and with or
without a second attempt."""

from bisect import bisect
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from holdfast.decide.admission import Priority
from holdfast.sim.record import Record
from holdfast.sim.request import End, Request
from holdfast.sim.world import World

Send = Callable[[Request], None]


class Step(NamedTuple):
    """So many requests a second, until then."""

    until: float
    rate: float


class Retries(Protocol):
    """Whether to try again."""

    def again_after(self, request: Request, end: End | None, chance: float) -> float | None:
        """How long to wait before the next attempt; None: there is none. `end` is None where time ran out."""
        ...

    def succeeded(self, request: Request) -> None:
        """An attempt was answered in time."""
        ...


class Naive:
    """Tries again whatever happened, a fixed number of times."""

    def __init__(self, most: int = 3, pause_s: float = 0.05) -> None:
        """`pause_s` is the mean pause before an attempt."""
        self._most = most
        self._pause_s = pause_s

    def again_after(self, request: Request, end: End | None, chance: float) -> float | None:
        """Whatever happened."""
        del end
        return 2 * self._pause_s * chance if request.attempt < self._most else None

    def succeeded(self, request: Request) -> None:
        """Nothing is learned from it."""


class Budgeted:
    """A budget: each first attempt that succeeds earns a part of one more. The tenant of a request has the budget."""

    def __init__(self, most: int = 2, share: float = 0.1, burst: float = 10.0, at_once: bool = False) -> None:
        """`at_once`: another machine is tried without a pause."""
        self._most = most
        self._share = share
        self._burst = burst
        self._pause_s = 0.0 if at_once else 0.05
        self._tokens: dict[int, float] = {}

    def again_after(self, request: Request, end: End | None, chance: float) -> float | None:
        """If the budget has enough; time that ran out costs double."""
        cost = 2.0 if end is None else 1.0
        tokens = self._tokens.get(request.tenant, 1.0)
        if request.attempt >= self._most or tokens < cost:
            return None
        self._tokens[request.tenant] = tokens - cost
        return 2 * self._pause_s * chance * (1 << request.attempt)

    def succeeded(self, request: Request) -> None:
        """Earn."""
        if request.attempt == 0:
            tokens = self._tokens.get(request.tenant, 1.0)
            self._tokens[request.tenant] = min(self._burst, tokens + self._share)


class Users(NamedTuple):
    """Who comes."""

    steps: tuple[Step, ...]
    timeout_s: float = 1.0
    retries: Callable[[], Retries] | None = None
    classes: tuple[tuple[Priority, float], ...] = ((Priority.NORMAL, 1.0),)
    """Priorities and their shares."""
    tenants: tuple[float, ...] = (1.0,)
    """The shares of tenants."""
    new_connection: bool = True
    connections: int = 0
    """A pool of kept connections: who finds none free waits for one; 0: there is no pool."""
    patience: tuple[tuple[float, float], ...] = ()
    """Deadlines that clients claim, other than their timeout, and their shares."""


def steadily(rate: float, until: float) -> tuple[Step, ...]:
    """The same rate for all of the time."""
    return (Step(until, rate),)


class Clients:
    """Users that come by chance, at rates that are given."""

    def __init__(self, world: World, users: Users, send: Send, record: Record, name: str = "clients") -> None:
        """They begin to come at once."""
        self.record = record
        self._world = world
        self._users = users
        self._send = send
        self._chance = world.chance(name)
        self._retries = users.retries() if users.retries else None
        self._steps = deque(users.steps)
        self._classes, self._priorities = _summed([share for _, share in users.classes]), users.classes
        self._tenants = _summed(list(users.tenants))
        self._count = 0
        self._free = users.connections
        self._waiting: deque[Request] = deque()
        self._next(0.0)

    # -- coming --

    def _next(self, now: float) -> None:
        while self._steps:
            until, rate = self._steps[0]
            when = now + self._chance.expovariate(rate) if rate > 0 else until
            if when < until:
                self._world.at(when, self._come)
                return
            now = until
            self._steps.popleft()

    def _come(self, _: object) -> None:
        now, users = self._world.now, self._users
        self._count += 1
        request = Request(self, self._count, now, now, now + users.timeout_s)
        request.new_connection = users.new_connection
        if len(self._classes) > 1:
            request.priority = self._priorities[bisect(self._classes, self._chance.random())][0]
        else:
            request.priority = self._priorities[0][0]
        if len(self._tenants) > 1:
            request.tenant = bisect(self._tenants, self._chance.random())
        self.record.offered(now, request.priority, request.tenant)
        if self._users.connections and not self._free:
            self._waiting.append(request)
        else:
            self._free -= 1
            self._attempt(request)
        self._next(now)

    def _attempt(self, request: Request) -> None:
        self.record.attempted(self._world.now)
        if self._retries is not None or self._users.connections:
            self._world.at(request.gives_up, self._give_up, request)
        self._send(request)

    # -- answers --

    def answered(self, request: Request, end: End, when: float) -> None:
        """Hear how an attempt ended."""
        if end is End.REFUSED:
            self.record.refused(when, when - request.intended)
        if self._retries is None and not self._users.connections:
            self.record.settled(request.intended, when, end, request.priority, request.tenant)
            return
        if when > request.gives_up or end in {End.DROPPED, End.ABANDONED}:
            return  # its client knows of nothing, and gives up by itself
        request.arrived = -1.0  # settled: giving up comes too late
        self._world.at(when, self._heard, (request, end))

    def _heard(self, heard: tuple[Request, End]) -> None:
        request, end = heard
        if end is End.SERVED:
            if self._retries is not None:
                self._retries.succeeded(request)
            self._settle(request, end)
        else:
            self._again(request, end)

    def _give_up(self, request: Request) -> None:
        if request.arrived >= 0.0:
            request.arrived = -1.0
            self._again(request, None)

    def _again(self, request: Request, end: End | None) -> None:
        retries = self._retries
        pause = None if retries is None else retries.again_after(request, end, self._chance.random())
        if pause is None:
            self._settle(request, End.LATE if end is None else end)
            return
        later = Request(self, request.number, request.intended, 0.0, 0.0)
        later.attempt = request.attempt + 1
        later.priority, later.tenant, later.new_connection = request.priority, request.tenant, request.new_connection
        self._world.at(self._world.now + pause, self._retry, later)

    def _retry(self, request: Request) -> None:
        request.sent = self._world.now
        request.gives_up = request.sent + self._users.timeout_s
        self._attempt(request)

    def _settle(self, request: Request, end: End) -> None:
        self.record.settled(request.intended, self._world.now, end, request.priority, request.tenant)
        if not self._users.connections:
            return
        while self._waiting:
            waiting = self._waiting.popleft()
            if waiting.gives_up > self._world.now:
                self._attempt(waiting)
                return
            self.record.settled(waiting.intended, self._world.now, End.LATE, waiting.priority, waiting.tenant)
        self._free += 1


def _summed(shares: list[float]) -> list[float]:
    """Upper ends of shares, to find one by chance."""
    found: list[float] = []
    total = 0.0
    for share in shares:
        total += share
        found.append(total)
    whole = found[-1]
    return [end / whole for end in found[:-1]] + [1.0]
