"""A lack of file descriptors: the limit of running processes is lowered to little above what they have open.

Their owner may do so without root, and the limit comes back at the end of the block.
"""

import asyncio
import contextlib
import os
import resource
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from holdfast.decide.counts import Counts, port_of
from holdfast.prove.counters import counted
from holdfast.prove.http import Answer, Wire
from holdfast.prove.running import App
from holdfast.prove.sending import Request

LAST: Final = 2
"""So few free ones are none: some servers keep one in reserve, and a look can miss the moment."""
_LOOK_S: Final = 0.01
_ACCEPTED_S: Final = 0.1


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


async def asked_without(
    lack: Shortage, app: App, every: Sequence[Request], rooms: Sequence[int], *, timeout_s: float, within_s: float
) -> list[tuple[Request, Answer]]:
    """Each of some requests with no descriptor left, or the next of `rooms`; what was answered until time is over.

    They come over connections that were there before, for there would be no descriptor for a new one. Raises
    PermissionError.
    """
    pids = serving(await asyncio.to_thread(counted, app.pid), app.port)
    pairs = [(room, each) for room in rooms for each in every]
    until = time.monotonic() + within_s
    found: list[tuple[Request, Answer]] = []
    async with AsyncExitStack() as stack:
        wires: list[Wire] = []
        with contextlib.suppress(OSError, TimeoutError):  # nobody is let in
            for _ in pairs:
                wires.append(await stack.enter_async_context(app.client.wire(timeout_s=1.0)))  # noqa: PERF401 - those before one that fails stay
        await asyncio.sleep(_ACCEPTED_S)  # until the backend has taken them
        for (room, each), wire in zip(pairs, wires, strict=False):
            if (left_s := min(timeout_s, until - time.monotonic())) <= 0:
                break
            lack.leave(pids, room)
            length = None if each.body is None else len(each.body)
            with contextlib.suppress(OSError, TimeoutError):
                await wire.send(
                    app.client.head(each.method, each.path, each.headers, length=length) + (each.body or b"")
                )
                found.append((each, await wire.answer(each.method, timeout_s=left_s)))
    return found


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
