"""Rows from a query of SQLAlchemy, on any database it knows, with its sync or its async engine.

The driver's own cursor is walked through, and only columns whose type wants it are converted: a row object for each row
would take most of the time. The connection goes back to the engine when the rows are read.
"""

import inspect
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any, Final, cast

from sqlalchemy import ARRAY, JSON, Connection, Engine, Enum, Executable, SelectBase, TextualSelect, TypeDecorator, text
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import NULLTYPE, TypeEngine

from holdfast.decide.exports.columns import Column, Columns, Kind, columns_of, fitting, kind_of
from holdfast.decide.exports.errors import SourceUnsuited
from holdfast.decide.exports.server import SESSION, Typed, is_copied, is_wrapped, wrapped
from holdfast.parts.exports.formats.csv import Csv
from holdfast.parts.exports.formats.encoding import Rows
from holdfast.parts.exports.sources.iterables import Interrupts, gives_plain
from holdfast.parts.exports.sources.postgres import AsyncpgQuery, kind
from holdfast.parts.exports.sources.source import AsyncSource, Source

Bind = Engine | AsyncEngine
Convert = Callable[[Any], Any]

_BUFFER: Final = 256
"""Rows that SQLAlchemy fetches at once from a cursor on a server."""
_SLOW_S: Final = 0.1
_AWAY_S: Final = 0.00002
_PIECE: Final = 64 * 1024
"""Rows that a server writes one by one are handed on when there are so many bytes of them."""


def query_source(query: Executable | str, bind: Any, columns: Columns | None) -> Source | AsyncSource:
    """What fetches the rows of a query. Raises SourceUnsuited for a `bind` that is no engine."""
    query = text(query) if isinstance(query, str) else query
    if getattr(query, "is_dml", False):
        raise SourceUnsuited("An export only reads: what it changed would be rolled back.")
    if isinstance(bind, Engine):
        return Query(query, bind, columns)
    if not isinstance(bind, AsyncEngine):
        raise SourceUnsuited("A query of SQLAlchemy is run with bind=engine: an Engine or an AsyncEngine.")
    if bind.dialect.driver == "asyncpg" and _is_plain(query, bind):
        statement, arguments = _numbered(query, bind.dialect)
        return AsyncpgQuery(_raw(bind), statement, arguments, columns)
    return AsyncQuery(query, bind, columns)


def _raw(engine: AsyncEngine) -> Any:
    @asynccontextmanager
    async def opened() -> AsyncGenerator[Any]:
        async with engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            try:
                yield raw
            finally:
                if raw.is_closed():  # SQLAlchemy has not seen it, and would give it to the next one
                    await connection.invalidate()

    return opened


# -- what a query says of its columns --


def _types(query: Any, names: Sequence[str]) -> list[TypeEngine[Any]]:
    """The type of each column, as far as the query knows it."""
    columns: list[Any] = list(query.selected_columns) if isinstance(query, SelectBase) else []
    if isinstance(query, TextualSelect) and not query.positional:
        named = {column.name: column.type for column in columns}
        return [named.get(name, NULLTYPE) for name in names]
    types: list[TypeEngine[Any]] = [column.type for column in columns]
    return types if len(types) == len(names) else [NULLTYPE] * len(names)


def _described(query: Any, dialect: Dialect, names: Sequence[str]) -> Columns:
    """The columns, called `names` by the database. Raises ColumnsMismatch."""
    types = _types(query, names)
    return columns_of([Column(name, _kind(declared, dialect)) for name, declared in zip(names, types, strict=True)])


def _is_plain(query: Any, bind: Bind) -> bool:
    """Whether what the database says is what the application says: no types and no schemas of its own are between."""
    options = {**bind.get_execution_options(), **query.get_execution_options()}
    selected: Any = query.selected_columns if isinstance(query, SelectBase) else ()
    return not options.get("schema_translate_map") and not any(_is_changed(column.type) for column in selected)


def _is_changed(declared: Any) -> bool:
    """Whether Python makes another value of what the database has."""
    kind: Any = declared.__class__
    if issubclass(kind, ARRAY):
        return _is_changed(declared.item_type)
    if issubclass(kind, TypeDecorator):
        return _processes(kind) or _is_changed(declared.impl_instance)
    if issubclass(kind, Enum):
        return declared.enum_class is not None
    return not kind.__module__.startswith("sqlalchemy.")


def _processes(kind: Any) -> bool:
    names = ("process_result_value", "result_processor")
    return any(getattr(kind, name) is not getattr(TypeDecorator, name) for name in names)


def _kind(declared: TypeEngine[Any], dialect: Dialect) -> Kind:
    if _is_changed(declared):
        return Kind.ANY
    if _is_json(declared):
        return Kind.JSON_TEXT if _raw_json(declared, dialect) else Kind.JSON
    try:
        return kind_of(declared.python_type)
    except NotImplementedError:
        return Kind.ANY


