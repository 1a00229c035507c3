"""Waiting until what was opened is closed again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from holdfast.decide.counts import Counts, Kind
from holdfast.decide.leftovers import Difference, difference
from holdfast.prove.counters.counting import counted

_FIRST_S: Final = 0.02
_LONGEST_S: Final = 0.5
_GROWS: Final = 1.5


async def settled(
    pid: int,
    before: Counts,
    within_s: float,
    *,
    ignoring: Collection[Kind] = (),
    look: Callable[[], Awaitable[Counts]] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Difference:
    """Wait until a process and its own have at most what they had `before`, or time is over: the last difference.

    It is clean where all is back. The folders of `before` are looked at again; kinds that are to be ignored, as
    `Kind.THREAD` for a server whose pool of threads grows to its size and stays, are not waited for. With `look`,
    counts come from there, as where PostgreSQL's sessions are among them. Raises NotLinux.
    """
    places = [one.path for one in before.folders]
    end = clock() + within_s
    pause = _FIRST_S
    while True:
        last = clock() >= end
        counts = await (look() if look is not None else asyncio.to_thread(counted, pid, places))
        found = difference(before, counts, ignoring)
        if found.clean or last:
            return found
        await sleep(max(0.0, min(pause, end - clock())))
        pause = min(pause * _GROWS, _LONGEST_S)
