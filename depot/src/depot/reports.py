"""Reports: everything an account has, as CSV or NDJSON, of any length in the same little memory.

Async, for a report waits most of the time: for the database, which gives a batch of rows; for a thread, which encodes
it; and at each `yield` for the client, which takes it. No transaction is open in that last wait, which may be long.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from depot.activity import note
from depot.answers import problems
from depot.auth import DESCRIBED, Sender
from depot.batches import (
    ACTIVITY_COLUMNS,
    FILE_COLUMNS,
    RECORD_COLUMNS,
    activity_batches,
    file_batches,
    record_batches,
)
from depot.database import Database
from depot.encoders import Encode, Row, csv_encoder, ndjson_encoder
from depot.files import owned
from depot.models import READING, STORED, Account
from depot.resources import Db
from holdfast import Conflict, offload, set_action

Format = Literal["csv", "ndjson"]

_MEDIA: Final[dict[Format, str]] = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
_REPORT: Final[dict[str, Any]] = {"description": "The report.", "content": {media: {} for media in _MEDIA.values()}}

router = APIRouter(
    prefix="/api/reports",
    tags=["reports"],
    dependencies=DESCRIBED,
    default_response_class=StreamingResponse,
    responses={200: _REPORT, **problems(401, 422, 503)},
)


@router.get("/records.{form}", summary="Records", responses=problems(404, 409))
async def records_report(
    form: Format,
    account: Sender,
    database: Db,
    file: Annotated[str | None, Query(description="Only the records of the file with this ID.")] = None,
) -> StreamingResponse:
    """The records of all files that are ready, in the order of arrival: `file_id`, `row`, and `data`, which is JSON."""
    await _note(database, account, f"records.{form}")
    only = None
    if file is not None:
        only = await database.read(owned, account, file)
        if only.state in {STORED, READING}:
            raise Conflict("The file is still being read: ask again when its state is ready.")
    return _answer("records", form, record_batches(database, account, only), RECORD_COLUMNS, json_column="data")


@router.get("/files.{form}", summary="Files")
async def files_report(form: Format, account: Sender, database: Db) -> StreamingResponse:
    """All files, the oldest first. `problems` is their number."""
    await _note(database, account, f"files.{form}")
    return _answer("files", form, file_batches(database, account), FILE_COLUMNS)


@router.get("/activity.{form}", summary="Activity")
async def activity_report(form: Format, account: Sender, database: Db) -> StreamingResponse:
    """What the account did: sent, fetched, deleted, reported; with the request ID that finds it in the log."""
    await _note(database, account, f"activity.{form}")
    return _answer("activity", form, activity_batches(database, account), ACTIVITY_COLUMNS)


async def _note(database: Database, account: Account, name: str) -> None:
    set_action("report.read")
    await database.write(note, account, f"report.{name}")


def _answer(
    name: str,
    form: Format,
    batches: AsyncGenerator[list[Row]],
    columns: Sequence[str],
    json_column: str | None = None,
) -> StreamingResponse:
    head, encode = csv_encoder(columns) if form == "csv" else ndjson_encoder(columns, json_column)
    headers = {
        "content-disposition": f'attachment; filename="{name}.{form}"',
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
    return StreamingResponse(_encoded(batches, head, encode), media_type=_MEDIA[form], headers=headers)


async def _encoded(batches: AsyncGenerator[list[Row]], head: bytes, encode: Encode) -> AsyncGenerator[bytes]:
    async with aclosing(batches):
        yield head
        async for batch in batches:
            yield await offload.thread(encode, batch)
