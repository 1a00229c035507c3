"""What a backend holds, in numbers, and what of it grows each time that the same trouble comes again.

What is left after trouble came once may be a pool that opened. What is left again each time is a leak.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from holdfast.decide.counts import Counts, Kind
from holdfast.prove.counters import counted
from holdfast.prove.running import App

_LOOK_S: Final = 0.1
_LEAST: Final = 2
_LEAST_THREADS: Final = 4
_NOT_CALM: Final = {"threads": _LEAST_THREADS}
_MEMORY: Final = 8 << 20


class Held(msgspec.Struct, frozen=True):
    """How much a backend held at a moment, all of its processes together."""

    files: int = 0
    deleted: int = 0
    """Open files that are in no folder any more."""
    sockets: int = 0
    pipes: int = 0
    other: int = 0
    locks: int = 0
    """On files."""
    processes: int = 0
    zombies: int = 0
    threads: int = 0
    sessions: int = 0
    """Of its databases, as these see them."""
    transactions: int = 0
    """Of those, in one that was begun, and in which nothing is done."""
    stored: int = 0
    """Files in its folder and in its folder for temporary ones."""
    memory: int = 0
    """Its own, in bytes; 0 where it could not be seen."""


WORDS: Final = {
    "files": "open files",
    "deleted": "open files that are deleted",
    "sockets": "sockets",
    "pipes": "pipes",
    "other": "other descriptors",
    "locks": "locks on files",
    "processes": "processes",
    "zombies": "processes that nobody waits for",
    "threads": "threads",
    "sessions": "sessions of its database",
    "transactions": "transactions that nobody ends",
    "stored": "files left in its folders",
}
"""What each number counts, but for memory."""


def of(counts: Counts) -> Held:
    """What was counted, as numbers."""
    files = [one.target.endswith(" (deleted)") for one in counts.of(Kind.FILE)]
    zombies = sum(one.state == "Z" for one in counts.processes)
    return Held(
        files=files.count(False),
        deleted=files.count(True),
        sockets=len(counts.of(Kind.SOCKET)) + len(counts.of(Kind.UNIX)),
        pipes=len(counts.of(Kind.PIPE)),
        other=sum(len(counts.of(kind)) for kind in (Kind.ANONYMOUS, Kind.DEVICE, Kind.OTHER)),
        locks=len(counts.locks or ()),
        processes=len(counts.processes) - zombies,
        zombies=zombies,
        threads=counts.threads,
        stored=sum(len(one.files or ()) for one in counts.folders),
        memory=counts.memory.anonymous if counts.memory is not None else 0,
    )


async def _as_it_is(found: Held) -> Held:
    return found


Adding = Callable[[Held], Awaitable[Held]]
"""Adds what is counted elsewhere."""


async def held(app: App, folders: Sequence[Path], adding: Adding = _as_it_is) -> Held:
    """What it holds now."""
    return await adding(of(await asyncio.to_thread(counted, app.pid, folders)))


async def calm(
    app: App,
    folders: Sequence[Path],
    than: Held,
    within_s: float,
    *,
    ignoring: Sequence[str] = (),
    adding: Adding = _as_it_is,
) -> Held:
    """Wait until it holds no more `than` then, or time is over: what it holds. Memory is not waited for."""
    until = time.monotonic() + within_s
    while True:
        now = await held(app, folders, adding)
        names = [name for name in WORDS if name not in ignoring]
        more = [name for name in names if getattr(now, name) - getattr(than, name) >= _NOT_CALM.get(name, 1)]
        if not more or time.monotonic() > until:
            return now
        await asyncio.sleep(_LOOK_S)


def grown(held_after: Sequence[Held], *, received: int = 0, ignoring: Sequence[str] = ()) -> dict[str, int]:
    """By kind, how much more there was after each time than after the one before, at least.

    `received` are the bytes that came each time: memory has grown where it grew by half of them, and by 8 MB. Empty
    where it was looked at less than twice.
    """
    pairs = list(pairwise(held_after))
    found: dict[str, int] = {}
    for name in (*WORDS, "memory") if pairs else ():
        least = {"threads": _LEAST_THREADS, "memory": max(_MEMORY, received // 2)}.get(name, _LEAST)
        more = min(getattr(later, name) - getattr(one, name) for one, later in pairs)
        if name not in ignoring and more >= least:
            found[name] = more
    return found


def in_words(more: dict[str, int]) -> str:
    """What has grown, in words."""
    shown = [f"{count} {WORDS[name]}" for name, count in more.items() if name in WORDS]
    shown += [f"{more['memory'] >> 20} MB of memory"] if "memory" in more else []
    return ", ".join(shown)