def _is_json(declared: TypeEngine[Any]) -> bool:
    return isinstance(declared, JSON)


def _raw_json(declared: TypeEngine[Any], dialect: Dialect) -> bool:
    """Whether the driver gives JSON as text, which is then passed on unread."""
    return _is_json(declared) and dialect.name == "sqlite"


def _converters(query: Any, dialect: Dialect, description: Sequence[Any]) -> list[Convert | None]:
    """For each column what makes of the driver's value the application's; None where there is nothing to do."""
    found: list[Convert | None] = []
    for declared, described in zip(_types(query, [one[0] for one in description]), description, strict=True):
        raw = _raw_json(declared, dialect)
        found.append(None if raw else declared.dialect_impl(dialect).result_processor(dialect, described[1]))
    return found


def _converted(rows: Sequence[Any], converters: Sequence[Convert | None]) -> Rows:
    if not any(converters):
        return rows
    columns = zip(*rows, strict=True)
    done = [
        column if convert is None else list(map(convert, column))
        for column, convert in zip(columns, converters, strict=True)
    ]
    return list(zip(*done, strict=True))


# -- a sync engine --


class Query:
    """A query on a sync engine."""

    def __init__(self, query: Executable, engine: Engine, columns: Columns | None) -> None:
        """Nothing is opened before `open`."""
        self._query = query
        self._engine = engine
        self._columns = columns
        self._stack = ExitStack()
        self._connection: Connection | None = None
        self._interrupts = Interrupts()
        self.plain: bool = False
        """As Source."""
        self._cursor: Any = None
        self._converters: list[Convert | None] = []
        self._copied: tuple[str, Any, list[Typed]] | None = None

    def open(self) -> Columns:
        """As Source."""
        connection = self._stack.enter_context(self._engine.connect())
        raw: Any = connection.connection.driver_connection
        self._interrupts.by(raw)
        if getattr(raw, "autocommit", None) is True:  # without a transaction there is no cursor on the server
            connection = connection.execution_options(isolation_level=self._engine.dialect.default_isolation_level)
        self._connection = connection
        psycopg = self._engine.dialect.driver == "psycopg"
        if psycopg and _is_plain(self._query, self._engine) and _is_wrapped(self._query, self._engine.dialect):
            return self._open_copy(raw)
        return self._open_cursor(connection)

    def _open_cursor(self, connection: Connection) -> Columns:
        dialect = self._engine.dialect
        # where the server has the cursor, SQLAlchemy has a buffer between, which knows the types
        streams = dialect.supports_server_side_cursors and _is_wrapped(self._query, dialect)
        result = connection.execution_options(stream_results=streams, max_row_buffer=_BUFFER).execute(self._query)
        self._stack.callback(result.close)
        if not result.returns_rows or result.cursor is None:
            raise SourceUnsuited("The query returns no rows.")
        self._cursor = result if streams else result.cursor
        if not streams:
            self._converters = _converters(self._query, dialect, result.cursor.description)
            self.plain = not any(self._converters) and gives_plain(result.cursor)
        found = _described(self._query, dialect, list(result.keys()))
        return found if self._columns is None else fitting(self._columns, found)

    def fetch(self, most: int) -> Rows:
        """As Source."""
        if self._cursor is None and self._connection is not None:
            self._open_cursor(self._connection)
        cursor: Any = self._cursor
        rows: Any = cursor.fetchmany(most)
        return _converted(rows, self._converters) if rows else rows

    # -- psycopg: the server writes CSV --

    def _open_copy(self, raw: Any) -> Columns:
        query, parameters = _named(self._query, self._engine.dialect)
        cursor = raw.cursor()
        self._stack.callback(cursor.close)
        looked = f"SELECT * FROM ({query}\n) AS looked LIMIT 0"  # noqa: S608 - the application's own
        cursor.execute(looked, parameters)
        types = raw.adapters.types
        typed: list[Typed] = []
        for one in cursor.description:
            known = types.get(one.type_code)
            typed.append(
                Typed(
                    one.name,
                    known.name if known else "",
                    is_array=known is not None and one.type_code == known.array_oid,
                )
            )
        if raw.info.parameter_status("server_encoding") == "UTF8":
            self._copied = query, parameters, typed
        kinds = [Kind.JSON if kind(one) is Kind.JSON_TEXT else kind(one) for one in typed]  # psycopg reads it
        found = columns_of([Column(one.name, is_a) for one, is_a in zip(typed, kinds, strict=True)])
        return found if self._columns is None else fitting(self._columns, found)

    def writes(self, dialect: Csv) -> bool:
        """As WritesCsv."""
        if self._copied is None or dialect.newline != "\n":
            return False
        return is_copied(self._copied[2], native=dialect.native)

    def copy(self, dialect: Csv, put: Callable[[bytes], None]) -> int:
        """As WritesCsv: `COPY (...) TO STDOUT`, with arguments that the driver puts in."""
        if self._copied is None or self._connection is None:
            raise SourceUnsuited
        query, parameters, typed = self._copied
        wanted = wrapped(query, typed, neutral=dialect.neutral, native=dialect.native)
        raw: Any = self._connection.connection.driver_connection
        with raw.cursor() as cursor:
            for setting in SESSION:
                cursor.execute(setting)
            how = f"(FORMAT csv, DELIMITER '{dialect.delimiter}', ENCODING 'UTF8')"
            with cursor.copy(f"COPY ({wanted}) TO STDOUT {how}", parameters) as copying:
                for piece in _gathered(copying):
                    put(piece)
            return int(cursor.rowcount)

    def interrupt(self) -> None:
        """As Source."""
        self._interrupts.call()

    def close(self) -> None:
        """As Source."""
        self._interrupts.end()
        self._stack.close()


