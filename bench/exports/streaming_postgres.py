"""PostgreSQL by FastAPI's `StreamingResponse`: over the ORM, over Core, over a cursor of asyncpg, as documented."""

import csv
import io
import json
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Final

import asyncpg
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse
from orders import NAMES, POSTGRES, SQL, Order
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

BATCH: Final = 1000

app = FastAPI()
engine = create_async_engine(POSTGRES.replace("postgresql:", "postgresql+asyncpg:"))


@app.get("/small")
async def small() -> PlainTextResponse:
    """What is asked for meanwhile."""
    return PlainTextResponse("ok")


def lines(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


async def from_orm(rows: int) -> AsyncGenerator[str]:
    """Objects of a session."""
    yield lines([NAMES])
    async with AsyncSession(engine) as session:
        found = await session.stream_scalars(select(Order).limit(rows).execution_options(yield_per=BATCH))
        async for some in found.partitions():
            yield lines(
                (one.id, one.name, one.email, one.qty, one.amount, one.status, one.created, one.active) for one in some
            )


async def from_core(rows: int) -> AsyncGenerator[str]:
    """Rows of a connection."""
    yield lines([NAMES])
    async with engine.connect() as connection:
        found = await connection.stream(select(Order.__table__).limit(rows).execution_options(yield_per=BATCH))
        async for some in found.partitions():
            yield lines(some)


async def from_cursor(rows: int) -> AsyncGenerator[str]:
    """Records of the driver."""
    yield lines([NAMES])
    connection = await asyncpg.connect(POSTGRES)
    try:
        async with connection.transaction():
            cursor = await connection.cursor(SQL.format(rows))
            while some := await cursor.fetch(BATCH):
                yield lines(some)
    finally:
        await connection.close()


async def objects(rows: int) -> AsyncGenerator[str]:
    """Rows of a connection as NDJSON."""
    async with engine.connect() as connection:
        found = await connection.stream(select(Order.__table__).limit(rows).execution_options(yield_per=BATCH))
        async for some in found.partitions():
            yield "".join(json.dumps(dict(row._mapping), default=str, ensure_ascii=False) + "\n" for row in some)


@app.get("/orm")
async def orm(rows: int) -> StreamingResponse:
    """CSV over the ORM."""
    return StreamingResponse(from_orm(rows), media_type="text/csv")


@app.get("/core")
async def core(rows: int) -> StreamingResponse:
    """CSV over Core."""
    return StreamingResponse(from_core(rows), media_type="text/csv")


@app.get("/cursor")
async def cursor(rows: int) -> StreamingResponse:
    """CSV over a cursor."""
    return StreamingResponse(from_cursor(rows), media_type="text/csv")


@app.get("/ndjson")
async def ndjson(rows: int) -> StreamingResponse:
    """NDJSON over Core."""
    return StreamingResponse(objects(rows), media_type="application/x-ndjson")
