"""PostgreSQL by `holdfast.exports`: with an async engine, over asyncpg, and a sync one, over psycopg."""

from typing import Any, Final

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse
from orders import POSTGRES, Order, again_and_again
from sqlalchemy import create_engine, select
from sqlalchemy.ext.asyncio import create_async_engine

from holdfast import exports

DIALECTS: Final = {
    "native": exports.Csv(neutral=False, native=True),
    "machines": exports.FOR_MACHINES,
    "people": exports.Csv(),
}
SAID: Final = "bench"
"""The name by which the connections are found."""

app = FastAPI()
ENGINES: Final[dict[str, Any]] = {
    "asyncpg": create_async_engine(
        POSTGRES.replace("postgresql:", "postgresql+asyncpg:"),
        connect_args={"server_settings": {"application_name": SAID}},
    ),
    "psycopg": create_engine(
        POSTGRES.replace("postgresql:", "postgresql+psycopg:"), connect_args={"application_name": SAID}
    ),
}


@app.get("/small")
async def small() -> PlainTextResponse:
    """What is asked for meanwhile."""
    return PlainTextResponse("ok")


@app.get("/pool")
async def pool() -> int:
    """How many connections are in use."""
    return sum(engine.pool.checkedout() for engine in ENGINES.values())


@app.get("/{driver}/csv/{dialect}")
async def csv(driver: str, dialect: str, rows: int) -> Response:
    """CSV."""
    return exports.stream(select(Order).limit(rows), bind=ENGINES[driver], form="csv", csv=DIALECTS[dialect])


@app.get("/{driver}/{form}")
async def other(driver: str, form: str, rows: int) -> Response:
    """Another format."""
    return exports.stream(select(Order).limit(rows), bind=ENGINES[driver], form=form)


@app.get("/{driver}/{form}/long/")
async def long(driver: str, form: str, rows: int) -> Response:
    """More rows than there are in the table."""
    return exports.stream(again_and_again(Order, rows), bind=ENGINES[driver], form=form)
