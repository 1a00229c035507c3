"""What a request costs: bare FastAPI, the usual stack in front of it, and Holdfast, side by side in one run.

    python bench/request_cost.py            seven rounds of three seconds for each
    python bench/request_cost.py --quick    two rounds of one second

Each contender is a real server process, started anew in each round. All share one core and take turns of a third of a
second; the client and whoever reads the logs have another core. Sixteen kept-alive connections ask without a pause, so
whichever server has its turn is always busy. CPU time is the process's own clock, with all threads and children.
Each turn is compared with bare FastAPI's turn beside it; shown are the median of all turns and, in brackets, the least
and the greatest median of a round. "Core taken" is the share of the time in which the server was ready to run and
another process had its core; that time is left out of the rates. On an idle machine there is none.
"""

import argparse
import contextlib
import functools
import itertools
import os
import select
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

APPS: Final = Path(__file__).with_suffix("")
BARE: Final = "bare FastAPI"
AIMED: Final = "holdfast run"
CONNECTIONS: Final = 16
WARM_UP_S: Final = 0.7
TURN_S: Final = 0.3
LEAD_S: Final = 0.03
START_S: Final = 30.0
AIM_RATE: Final = 0.9
AIM_CPU_US: Final = 10.0


class Contender(NamedTuple):
    """A way to serve the application."""

    name: str
    command: tuple[str, ...]
    logs: bool
    """Whether it writes a line for each request."""


def _uvicorn(app: str) -> tuple[str, ...]:
    options = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
    return (sys.executable, "-m", "uvicorn", app, *options)


CONTENDERS: Final = (
    Contender(BARE, _uvicorn("app:app"), logs=False),
    Contender("the least log line, as middleware", _uvicorn("floor:app"), logs=True),
    Contender(AIMED, (sys.executable, "-m", "holdfast", "run", "app:app"), logs=True),
    Contender("Holdfast(app) on uvicorn", _uvicorn("held:app"), logs=True),
    Contender("the usual stack", _uvicorn("usual:app"), logs=True),
)


class Turn(NamedTuple):
    """What one contender did in one turn."""

    rate: float
    """Requests per second of the time that others left it."""
    cpu_us: float
    """Microseconds of CPU time per request."""
    taken: float
    """The share of the time in which the server was ready to run, and another process had its core."""


@dataclass(frozen=True)
class Cores:
    """Where the server runs, and where the client and whoever reads the log."""

    server: int
    client: int

    @contextlib.contextmanager
    def started_on_the_servers(self) -> Generator[None]:
        """What is started here inherits the server's core."""
        os.sched_setaffinity(0, {self.server})
        try:
            yield
        finally:
            os.sched_setaffinity(0, {self.client})


def _cores() -> Cores:
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) == 1:
        print("One core for server and client alike: the rates mean little, the CPU times something.")
    return Cores(server=usable[-1], client=usable[0])


# -- the server --


class Running(NamedTuple):
    """A server that answers."""

    process: subprocess.Popen[bytes]
    port: int


@contextlib.contextmanager
def running(contender: Contender, cores: Cores, counted: Callable[[int], None]) -> Generator[Running]:
    """Start a server, and stop it; `counted` is told how many lines it wrote to its log, which is a pipe."""
    port = _free_port()
    environment = {**os.environ, "HOLDFAST_DRAIN_DELAY_S": "0", "PYTHONPATH": str(APPS)}
    with subprocess.Popen(["wc", "-l"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdin is not None
        with cores.started_on_the_servers():
            process = subprocess.Popen(
                [*contender.command, "--port", str(port)], cwd=APPS, env=environment, stdout=reader.stdin
            )
        reader.stdin.close()
        reader.stdin = None
        try:
            _wait_until_it_answers(process, port)
            yield Running(process, port)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_S)
            counted(int(reader.communicate()[0]))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"it does not start: {process.args}")
            time.sleep(0.02)
        else:
            return


def _tree(pid: int) -> list[int]:
    """The process and all below it."""
    children: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            children += map(int, (thread / "children").read_text().split())
    return [pid, *itertools.chain.from_iterable(_tree(child) for child in children)]


