"""The load: sends each request at the moment that was fixed for it, whatever the server does (open loop).

A process of its own, on a core of its own. It takes a job as JSON on stdin, and answers with JSON on stdout: of each
request the moment it was meant for, how it ended, and how long that took from that moment on. A server that makes a
request wait, in front of a socket or in the client's own pool, is charged with it, and so is what it does to others
behind it. How late the generator itself was is in the answer too: no run is worth more than that.

One thread, raw sockets and epoll. It spins in the last millisecond before a request, for epoll counts in those.
"""

import dataclasses
import gc
import json
import os
import random
import select
import socket
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

import wire
from arrivals import Arrival, Phase, arrivals

OPEN: Final = 0
GOOD: Final = 1
"""The right answer, in time."""
REFUSED: Final = 2
"""503 or 429, in time."""
TIMED_OUT: Final = 3
RESET: Final = 4
"""The connection ended without an answer."""
UNREACHABLE: Final = 5
"""No connection came about."""
WRONG: Final = 6
"""Another answer."""

SPIN_S: Final = 0.0015
BATCH: Final = 16
"""Events between two looks at the clock, so that a burst of answers makes no request late."""
LOOK_S: Final = 0.25
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
TICKS: Final = os.sysconf("SC_CLK_TCK")

clock = time.monotonic


class Kind(NamedTuple):
    """How clients use connections."""

    keeps: bool
    """A connection is used again."""
    hangs_up: bool
    """It is closed when its request has timed out; otherwise its answer is waited for and thrown away."""
    bounded: bool
    """There are so many and no more: a request waits for one, and whose turn it is is a matter of chance."""


KINDS: Final = {
    "kept": Kind(keeps=True, hangs_up=False, bounded=True),
    "new": Kind(keeps=False, hangs_up=True, bounded=False),
    "anew": Kind(keeps=True, hangs_up=True, bounded=False),
}


@dataclasses.dataclass
class Job:
    """What is to be done."""

    port: int
    path: str
    kind: str
    phases: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    """Seconds, and the mean rate in them."""
    seed: int = 1
    timeout_s: float = 1.0
    pool: int = 64
    """Connections at most, where they are bounded."""
    closed: int = 0
    """Not an open loop: so many clients that each ask again when they have been answered."""
    closed_s: float = 0.0
    """For so long."""
    pids: list[int] = dataclasses.field(default_factory=list)
    """The server's processes: their CPU time and memory are noted four times a second."""
    core: int = 0
    """Where they run."""


class Line:
    """A connection."""

    __slots__ = ("data", "request", "socket", "unsent", "used")

    def __init__(self, made: socket.socket) -> None:
        self.socket = made
        self.request = -1
        """The one that is under way."""
        self.data = b""
        self.unsent = b""
        self.used = False
        """Whether it has answered one before."""


