"""One SQLite file, one connection to it, one thread: by apsw, which carries a SQLite of its own.

What arrives while a transaction is being made durable goes into the next one together, so that a thousand small writes
cost a handful of syncs. The SQLite of Python itself must not open the same file in the same process: closing it there
would drop the locks that are held here.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import apsw

from holdfast.errors import HoldfastError, InsufficientStorage, Unavailable

T = TypeVar("T")

_TOGETHER: Final = 512
"""The most pieces of work in one transaction."""


class Database:
    """A connection, in the words that the ledgers need."""

    def __init__(self, path: Path) -> None:
        """Open it."""
        self._connection: Any = apsw.Connection(str(path))  # its stubs name a type that Python 3.11 has not

    def rows(self, sql: str, bindings: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        return self._connection.execute(sql, bindings).fetchall()

    def row(self, sql: str, bindings: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """The first row of a statement; None where there is none."""
        return self._connection.execute(sql, bindings).fetchone()

    def run(self, sql: str, bindings: Sequence[object] = ()) -> int:
        """Run a statement; how many rows it changed."""
        self._connection.execute(sql, bindings).fetchall()
        return self._connection.changes()

    def begin(self, kind: str) -> None:
        """Begin a transaction."""
        self._connection.execute(f"BEGIN {kind}")

    def commit(self) -> None:
        """Make it durable."""
        self._connection.execute("COMMIT")

    def undo(self) -> None:
        """Undo what is not committed; SQLite itself has done so after some errors."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def prepare(self, schema: str, version: int, patience_s: float) -> None:
        """Make the tables where there are none. Raises Unavailable where they are another version's."""
        self._connection.set_busy_timeout(int(patience_s * 1000))
        self._connection.pragma("journal_mode", "wal")
        self._connection.pragma("synchronous", "full")
        with _Transaction(self):
            there = self._connection.pragma("user_version")
            if there == 0:
                self._connection.execute(schema)
                self._connection.pragma("user_version", version)
            elif there != version:
                raise Unavailable(f"The ledger has version {there}, and this program reads {version}.")

    def close(self) -> None:
        """Close it."""
        self._connection.close()


class _Work(NamedTuple):
    do: Callable[[Database], Any] | None
    """None: there is no more."""
    writes: bool
    future: "asyncio.Future[Any]"


_Outcome: TypeAlias = tuple[_Work, Any, BaseException | None]


class SqliteThread:
    """One connection, in a thread of its own."""

    def __init__(self, path: Path, schema: str, version: int, *, patience_s: float) -> None:
        """Open `path` with the tables of `schema`; wait `patience_s` seconds where other processes write."""
        self._path = path
        self._schema = schema
        self._version = version
        self._patience_s = patience_s
        self._loop = asyncio.get_running_loop()
        self._waiting: SimpleQueue[_Work] = SimpleQueue()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="holdfast-ledger", daemon=True)
        self._thread.start()

    async def opened(self) -> None:
        """Wait until the file is open."""
        await self._ready

    async def call(self, work: Callable[[Database], T], *, writes: bool) -> T:
        """Do `work` in a transaction, with what waits beside it. It raises before it writes, or not at all."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting.put(_Work(work, writes, future))
        return await future

    async def close(self) -> None:
        """Do what is waiting, then close."""
        self._waiting.put(_Work(None, writes=False, future=self._ended))
        await self._ended
        self._thread.join()

    def _run(self) -> None:
        try:
            db = self._connected()
        except (apsw.Error, HoldfastError) as error:
            self._loop.call_soon_threadsafe(_settle, self._ready, None, _as_ours(error))
            return
        self._loop.call_soon_threadsafe(_settle, self._ready, None, None)
        open_ = True
        while open_:
            together = self._next()
            outcomes = _done(db, [work for work in together if work.do is not None])
            open_ = all(work.do is not None for work in together)
            self._tell(_settle_all, outcomes)
        db.close()
        self._tell(_settle, self._ended, None, None)

    def _next(self) -> list[_Work]:
        together = [self._waiting.get()]
        try:
            while len(together) < _TOGETHER:
                together.append(self._waiting.get_nowait())
        except Empty:
            pass
        return together

    def _tell(self, what: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, *arguments)

    def _connected(self) -> Database:
        """An open connection. Several processes may make the file at once: the loser of that tries again."""
        end = time.monotonic() + self._patience_s
        while True:
            db = Database(self._path)
            try:
                db.prepare(self._schema, self._version, self._patience_s)
            except apsw.BusyError:
                db.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
            except BaseException:
                db.close()
                raise
            else:
                return db


class _Transaction:
    """A transaction that writes: begun as one, so that it waits its turn at the start and never in the middle."""

    def __init__(self, db: Database, kind: str = "IMMEDIATE") -> None:
        self._db = db
        self._kind = kind

    def __enter__(self) -> None:
        self._db.begin(self._kind)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._db.commit()
            except apsw.Error:
                self._db.undo()
                raise
        else:
            self._db.undo()


def _done(db: Database, together: Sequence[_Work]) -> list[_Outcome]:
    """Do all in one transaction. What refuses is refused alone; what SQLite itself fails at fails for all."""
    if not together:
        return []
    try:
        with _Transaction(db, "IMMEDIATE" if any(work.writes for work in together) else "DEFERRED"):
            return [_tried(db, work) for work in together]
    except apsw.Error as error:
        return [(work, None, _as_ours(error)) for work in together]


def _tried(db: Database, work: _Work) -> _Outcome:
    assert work.do is not None  # noqa: S101 - for the type checker: the end of the queue is no work
    try:
        return work, work.do(db), None
    except apsw.Error:
        raise
    except Exception as error:  # noqa: BLE001 - whoever asked hears of it
        return work, None, error


def _as_ours(error: Exception) -> Exception:
    if isinstance(error, apsw.FullError):
        made: HoldfastError = InsufficientStorage()
    elif isinstance(error, apsw.Error):
        made = Unavailable("The ledger of uploads cannot be used at the moment.", headers={"retry-after": "5"})
    else:
        return error
    made.__cause__ = error
    return made


def _settle_all(outcomes: Sequence[_Outcome]) -> None:
    for work, result, error in outcomes:
        _settle(work.future, result, error)


def _settle(future: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    if future.done():  # nobody waits any more
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
