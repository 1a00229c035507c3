"""One worker: the event loop of asyncio, as far as waiting is concerned.

A turn takes what was ready when it began, then what the sockets tell, then the timers that are due, and runs all of
it; what becomes ready meanwhile waits for the next turn, and what arrives meanwhile is not seen before. That is the
order of `BaseEventLoop._run_once`, and it is why a request waits about two turns before its handler begins.
"""

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Protocol

from holdfast.sim.request import End, Request
from holdfast.sim.service import Pool, Service, drawn, drawn_waits
from holdfast.sim.world import World

Act = Callable[[Any], None]


class Front(Protocol):
    """What stands in front of the handlers and decides who is served."""

    sees_gone: bool
    """Whether work is not begun, and is ended, where the client has given up."""
    wants_turns: bool
    """Whether it measures the turns of the loop."""

    def arrived(self, request: Request) -> None:
        """Start it, refuse it, or let it wait."""
        ...

    def ended(self, request: Request, took_s: float) -> None:
        """A request that was started has ended."""
        ...

    def turned(self, took_s: float) -> None:
        """A turn of the loop took so long."""
        ...


class Worker:
    """A process with one event loop."""

    def __init__(
        self,
        world: World,
        service: Service,
        make: Callable[["Worker"], Front],
        name: str = "worker",
        slower: float = 1.0,
    ) -> None:
        """`make` gives the front; `slower` is what every calculation is multiplied with."""
        self.world = world
        self.service = service
        self.slower = slower
        self.clock: float = 0.0
        """The time inside the turn that runs."""
        self.busy_s: float = 0.0
        """The processor time of the loop's thread."""
        self.dead_s: float = 0.0
        """The part of it that was spent for clients that had given up."""
        self.open: bool = True
        self.call: Callable[[Request, Act], None] | None = None
        """Asks the next service: a request of ours, and what to call once it is answered."""
        self.wait_factor: float = 1.0
        self.wait_extra_s: float = 0.0
        self.pool: Pool = Pool(service.pool)
        self.pool.skips = self._is_over
        self.front: Front = make(self)
        self._factors = drawn(world.chance(f"{name} cpu"), service.spread)
        self._wait_factors = drawn_waits(world.chance(f"{name} waits"), service.wait_spread)
        self._drawn = 0
        self._ready: list[tuple[Act, Any]] = []
        self._sockets: list[Request] = []
        self._backlog: deque[Request] = deque()
        self._timers: list[tuple[float, int, Act, Any]] = []
        self._count = 0
        self._begun = self._done = 0
        self._asleep = True
        self._wakes_at = float("inf")
        self._probed_at = -1.0
        self._probing = False
        self._stall_s = self._stolen_s = 0.0
        self._calculating = 0
        self._for_thread: deque[Request] = deque()

    # -- from outside --

    def receive(self, request: Request) -> None:
        """A request reaches this machine."""
        request.arrived = self.world.now
        if not self.open:
            request.client.answered(request, End.FAILED, self.world.now)
            return
        if not request.new_connection:
            self._sockets.append(request)
        elif len(self._backlog) < self.service.backlog:
            self._backlog.append(request)
        else:
            request.client.answered(request, End.DROPPED, self.world.now)
            return
        self._rouse()

    @property
    def unfinished(self) -> int:
        """How many requests were begun or wait here, and are not answered."""
        return self._begun - self._done + len(self._sockets) + len(self._backlog)

    def stall(self, seconds: float) -> None:
        """Hold the loop up: a blocking call, a collection of garbage."""
        self._stall_s += seconds
        self._rouse()

    def pause(self, seconds: float) -> None:
        """Have the system run something else for so long."""
        self._stolen_s += seconds
        if self._asleep:
            self._rouse()

    def call_at(self, when: float, act: Act, argument: object = None) -> None:
        """A timer of the loop."""
        self._count += 1
        heappush(self._timers, (when, self._count, act, argument))
        if self._asleep and when < self._wakes_at:
            self._wakes_at = when
            self.world.at(max(when, self.world.now), self._wake)

    # -- for the front --

    def start(self, request: Request) -> None:
        """Begin to serve: a task, whose first step is taken in the next turn."""
        self._begun += 1
        request.began = self.clock
        request.stage = 0
        self._drawn += 1
        request.weight = self._factors[self._drawn & 4095] * self.slower
        self._ready.append((self._step, request))
        if self.front.wants_turns and not self._probing:
            self.probe(None)

    def probe(self, _: object) -> None:
        """Measure a turn, unless one is being measured."""
        if not self._probing:
            self._probing = True
            self._ready.append((self._probe, None))

    def refuse(self, request: Request) -> None:
        """Tell a client that it is not served."""
        self._spend(self.service.refuse_s * self.slower)
        request.done = True
        request.client.answered(request, End.REFUSED, self.clock)

    def drop(self, request: Request) -> None:
        """Forget a request whose client has given up."""
        self._spend(self.service.drop_s * self.slower)
        request.done = True
        request.client.answered(request, End.ABANDONED, self.clock)

    # -- the loop --

    def _rouse(self) -> None:
        if self._asleep:
            self._asleep = False
            self.world.at(self.world.now, self._turn)

    def _wake(self, _: object) -> None:
        self._wakes_at = float("inf")
        if self._asleep and self._timers:
            if self._timers[0][0] <= self.world.now:
                self._asleep = False
                self._turn(None)
            else:
                self._sleep()

    def _sleep(self) -> None:
        self._asleep = True
        if self._timers and self._timers[0][0] < self._wakes_at:
            self._wakes_at = self._timers[0][0]
            self.world.at(self._wakes_at, self._wake)

    def _turn(self, _: object) -> None:
        self.clock = now = self.world.now
        timers, due = self._timers, self._ready
        sockets = self._sockets
        late: list[tuple[float, int, Act, Any]] = []
        while timers and timers[0][0] <= now:
            late.append(heappop(timers))
        if not (due or sockets or late or self._backlog or self._stall_s or self._stolen_s):
            self._sleep()
            return
        self._ready, self._sockets = [], []
        self._spend(self.service.turn_s * self.slower)
        if self._calculating:
            self._stolen_s += 0.005  # the interpreter's switch interval: a thread keeps the lock for so long
        if self._stolen_s:
            self.clock += self._stolen_s
            self._stolen_s = 0.0
        if self._stall_s:
            self._spend(self._stall_s)
            self._stall_s = 0.0
        for act, argument in due:
            act(argument)
        if self._backlog:
            self._accept()
        for request in sockets:
            self._read(request)
        for _, _, act, argument in late:
            act(argument)
        self.world.at(self.clock, self._turn)

    def _accept(self) -> None:
        """The connections that wait are accepted; what they sent is read in the next turn."""
        waiting = self._backlog
        for _ in range(min(len(waiting), self.service.accept_at_once or len(waiting))):
            self._spend(self.service.accept_s * self.slower)
            self._sockets.append(waiting.popleft())

    def _read(self, request: Request) -> None:
        if self.front.sees_gone and request.gives_up <= self.clock:
            self.drop(request)
        else:
            self.front.arrived(request)

    def _spend(self, seconds: float) -> None:
        self.clock += seconds
        self.busy_s += seconds

    def _probe(self, _: object) -> None:
        """One whole turn is measured: from a callback to one that it puts behind all that is ready."""
        if self._probed_at < 0.0:
            self._probed_at = self.clock
            self._ready.append((self._probe, None))
            return
        self.front.turned(self.clock - self._probed_at)
        self._probed_at = -1.0
        self._probing = False

    # -- a handler --

    def _step(self, request: Request) -> None:
        """A handler goes on, up to where it waits next."""
        if request.done:
            return
        if self.front.sees_gone and request.gives_up <= self.clock:
            self._end(request, End.ABANDONED)
            return
        part = self.service.slices[request.stage]
        spent = part.cpu_s * request.weight
        self.clock += spent
        self.busy_s += spent
        if request.gives_up <= self.clock:
            self.dead_s += spent
        request.stage += 1
        if part.pooled:
            self.pool.acquire(self._query, request)
        elif part.thread_s:
            self._for_thread.append(request)
            self._calculate()
        elif part.calls and self.call is not None:
            self.call(request, self._answered)
        elif part.wait_s:
            self._wait(request, part.wait_s)
        else:
            self._on(request)

    def _wait(self, request: Request, seconds: float) -> None:
        self._count += 1
        factor = self._wait_factors[self._count % len(self._wait_factors)] * self.wait_factor
        heappush(self._timers, (self.clock + seconds * factor, self._count, self._woken, request))

    def _query(self, request: Request) -> None:
        request.held = True
        self._wait(request, self.service.slices[request.stage - 1].wait_s + self.wait_extra_s)

    def _is_over(self, request: Request) -> bool:
        """Whether a handler that waited for a connection has been cancelled meanwhile."""
        over = self.front.sees_gone and request.gives_up <= self.clock
        if over:
            self._end(request, End.ABANDONED)
        return over

    def _woken(self, request: Request) -> None:
        """What a handler waited for is there; the handler goes on in the next turn."""
        if request.held:
            request.held = False
            self.pool.release()
        self._ready.append((self._on, request))

    def _answered(self, answer: tuple[Request, bool]) -> None:
        """The next service has answered, or time has run out: what comes in is seen in the next turn."""
        request, good = answer
        request.failed = not good
        self._count += 1
        heappush(self._timers, (self.world.now, self._count, self._woken, request))
        self._rouse()

    def _on(self, request: Request) -> None:
        if request.failed and not request.done:
            self._spend(self.service.refuse_s * self.slower)
            self._end(request, End.FAILED)
        elif request.stage < len(self.service.slices):
            self._step(request)
        elif not request.done:
            self._end(request, End.SERVED if self.clock <= request.gives_up else End.LATE)

    def _end(self, request: Request, end: End) -> None:
        request.done = True
        self._done += 1
        request.client.answered(request, end, self.clock)
        self.front.ended(request, self.clock - request.began)

    # -- threads --

    def _calculate(self) -> None:
        """Threads share what the interpreter gives them."""
        while self._for_thread and self._calculating < self.service.threads:
            request = self._for_thread.popleft()
            self._calculating += 1
            part = self.service.slices[request.stage - 1]
            took_s = part.thread_s * request.weight * self._calculating
            self._count += 1
            heappush(self._timers, (self.clock + took_s, self._count, self._calculated, request))

    def _calculated(self, request: Request) -> None:
        self._calculating -= 1
        self._ready.append((self._on, request))
        self._calculate()
