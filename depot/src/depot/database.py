"""The database: many read at once, one writes at a time.

SQLite takes one writer for the whole file. Writers of this process queue for a lock, in order; those of other workers
wait for the file itself. A transaction is short, and none is open while a client is waited for: in a rollback journal
(the safe mode for every version of SQLite) a reader that lingers would hold up every writer.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Self

from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from holdfast import InsufficientStorage, Unavailable

_PATIENCE_S: Final = 30.0
_READERS: Final = 8


class Database:
    """Sessions on one SQLite file. Open it with `async with Database.at(path) as database`."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Use `engine`, made by `at`."""
        self._reading = engine
        self._writing = engine.execution_options(begin="BEGIN IMMEDIATE")  # the write lock first, or two could deadlock
        self._turn = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def at(cls, path: str) -> AsyncGenerator[Self]:
        """Open the SQLite file at `path`, whose tables are there; all connections are closed at the end."""
        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=path),
            pool_size=_READERS,
            max_overflow=0,
            connect_args={"timeout": _PATIENCE_S, "isolation_level": None},
        )
        event.listen(engine.sync_engine, "connect", _prepare)
        event.listen(engine.sync_engine, "begin", _begin)
        try:
            yield cls(engine)
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncSession]:
        """A session that sees one state of the database. Keep it short, and never across a wait for anything else.

        Raises Unavailable if the database stays locked.
        """
        with _explained():
            async with AsyncSession(self._reading, expire_on_commit=False) as session:
                yield session

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncSession]:
        """A session in a transaction of the only writer: committed at the end of the block, undone if it fails.

        Raises Unavailable if the database stays locked, InsufficientStorage if the disk is full.
        """
        with _explained():
            async with self._turn, AsyncSession(self._writing, expire_on_commit=False) as session, session.begin():
                yield session


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA journal_mode = DELETE")  # write-ahead logs can be corrupted by SQLite older than 3.51.3
    cursor.execute("PRAGMA synchronous = FULL")  # a commit is on the disk before anyone is told of it
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


@contextmanager
def _explained() -> Generator[None]:
    """Turn what only time or the operator can mend into an answer that says so."""
    try:
        yield
    except OperationalError as error:
        what = str(error.orig)
        if "locked" in what:
            raise Unavailable("The database is busy.", headers={"retry-after": "5"}) from error
        if "full" in what:
            raise InsufficientStorage from error
        raise
