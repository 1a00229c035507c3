"""XLSX by way of a temporary file: XlsxWriter in its mode for large files, and rustpy-xlsxwriter."""

import tempfile
from pathlib import Path

import rustpy_xlsxwriter
import xlsxwriter
from cells import NAMES, cells, records
from fastapi import FastAPI
from fastapi.responses import FileResponse, PlainTextResponse
from starlette.background import BackgroundTask

app = FastAPI()


@app.get("/small")
async def small() -> PlainTextResponse:
    """What is asked for meanwhile."""
    return PlainTextResponse("ok")


def given_out(path: Path) -> FileResponse:
    """The file, which is removed afterwards."""
    return FileResponse(path, filename="export.xlsx", background=BackgroundTask(path.unlink))


def temporary() -> Path:
    """A new file."""
    with tempfile.NamedTemporaryFile(suffix=".xlsx", delete=False) as made:
        return Path(made.name)


@app.get("/xlsxwriter")
def by_xlsxwriter(rows: int) -> FileResponse:
    """Cell by cell, by type."""
    path = temporary()
    options = {"constant_memory": True, "default_date_format": "yyyy-mm-dd hh:mm:ss"}
    with xlsxwriter.Workbook(path, options) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, NAMES)
        for number, row in enumerate(cells(rows), 1):
            sheet.write_row(number, 0, row)
    return given_out(path)


@app.get("/rust")
def by_rust(rows: int) -> FileResponse:
    """From dicts, in Rust."""
    path = temporary()
    rustpy_xlsxwriter.write_worksheet(records(rows), str(path))
    return given_out(path)
