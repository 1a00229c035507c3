"""SQLite by FastAPI's `StreamingResponse`: over the ORM, over Core, over cursors of the driver."""

import csv
import io
import sqlite3
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import closing
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse
from orders import NAMES, SQL, SQLITE, LiteOrder
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

BATCH: Final = 1000

app = FastAPI()
engine = create_engine(f"sqlite:///{SQLITE}")


@app.get("/small")
async def small() -> PlainTextResponse:
    """What is asked for meanwhile."""
    return PlainTextResponse("ok")


def lines(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def from_orm(rows: int) -> Generator[str]:
    """Objects of a session."""
    yield lines([NAMES])
    with Session(engine) as session:
        found = session.scalars(select(LiteOrder).limit(rows).execution_options(yield_per=BATCH))
        for some in found.partitions():
            yield lines(
                (one.id, one.name, one.email, one.qty, one.amount, one.status, one.created, one.active) for one in some
            )


def from_core(rows: int) -> Generator[str]:
    """Rows of a connection."""
    yield lines([NAMES])
    with engine.connect() as connection:
        found = connection.execute(select(LiteOrder.__table__).limit(rows).execution_options(yield_per=BATCH))
        for some in found.partitions():
            yield lines(some)


def from_cursor(rows: int) -> Generator[str]:
    """Tuples of the driver; the framework calls this in threads."""
    yield lines([NAMES])
    with closing(sqlite3.connect(SQLITE, check_same_thread=False)) as connection:
        cursor = connection.execute(SQL.format(rows))
        while some := cursor.fetchmany(BATCH):
            yield lines(some)


async def on_the_loop(rows: int) -> AsyncGenerator[str]:
    """The same row by row and on the loop, as it is often written."""
    yield lines([NAMES])
    with closing(sqlite3.connect(SQLITE)) as connection:
        for row in connection.execute(SQL.format(rows)):
            yield lines([row])


@app.get("/orm")
def orm(rows: int) -> StreamingResponse:
    """CSV over the ORM."""
    return StreamingResponse(from_orm(rows), media_type="text/csv")


@app.get("/core")
def core(rows: int) -> StreamingResponse:
    """CSV over Core."""
    return StreamingResponse(from_core(rows), media_type="text/csv")


@app.get("/cursor")
def cursor(rows: int) -> StreamingResponse:
    """CSV over a cursor, in threads."""
    return StreamingResponse(from_cursor(rows), media_type="text/csv")


@app.get("/naive")
async def naive(rows: int) -> StreamingResponse:
    """CSV over a cursor, on the loop."""
    return StreamingResponse(on_the_loop(rows), media_type="text/csv")
