"""Rows from a query of SQLAlchemy, on any database it knows, with its sync or its async engine.

The driver's own cursor is walked through, and only columns whose type wants it are converted: a row object for each row
would take most of the time. The connection goes back to the engine when the rows are read.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any, cast

from sqlalchemy import JSON, Connection, Engine, Executable, Select, text
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from holdfast.decide.exports.columns import Column, Columns, Kind, kind_of
from holdfast.decide.exports.errors import SourceUnsuited
from holdfast.decide.exports.server import SESSION, Typed, wrapped
from holdfast.parts.exports.csv import Csv
from holdfast.parts.exports.encoding import Rows
from holdfast.parts.exports.iterables import Interrupts
from holdfast.parts.exports.postgres import AsyncpgQuery
from holdfast.parts.exports.sources import AsyncSource, Source

Bind = Engine | AsyncEngine
Convert = Callable[[Any], Any]


def query_source(query: Executable | str, bind: Any, columns: Columns | None) -> Source | AsyncSource:
    """What fetches the rows of a query. Raises SourceUnsuited for a `bind` that is no engine."""
    query = text(query) if isinstance(query, str) else query
    if isinstance(bind, Engine):
        return Query(query, bind, columns)
    if not isinstance(bind, AsyncEngine):
        raise SourceUnsuited("A query of SQLAlchemy is run with bind=engine: an Engine or an AsyncEngine.")
    if bind.dialect.driver == "asyncpg":
        compiled = _compiled(query, bind.dialect)
        return AsyncpgQuery(_raw(bind), str(compiled), _arguments(compiled), columns or _described(query, bind.dialect))
    return AsyncQuery(query, bind, columns)


def _raw(engine: AsyncEngine) -> Any:
    @asynccontextmanager
    async def opened() -> AsyncGenerator[Any]:
        async with engine.connect() as connection:
            raw = await connection.get_raw_connection()
            yield raw.driver_connection

    return opened


# -- what a query says of its columns --


def _types(query: Any) -> list[TypeEngine[Any]]:
    return [column.type for column in query.selected_columns] if isinstance(query, Select) else []


def _described(query: Any, dialect: Dialect) -> Columns | None:
    if not isinstance(query, Select):
        return None
    names = [str(column.key or "") for column in query.exported_columns]
    return [Column(name, _kind(kind, dialect)) for name, kind in zip(names, _types(query), strict=True)]


def _kind(declared: TypeEngine[Any], dialect: Dialect) -> Kind:
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


def _converters(query: Executable, dialect: Dialect, description: Sequence[Any]) -> list[Convert | None]:
    """For each column what makes of the driver's value the application's; None where there is nothing to do."""
    found: list[Convert | None] = []
    for declared, described in zip(_types(query), description, strict=False):
        raw = _raw_json(declared, dialect)
        found.append(None if raw else declared.dialect_impl(dialect).result_processor(dialect, described[1]))
    return found


def _converted(rows: Sequence[Any], converters: Sequence[Convert | None]) -> Rows:
    if not any(converters):
        return rows
    columns = zip(*rows, strict=True)
    done = [
        column if convert is None else [None if value is None else convert(value) for value in column]
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
        self._cursor: Any = None
        self._converters: list[Convert | None] = []
        self._copied: tuple[str, Any, list[Typed]] | None = None

    def open(self) -> Columns:
        """As Source."""
        self._connection = connection = self._stack.enter_context(self._engine.connect())
        raw: Any = connection.connection.driver_connection
        self._interrupts.by(raw)
        if self._engine.dialect.driver == "psycopg":
            return self._open_copy(raw)
        return self._open_cursor(connection)

    def _open_cursor(self, connection: Connection) -> Columns:
        dialect = self._engine.dialect
        streams = (
            dialect.supports_server_side_cursors
        )  # then SQLAlchemy has its own buffer between, which knows the types
        result = connection.execution_options(stream_results=streams, max_row_buffer=64).execute(self._query)
        self._stack.callback(result.close)
        if not result.returns_rows or result.cursor is None:
            raise SourceUnsuited("The query returns no rows.")
        self._cursor = result if streams else result.cursor
        if not streams:
            self._converters = _converters(self._query, dialect, result.cursor.description)
        return self._columns or self._named(list(result.keys()))

    def _named(self, names: Sequence[str]) -> Columns:
        described = _described(self._query, self._engine.dialect)
        return described or [Column(name) for name in names]

    def fetch(self, most: int) -> Rows:
        """As Source."""
        if self._cursor is None and self._connection is not None:
            self._open_cursor(self._connection)
        cursor: Any = self._cursor
        rows: Any = cursor.fetchmany(most)
        return _converted(rows, self._converters) if rows else rows

    # -- psycopg: the server writes CSV --

    def _open_copy(self, raw: Any) -> Columns:
        compiled = _compiled(self._query, self._engine.dialect)
        parameters = _parameters(compiled)
        cursor = raw.cursor()
        self._stack.callback(cursor.close)
        cursor.execute(f"SELECT * FROM ({compiled}) AS looked LIMIT 0", parameters)  # noqa: S608 - the application's own
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
        self._copied = str(compiled), parameters, typed
        return self._columns or self._named([one.name for one in typed])

    def writes(self, dialect: Csv) -> bool:
        """As WritesCsv."""
        return self._copied is not None and dialect.newline == "\n"

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
            how = f"(FORMAT csv, DELIMITER '{dialect.delimiter}')"
            with cursor.copy(f"COPY ({wanted}) TO STDOUT {how}", parameters) as copying:
                for made in copying:
                    put(bytes(made))
            return int(cursor.rowcount)

    def interrupt(self) -> None:
        """As Source."""
        self._interrupts.call()

    def close(self) -> None:
        """As Source."""
        self._interrupts.end()
        self._stack.close()


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
        options = await connection.execution_options(max_row_buffer=64)
        result: Any = await options.stream(self._query)
        self._stack.push_async_callback(result.close)
        self._result = result
        described = self._columns or _described(self._query, self._engine.dialect)
        return described or [Column(name) for name in result.keys()]  # noqa: SIM118 - it is no mapping

    async def fetch(self, most: int) -> Rows:
        """As AsyncSource."""
        return [tuple(row) for row in await self._result.fetchmany(most)]

    async def close(self) -> None:
        """As AsyncSource."""
        await self._stack.aclose()


# -- statements as text --


def _compiled(query: Executable, dialect: Dialect) -> SQLCompiler:
    """The statement as the driver takes it; lists of values are spelled out."""
    compiled = cast("Any", query).compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    return cast("SQLCompiler", compiled)


def _parameters(compiled: SQLCompiler) -> dict[str, Any]:
    """The arguments by name, converted as their types say."""
    processors: dict[str, Convert] = compiled._bind_processors  # noqa: SLF001  # pyright: ignore[reportPrivateUsage, reportAssignmentType] - there is no public way to them
    found = compiled.construct_params()
    return {name: processors[name](value) if name in processors else value for name, value in found.items()}


def _arguments(compiled: SQLCompiler) -> list[Any]:
    """The arguments in the order of their numbers."""
    parameters = _parameters(compiled)
    return [parameters[name] for name in compiled.positiontup or ()]
