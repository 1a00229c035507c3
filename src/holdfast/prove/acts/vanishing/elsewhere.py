"""Files that a backend makes in the system's folders for temporary ones, beside the folder that it was given for them.

Others make files there too; so only those count that it was seen to have open for writing.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from holdfast.prove.counters import tree
from holdfast.prove.running import App

_PLACES: Final = ("/tmp/", "/var/tmp/", "/dev/shm/")  # noqa: S108 - nothing is written there
_LOOK_S: Final = 0.03
_TREE_S: Final = 0.5
"""How often it is looked which processes there are."""


class Elsewhere:
    """Such files."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Those in `folders` are counted already."""
        self._folders = tuple(f"{folder}/" for folder in folders)
        self._seen = set[str]()

    def left(self) -> int:
        """How many of those that were seen are there still."""
        self._seen = {path for path in self._seen if os.path.lexists(path)}
        return len(self._seen)

    def look(self, pids: Collection[int]) -> None:
        """See what some processes have open now."""
        for pid in pids:
            self._seen.update(path for number, path in _open(pid) if self._counts(path) and _written(pid, number))

    def _counts(self, path: str) -> bool:
        return path.startswith(_PLACES) and path not in self._seen and not path.startswith(self._folders)


def _open(pid: int) -> Iterator[tuple[str, str]]:
    """The descriptors of a process, and where they lead; none where it has gone."""
    folder = f"/proc/{pid}/fd"
    try:
        numbers = os.listdir(folder)  # noqa: PTH208 - many times a second
    except OSError:
        return
    for number in numbers:
        try:
            path = os.readlink(f"{folder}/{number}")  # noqa: PTH115 - as above
        except OSError:
            continue
        if not path.endswith(" (deleted)"):
            yield number, path


def _written(pid: int, number: str) -> bool:
    """Whether a file is open for writing."""
    try:
        lines = Path(f"/proc/{pid}/fdinfo/{number}").read_text().splitlines()
    except OSError:
        return False
    flags = next((int(line.split()[1], 8) for line in lines if line.startswith("flags:")), os.O_RDONLY)
    return flags & (os.O_WRONLY | os.O_RDWR) != os.O_RDONLY


@asynccontextmanager
async def elsewhere(app: App, folders: Sequence[Path]) -> AsyncGenerator[Elsewhere]:
    """Look, many times a second, until the block is left."""
    found = Elsewhere(folders)

    async def looking() -> None:
        pids: Collection[int] = ()
        known_until = 0.0
        while app.alive:
            if time.monotonic() > known_until:
                pids = (await asyncio.to_thread(tree, app.pid)).pids
                known_until = time.monotonic() + _TREE_S
            await asyncio.to_thread(found.look, pids)
            await asyncio.sleep(_LOOK_S)

    task = asyncio.create_task(looking())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.wait([task])
