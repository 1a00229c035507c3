"""A backend whose system calls are seen: it is started under strace, which is not there everywhere."""

import asyncio
import copy
import os
import shlex
import shutil
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from holdfast.decide.durability import OPENS, TRACED, Asked, Durability, World, durability, touches
from holdfast.decide.syscalls import Call, calls
from holdfast.prove.running import App, command
from holdfast.prove.stage import Stage

_TEXT: Final = 4096
"""How much of what is written is shown."""
_MOST_LINES: Final = 500_000
_MOST_PATHS: Final = 50_000
_NOT_OURS: Final = {".git", ".venv", "node_modules", "__pycache__"}
_LOOK_S: Final = 0.05
_PATIENCE_S: Final = 5.0
_LATE_S: Final = 1.5
_QUIET_S: Final = 0.25
_TRIAL_S: Final = 20.0
MISSING: Final = (
    "strace is not installed, and without it system calls cannot be seen (Debian and Ubuntu: apt-get install strace)"
)


async def _run(*words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_TRIAL_S):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return -1, f"it did not end within {_TRIAL_S:g} s"
    return process.returncode or 0, said.decode(errors="replace").strip().splitlines()[-1] if said.strip() else ""


async def strace() -> tuple[list[str], str]:
    """How to start a command under strace; or else no words, and why it cannot be."""
    where = shutil.which("strace")
    if where is None:
        return [], MISSING
    base = [where, "-f", "-yy", "-ttt", "-s", str(_TEXT), "-e", f"trace={','.join(f'?{name}' for name in TRACED)}"]
    said = ""
    for quick in (["--seccomp-bpf"], []):  # not all have it; with it, calls that are not traced cost nothing
        code, said = await _run(*base, *quick, "-o", os.devnull, "true")
        if code == 0:
            return [*base, *quick], ""
    return [], f"strace may not trace here ({said}); in a container it takes the capability SYS_PTRACE"


class Traced:
    """A backend that runs under strace, and where that writes."""

    def __init__(self, app: App, file: Path, cwd: Path) -> None:
        """strace writes to `file`."""
        self.app: App = app
        self._file = file
        self._cwd = cwd
        self._patience_s = _PATIENCE_S
        self._read = 0
        self._opened: list[Call] = []

    async def quiet(self) -> None:
        """Wait until nothing was written for a while, so that what is seen next belongs to what is asked next."""
        loop = asyncio.get_running_loop()
        began = still = loop.time()
        there = -1
        while loop.time() - still < _QUIET_S:
            if loop.time() - began > self._patience_s:
                self._patience_s = _QUIET_S  # it always writes something
                return
            written = await asyncio.to_thread(self._writes)
            if written != there:
                there, still = written, loop.time()
            await asyncio.sleep(_LOOK_S)

    def _writes(self) -> int:
        """How often a file was written since the last look at the world, logs aside."""
        log = str(self.app.log)
        return sum(touches(call) and log not in call.arguments for call in self._calls())

    def world(self) -> World:
        """What is there now, beside the calls. Blocks for a moment."""
        for call in self._calls():
            if call.name in OPENS and call.opened.startswith("/"):
                self._opened.append(call)
        self._read = self._file.stat().st_size
        paths = _paths(self.app.folder, self._cwd)
        return World(str(self.app.folder), str(self._cwd), paths, {str(self.app.log)})

    async def durability(self, asked: Asked, world: World) -> Durability:
        """What became of a request's data. Waits for strace, which may be behind, and for data that is written late."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            seen = await asyncio.to_thread(self._judged, asked, world)
            patience_s = _PATIENCE_S if not seen.answered else _LATE_S
            if (seen.answered and not (seen.unseen and not seen.unsafe)) or loop.time() - began > patience_s:
                return seen
            await asyncio.sleep(_LOOK_S)

    def _judged(self, asked: Asked, world: World) -> Durability:
        return durability([*self._opened, *self._calls()], asked, world)

    def _calls(self) -> Iterator[Call]:
        """What was called since the last look at the world."""
        with self._file.open("rb") as file:
            file.seek(self._read)
            yield from calls(line.decode(errors="replace") for line in islice(file, _MOST_LINES))


def _paths(*folders: Path) -> frozenset[str]:
    found: set[str] = set()
    for folder in folders:
        for where, below, names in os.walk(folder):
            below[:] = [name for name in below if name not in _NOT_OURS]
            found |= {os.path.join(where, name) for name in names}  # noqa: PTH118 - as strings, for there may be many
            if len(found) > _MOST_PATHS:
                break
    return frozenset(found)


@asynccontextmanager
async def traced(stage: Stage, words: list[str]) -> AsyncGenerator[Traced]:
    """A backend under strace, which `words` start. Raises AppFailed."""
    config = stage.target.config
    stage.folder.mkdir(parents=True, exist_ok=True)
    file = stage.folder / "strace.txt"
    started = command(config, {"port": "{port}", "folder": "{folder}", "secret": stage.secret})
    serve = shlex.join([*words, "-o", str(file), *started])
    under = copy.copy(stage)
    under.target = stage.target._replace(config=config._replace(app="", serve=serve))
    async with under.app() as app:
        yield Traced(app, file, Path(os.readlink(f"/proc/{app.pid}/cwd")))  # noqa: PTH115 - for async code
