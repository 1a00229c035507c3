"""One server, one load on it, and what is seen meanwhile: rate, CPU time, memory, and how long others wait."""

import contextlib
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sending import TUS, Answer, head

HERE: Final = Path(__file__).parent
START_S: Final = 30.0
IDLE_S: Final = 1.0
LOOK_S: Final = 0.05
TICKS: Final = os.sysconf("SC_CLK_TCK")
CORES: Final = os.cpu_count() or 1


class Load(NamedTuple):
    """What is sent."""

    name: str
    streams: int
    size: int
    """Bytes of each."""
    slow_s: float = 0.0
    """Over so many seconds; 0: as fast as it is taken."""


class Result(NamedTuple):
    """What one load brought."""

    gib: float
    seconds: float
    cpu_s: float = 0.0
    """Of the server's processes."""
    sender_s: float = 0.0
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
        """MiB/s."""
        return self.gib * 1024 / self.seconds


class Server(NamedTuple):
    """A server that answers."""

    process: subprocess.Popen[bytes]
    port: int

    def pids(self) -> list[int]:
        """All its processes."""
        return _tree(self.process.pid)

    def memory(self) -> int:
        """Bytes of memory that its processes have for themselves, and their share of what they have together."""
        return sum(_pss(pid) for pid in self.pids())


@contextlib.contextmanager
def running(command: Sequence[str], folder: Path, apps: Path) -> Generator[Server]:
    """Start a server in `folder`, and stop it."""
    port = _free_port()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    path = os.pathsep.join([str(apps), *filter(None, [os.environ.get("PYTHONPATH")])])
    environ |= {"PYTHONPATH": path, "TMPDIR": str(folder), "HOLDFAST_DRAIN_DELAY_S": "0"}
    environ |= {"HOLDFAST_UPLOADS_AT_ONCE": "4000", "HOLDFAST_UPLOADS_UNFINISHED_MAX": "4000"}
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen([*command, str(port)], cwd=folder, env=environ, stdout=output)
        try:
            _wait_until_it_answers(process, port)
            yield Server(process, port)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(START_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


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


# -- what is seen in /proc --


def _tree(pid: int) -> list[int]:
    found = [pid]
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for child in (thread / "children").read_text().split():
                    found += _tree(int(child))
    return found


def _pss(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _cpu_s(pids: Sequence[int]) -> tuple[float, float]:
    """CPU time in user mode, and all of it."""
    user = whole = 0.0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            user += int(fields[11]) / TICKS
            whole += (int(fields[11]) + int(fields[12])) / TICKS
    return user, whole


class Seen(NamedTuple):
    """CPU seconds so far."""

    at: float
    everybody: float
    """All processes of this machine, in user mode."""
    ours: float
    """This one, those it has waited for, and the server's, in user mode."""
    server: float
    """The server's, all of it."""

    @classmethod
    def now(cls, pids: Sequence[int]) -> "Seen":
        """Look."""
        everybody = sum(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:3])) / TICKS
        times = os.times()
        user, whole = _cpu_s(pids)
        return cls(time.monotonic(), everybody, times.user + times.children_user + user, whole)

    def others_until(self, later: "Seen") -> float:
        """The share of the cores that strangers had."""
        strangers = (later.everybody - self.everybody) - (later.ours - self.ours)
        return max(0.0, strangers / ((later.at - self.at) * CORES))


# -- one load --


