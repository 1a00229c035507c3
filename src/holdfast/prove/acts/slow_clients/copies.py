"""What a backend keeps on the disk for those who asked for something and read nothing: a copy for each, or none."""

import asyncio
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from holdfast.decide.verdicts import Judgement, broken
from holdfast.prove.counters import tree
from holdfast.prove.http import Wire
from holdfast.prove.running import App

_LEAST: Final = 16 << 20
"""Less on the disk is not felt by anybody."""
_MANY: Final = 30
_SHARE: Final = 0.5
_PEEK_S: Final = 0.3
_MEND: Final = (
    "Limit how many exports one account may be sent at the same time, and refuse more with 429 and Retry-After; or "
    "read the rows while they are sent, with no copy of them."
)


class Copies(msgspec.Struct, frozen=True):
    """Exports that nobody reads."""

    asked: int = 0
    answered: int = 0
    """Those to which an answer of 2xx came, or began to."""
    statuses: tuple[int, ...] = ()
    """What else was answered; 503 says that it is too much for the moment, and not for one client."""
    size: int = 0
    """Of one export, in bytes."""
    stored: int = 0
    """How many bytes more than before were in the backend's files meanwhile, those without a name too."""


def stored(app: App) -> int:
    """Bytes in files that the backend has, open or in its folder, each once. Blocks for a moment."""
    return sum({(one.st_dev, one.st_ino): one.st_blocks * 512 for one in _files(app)}.values())


def _files(app: App) -> Iterator[os.stat_result]:
    log = app.log.stat()
    for path in _paths(app):
        try:
            found = path.stat()
        except OSError:  # it has just been closed or removed
            continue
        if stat.S_ISREG(found.st_mode) and (found.st_dev, found.st_ino) != (log.st_dev, log.st_ino):
            yield found


def _paths(app: App) -> Iterable[Path]:
    yield from app.folder.rglob("*")
    for pid in tree(app.pid).pids:
        try:
            names = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208 - no path for each
        except OSError:
            continue
        yield from (Path(f"/proc/{pid}/fd/{name}") for name in names)


async def statuses(wires: Sequence[Wire]) -> list[int]:
    """How the answers begin that have come; 0 where none has."""
    return list(await asyncio.gather(*map(_status, wires)))


async def _status(wire: Wire) -> int:
    try:
        first = await wire.receive(timeout_s=_PEEK_S)
        return int(first.split(b" ", 2)[1])
    except (OSError, TimeoutError, ValueError, IndexError):
        return 0


def without_limit(facts: Copies) -> Judgement | None:
    """What is wrong with what was kept for them, if anything is: a copy for each, however many ask."""
    copied = facts.stored >= max(_LEAST, _SHARE * facts.answered * facts.size)
    refused = any(400 <= status < 500 for status in facts.statuses)
    if facts.answered >= _MANY and not refused and copied:
        why = (
            f"One client asked for {facts.asked} exports and read none: {facts.answered} were begun at the same time, "
            f"none was refused as one too many, and {facts.stored >> 20} MB more were on the disk for them, where one "
            f"has {facts.size / (1 << 20):.1f} MB."
        )
        return broken(why, f"{facts.stored >> 20} MB for {facts.answered} exports", mend=_MEND)
    return None
