"""The load: sends each request at the moment that was fixed for it, whatever the server does (open loop).

A server that makes a request wait, in front of a socket or in the client's own pool, is charged with it, and so is what
it does to others behind it. How late the generator itself was is in the result too: no run is worth more than that.

One thread, raw sockets and epoll. It spins in the last millisecond before a request, for epoll counts in those.
"""

import errno
import gc
import random
import select
import socket
import time
from collections.abc import Callable
from typing import Final

from holdfast.decide.latencies import LATE_MAX_S, Outcome, Request, Result, Stall, request_id
from holdfast.decide.latencies import Look as Seen
from holdfast.prove.load.arrivals import Arrival, Choice, arrivals
from holdfast.prove.load.job import KINDS, Job, Kind
from holdfast.prove.load.looks import spent
from holdfast.prove.load.wire import Answer, Malformed, Prepared, Reader

LEAD_S: Final = 0.05
"""From when it is ready until it begins."""
SPIN_S: Final = 0.0015
PAUSE_MAX_S: Final = 0.01
"""It looks around at least so often, so that it sees when it was kept from running."""
BATCH: Final = 16
"""Events between two looks at the clock, so that a burst of answers makes no request late."""
LOOK_S: Final = 0.25
APART_S: Final = 0.002
"""Between the first requests of a closed loop."""
_RECEIVED: Final = 1 << 16
_OURS: Final = frozenset({errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE})
"""Failures of the generator's machine, not of the server."""

clock: Callable[[], float] = time.monotonic


class Line:
    """A connection."""

    __slots__ = ("end", "reader", "request", "sent", "unsent", "used")

    def __init__(self, made: socket.socket) -> None:
        """One that is being opened."""
        self.end: socket.socket = made
        self.request: int = -1
        """The one that is under way."""
        self.reader: Reader = Reader()
        self.unsent: memoryview | bytes = b""
        self.sent: bool = False
        """Whether anything of this request has left."""
        self.used: bool = False
        """Whether it has answered one before."""


