"""A database in a file, held by another process: SQLite has one writer at a time, and everybody else waits.

Any process that may open the file may hold it, a backup for one. So a backend whose database hangs can be had without
knowing anything of it but its folder.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Literal

_MAGIC: Final = b"SQLite format 3\0"
_MOST_LOOKED_AT: Final = 20_000
_MOST: Final = 8
_BUSY_S: Final = 1.0
"""So long it is waited for those who use it at this moment."""

Hold = Literal["EXCLUSIVE", "IMMEDIATE"]
"""EXCLUSIVE: nobody reads (unless there is a write-ahead log) or writes. IMMEDIATE: nobody writes."""


def databases(folder: Path) -> list[Path]:
    """The SQLite databases in a folder, by how their files begin. Blocks for a moment."""
    return [path for path, _ in zip(_found(folder), range(_MOST), strict=False)]


def _found(folder: Path) -> Iterator[Path]:
    looked_at = 0
    for where, _, names in os.walk(folder):
        for name in names:
            looked_at += 1
            if looked_at > _MOST_LOOKED_AT:
                return
            path = Path(where) / name
            if _is_database(path):
                yield path


def _is_database(path: Path) -> bool:
    with suppress(OSError):
        if path.is_file():  # to open a pipe would wait for its writer
            with path.open("rb") as file:
                return file.read(len(_MAGIC)) == _MAGIC
    return False


@asynccontextmanager
async def held(files: Sequence[Path], how: Hold = "EXCLUSIVE") -> AsyncGenerator[list[Path]]:
    """Hold databases for as long as the block lasts; those that could be held. Nothing in them is changed."""
    connections: dict[Path, sqlite3.Connection] = {}
    for path in files:
        taken = await asyncio.to_thread(_taken, path, how)
        if taken is not None:
            connections[path] = taken
    try:
        yield list(connections)
    finally:
        for connection in connections.values():
            _let_go(connection)


def _taken(path: Path, how: Hold) -> sqlite3.Connection | None:
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        connection.execute(f"BEGIN {how}")
    except sqlite3.Error:
        if connection is not None:
            connection.close()
        return None
    return connection


def _let_go(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        connection.execute("ROLLBACK")
    connection.close()
