"""Thousands of connections that say nothing, or half of a head, and what ordinary clients notice of them."""

import asyncio
import select
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, NamedTuple

from asked import job
from contenders import PLAIN, Contender
from runs import Place, environment, tell
from serving import Server, serving

from holdfast.decide.latencies import Tally, quantile, tally
from holdfast.prove.load import offered

ASKED: Final = b"GET /small?n=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HALF: Final = b"GET /small?n=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "
KEEP_ALIVE: Final = "120"
"""Seconds that servers are told to keep an idle connection, so that all of them are there at once."""
ORDINARY_RATE: Final = 100.0
ORDINARY_S: Final = 5.0
ANSWER_S: Final = 5.0

LIMITED: Final = PLAIN._replace(
    name="uvicorn --limit-concurrency 1000", command=(*PLAIN.command[:-1], "--limit-concurrency", "1000", "--port")
)
"""Others of this family are for the levels."""


class Silent(NamedTuple):
    """What one server did with many of them."""

    contender: Contender
    half: bool
    """They had sent half a head; otherwise they were idle after an answer."""
    opened: int
    """So many were taken and, if they asked, answered."""
    ordinary_before: Tally
    ordinary: Tally
    """Requests of others meanwhile, each on a new connection."""
    bytes_each: float
    """Memory for each."""
    lived_s: tuple[float, float]
    """When half of them, and all of them, were closed; 0: not as long as it was watched."""
    left: int
    """How many were still open then."""
    watched_s: float


class Crowd:
    """Connections, and when each was closed by the server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._poll = select.epoll()
        self._open: dict[int, tuple[socket.socket, float]] = {}
        self.lived: list[float] = []

    def __len__(self) -> int:
        return len(self._open)

    def fill(self, count: int, *, half: bool) -> int:
        """Open so many: how many the server took."""
        for _ in range(count):
            made = socket.create_connection(("127.0.0.1", self._port), timeout=ANSWER_S)
            if self._greeted(made, half=half):
                made.setblocking(False)
                self._open[made.fileno()] = (made, time.monotonic())
                self._poll.register(made.fileno(), select.EPOLLIN)
            else:
                made.close()
        return len(self)

    @staticmethod
    def _greeted(made: socket.socket, *, half: bool) -> bool:
        try:
            made.sendall(HALF if half else ASKED)
            return half or made.recv(65536).startswith(b"HTTP/1.1 200 ")
        except OSError:
            return False

    def watch(self, seconds: float) -> None:
        """Note what is closed in this time; stop if nothing is left."""
        end = time.monotonic() + seconds
        while self._open and (left := end - time.monotonic()) > 0:
            for number, _ in self._poll.poll(left):
                made, since = self._open[number]
                if self._ended(made):
                    self.lived.append(time.monotonic() - since)
                    del self._open[number]
                    made.close()

    @staticmethod
    def _ended(made: socket.socket) -> bool:
        try:
            return not made.recv(65536)  # an answer such as 408 may come first
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Leave."""
        for made, _ in self._open.values():
            made.close()
        self._poll.close()


@contextmanager
def crowd(port: int) -> Generator[Crowd]:
    """An empty one."""
    made = Crowd(port)
    try:
        yield made
    finally:
        made.close()


def patient(contender: Contender) -> Contender:
    """The same, but it keeps idle connections for as long as this takes."""
    if contender.ours:
        return contender._replace(environment={**contender.environment, "HOLDFAST_DOOR_KEEP_ALIVE_S": KEEP_ALIVE})
    if "uvicorn" in contender.command:
        *rest, port = contender.command
        return contender._replace(command=(*rest, "--timeout-keep-alive", KEEP_ALIVE, port))
    return contender


def measured(place: Place, contender: Contender, count: int, watch_s: float, *, half: bool) -> Silent:
    """One server and its crowd."""
    tell(f"{count:,} {'half-sent heads' if half else 'idle connections'}: {contender.name}")
    patient_one = patient(contender)
    with serving(patient_one.command, environment(patient_one, place.turns)) as server, crowd(server.port) as many:
        before = asyncio.run(_ordinary(server, many))
        memory = server.memory()
        opened = many.fill(count, half=half)
        many.watch(0.5)
        grown = server.memory() - memory
        there = max(1, len(many))
        began = time.monotonic()
        meanwhile = asyncio.run(_ordinary(server, many))
        if half:
            many.watch(watch_s - (time.monotonic() - began))
        found = Silent(
            contender,
            half,
            opened,
            before,
            meanwhile,
            grown / there,
            _lived(many.lived, opened),
            len(many),
            time.monotonic() - began,
        )
    tell(
        f"  {opened:,} taken, {found.bytes_each / 1000:,.1f} KB each; ordinary {meanwhile.good} of {meanwhile.asked}, "
        f"p99 {meanwhile.admitted_s[1] * 1000:,.1f} ms (before {before.admitted_s[1] * 1000:,.1f}); "
        f"{found.left:,} left after {found.watched_s:,.0f} s"
    )
    return found


def _lived(lived: list[float], opened: int) -> tuple[float, float]:
    if not lived or len(lived) < opened / 2:
        return 0.0, 0.0
    return quantile(lived, 0.5 * opened / len(lived)), max(lived) if len(lived) == opened else 0.0


async def _ordinary(server: Server, many: Crowd) -> Tally:
    """Ordinary clients for some seconds, while the crowd is watched."""
    asked = job(server.port, "/small", "new", [(ORDINARY_S, ORDINARY_RATE)], pids=server.pids())
    found, _ = await asyncio.gather(offered(asked), asyncio.to_thread(many.watch, ORDINARY_S))
    return tally(found, 0.0, ORDINARY_S)
