"""Exports: rows from anywhere, in any format, in the same little memory for 100 rows and 10 million.

    return exports.stream(select(Order), bind=engine, form="csv", name="orders")

Keeps *bounded*, *released*, *punctual* and *explained*. Here it is decided where rows come from, and how the answer
fits into the framework that is there.
"""

import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, nullcontext
from functools import lru_cache, partial
from typing import Any

from holdfast.asgi import Headers, Message, Receive, Scope, Send
from holdfast.decide.exports import formats
from holdfast.decide.exports.columns import Column, Columns, Described, Kind, columns_of
from holdfast.decide.exports.ends import End
from holdfast.decide.exports.errors import (
    ColumnsMismatch,
    NotAcceptable,
    ReaderTooSlow,
    SourceUnsuited,
    Truncated,
    UnknownFormat,
)
from holdfast.decide.exports.formats import Format
from holdfast.errors import ExtraMissing
from holdfast.parts.exports.download import Download
from holdfast.parts.exports.export import Choices, Export, Open, Tell
from holdfast.parts.exports.formats.csv import FOR_MACHINES, Csv
from holdfast.parts.exports.keeping import Kept, keep
from holdfast.parts.exports.line import Progress
from holdfast.parts.exports.reading import contents, verify
from holdfast.parts.exports.settings import ExportSettings
from holdfast.parts.exports.sources.async_iterables import AsyncWalked
from holdfast.parts.exports.sources.iterables import Walked, is_function
from holdfast.parts.exports.sources.postgres import AsyncpgQuery
from holdfast.settings import load
from holdfast.stores.blobs import Blobs

__all__ = [
    "FOR_MACHINES",
    "Column",
    "ColumnsMismatch",
    "Csv",
    "Download",
    "End",
    "Export",
    "ExportSettings",
    "Format",
    "Kept",
    "Kind",
    "NotAcceptable",
    "Progress",
    "ReaderTooSlow",
    "SourceUnsuited",
    "Truncated",
    "UnknownFormat",
    "contents",
    "download",
    "encode",
    "save",
    "stream",
    "verify",
]


def stream(
    rows: Any,
    *,
    columns: Described | None = None,
    bind: Any = None,
    args: Sequence[Any] = (),
    form: str | None = None,
    name: str = "export",
    csv: Csv | None = None,
    marked: bool = False,
    compress: bool = True,
    headers: Mapping[str, str] | None = None,
    progress: Tell | None = None,
    settings: ExportSettings | None = None,
) -> Export:
    """An answer that streams `rows`; return it from a handler, or call it as the ASGI application that it is.

    `rows` are an iterable, an async iterable, a cursor of a DB-API driver or of asyncpg, Arrow, a function
    that gives one of these, or a query. A query is one of SQLAlchemy with `bind` an engine, sync or async, or SQL as
    text with `bind` an engine, or a connection or pool of asyncpg, and `args` for its parameters.

    `columns` are their names, names with types, or a class with annotations; a query, a cursor, records and dicts
    say theirs themselves. `form` is csv, ndjson, json, xlsx or parquet; without it the request decides, by the
    extension of its path or by what it accepts. `name` is the saved file's, without extension. `marked` ends CSV and
    NDJSON with a line that says how many rows there are, and their SHA-256: see `verify`. `compress` answers
    gzip or zstd to who accepts it. `progress` is told how far it is.

    Raises UnknownFormat, ColumnsMismatch, SourceUnsuited; further errors before the first row are raised where the
    answer is sent, and are answered as every error is.
    """
    choices = Choices(
        form=None if form is None else formats.named(form),
        name=name,
        csv=csv or Csv(),
        marked=marked,
        compress=compress,
        headers=headers or {},
    )
    opened = _opening(rows, None if columns is None else columns_of(columns), bind, args)
    return _fitting(Export)(opened, choices, settings or load(ExportSettings), progress)


async def encode(rows: Any, *, form: str, **how: Any) -> AsyncGenerator[bytes]:
    """The same in pieces, for whoever sends them in another way: `async for piece in exports.encode(rows, form="csv")`.

    Walk through it inside `contextlib.aclosing`, so that the source is closed when the loop is broken off. `how` is as
    for `stream`; raises what that raises, and what the source raises.
    """
    async with aclosing(stream(rows, form=form, **how).pieces(formats.named(form))) as pieces:
        async for piece in pieces:
            yield piece


