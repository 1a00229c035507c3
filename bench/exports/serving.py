"""One server, exports from it, and what is seen meanwhile: rate, first byte, CPU time, memory, how long others wait.

What looks at processes, and asks for something small, is that of the uploads: bench/uploads/measuring.py.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import measuring
from databases import Postgres
from measuring import Seen, Server, idle_p99, p99, running

__all__ = ["HERE", "Load", "Result", "Server", "alone", "idle_p99", "p99", "read", "run", "running", "uvicorn"]

HERE: Final = Path(__file__).parent
PYTHON: Final = sys.executable


def uvicorn(app: str) -> tuple[str, ...]:
    """How others are served, but for the port."""
    options = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
    return (PYTHON, "-m", "uvicorn", app, *options, "--port")


def run(app: str) -> tuple[str, ...]:
    """How ours are served."""
    return (PYTHON, "-m", "holdfast", "run", app, "--port")


class Load(NamedTuple):
    """What is asked for."""

    path: str
    rows: int
    """Of each answer."""
    accept: str = ""
    """Content codings."""
    streams: int = 1
    """How many at once."""


class Result(NamedTuple):
    """What it brought."""

    rows: int
    seconds: float
    first_s: float = 0.0
    """Until the first byte of the body."""
    size: int = 0
    """Bytes of it."""
    cpu_s: float = 0.0
    """Of the server's processes, or of the program that has no server."""
    database_s: float = 0.0
    """CPU time of PostgreSQL."""
    reader_s: float = 0.0
    """CPU time of the client."""
    others: float = 0.0
    """The share of all cores that strangers had, as far as they calculated themselves and not the system for them."""
    before: int = 0
    """Bytes of memory before it."""
    peak: int = 0
    asked_ms: Sequence[float] = ()
    """How long each small request took meanwhile."""
    idle_p99_ms: float = 0.0

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    @property
    def over(self) -> float:
        """MB of memory over what it had before."""
        return (self.peak - self.before) / 1e6

    @property
    def delay_ms(self) -> float:
        """What nearly all small requests took at most."""
        return p99(self.asked_ms)


class _Looks:
    """What the machine has spent between two looks."""

    def __init__(self, pids: Sequence[int], database: Postgres | None) -> None:
        self._pids = pids
        self._database = database
        self._before = self._now()

    def _now(self) -> tuple[Seen, float]:
        seen = Seen.now(self._pids)
        user, whole = self._database.cpu_s() if self._database else (0.0, 0.0)
        return seen._replace(ours=seen.ours + user), whole

    def spent(self) -> tuple[float, float, float]:
        """CPU seconds of the server and of PostgreSQL, and the share of strangers."""
        (before, database), (after, now) = self._before, self._now()
        return after.server - before.server, now - database, before.others_until(after)


def read(server: Server, load: Load, database: Postgres | None) -> Result:
    """Ask for it, and read all of it."""
    job = {"port": server.port, "path": load.path, "accept": load.accept, "streams": load.streams}
    looks = _Looks(server.pids(), database)
    watching = measuring._Watching(server)
    with measuring._client(str(HERE / "reading.py")) as client:
        measuring._say(client, json.dumps(job))
        measuring._hear(client)
        watching.start()
        with measuring._asking(server) as asked:
            measuring._say(client, "go")
            found = json.loads(measuring._hear(client))
            last = server.memory()
        watching.stop()
    cpu_s, database_s, others = looks.spent()
    return Result(
        rows=load.rows * load.streams,
        seconds=found["seconds"],
        first_s=found["first_s"],
        size=found["size"],
        cpu_s=cpu_s,
        database_s=database_s,
        reader_s=found["cpu_s"],
        others=others,
        before=watching.before,
        peak=max(watching.peak, last),
        asked_ms=asked,
    )


def alone(program: Callable[[], tuple[float, float]], rows: int, database: Postgres | None) -> Result:
    """What a program takes that says how long it took, and how much of the CPU."""
    looks = _Looks((), database)
    seconds, cpu_s = program()
    _, database_s, others = looks.spent()
    return Result(rows, seconds, cpu_s=cpu_s, database_s=database_s, others=others)
