"""Whether the machine let things run while something was measured, so that its slowness is not called the backend's.

    async with watched_machine(app.pid) as machine:
        ...
    return fair(facts, judge, machine.limit())

A thread of ours wakes every few milliseconds and sees how late it is; /proc says how much of the cores others had, and
how long the backend stood in line for one.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import msgspec

from holdfast.decide.verdicts import Judgement, Verdict
from holdfast.prove.counters.proc import PROC, stats
from holdfast.prove.counters.trees import tree_among
from holdfast.prove.scenario import F

EVERY_S: Final = 0.005
_NOTED_S: Final = 0.01
"""Less than this is how threads of Python take turns."""
_MOST_NOTED: Final = 20_000
WORST_S: Final = 0.25
TAKEN_MOST: Final = 0.4
STARVED_MOST: Final = 0.4
"""Above these a bad number says nothing of the backend."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Lateness(NamedTuple):
    """A time in which our thread was to run and did not."""

    at: float
    """When it was to run, by the monotonic clock."""
    late_s: float


class Used(NamedTuple):
    """What had been used of the cores at one moment, in seconds since some other."""

    at: float
    busy_s: float
    """All that ran on our cores, and what the machine below took of them."""
    ours_s: float
    """By us and those whom we started."""
    backend_s: float
    """By the backend."""
    queued_s: float
    """How long the backend's threads stood in line for a core."""


class Machine:
    """What was seen of the machine, until now or until the end of the block."""

    def __init__(self, cores: int) -> None:
        """One with so many cores for us."""
        self.cores: int = cores
        self.latenesses: deque[Lateness] = deque(maxlen=_MOST_NOTED)
        self.began: Used | None = None
        self.ended: Used | None = None

    @property
    def worst_s(self) -> float:
        """How late our thread was at most."""
        return max((one.late_s for one in list(self.latenesses)), default=0.0)

    def late_s(self, begin: float, end: float) -> float:
        """For how long nothing of ours ran between two moments of the monotonic clock: no fault of the backend's."""
        return sum(max(0.0, min(end, one.at + one.late_s) - max(begin, one.at)) for one in list(self.latenesses))

    @property
    def taken(self) -> float:
        """The share of our cores that programs had which are neither ours nor the backend."""
        if self.began is None or self.ended is None or self.ended.at <= self.began.at:
            return 0.0
        others = (self.ended.busy_s - self.began.busy_s) - (self.ended.ours_s - self.began.ours_s)
        return min(1.0, max(0.0, others) / (self.cores * (self.ended.at - self.began.at)))

    @property
    def starved(self) -> float:
        """Of the time in which the backend could have run, the share in which it stood in line for a core."""
        if self.began is None or self.ended is None:
            return 0.0
        queued = max(0.0, self.ended.queued_s - self.began.queued_s)
        ran = max(0.0, self.ended.backend_s - self.began.backend_s)
        return queued / (queued + ran) if queued + ran > 0.1 else 0.0

    def limit(self, *, worst_s: float = WORST_S, taken: float = TAKEN_MOST, starved: float = STARVED_MOST) -> str:
        """Why what was measured meanwhile is not to be held against the backend; empty where there is no reason."""
        if self.worst_s > worst_s:
            return f"for {self.worst_s * 1000:.0f} ms this machine ran nothing of ours."
        if self.taken > taken:
            return f"other programs had {self.taken:.0%} of this machine's {self.cores} cores."
        if self.starved > starved:
            return f"the backend stood in line for a core in {self.starved:.0%} of the time in which it could have run."
        return ""


class _Canary(threading.Thread):
    """The thread that sees how late it is."""

    def __init__(self, note: Callable[[Lateness], None]) -> None:
        super().__init__(name="canary", daemon=True)
        self._note = note
        self._over = threading.Event()

    def run(self) -> None:
        due = time.monotonic() + EVERY_S
        while not self._over.is_set():
            time.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            if now - due > _NOTED_S:
                self._note(Lateness(due, now - due))
            due = now + EVERY_S

    def end(self) -> None:
        self._over.set()
        self.join()


@asynccontextmanager
async def watched_machine(pid: int = 0) -> AsyncGenerator[Machine]:
    """Watch the machine for as long as the block lasts; `pid` is the backend's first process."""
    machine = Machine(len(os.sched_getaffinity(0)))
    canary = _Canary(machine.latenesses.append)
    machine.began = await asyncio.to_thread(used, pid)
    canary.start()
    try:
        yield machine
    finally:
        canary.end()
        machine.ended = await asyncio.to_thread(used, pid)


def fair(facts: F, judge: Callable[[F], Judgement], limit: str, blatant: Callable[[F], Judgement] | None = None) -> F:
    """The facts, with `limit` where they are bad and chance could have caused it: a busy machine excuses, no more.

    `blatant` judges by bounds that no busy machine explains: what is broken by them too is not excused.
    """
    found = judge(facts)
    if not limit or facts.limit or found.verdict is not Verdict.BROKEN or found.certain:
        return facts
    if blatant is not None and blatant(facts).verdict is Verdict.BROKEN:
        return facts
    return msgspec.structs.replace(facts, limit=f"{limit} What was seen: {found.why}")


# -- /proc --


def used(pid: int = 0) -> Used:
    """What has been used of our cores so far. Takes some milliseconds. Raises NotLinux.

    Processes of the backend that have ended are left out, ours are not.
    """
    everybody = stats()
    backend = tree_among(everybody, pid).pids if pid in everybody else ()
    ours = {*tree_among(everybody, os.getpid()).pids, *backend}
    ended = os.times()
    return Used(
        time.monotonic(),
        _busy_s(),
        sum(everybody[one].cpu_s for one in ours) + ended.children_user + ended.children_system,
        sum(everybody[one].cpu_s for one in backend),
        sum(map(_queued_s, backend)),
    )


def _busy_s() -> float:
    """Of the cores that we may use; without idling and waiting for disks."""
    cores = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    busy = 0
    for line in (PROC / "stat").read_text().splitlines():
        name, *fields = line.split()
        if name in cores:
            user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
            busy += user + nice + system + irq + softirq + steal
    return busy / _TICKS


def _queued_s(pid: int) -> float:
    """How long the threads of a process have stood in line for a core; 0 where the kernel does not say."""
    total = 0
    try:
        for thread in (PROC / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError):  # it has just ended
                total += int((thread / "schedstat").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return total / 1e9
