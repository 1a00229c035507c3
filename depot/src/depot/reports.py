"""Reports: everything an account has, in the format that is asked for, of any length in the same little memory.

A report shows one moment: its rows are copied when it begins, in a short transaction, and from there on neither who
reads it slowly nor who writes meanwhile has anything to do with the other. On a database server that keeps old versions
of rows no copy is needed: there it would be `exports.stream(statement, bind=engine)`.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from starlette.types import Message, Receive, Scope, Send

from depot.answers import problems
from depot.auth import DESCRIBED, Sender
from depot.files import owned
from depot.making import Made
from depot.models import DONE, READING, STORED
from depot.resources import Db, Exporting, Following
from depot.statements import ACTIVITY, FILES, RECORDS, Report, Rows, records_of
from holdfast import Conflict, exports, set_action

FormName = Literal["csv", "ndjson", "json", "xlsx", "parquet"]
FORMS: Final[Mapping[FormName, str]] = {
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "json": "application/json",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
}
"""The formats, each with its media type."""
_REPORT: Final[dict[str, Any]] = {"description": "The report.", "content": {media: {} for media in FORMS.values()}}

Form = Annotated[
    str, Path(description="What it is written as; another is answered with 404.", json_schema_extra={"enum": [*FORMS]})
]

Sending = Callable[[], AbstractAsyncContextManager[None]]

router = APIRouter(
    prefix="/api/reports",
    tags=["reports"],
    dependencies=DESCRIBED,
    default_response_class=Response,
    responses={200: _REPORT, **problems(401, 404, 422, 429, 503, 507)},
)


class Reporting:
    """How this request wants its report."""

    def __init__(
        self,
        account: Sender,
        database: Db,
        making: Following,
        settings: Exporting,
        machine: Annotated[
            bool, Query(description="CSV for a program: what a spreadsheet would run as a formula stays as it is.")
        ] = False,
        marked: Annotated[
            bool,
            Query(description="End CSV and NDJSON with a line that says how many rows there are, and their SHA-256."),
        ] = False,
    ) -> None:
        """What is asked for, and what it takes to answer."""
        self.account = account
        self.database = database
        self._making = making
        self._settings = settings
        self._csv = exports.FOR_MACHINES if machine else None
        self._marked = marked

    def answer(self, report: Report, form: str, rows: Rows | None = None) -> Response:
        """The report, or a part of its `rows`. Raises UnknownFormat."""
        set_action("report.read")
        made = Made()
        wanted = report.rows(self.account) if rows is None else rows
        export = exports.stream(
            partial(self.database.snapshot, wanted),
            columns=report.columns,
            form=form,
            name=report.name,
            csv=self._csv,
            marked=self._marked,
            progress=made.tell,
            settings=self._settings,
        )
        return _Followed(export, made, partial(self._making.sending, self.account, report.name, form, made))


Asked = Annotated[Reporting, Depends()]


class _Followed(Response):
    """A report on its way, followed to its end. It is a Response, for FastAPI makes JSON of all else."""

    def __init__(self, export: exports.Export, made: Made, sending: Sending) -> None:
        """Answer with `export`, inside of `sending`."""
        super().__init__()
        self._export = export
        self._made = made
        self._sending = sending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Raises what the export raises, TooMany, Unavailable."""

        async def hear(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self._made.state = DONE

        async with self._sending():
            await self._export(scope, receive, hear)


@router.get("/records.{form}", summary="Records", responses=problems(409))
async def records_report(
    form: Form,
    asked: Asked,
    file: Annotated[str | None, Query(description="Only the records of the file with this ID.")] = None,
) -> Response:
    """The records of all files that are ready, in the order of arrival: `file_id`, `row`, and `data`, which is JSON."""
    if file is None:
        return asked.answer(RECORDS, form)
    only = await asked.database.read(owned, asked.account, file)
    if only.state in {STORED, READING}:
        raise Conflict("The file is still being read: ask again when its state is ready.")
    return asked.answer(RECORDS, form, records_of(asked.account, only))


@router.get("/files.{form}", summary="Files")
async def files_report(form: Form, asked: Asked) -> Response:
    """All files, the oldest first. `problems` is their number."""
    return asked.answer(FILES, form)


@router.get("/activity.{form}", summary="Activity")
async def activity_report(form: Form, asked: Asked) -> Response:
    """What the account did: sent, fetched, deleted, reported; with the request ID that finds it in the log."""
    return asked.answer(ACTIVITY, form)
