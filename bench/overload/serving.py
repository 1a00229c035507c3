"""Servers, each on the core that is theirs, and the generator on the other one."""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

import app
from request_cost import Cores, _cores, _free_port, _tree, _wait_until_it_answers

from holdfast.decide.latencies import Result
from holdfast.prove.load import Job, offered

HERE: Final = Path(__file__).parent
STOP_S: Final = 10.0
CORES: Final[Cores] = _cores()


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


def _pss(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def many_files() -> int:
    """Let this process and those it starts open as many files as the system allows: how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def turns_per_ms() -> int:
    """How many turns of the applications' loop take a millisecond of CPU time, at best."""
    app_turns = app.TURNS
    took: list[float] = []
    with CORES.started_on_the_servers():
        for _ in range(50):
            before = time.thread_time()
            app.burn(5)
            took.append((time.thread_time() - before) / 5)
    return int(app_turns / min(took) / 1000)


@contextlib.contextmanager
def serving(command: Sequence[str], environment: Mapping[str, str]) -> Generator[Server]:
    """Start a server on its core, and stop it."""
    port = _free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    environ = {**inherited, "PYTHONPATH": path, "HOLDFAST_DRAIN_DELAY_S": "0", **environment}
    with tempfile.TemporaryFile() as errors:
        with CORES.started_on_the_servers():
            process = subprocess.Popen(
                [*command, str(port)], cwd=HERE, env=environ, stdout=subprocess.DEVNULL, stderr=errors
            )
        try:
            _started(process, port, errors)
            yield Server(process, port)
        finally:
            _stopped(process)


def _started(process: subprocess.Popen[bytes], port: int, errors: IO[bytes]) -> None:
    try:
        _wait_until_it_answers(process, port)
    except SystemExit:
        errors.seek(0)
        print(errors.read().decode(errors="replace")[-2000:], file=sys.stderr)
        raise


def _stopped(process: subprocess.Popen[bytes]) -> None:
    """One that works off what nobody waits for any more is not waited for."""
    below = [pid for pid in _tree(process.pid) if pid != process.pid] if process.poll() is None else []
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_S)
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def generated(job: Job) -> Result:
    """Run a generator, on the client's core, as all that is started here without a word."""
    return asyncio.run(offered(job))
