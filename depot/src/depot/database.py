"""The database: many read at once, one writes at a time.

SQLite is a library, not a server: there is no socket to wait on, and a call returns when the disk has answered. So a
transaction is a plain function of a session, and `read` and `write` run it in a thread:

    account = await database.read(accounts.owner, token)

A thread cannot be cancelled, and that is a gain: a client that leaves in the middle leaves neither half a transaction
nor a lock behind. For a database server it would be SQLAlchemy's asyncio engine, and `async with` around each session.

What is too much for one list is walked through in a `snapshot`, which holds up nobody however long that takes.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import (
    URL,
    Column,
    Connection,
    CursorResult,
    Engine,
    MetaData,
    NullPool,
    Select,
    Table,
    create_engine,
    event,
    text,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from holdfast import InsufficientStorage, Unavailable, offload

P = ParamSpec("P")
T = TypeVar("T")

_PATIENCE_S: Final = 30.0
_SNAPSHOT_S: Final = 20.0
"""A snapshot takes no longer, for who wants to write meanwhile has patience for little more."""
_STEPS: Final = 100_000
"""So many steps of SQLite's, a few milliseconds, lie between two looks at the clock."""


class Database:
    """Transactions on one SQLite file, whose tables are there.

    Keep them short: in a rollback journal, the mode that is safe with every version of SQLite, a reader that lingers
    holds up every writer.
    """

    def __init__(self, path: str) -> None:
        """Use the file at `path`; connections are made when they are needed."""
        self._engine = _engine(path, max_overflow=-1)  # there are never more than threads
        # What is copied goes with the connection that copied it
        self._copying = _engine(path, poolclass=NullPool)
        # The write lock comes first: two that read and then both want to write would wait for each other
        self._writing = self._engine.execution_options(begin="BEGIN IMMEDIATE")
        self._turn = asyncio.Lock()

    def close(self) -> None:
        """Close all connections. Blocks for a moment."""
        self._engine.dispose()

    async def read(self, work: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(session, ...)` in a thread; all that it reads is one state of the database. Raises Unavailable."""
        return await offload.thread(self.transact, lambda session: work(session, *args, **kwargs))

    async def write(self, work: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `read`, as the only writer: what it changes is safe on the disk when this returns, or undone if it raises.

        Raises Unavailable if the database stays locked, InsufficientStorage if the disk is full. When the waiting task
        is cancelled, a transaction that has begun is carried through.
        """
        async with self._turn:  # to wait here costs no thread; only other processes are waited for in one
            return await offload.thread(self.transact, lambda session: work(session, *args, **kwargs), write=True)

    def transact(self, work: Callable[[Session], T], *, write: bool = False) -> T:
        """Run `work` in a transaction, here and now. Blocks."""
        engine = self._writing if write else self._engine
        with _explained(), Session(engine, expire_on_commit=False) as session, session.begin():
            return work(session)

    @contextmanager
    def snapshot(self, query: Select[*tuple[Any, ...]]) -> Generator[CursorResult[*tuple[Any, ...]]]:
        """The rows of a query as they are now, however long one walks through them. Blocks.

        A statement that is walked through holds up every writer until its end, and who makes a report while others look
        how far it is writes too. So SQLite copies the rows to a temporary table first: it takes about a third of a
        second for a million of them, in which Python does nothing. They are gone with the block.

        Raises Unavailable if that takes longer than 20 seconds, InsufficientStorage if there is no room.
        """
        with _explained(), self._copying.connect() as connection:
            copied = _copy(connection, query)
            with connection.execute(copied.select().order_by(text("rowid"))) as rows:
                yield rows


def _engine(path: str, **pool: Any) -> Engine:
    patient = {"timeout": _PATIENCE_S, "isolation_level": None}
    engine = create_engine(URL.create("sqlite", database=path), connect_args=patient, **pool)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _copy(connection: Connection, query: Select[*tuple[Any, ...]]) -> Table:
    """Copy the rows of a query, in their order, to a table that only this connection sees."""
    columns = [Column(column.key, column.type) for column in query.selected_columns]
    copied = Table("copied", MetaData(), *columns, prefixes=["TEMPORARY"])
    until = time.monotonic() + _SNAPSHOT_S
    raw: Any = connection.connection.driver_connection
    raw.execute("PRAGMA temp_store = FILE")  # some builds of SQLite would have all of it in memory
    with connection.begin():
        copied.create(connection)
        raw.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
        connection.execute(copied.insert().from_select([column.key for column in columns], query))
        raw.set_progress_handler(None, 0)
    return copied


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = DELETE")  # write-ahead logs can be corrupted by SQLite before 3.51.3
    connection.execute("PRAGMA synchronous = EXTRA")  # the end of a journal is on the disk, too, before anyone hears


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
        if "unable to open" in what:  # as where no file descriptor is left
            raise Unavailable("The database cannot be opened.", headers={"retry-after": "5"}) from error
        if "full" in what:
            raise InsufficientStorage from error
        if "interrupted" in what:
            raise Unavailable("It is too much to be read at once while others wait to write.") from error
        raise