class Generator:
    """One run of a job."""

    def __init__(self, job: Job, parent: int | None = None) -> None:
        """`parent`: a file descriptor whose end means that nobody wants the result any more."""
        self.job: Job = job
        self.kind: Kind = KINDS[job.kind]
        host = f"[{job.host}]" if ":" in job.host else job.host
        self.templates: list[Prepared] = [Prepared(one, f"{host}:{job.port}") for one in job.templates]
        self._weights = [one.weight for one in job.templates]
        self._chance = random.Random(job.seed + 1)  # noqa: S311 - a seed is to bring the same again
        self._choice = Choice(self._weights)
        self.planned: list[Arrival] = self._plan()
        size = len(self.planned)
        self.outcome: bytearray = bytearray(size)
        self.status: list[int] = [0] * size
        self.took: list[float] = [0.0] * size
        self.late: list[float] = []
        self.looks: list[Seen] = []
        self.stalls: list[Stall] = []
        self.opened: int = 0
        self.most_open: int = 0
        self.resent: int = 0
        self._line: list[Line | None] = [None] * size
        self._launched = 0
        self._oldest = 0
        self._lines: dict[int, Line] = {}
        self._idle: list[Line] = []
        self._waiting: list[int] = []
        self._poll = select.epoll()
        self._parent = parent
        self._family, self._address = _address(job)
        self._start = 0.0
        self._awaited = 0.0
        """When this turn of the loop was to begin, at the latest."""

    def _plan(self) -> list[Arrival]:
        if self.job.closed:
            return [Arrival(number * APART_S, self._chosen()) for number in range(self.job.closed)]
        return arrivals(self.job.phases, self.job.seed, self._weights)

    def _chosen(self) -> int:
        return self._choice.of(self._chance.random())

    def run(self, begins: Callable[[float], object]) -> Result:
        """Do it. `begins` is told the moment 0, just before it. Raises OSError, SystemExit where the parent is gone."""
        gc.disable()  # a collection takes milliseconds, and what is here has no cycles
        if self._parent is not None:
            self._poll.register(self._parent, select.EPOLLIN)
        worked = time.process_time()
        self._start = clock() + LEAD_S
        begins(self._start)
        while self._oldest < len(self.planned):
            self._turn()
        seconds = self._now()
        self._look(seconds, last=True)
        for line in list(self._lines.values()):
            self._close(line)
        self._poll.close()
        return self._result(seconds, time.process_time() - worked)

    def _turn(self) -> None:
        now = self._now()
        away = now - self._awaited
        if away > LATE_MAX_S:
            self.stalls.append(Stall(self._awaited, away))
        self._look(now)
        self._launch(now)
        self._expire(now)
        pause = self._pause()
        self._awaited = now + pause
        for number, events in self._poll.poll(pause, BATCH):
            line = self._lines.get(number)
            if line is not None:
                self._ready(line, events)
            elif number == self._parent:
                raise SystemExit("nobody waits for the result any more")

    def _result(self, seconds: float, generator_s: float) -> Result:
        columns = zip(self.planned, self.outcome, self.took, self.status, strict=True)
        critical = [one.critical for one in self.job.templates]
        return Result(
            [Request(at, critical[which], how, took, which, status) for (at, which), how, took, status in columns],
            late=self.late,
            looks=self.looks,
            opened=self.opened,
            most_open=self.most_open,
            generator_s=generator_s,
            stalls=self.stalls,
            resent=self.resent,
            began=self._start,
            seconds=seconds,
            ids=self.job.ids,
            first=self.job.first,
        )

    # -- time --

    def _now(self) -> float:
        return clock() - self._start

    def _pause(self) -> float:
        """How long epoll may sleep, in seconds that are whole milliseconds."""
        planned = self.planned
        if self._oldest >= len(planned):
            return 0.0
        until = planned[self._oldest].at + self.job.timeout_s
        if self._launched < len(planned):
            until = min(until, planned[self._launched].at)
        wait = min(until - self._now(), PAUSE_MAX_S)
        return 0.0 if wait <= SPIN_S else int((wait - SPIN_S / 2) * 1000) / 1000

    def _look(self, now: float, *, last: bool = False) -> None:
        if self.job.pids and (last or now >= len(self.looks) * LOOK_S):
            self.looks.append(Seen(now, *spent(self.job.pids, self.job.servers_core)))

    def _launch(self, now: float) -> None:
        planned = self.planned
        while self._launched < len(planned) and planned[self._launched].at <= now:
            number = self._launched
            self._launched += 1
            self.late.append(now - planned[number].at)
            self._send(number)
            now = self._now()

    def _expire(self, now: float) -> None:
        planned = self.planned
        end = now - self.job.timeout_s
        while self._oldest < self._launched and (self.outcome[self._oldest] or planned[self._oldest].at <= end):
            number = self._oldest
            self._oldest += 1
            if not self.outcome[number]:
                line = self._line[number]
                self._settle(number, Outcome.TIMED_OUT)
                if line is not None and self.kind.hangs_up:
                    self._close(line)

    # -- requests --

    def _names(self, number: int) -> tuple[bytes, bytes]:
        """The number of a request, and its ID, as they stand in it."""
        full = self.job.first + number
        return b"%d" % full, request_id(self.job.ids, full).encode()

    def _send(self, number: int, *, fresh: bool = False) -> None:
        if self._idle and not fresh:
            self._write(self._idle.pop(), number)
        elif self.kind.bounded and len(self._lines) >= self.job.pool:
            self._waiting.append(number)
        else:
            self._open(number)

    def _open(self, number: int) -> None:
        made = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = Line(made)
        self._lines[made.fileno()] = line
        self.opened += 1
        self.most_open = max(self.most_open, len(self._lines))
        if self.job.apart:
            made.bind((f"127.64.{self.opened >> 8 & 255}.{self.opened & 255}", 0))
        failure = made.connect_ex(self._address)  # another failure shows in what follows
        if failure in _OURS:
            raise OSError(failure, "the generator has no ports left to connect from")
        self._poll.register(made.fileno(), select.EPOLLIN)
        self._write(line, number)

    def _write(self, line: Line, number: int) -> None:
        template = self.templates[self.planned[number].template]
        line.request = number
        self._line[number] = line
        line.reader = Reader(head_only=template.bodiless, keeps=template.judges_bodies)
        line.unsent = template.request(*self._names(number))
        line.sent = False
        self._flush(line)

    def _flush(self, line: Line) -> None:
        waited = isinstance(line.unsent, memoryview)
        try:
            taken = line.end.send(line.unsent)
            line.sent = True
            line.unsent = memoryview(line.unsent)[taken:] if taken < len(line.unsent) else b""
        except BlockingIOError:
            line.unsent = memoryview(line.unsent)
        except OSError:  # what can still be read is read: perhaps it was answered before all of it was sent
            line.unsent = b""
        if line.unsent and not waited:
            self._poll.modify(line.end.fileno(), select.EPOLLIN | select.EPOLLOUT)
        elif waited and not line.unsent:
            self._poll.modify(line.end.fileno(), select.EPOLLIN)

    def _ready(self, line: Line, events: int) -> None:
        if events & ~select.EPOLLOUT:
            self._receive(line)
        if events & select.EPOLLOUT and line.unsent and line.end.fileno() >= 0:
            self._flush(line)

    def _receive(self, line: Line) -> None:
        try:
            data = line.end.recv(_RECEIVED)
        except BlockingIOError:
            return
        except OSError:
            self._broken(line)
            return
        if line.request < 0:  # it was closed, or says what nobody has asked
            self._close(line)
            return
        try:
            found = line.reader.feed(data)
        except Malformed:
            found = Answer(0, b"", closes=True)
        if found is not None:
            self._answered(line, found)
        elif not data:
            self._broken(line)

    def _answered(self, line: Line, found: Answer) -> None:
        number = line.request
        if not self.outcome[number]:
            in_time = self._now() - self.planned[number].at <= self.job.timeout_s
            self._settle(number, self._judged(found, number) if in_time else Outcome.TIMED_OUT, found.status)
        line.request, line.used = -1, True
        self._line[number] = None
        if found.closes or line.unsent or not self.kind.keeps:
            self._close(line)
            return
        following = self._next()
        if following is None:
            self._idle.append(line)
        else:
            self._write(line, following)

    def _judged(self, found: Answer, number: int) -> Outcome:
        """What an answer is worth."""
        if 200 <= found.status < 300:
            template = self.templates[self.planned[number].template]
            right = not template.judges_bodies or template.is_right(found.body, *self._names(number))
            return Outcome.GOOD if right else Outcome.WRONG
        return Outcome.REFUSED if found.status in {429, 503} else Outcome.WRONG

    def _broken(self, line: Line) -> None:
        """A connection that ended: without an answer, or while nothing was asked."""
        number = line.request
        stale = line.used and not line.reader.began
        sent = line.sent
        self._close(line)
        if number < 0 or self.outcome[number]:
            return
        repeatable = not sent or self.templates[self.planned[number].template].repeatable
        if stale and repeatable:  # the server closed it as the request was on its way: any client tries again
            self.resent += 1
            self._send(number, fresh=True)
        else:
            self._settle(number, Outcome.RESET if sent else Outcome.UNREACHABLE)

    def _settle(self, number: int, outcome: Outcome, status: int = 0) -> None:
        now = self._now()
        self.outcome[number] = outcome
        self.status[number] = status
        self.took[number] = now - self.planned[number].at
        if self.job.closed and now < self.job.closed_s:
            self.planned.append(Arrival(now, self._chosen()))
            self.outcome.append(Outcome.OPEN)
            self.status.append(0)
            self.took.append(0.0)
            self._line.append(None)

    # -- connections --

    def _next(self) -> int | None:
        """One of those that wait for a connection, by chance, as with threads that wait for a lock."""
        waiting = self._waiting
        while waiting:
            place = self._chance.randrange(len(waiting))
            waiting[place], waiting[-1] = waiting[-1], waiting[place]
            number = waiting.pop()
            if not self.outcome[number]:
                return number
        return None

    def _close(self, line: Line) -> None:
        number = line.end.fileno()
        if self._lines.pop(number, None) is None:
            return
        if line.request >= 0:
            self._line[line.request] = None
        elif line in self._idle:
            self._idle.remove(line)
        line.end.close()
        if self._waiting:
            following = self._next()
            if following is not None:
                self._send(following)


def _address(job: Job) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    """Where the server is: looked up once. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(job.host, job.port, type=socket.SOCK_STREAM)[0]
    return family, address
