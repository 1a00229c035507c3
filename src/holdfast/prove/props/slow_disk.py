"""A disk that is slow, without having one: strace holds up the system calls of a running backend.

Those that open, remove or sync a file are held up, in whichever thread they are. Who waits for a disk in a thread
beside the event loop does not feel it there.
"""

import asyncio
import contextlib
import re
import shutil
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from holdfast.prove.counters.proc import stats
from holdfast.prove.counters.trees import tree_among
from holdfast.prove.running import App

HELD_UP_MS: Final = 300
_CALLS: Final = ("open", "openat", "creat", "fsync", "fdatasync", "rename", "renameat2", "unlink", "unlinkat")
_WAITS: Final = ("epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6")
_TURNS: Final = 5
"""Who has waited so often for whatever comes is an event loop."""
_PATIENCE_S: Final = 3.0
_LOOK_S: Final = 0.02
_LINE: Final = re.compile(r"(\d+) +(\w+)\((.*)")


class SlowDisk:
    """What strace has seen of it."""

    def __init__(self, file: Path) -> None:
        """strace writes to `file`."""
        self._file = file

    def on_loop(self, folder: Path) -> list[str]:
        """What event loops asked of the disk for files in a folder: the calls, as they were made."""
        lines = list(self._lines())
        turns = Counter(thread for thread, name, _ in lines if name in _WAITS)
        return [
            f"{name}({arguments.partition(' <unfinished')[0]}"
            for thread, name, arguments in lines
            if name in _CALLS and turns[thread] >= _TURNS and str(folder) in arguments
        ]

    def _lines(self) -> Iterator[tuple[str, str, str]]:
        with contextlib.suppress(OSError), self._file.open(errors="replace") as file:
            for line in file:
                if found := _LINE.match(line):
                    yield found[1], found[2], found[3].strip()


@asynccontextmanager
async def slow_disk(app: App) -> AsyncGenerator[SlowDisk | None]:
    """Hold up the backend's disk for as long as the block lasts. None where that cannot be done."""
    where = shutil.which("strace")
    pids = await asyncio.to_thread(_pids, app)
    if where is None or not pids:
        yield None
        return
    file = app.folder.parent / f"{app.folder.name}-disk.txt"
    traced, held_up = (",".join(f"?{name}" for name in names) for names in ((*_CALLS, *_WAITS), _CALLS))
    words = [where, "-f", "-qq", "-y", "-o", str(file), "-e", f"trace={traced}"]
    words += ["-e", f"inject={held_up}:delay_enter={HELD_UP_MS * 1000}"]
    words += [word for pid in pids for word in ("-p", str(pid))]
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*words, stdin=nothing, stdout=nothing, stderr=nothing)
    try:
        yield SlowDisk(file) if await _attached(app, process) else None
    finally:
        await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)  # it lets go of the backend by itself
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _attached(app: App, process: asyncio.subprocess.Process) -> bool:
    """Wait until the backend is traced; whether it is."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _PATIENCE_S
    while process.returncode is None and loop.time() < until:
        if await asyncio.to_thread(_is_traced, app):
            return True
        await asyncio.sleep(_LOOK_S)
    return False


def _pids(app: App) -> Sequence[int]:
    everybody = stats()
    return sorted(tree_among(everybody, app.pid).pids) if app.pid in everybody else ()


def _is_traced(app: App) -> bool:
    return all(_tracer(pid) for pid in _pids(app))


def _tracer(pid: int) -> int:
    """Who traces all threads of a process; 0 where one of them is not traced."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):  # it has just ended
                lines = (thread / "status").read_text().splitlines()
                found += [int(line.split()[1]) for line in lines if line.startswith("TracerPid:")]
    return min(found, default=0)
