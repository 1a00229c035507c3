"""SQLite by `holdfast.exports`, with a sync engine."""

from typing import Final

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse
from orders import SQLITE, LiteOrder, again_and_again, wide
from sqlalchemy import create_engine, select

from holdfast import exports

DIALECTS: Final = {"machines": exports.FOR_MACHINES, "people": exports.Csv()}

app = FastAPI()
engine = create_engine(f"sqlite:///{SQLITE}", pool_size=50)


@app.get("/small")
async def small() -> PlainTextResponse:
    """What is asked for meanwhile."""
    return PlainTextResponse("ok")


@app.get("/csv/{dialect}")
async def csv(dialect: str, rows: int) -> Response:
    """CSV."""
    return exports.stream(select(LiteOrder).limit(rows), bind=engine, form="csv", csv=DIALECTS[dialect])


@app.get("/{form}")
async def other(form: str, rows: int) -> Response:
    """Any format."""
    return exports.stream(select(LiteOrder).limit(rows), bind=engine, form=form)


@app.get("/{form}/long/")
async def long(form: str, rows: int) -> Response:
    """More rows than there are in the table."""
    return exports.stream(again_and_again(LiteOrder, rows), bind=engine, form=form)


@app.get("/{form}/wide/")
async def large(form: str, rows: int) -> Response:
    """Large rows."""
    return exports.stream(wide(rows), bind=engine, form=form)
