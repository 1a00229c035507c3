"""Rows from a query on PostgreSQL by asyncpg: the server writes CSV itself, other formats take a cursor.

The connection is the caller's, or one of the caller's pool, which has it back when the rows are read. All rows are of
one statement, and so of one state of the database.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Final

from holdfast.decide.exports.columns import Column, Columns, Kind, columns_of, fitting
from holdfast.decide.exports.server import SESSION, Typed, binds_plainly, is_copied, is_wrapped, read, wrapped
from holdfast.parts.exports.formats.csv import Csv
from holdfast.parts.exports.formats.encoding import Rows

KINDS: Final = {
    "bool": Kind.BOOLEAN,
    "int2": Kind.INTEGER,
    "int4": Kind.INTEGER,
    "int8": Kind.INTEGER,
    "oid": Kind.INTEGER,
    "float4": Kind.FLOAT,
    "float8": Kind.FLOAT,
    "numeric": Kind.DECIMAL,
    "text": Kind.TEXT,
    "varchar": Kind.TEXT,
    "bpchar": Kind.TEXT,
    "bytea": Kind.BYTES,
    "date": Kind.DATE,
    "time": Kind.TIME,
    "timestamp": Kind.TIMESTAMP,
    "timestamptz": Kind.TIMESTAMP,
    "interval": Kind.INTERVAL,
    "uuid": Kind.UUID,
    "json": Kind.JSON_TEXT,
    "jsonb": Kind.JSON_TEXT,
}
"""What the values of PostgreSQL's types are."""
_READ: Final = frozenset({*KINDS, "timetz", "inet", "void"})
"""Types of which asyncpg's values are written as they should be."""

_CANCELS: Final = 10
_CANCEL_S: Final = 0.2
Opened = Callable[[], AbstractAsyncContextManager[Any]]
"""Opens a connection of asyncpg for as long as it is needed."""


def kind(column: Typed) -> Kind:
    """The kind of a column by its type on the server."""
    return Kind.JSON if column.is_array else KINDS.get(column.type_name, Kind.ANY)


class _Sink:
    """Where a copy goes. It never fails: asyncpg would wait for the end of a copy that may have had its end already."""

    def __init__(self, put: Callable[[bytes], Awaitable[None]]) -> None:
        self._put = put
        self._discards = False
        self.failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        """Why nothing more is wanted."""

    async def put(self, made: bytes) -> None:
        """Hand on what came, or throw it away."""
        if self._discards:
            return
        try:
            await self._put(made)
        except Exception as error:  # noqa: BLE001 - it is raised where the copy was asked for
            self.discard()
            self.failed.set_result(error)

    def discard(self) -> None:
        """From now on, throw away what comes."""
        self._discards = True


async def _through(ending: Awaitable[None]) -> None:
    """Wait for it, also when cancelled: half of it would be worse than none."""
    task = asyncio.ensure_future(ending)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _heard(future: asyncio.Future[Any]) -> None:
    """What it failed with is not lost on nobody, though whoever waited was cancelled."""
    if future.done() and not future.cancelled():
        future.exception()


class AsyncpgQuery:
    """A query, its arguments, and where it is run."""

    def __init__(self, connection: Opened, query: str, args: Sequence[Any], columns: Columns | None = None) -> None:
        """Nothing is opened before `open`. `columns`, where they are known, go before what the server says."""
        self._connection = connection
        self._query = query.strip().removesuffix(";")
        self._args = args
        self._columns = columns
        self._stack = AsyncExitStack()
        self._opened: Any = None
        self._typed: list[Typed] = []
        self._cursor: Any = None

    async def open(self) -> Columns:
        """As AsyncSource. A query with a fault in it fails here."""
        self._opened = opened = await self._stack.enter_async_context(self._connection())
        transaction = opened.transaction(readonly=not opened.is_in_transaction())  # or a part of the caller's
        await transaction.start()
        self._stack.push_async_callback(transaction.rollback)  # and with it what the session was set to
        await opened.execute(";".join(SESSION))
        statement = await opened.prepare(self._query)
        self._typed = [
            Typed(one.name, one.type.name.removesuffix("[]"), is_array=one.type.kind == "array")
            for one in statement.get_attributes()
        ]
        found = columns_of([Column(one.name, kind(one)) for one in self._typed])
        if self._columns is not None:
            return fitting(self._columns, found)
        decoded = await self._decoded() if any(column.kind is Kind.JSON_TEXT for column in found) else ()
        kinds = [
            Kind.JSON if one.type_name in decoded else column.kind
            for one, column in zip(self._typed, found, strict=True)
        ]
        return [column._replace(kind=kind) for column, kind in zip(found, kinds, strict=True)]

    async def _decoded(self) -> Sequence[str]:
        """The types of JSON for which the connection has a codec, so that they are text no more."""
        values = [(name, await self._opened.fetchval(f"SELECT '0'::{name}")) for name in ("json", "jsonb")]
        return [name for name, value in values if not isinstance(value, str)]

    async def fetch(self, most: int) -> Rows:
        """As AsyncSource."""
        if self._cursor is None:
            query = read(self._query, self._typed, _READ)
            self._cursor = await self._opened.cursor(query, *self._args)
        return await self._cursor.fetch(most)

    def writes(self, dialect: Csv) -> bool:
        """As AsyncWritesCsv."""
        return (
            dialect.newline == "\n"
            and is_wrapped(self._query)
            and is_copied(self._typed, native=dialect.native)
            and (not self._args or binds_plainly(self._query))
            and self._opened.get_settings().server_encoding == "UTF8"
        )

    async def copy(self, dialect: Csv, put: Callable[[bytes], Awaitable[None]]) -> int:
        """As AsyncWritesCsv: `COPY (...) TO STDOUT`, with arguments that the driver puts in."""
        query = wrapped(self._query, self._typed, neutral=dialect.neutral, native=dialect.native)
        sink = _Sink(put)
        copying: asyncio.Future[str] = asyncio.ensure_future(
            self._opened.copy_from_query(query, *self._args, output=sink.put, format="csv", delimiter=dialect.delimiter)
        )
        copying.add_done_callback(_heard)
        try:
            await asyncio.wait({copying, sink.failed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sink.discard()
            await _through(self._ended(copying))
            failed = copying.exception()
        if sink.failed.done():
            raise sink.failed.result()
        if failed is not None:
            raise failed
        return int(copying.result().rpartition(" ")[2])

    async def _ended(self, copying: asyncio.Future[str]) -> None:
        """Have the server cancel the statement, unless it is through, and wait for its end.

        asyncpg does so where its task is cancelled, but not where that meets data on their way, nor ends then. A
        request to cancel can get lost, so there is another; past that the connection is given up.
        """
        for _ in range(_CANCELS):
            if copying.done():
                return
            asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            await self._opened._cancel(asked)  # noqa: SLF001 - it has no other way
            _heard(asked)
            await asyncio.wait({copying}, timeout=_CANCEL_S)
        if not copying.done():
            self._opened.terminate()
            await asyncio.wait({copying})

    async def close(self) -> None:
        """As AsyncSource."""
        await self._stack.aclose()