class Spent(NamedTuple):
    """What a server has used so far, in seconds."""

    cpu_s: float
    """CPU time of all threads of all its processes."""
    main_s: float
    """CPU time of the first process's main thread."""
    waited_s: float
    """How long that thread was ready to run, and did not."""

    def since(self, before: "Spent") -> "Spent":
        """What was used between the two."""
        return Spent(*(now - then for now, then in zip(self, before, strict=True)))

    @property
    def taken_s(self) -> float:
        """How long other processes kept the main thread from running; the server's own threads do not count."""
        return max(0.0, self.waited_s - (self.cpu_s - self.main_s))


def _spent(pids: Sequence[int]) -> Spent:
    """See clock_getcpuclockid(3) for the number of a process's CPU clock."""
    ran, waited, _ = map(int, Path(f"/proc/{pids[0]}/schedstat").read_text().split())
    return Spent(sum(time.clock_gettime((~pid << 3) | 2) for pid in pids), ran / 1e9, waited / 1e9)


# -- the client --

_ITEMS: Final = range(1000, 2000)
_ASKED: Final = [
    f"GET /items/{number} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\n"
    "Accept-Encoding: gzip, deflate\r\n\r\n".encode()
    for number in _ITEMS
]
_ANSWERED: Final = [f'{{"id":{number},"name":"item {number}"}}'.encode() for number in _ITEMS]


class Client:
    """Connections that are kept alive, each with one request under way."""

    def __init__(self, port: int) -> None:
        self.answers = 0
        """How many have come so far, all of them right."""
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._awaited: dict[int, bytes] = {}
        """What the answer that is awaited on a connection ends with."""
        self._parts: dict[int, bytes] = {}
        self._requests = itertools.cycle(zip(_ASKED, _ANSWERED, strict=True))
        for _ in range(CONNECTIONS):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            number = connection.fileno()
            self._sockets[number] = connection
            self._poll.register(number, select.EPOLLIN)
            self._ask(number)

    def run(self, seconds: float) -> tuple[int, float]:
        """Ask for `seconds`: how many answers came, and how long it was exactly."""
        before = self.answers
        start = now = time.perf_counter()
        while now - start < seconds:
            for number in self._ready():
                if self._hear(number):
                    self._ask(number)
            now = time.perf_counter()
        return self.answers - before, now - start

    def close(self) -> None:
        """Hear what is still under way, and close."""
        while self._awaited:
            for number in self._ready():
                if self._hear(number):
                    del self._awaited[number]
        for connection in self._sockets.values():
            connection.close()
        self._poll.close()

    def _ready(self) -> list[int]:
        ready = self._poll.poll(5.0)
        if not ready:
            sys.exit("the server has stopped answering")
        return [number for number, _ in ready]

    def _ask(self, number: int) -> None:
        asked, self._awaited[number] = next(self._requests)
        self._sockets[number].send(asked)

    def _hear(self, number: int) -> bool:
        """Take what has come; whether the answer is whole."""
        data = self._parts.pop(number, b"") + self._sockets[number].recv(65536)
        if not data.endswith(self._awaited[number]):
            if len(data) > 4096 or not data:
                sys.exit(f"not the answer that was expected: {data!r}")
            self._parts[number] = data
            return False
        if not data.startswith(b"HTTP/1.1 200 "):
            sys.exit(f"not the answer that was expected: {data!r}")
        self.answers += 1
        return True


# -- the measurement --


@dataclass
class Taking:
    """One server that takes turns with others."""

    contender: Contender
    server: Running
    answers: int = 0

    def turn(self, seconds: float, lead_s: float) -> Turn:
        """Be asked for `seconds`, after `lead_s` that are not counted."""
        pids = _tree(self.server.process.pid)
        with contextlib.closing(Client(self.server.port)) as client:
            client.run(lead_s)
            before = _spent(pids)
            requests, took = client.run(seconds)
            spent = _spent(pids).since(before)
        self.answers += client.answers
        return Turn(requests / (took - spent.taken_s), spent.cpu_s / requests * 1e6, spent.taken_s / took)


