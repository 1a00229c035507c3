"""A lack of file descriptors: the limit of running processes is lowered to little above what they have open.

Their owner may do so without root, and the limit comes back at the end of the block.
"""

import asyncio
import contextlib
import os
import resource
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import Final

from holdfast.decide.counts import Counts, port_of

LAST: Final = 2
"""So few free ones are none: some servers keep one in reserve, and a look can miss the moment."""
_LOOK_S: Final = 0.01


class Shortage:
    """A lack that is under way."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.limits: dict[int, int] = {}
        """By PID, how many descriptors it may have."""
        self.seen: bool = False
        """Whether one of them was down to its last ones at any look."""
        self._before: dict[int, tuple[int, int]] = {}

    def leave(self, pids: Collection[int], room: int) -> None:
        """Leave each process so many descriptors from now on. Raises PermissionError."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                usual = self._before.setdefault(pid, resource.prlimit(pid, resource.RLIMIT_NOFILE))
                self.limits[pid] = min(usual[0], limit_with(pid, room))
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (self.limits[pid], usual[1]))
        self.look()

    def give_back(self) -> None:
        """As it was before."""
        for pid, limits in self._before.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)

    def look(self) -> None:
        """Look once."""
        self.seen |= any(0 <= free(pid, limit) <= LAST for pid, limit in self.limits.items())

    async def watch(self) -> None:
        """Look again and again."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_S)


def serving(counts: Counts, port: int) -> list[int]:
    """The processes that listen on a port; all there are where none is seen to."""
    found = [
        one.pid
        for one in counts.processes
        if any(each.state == "LISTEN" and port_of(each.local) == port for each in one.open or ())
    ]
    return found or [one.pid for one in counts.processes if one.state != "Z"]


def free(pid: int, limit: int) -> int:
    """How many descriptors below a limit are free; -1 where the process has gone."""
    numbers = _numbers(pid)
    return limit - sum(number < limit for number in numbers) if numbers else -1


def limit_with(pid: int, room: int) -> int:
    """The limit below which so many are free."""
    taken = set(_numbers(pid))
    limit = 0
    while room:
        room -= limit not in taken
        limit += 1
    return limit


def _numbers(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/fd")]  # noqa: PTH208 - no path for each
    except OSError:
        return []


@asynccontextmanager
async def shortage() -> AsyncGenerator[Shortage]:
    """What is lowered in the block is as it was after it."""
    found = Shortage()
    watching = asyncio.create_task(found.watch())
    try:
        yield found
    finally:
        watching.cancel()
        found.give_back()
