"""A disk that is slow for the event loop alone: strace holds up the system calls of a running backend's main threads.

Who leaves files to other threads does not feel it at all. What a loop opens beside that, such as /proc or a lock, is on
a slow disk only by our doing; so what counts is whether it is the loop that stores what was uploaded.
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

HELD_UP_MS: Final = 200
_DATA: Final = ("write", "pwrite64", "writev", "pwritev", "pwritev2")
_HELD_UP: Final = ("open", "openat", "creat", "pwrite64", "fsync", "fdatasync", "rename", "renameat2")
_WAITS: Final = ("epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6")
_TURNS: Final = 5
"""Who has waited so often for whatever comes is an event loop."""
_TEXT: Final = 256
_PATIENCE_S: Final = 3.0
_LOOK_S: Final = 0.02
_LINE: Final = re.compile(r"(?:(\d+) +)?(\w+)\((.*)")
_FILE: Final = re.compile(r"\d+<(/[^>]*)>")


class SlowDisk:
    """What strace has seen of it."""

    def __init__(self, file: Path) -> None:
        """strace writes to `file`."""
        self._file = file

    def stored_by_loop(self, folder: Path, marker: str) -> str:
        """How an event loop itself wrote data with `marker` in it to a file in a folder; empty where none did."""
        lines = list(self._lines())
        turns = Counter(thread for thread, name, _ in lines if name in _WAITS)
        for thread, name, arguments in lines:
            where = _FILE.match(arguments)
            if name in _DATA and marker in arguments and where and turns[thread] >= _TURNS:
                with contextlib.suppress(ValueError):
                    return f"{name} of {Path(where[1]).relative_to(folder)}"
        return ""

    def _lines(self) -> Iterator[tuple[str, str, str]]:
        with contextlib.suppress(OSError), self._file.open(errors="replace") as file:
            for line in file:
                if found := _LINE.match(line):
                    yield found[1] or "", found[2], found[3]


@asynccontextmanager
async def slow_disk(app: App) -> AsyncGenerator[SlowDisk | None]:
    """Hold up what the main threads ask of the disk, for as long as the block lasts. None where that cannot be done."""
    where = shutil.which("strace")
    pids = await asyncio.to_thread(_pids, app)
    if where is None or not pids:
        yield None
        return
    file = app.folder.parent / f"{app.folder.name}-disk.txt"
    traced, held_up = (",".join(f"?{name}" for name in names) for names in ({*_DATA, *_HELD_UP, *_WAITS}, _HELD_UP))
    words = [where, "-qq", "-y", "-s", str(_TEXT), "-o", str(file), "-e", f"trace={traced}"]
    words += ["-e", f"inject={held_up}:delay_enter={HELD_UP_MS * 1000}"]
    words += [word for pid in pids for word in ("-p", str(pid))]  # without -f it is their main threads alone
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
    """Who traces the main thread of a process; 0 where nobody does."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("TracerPid:"):
                return int(line.split()[1])
    return 0