class _Watching(threading.Thread):
    """Looks how much memory a server has."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._over = threading.Event()
        self.before = self.peak = server.memory()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._over.wait(LOOK_S):
            self.peak = max(self.peak, self._server.memory())

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()


def sent(server: Server, way: str, load: Load, source: Path) -> Result:
    """Send a load."""
    job = {"port": server.port, "way": way, "streams": load.streams, "bytes": load.size}
    job |= {"source": str(source), "slow_s": load.slow_s}
    watching = _Watching(server)
    with _client("sending.py") as client:
        before = Seen.now(server.pids())
        _say(client, json.dumps(job))
        _hear(client)
        watching.start()
        with _asking(server) as asked:
            _say(client, "go")
            found = json.loads(_hear(client))
        watching.stop()
    after = Seen.now(server.pids())
    return Result(
        gib=load.streams * load.size / (1 << 30),
        seconds=found["seconds"],
        cpu_s=after.server - before.server,
        sender_s=found["cpu_s"],
        others=before.others_until(after),
        before=watching.before,
        peak=watching.peak,
        asked_ms=asked,
    )


def disk_alone(program: Path, how: str, load: Load, folder: Path) -> Result:
    """Write as much without a client or a server."""
    before = Seen.now(())
    command = [sys.executable, str(program), how, str(load.streams), str(load.size)]
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = float(subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = used.ru_utime + used.ru_stime - cpu.ru_utime - cpu.ru_stime
    others = before.others_until(Seen.now(()))
    return Result(load.streams * load.size / (1 << 30), seconds, cpu_s=spent, others=others)


def idle_p99(server: Server) -> float:
    """How long something small takes while nothing else is asked, in milliseconds."""
    with _asking(server) as asked:
        time.sleep(IDLE_S)
    return p99(asked)


def p99(values: Sequence[float]) -> float:
    """What 99 % are not above."""
    return statistics.quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else max(values, default=0.0)


@contextlib.contextmanager
def _asking(server: Server) -> Generator[list[float]]:
    """Ask for something small all the time; the list is filled at the end."""
    found: list[float] = []
    with _client("asking.py", str(server.port)) as client:
        yield found
        _say(client, "end")
        found += json.loads(_hear(client))


@contextlib.contextmanager
def _client(name: str, *arguments: str) -> Generator[subprocess.Popen[bytes]]:
    command = [sys.executable, str(HERE / name), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        try:
            yield client
        finally:
            assert client.stdin is not None
            client.stdin.close()
            client.wait(START_S)


def _say(client: subprocess.Popen[bytes], line: str) -> None:
    assert client.stdin is not None
    client.stdin.write(line.encode() + b"\n")
    client.stdin.flush()


def _hear(client: subprocess.Popen[bytes]) -> bytes:
    assert client.stdout is not None
    line = client.stdout.readline()
    if not line:
        sys.exit(f"the client gave up: {client.args}")
    return line


# -- a connection that is silent --


def resumed(server: Server, times: int) -> list[float]:
    """Leave an upload in the middle without a word, and go on with it on another connection: milliseconds, each time.

    From asking for the offset to the answer that all of it is safe.
    """
    return [_one_drop(server.port) for _ in range(times)]


def _one_drop(port: int, size: int = 512 * 1024) -> float:
    kind = TUS + "Content-Type: application/offset+octet-stream\r\n"
    begun = _asked(port, head("POST", "/upload", 0, f"{TUS}Upload-Length: {size}\r\n"))
    place = "/upload/" + begun["location"].rpartition("/")[2]
    with socket.create_connection(("127.0.0.1", port)) as silent:
        silent.sendall(head("PATCH", place, size, kind + "Upload-Offset: 0\r\nExpect: 100-continue\r\n"))
        if not silent.recv(65536).startswith(b"HTTP/1.1 100 "):  # it comes once the upload is this request's
            sys.exit("nothing was to be sent")
        silent.sendall(bytes(size // 2))
        began = time.perf_counter()
        offset = int(_asked(port, head("HEAD", place, 0, TUS))["upload-offset"])
        rest = head("PATCH", place, size - offset, f"{kind}Upload-Offset: {offset}\r\n") + bytes(size - offset)
        if int(_asked(port, rest)["upload-offset"]) != size:
            sys.exit("it was not resumed")
        return (time.perf_counter() - began) * 1000


def _asked(port: int, request: bytes) -> dict[str, str]:
    """The headers of an answer, on a connection of its own."""
    answer = Answer()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        while not answer.take(connection.recv(65536)):
            pass
    return answer.fields
