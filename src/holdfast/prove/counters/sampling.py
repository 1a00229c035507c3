"""The memory of a tree, looked at many times a second, for its peak and for pictures."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Final

from holdfast.decide.counts import Memory, Sample
from holdfast.prove.counters.proc import Gone, Hidden, memory, on_linux
from holdfast.prove.counters.trees import tree

_SHARE: Final = 5
"""It pauses at least so many times as long as a look took, for the kernel holds up a process while it looks at it."""


class Samples:
    """What was seen so far."""

    def __init__(self, pid: int) -> None:
        """Nothing yet, of the process `pid` and its own."""
        self.pid: int = pid
        self.series: list[Sample] = []
        self.unseen: dict[int, str] = {}
        """Processes whose memory could not be seen, and why."""

    @property
    def peak(self) -> int | None:
        """The most anonymous memory at any look, in bytes; None if not all of it could be seen."""
        return max((one.anonymous for one in self.series), default=None) if not self.unseen else None

    @property
    def over_start(self) -> int | None:
        """How much more that is than at the first look."""
        return None if self.peak is None else self.peak - self.series[0].anonymous

    @property
    def longest_gap_s(self) -> float:
        """Between two looks: a peak that was shorter may have been missed."""
        return max((later.at - one.at for one, later in pairwise(self.series)), default=0.0)

    def look(self) -> None:
        """Look once."""
        found: list[Memory] = []
        pids = tree(self.pid).pids
        at = time.monotonic()
        for pid in pids:
            try:
                found.append(memory(pid))
            except Gone:
                continue
            except Hidden as why:
                self.unseen[pid] = str(why)
        rss, pss, anonymous = (sum(one[place] for one in found) for place in range(3))
        self.series.append(Sample(at, rss, pss, anonymous, len(found)))


@asynccontextmanager
async def sampling(pid: int, every_s: float = 0.04) -> AsyncGenerator[Samples, None]:
    """Look at the memory of a process and its own while the block runs, from a thread; first and last at its ends.

    Where a look takes long, for there is much memory, it looks less often. Raises NotLinux.
    """
    on_linux()
    samples = Samples(pid)
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(samples, every_s, over), name="sampling", daemon=True)
    await asyncio.to_thread(samples.look)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        await asyncio.shield(asyncio.to_thread(_ended, samples, thread))


def _watch(samples: Samples, every_s: float, over: threading.Event) -> None:
    pause = every_s
    while not over.wait(pause):
        began = time.monotonic()
        samples.look()
        took = time.monotonic() - began
        pause = max(every_s - took, _SHARE * took)


def _ended(samples: Samples, thread: threading.Thread) -> None:
    thread.join()
    samples.look()