def one_round(seconds: float, cores: Cores, contenders: Sequence[Contender]) -> list[list[Turn]]:
    """Start all contenders anew, and let them take turns until each was asked for `seconds`: the turns of each."""
    lines = [0] * len(contenders)
    with contextlib.ExitStack() as stack:
        servers = [
            Taking(one, stack.enter_context(running(one, cores, functools.partial(lines.__setitem__, number))))
            for number, one in enumerate(contenders)
        ]
        for one in servers:
            one.turn(TURN_S, WARM_UP_S)
        found: list[list[Turn]] = [[] for _ in servers]
        for number in range(max(1, round(seconds / TURN_S))):
            order = list(zip(servers, found, strict=True))
            for one, turns in order if number % 2 else reversed(order):
                turns.append(one.turn(TURN_S, LEAD_S))
    for one, written in zip(servers, lines, strict=True):
        if one.contender.logs and written < one.answers:
            sys.exit(f"{one.contender.name}: {one.answers} answers, but {written} lines in the log")
    return found


Results = dict[str, list[list[Turn]]]
"""By contender, the turns of each round. The first contender is bare FastAPI."""


def alternate(rounds: int, seconds: float, cores: Cores, contenders: Sequence[Contender]) -> Results:
    """All rounds of all contenders."""
    found: Results = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender, turns in zip(contenders, one_round(seconds, cores, contenders), strict=True):
            found[contender.name].append(turns)
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return found


# -- what is printed --


class Spread(NamedTuple):
    """The median of all turns, and the least and the greatest median of a round."""

    median: float
    least: float
    most: float

    def shown(self, form: str) -> str:
        """As text, each number in the format `form`."""
        return f"{self.median:{form}} ({self.least:{form}} to {self.most:{form}})"


def spread(found: Results, name: str, value: Callable[[Turn, Turn], float]) -> Spread:
    """`value` of each turn and of bare FastAPI's turn beside it."""
    rounds = [
        [value(one, bare) for one, bare in zip(turns, bares, strict=True)]
        for turns, bares in zip(found[name], found[BARE], strict=True)
    ]
    medians = [statistics.median(values) for values in rounds]
    return Spread(statistics.median(itertools.chain.from_iterable(rounds)), min(medians), max(medians))


def _ratio(one: Turn, bare: Turn) -> float:
    return one.rate / bare.rate


def _more_cpu_us(one: Turn, bare: Turn) -> float:
    return one.cpu_us - bare.cpu_us


def table(found: Results) -> str:
    """The results as a Markdown table."""
    rows = [
        "| | requests/s | of bare | CPU µs per request | CPU µs more than bare | core taken |",
        "|---|---|---|---|---|---|",
    ]
    for name in found:
        cells = (
            spread(found, name, lambda one, _: one.rate).shown(",.0f"),
            spread(found, name, _ratio).shown(".3f"),
            spread(found, name, lambda one, _: one.cpu_us).shown(",.1f"),
            spread(found, name, _more_cpu_us).shown(",.1f"),
            f"{spread(found, name, lambda one, _: one.taken).median:.0%}",
        )
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def verdict(found: Results, name: str) -> str:
    """How far `name` is from what is aimed at."""
    return (
        f"{name}: {spread(found, name, _ratio).median:.1%} of bare FastAPI's rate (aim: at least {AIM_RATE:.0%}), "
        f"{spread(found, name, _more_cpu_us).median:,.1f} µs of CPU more per request (aim: at most {AIM_CPU_US:.0f})"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What a request costs, side by side.")
    parser.add_argument("--quick", action="store_true", help="two rounds of one second")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", default="", help="parts of the names of contenders, separated by commas")
    options = parser.parse_args()
    rounds, seconds = (2, 1.0) if options.quick else (options.rounds, options.seconds)
    contenders = [one for one in CONTENDERS if one.name == BARE or any(map(one.name.count, options.only.split(",")))]
    cores = _cores()
    os.sched_setaffinity(0, {cores.client})
    found = alternate(rounds, seconds, cores, contenders)
    print(table(found), end="\n\n")
    if AIMED in found:
        print(verdict(found, AIMED))


if __name__ == "__main__":
    main()