class Generator:
    """One run of a job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.kind = KINDS[job.kind]
        self.planned = self._plan()
        count = len(self.planned)
        self.outcome = bytearray(count)
        self.took = [0.0] * count
        self.late: list[float] = []
        self.looks: list[tuple[float, float, float, int]] = []
        self.opened = 0
        self.most_open = 0
        self._line: list[Line | None] = [None] * count
        self._launched = 0
        self._oldest = 0
        self._lines: dict[int, Line] = {}
        self._idle: list[Line] = []
        self._waiting: list[int] = []
        self._chance = random.Random(job.seed + 1)
        self._poll = select.epoll()
        self._address = ("127.0.0.1", job.port)
        self._start = 0.0

    def _plan(self) -> list[Arrival]:
        if self.job.closed:
            return [Arrival(number * 0.002, critical=False) for number in range(self.job.closed)]
        return arrivals([Phase(*phase) for phase in self.job.phases], self.job.seed)

    def run(self) -> None:
        """Do it."""
        gc.disable()  # a collection takes milliseconds, and what is here has no cycles
        self._start = clock() + 0.05
        while self._oldest < len(self.planned):
            now = clock() - self._start
            self._look(now)
            self._launch(now)
            self._expire(now)
            for number, events in self._poll.poll(self._pause(), BATCH):
                line = self._lines.get(number)
                if line is not None:
                    self._ready(line, events)
        self._look(clock() - self._start, last=True)
        for line in list(self._lines.values()):
            self._close(line)

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
        wait = until - self._now()
        return 0.0 if wait <= SPIN_S else int((wait - SPIN_S / 2) * 1000) / 1000

    def _look(self, now: float, *, last: bool = False) -> None:
        if self.job.pids and (last or now >= len(self.looks) * LOOK_S):
            self.looks.append((now, *server_spent(self.job.pids, self.job.core)))

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
                self._settle(number, TIMED_OUT)
                if line is not None and self.kind.hangs_up:
                    self._close(line)

    # -- requests --

    def _send(self, number: int, *, fresh: bool = False) -> None:
        if self._idle and not fresh:
            self._write(self._idle.pop(), number)
        elif self.kind.bounded and len(self._lines) >= self.job.pool:
            self._waiting.append(number)
        else:
            self._open(number)

    def _open(self, number: int) -> None:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        line = Line(made)
        self._lines[made.fileno()] = line
        self.opened += 1
        self.most_open = max(self.most_open, len(self._lines))
        made.connect_ex(self._address)  # a failure shows in what follows
        self._poll.register(made.fileno(), select.EPOLLIN)
        self._write(line, number)

    def _write(self, line: Line, number: int) -> None:
        line.request = number
        self._line[number] = line
        line.unsent = wire.request(self.job.path, number, critical=self.planned[number].critical)
        self._flush(line)

    def _flush(self, line: Line) -> None:
        try:
            line.unsent = line.unsent[line.socket.send(line.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._broken(line)
            return
        if line.unsent:
            self._poll.modify(line.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _ready(self, line: Line, events: int) -> None:
        if line.unsent and not events & select.EPOLLERR:
            self._poll.modify(line.socket.fileno(), select.EPOLLIN)
            self._flush(line)
            return
        try:
            data = line.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        line.data += data
        found = wire.answer(line.data, ended=not data) if line.request >= 0 else None
        if found is not None:
            self._answered(line, found)
        elif not data:
            self._broken(line)

    def _answered(self, line: Line, found: wire.Answer) -> None:
        number = line.request
        if not self.outcome[number]:
            in_time = self._now() - self.planned[number].at <= self.job.timeout_s
            self._settle(number, judged(found, number) if in_time else TIMED_OUT)
        line.request, line.data, line.used = -1, b"", True
        self._line[number] = None
        if found.closes or not self.kind.keeps:
            self._close(line)
            return
        following = self._next()
        if following is None:
            self._idle.append(line)
        else:
            self._write(line, following)

    def _broken(self, line: Line) -> None:
        """A connection that ended: without an answer, or while nothing was asked."""
        number = line.request
        stale = line.used and not line.data
        connected = not line.unsent
        self._close(line)
        if number < 0 or self.outcome[number]:
            return
        if stale:  # the server closed it as the request was on its way: any client tries again
            self._send(number, fresh=True)
        else:
            self._settle(number, RESET if connected else UNREACHABLE)

    def _settle(self, number: int, outcome: int) -> None:
        now = self._now()
        self.outcome[number] = outcome
        self.took[number] = now - self.planned[number].at
        if self.job.closed and now < self.job.closed_s:
            self.planned.append(Arrival(now, critical=False))
            self.outcome.append(OPEN)
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
        number = line.socket.fileno()
        if self._lines.pop(number, None) is None:
            return
        if line.request >= 0:
            self._line[line.request] = None
        elif line in self._idle:
            self._idle.remove(line)
        line.socket.close()
        if self._waiting:
            following = self._next()
            if following is not None:
                self._send(following)


def judged(found: wire.Answer, number: int) -> int:
    """What an answer is worth."""
    if found.status == 200:
        return GOOD if found.body == wire.right_body(number) else WRONG
    return REFUSED if found.status in {429, 503} else WRONG


def server_spent(pids: list[int], core: int) -> tuple[float, float, int]:
    """CPU seconds of all processes so far, seconds that their core was busy, and bytes of memory."""
    cpu_s = 0.0
    memory = 0
    for pid in pids:
        try:
            cpu_s += time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3)
            memory += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        except OSError:  # it has just ended
            continue
    user, nice, system, _, _, irq, softirq = map(int, _core_line(core).split()[1:8])
    return cpu_s, (user + nice + system + irq + softirq) / TICKS, memory


def _core_line(core: int) -> str:
    return next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{core} "))


def main() -> None:
    """Run the job on stdin."""
    job = Job(**json.load(sys.stdin))
    generator = Generator(job)
    generator.run()
    found = {
        "at": [round(one.at, 6) for one in generator.planned],
        "critical": [int(one.critical) for one in generator.planned],
        "outcome": list(generator.outcome),
        "took": [round(one, 6) for one in generator.took],
        "late": [round(one, 6) for one in generator.late],
        "looks": generator.looks,
        "opened": generator.opened,
        "most_open": generator.most_open,
        "cpu_s": time.process_time(),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
