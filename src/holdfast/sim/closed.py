"""Clients that send the next request once they have an answer, and crowds that come all at once."""

from collections.abc import Callable

from holdfast.sim.record import Record
from holdfast.sim.request import End, Request
from holdfast.sim.worker import Worker
from holdfast.sim.world import World

Send = Callable[[Request], None]


class Closed:
    """A number of kept connections, each with one request after the other."""

    def __init__(self, world: World, count: int, send: Send, record: Record, pause_s: float = 0.0) -> None:
        """`pause_s` is the mean pause between an answer and the next request."""
        self._world = world
        self._send = send
        self._record = record
        self._pause_s = pause_s
        self._chance = world.chance("closed")
        self._count = 0
        for _ in range(count):
            world.at(pause_s * self._chance.random(), self._ask)

    def _ask(self, _: object) -> None:
        now = self._world.now
        self._count += 1
        request = Request(self, self._count, now, now, now + 60.0)
        self._record.offered(now, request.priority, 0)
        self._record.attempted(now)
        self._send(request)

    def answered(self, request: Request, end: End, when: float) -> None:
        """Send the next one; after a refusal, a tenth of a second later."""
        if end is End.REFUSED:
            self._record.refused(when, when - request.sent)
        self._record.settled(request.intended, when, end, request.priority, 0)
        pause = self._chance.expovariate(1 / self._pause_s) if self._pause_s else 0.0
        self._world.at(when + (0.1 if end is End.REFUSED else pause), self._ask)


class Crowd:
    """Many that come at the same moment."""

    def __init__(
        self, world: World, count: int, when: float, send: Send, record: Record, patience_s: float = 60.0
    ) -> None:
        """They come at `when`, and wait for `patience_s`."""
        self._world = world
        self._count = count
        self._send = send
        self._record = record
        self._patience_s = patience_s
        world.at(when, self._come)

    def _come(self, _: object) -> None:
        now = self._world.now
        for number in range(self._count):
            request = Request(self, number, now, now, now + self._patience_s)
            request.new_connection = True
            self._record.offered(now, request.priority, 0)
            self._record.attempted(now)
            self._send(request)

    def answered(self, request: Request, end: End, when: float) -> None:
        """Note it."""
        if end is End.REFUSED:
            self._record.refused(when, when - request.sent)
        self._record.settled(request.intended, when, end, request.priority, 0)


class Thief:
    """A machine that runs something else now and then: pauses of 2 to 20 ms, by chance."""

    def __init__(self, world: World, worker: Worker, every_s: float = 0.25) -> None:
        """`every_s` on average."""
        self._world = world
        self._worker = worker
        self._every_s = every_s
        self._chance = world.chance("thief")
        self._steal(None)

    def _steal(self, _: object) -> None:
        if self._world.now:
            self._worker.pause(self._chance.uniform(0.002, 0.02))
        self._world.at(self._world.now + self._chance.expovariate(1 / self._every_s), self._steal)