async def save(rows: Any, *, into: Blobs, form: str, file_id: str | None = None, **how: Any) -> Kept:
    """The same as a file in a store that is open: durable, whole or not there, to be given out by `download`.

    `file_id`, 32 hexadecimal digits, is for whoever has to know before it is there what the store will know it by, so
    that nothing stays of it if the process dies. Raises what `stream` raises, what the source raises,
    InsufficientStorage, Unavailable.
    """
    return await keep(stream(rows, form=form, **how), into, formats.named(form), file_id)


def download(kept: Kept, blobs: Blobs, headers: Mapping[str, str] | None = None) -> Download:
    """An answer that gives out a saved export, whole or in parts: ranges, a strong ETag, its digest."""
    made = _fitting(Download)
    return made(
        blobs,
        kept.id,
        size=kept.size,
        sha256=kept.sha256,
        name=kept.name,
        media_type=kept.media_type,
        headers=headers,
    )


# -- where rows come from --


def _opening(rows: Any, columns: Columns | None, bind: Any, args: Sequence[Any]) -> Open:
    """What makes the source, by what `rows` are."""
    package = type(rows).__module__.partition(".")[0]
    if isinstance(rows, str):
        return _sql(rows, columns, bind, args)
    if package == "sqlalchemy" and not hasattr(rows, "fetchmany"):
        return _query(rows, columns, bind)
    if package == "pyarrow" or hasattr(rows, "__arrow_c_stream__"):  # as frames of Polars and relations of DuckDB have
        return _arrow(rows)
    walked = AsyncWalked if _is_async(rows) else Walked
    return lambda: walked(rows, columns)


def _sql(query: str, columns: Columns | None, bind: Any, args: Sequence[Any]) -> Open:
    if hasattr(bind, "copy_from_query") and not hasattr(bind, "acquire"):
        return lambda: AsyncpgQuery(lambda: nullcontext(bind), query, args, columns)
    if hasattr(bind, "copy_from_query"):
        return lambda: AsyncpgQuery(bind.acquire, query, args, columns)
    if args:
        raise SourceUnsuited("With an engine, parameters are bound to the query: text(...).bindparams(...).")
    return _query(query, columns, bind)


def _query(query: Any, columns: Columns | None, bind: Any) -> Open:
    if bind is None:
        raise SourceUnsuited("A query needs to be told where it is run: bind=engine.")
    from holdfast.parts.exports.sources.alchemy import query_source  # noqa: PLC0415 - only where SQLAlchemy is

    query_source(query, bind, columns)  # what is wrong with it is said here and not once it is sent
    return lambda: query_source(query, bind, columns)


def _arrow(rows: Any) -> Open:
    try:
        from holdfast.parts.exports.sources.arrow import ArrowSource  # noqa: PLC0415 - only where pyarrow is
    except ModuleNotFoundError as error:
        raise ExtraMissing("Rows of Arrow need the extra `arrow`: pip install holdfast[arrow].") from error

    return lambda: ArrowSource(rows)


def _is_async(rows: Any) -> bool:
    """Whether rows are waited for on the loop."""
    if is_function(rows):
        inner = inspect.unwrap(rows)
        while isinstance(inner, partial):
            inner = inspect.unwrap(inner.func)
        if not inspect.isroutine(inner) and not isinstance(inner, type):  # an object that can be called
            inner = type(inner).__call__
        return inspect.isasyncgenfunction(inner) or inspect.iscoroutinefunction(inner)
    asyncpg_cursor = hasattr(rows, "forward") and hasattr(rows, "fetch")
    return hasattr(rows, "__aiter__") or asyncpg_cursor or inspect.isawaitable(rows)


# -- the answer --


def _fitting(kind: Callable[..., Any]) -> Callable[..., Any]:
    """The class of an answer; where Starlette is loaded one of its kind, since FastAPI encodes everything else."""
    starlette = sys.modules.get("starlette.responses")
    return kind if starlette is None else _responses(kind, starlette.Response)


@lru_cache
def _responses(kind: Any, response: Any) -> Any:
    class Answer(kind, response):
        """An answer that Starlette and FastAPI take for one of theirs."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kind.__init__(self, *args, **kwargs)
            self.status_code = 200
            self.background: Any = None
            self.raw_headers: Headers = []

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await kind.__call__(self, scope, receive, _with(self.raw_headers, send))
            if self.background is not None:
                await self.background()

    return Answer


def _with(headers: Headers, send: Send) -> Send:
    """Adds the headers that a handler or a framework has put on its answer, such as cookies."""

    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        await send(message)

    return adding