def _gathered(rows: Iterable[Any]) -> Generator[bytes]:
    """Many rows in a piece; fewer where they come slowly."""
    gathered: list[Any] = []
    size, since = 0, time.monotonic()
    for row in rows:
        gathered.append(row)
        size += len(row)
        if size >= _PIECE or time.monotonic() - since > _SLOW_S:
            time.sleep(_AWAY_S)  # or the loop would wait for the interpreter until it is taken away from this thread
            yield b"".join(gathered)
            gathered, size, since = [], 0, time.monotonic()
    if gathered:
        yield b"".join(gathered)


# -- an async engine --


class AsyncQuery:
    """A query on an async engine whose driver cannot copy."""

    def __init__(self, query: Executable, engine: AsyncEngine, columns: Columns | None) -> None:
        """Nothing is opened before `open`."""
        self._query = query
        self._engine = engine
        self._columns = columns
        self._stack = AsyncExitStack()
        self._result: Any = None

    async def open(self) -> Columns:
        """As AsyncSource."""
        connection = await self._stack.enter_async_context(self._engine.connect())
        options: dict[str, Any] = {"max_row_buffer": _BUFFER}
        raw: Any = await connection.get_raw_connection()
        if getattr(raw.dbapi_connection, "autocommit", None) is True:  # as in Query
            options["isolation_level"] = self._engine.dialect.default_isolation_level
        await connection.execution_options(**options)
        streams = _is_wrapped(self._query, self._engine.dialect)
        result: Any = await (connection.stream if streams else connection.execute)(self._query)
        self._result = result
        if streams:
            self._stack.push_async_callback(result.close)
        found = _described(self._query, self._engine.dialect, list(result.keys()))
        return found if self._columns is None else fitting(self._columns, found)

    async def fetch(self, most: int) -> Rows:
        """As AsyncSource."""
        fetched: Any = self._result.fetchmany(most)
        return [tuple(row) for row in (await fetched if inspect.isawaitable(fetched) else fetched)]

    async def close(self) -> None:
        """As AsyncSource."""
        await self._stack.aclose()


# -- statements as text --


def _is_wrapped(query: Executable, dialect: Dialect) -> bool:
    """Whether a server takes it as a part of another statement; SHOW is none, for instance."""
    return dialect.name != "postgresql" or isinstance(query, SelectBase) or is_wrapped(str(query))


def _expanded(query: Executable, dialect: Dialect) -> tuple[Any, dict[str, Any]]:
    """The statement as the driver takes it, lists of values spelled out; its arguments, as their types make them."""
    compiled: Any = cast("Any", query).compile(dialect=dialect)
    state = compiled.construct_expanded_state(escape_names=False)
    processors: dict[str, Convert] = {**compiled._bind_processors, **state.processors}  # noqa: SLF001 - there is no public way to them
    found: dict[str, Any] = state.parameters
    return state, {name: processors[name](value) if name in processors else value for name, value in found.items()}


def _numbered(query: Executable, dialect: Dialect) -> tuple[str, list[Any]]:
    """A statement, and its arguments in the order of their numbers."""
    state, parameters = _expanded(query, dialect)
    return state.statement, [parameters[name] for name in state.positiontup or ()]


def _named(query: Executable, dialect: Dialect) -> tuple[str, dict[str, Any] | None]:
    """A statement, and its arguments by name; without any, nothing in it is escaped."""
    state, parameters = _expanded(query, dialect)
    statement: str = state.statement.strip().removesuffix(";")
    return (statement, parameters) if parameters else (statement.replace("%%", "%"), None)
