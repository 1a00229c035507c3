"""When what a request changed became certain, and whether in the right order: rules over system calls.

An answer may be sent when all is on the disk, and something may have gone wrong all the same:

- SQLite without a journal beside the database cannot undo what a kill in the middle of a transaction leaves.
- A note of how far the bytes of a file are safe that is safe itself before them tells of bytes that may be lost.
- A removal that is noted after its answer is undone by a kill between the two.

Sources: "Atomic Commit In SQLite"; `PRAGMA journal_mode` in SQLite's documentation; "Database File Format", 2.1.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from holdfast.decide.syscalls import DELETED, Call

SYNCS: Final = frozenset({"fsync", "fdatasync", "sync", "syncfs"})
WRITES: Final = frozenset({"write", "pwrite64", "writev", "pwritev", "pwritev2"})
SQLITE: Final = '"SQLite format 3'
"""How the first page of a database begins, in a write of it; each transaction with a rollback journal writes that."""
LOG: Final = re.compile(r"(?:^|[^0-9/])[^/]*\.(?:log|jsonl|ndjson|out|err)(?:\.\d+)?$|/logs?/")
"""What is written after an answer, and about it."""
BESIDE: Final = ("-journal", "-wal")
NOWHERE: Final = ("/dev/", "/proc/", "/sys/")
_UNLINKS: Final = frozenset({"unlink", "unlinkat"})
_RENAMES: Final = frozenset({"rename", "renameat", "renameat2"})
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = re.compile(rb"\\(?:x([0-9a-f]{2})|([0-7]{1,3})|(.))", re.DOTALL)
_PLAIN: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"f": b"\f"}
_FEW: Final = 3
"""Fewer bytes than this are found anywhere by chance."""


def place(call: Call) -> str:
    """The file that a call writes or syncs; empty where it is none that lasts."""
    where = next((what for _, what in call.descriptors), "")
    lasts = where.startswith("/") and not where.startswith(NOWHERE) and not where.endswith((DELETED, "-shm"))
    return where if lasts else ""


def unjournaled(mine: Sequence[Call], there: Collection[str]) -> list[str]:
    """Databases of SQLite that were there before and were changed with neither a journal nor a log beside them."""
    touched = {*there, *(call.opened for call in mine), *(place(call) for call in mine)}
    changed = {place(call) for call in mine if call.name in WRITES and call.result > 0 and SQLITE in call.arguments}
    return sorted(
        path
        for path in changed & set(there)
        if not path.endswith(BESIDE) and not any(f"{path}{end}" in touched for end in BESIDE)
    )


def told_too_soon(before: Sequence[Call], marker: str, offset: int) -> list[str]:
    """Files in which `offset` stands, and which were synced while bytes below it were not.

    `before` are the calls before the answer; the bytes are what has `marker` in it.
    """
    numbers = _encoded(offset)
    written = {place(call) for call in before if call.name in WRITES and marker in call.arguments} - {""}
    unsafe: set[str] = set()
    noted: dict[str, int] = {}
    found: dict[str, None] = {}
    for call in before:
        where = place(call)
        if call.name in WRITES and call.result > 0 and where:
            if where in written and not _is_database(where):
                unsafe.add(where)
            elif _has(call, numbers):
                noted.setdefault(where, call.ended)
        elif call.name in SYNCS and call.result >= 0:
            if unsafe and where in noted and noted[where] < call.began:
                found[where] = None
            if where in unsafe:
                unsafe.discard(where)
                noted.clear()
    # who syncs those bytes never is told of that by another rule
    return [] if unsafe else list(found)


def _is_database(path: str) -> bool:
    return path.endswith((*BESIDE, ".sqlite", ".sqlite3", ".db", ".db3"))


def _encoded(number: int) -> tuple[bytes, ...]:
    """How a number may stand in a file: as digits, or as bytes in either order; only what chance does not make."""
    size = max(1, (number.bit_length() + 8) // 8)
    found = [str(number).encode(), number.to_bytes(size, "big"), number.to_bytes(size, "little")]
    return tuple(each for each in found if len(each) >= _FEW)


def _has(call: Call, wanted: Sequence[bytes]) -> bool:
    return any(each in text for text in _texts(call) for each in wanted)


def _texts(call: Call) -> Iterator[bytes]:
    """The bytes that a call was given, as far as they were shown."""
    for quoted in _QUOTED.findall(call.arguments):
        yield _ESCAPED.sub(_unescaped, quoted.encode("latin-1", "replace"))


def _unescaped(found: "re.Match[bytes]") -> bytes:
    if found[1]:
        return bytes([int(found[1], 16)])
    if found[2]:
        return bytes([int(found[2], 8) & 0xFF])
    return _PLAIN.get(found[3], found[3])


def changes(mine: Sequence[Call], logs: Collection[str]) -> Iterator[tuple[Call, str]]:
    """What made a change certain, logs aside, and the file it is about: of SQLite the end of a transaction.

    With a rollback journal that is its removal, or that it is made empty; with a write-ahead log a write to that.
    """
    journaled = {path.removesuffix("-journal") for call in mine for path in _journals(call)}
    for call in mine:
        where = place(call)
        if call.result < 0 or where in logs or LOG.search(where):
            continue
        if call.name in _UNLINKS | _RENAMES and call.paths:
            yield call, call.paths[-1].removesuffix("-journal")
        elif call.name == "ftruncate" and where.endswith("-journal"):
            yield call, where.removesuffix("-journal")
        elif call.name in WRITES and where and not where.endswith("-journal") and where not in journaled:
            yield call, where.removesuffix("-wal")


def _journals(call: Call) -> Iterator[str]:
    for path in (place(call), call.opened, *call.paths[-1:]):
        if path.endswith("-journal"):
            yield path
