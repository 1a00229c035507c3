"""XLSX by `holdfast.exports`, from a generator."""

from cells import NAMES, cells
from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse

from holdfast import exports

app = FastAPI()


@app.get("/small")
async def small() -> PlainTextResponse:
    """What is asked for meanwhile."""
    return PlainTextResponse("ok")


@app.get("/xlsx")
async def xlsx(rows: int) -> Response:
    """A sheet."""
    return exports.stream(lambda: cells(rows), columns=NAMES, form="xlsx")
