"""Reports as files, and how far each report is: ask for one, look, fetch, remove.

As in `files`, the handlers wait, and what they wait for in the database is a plain function of a session below them.
"""

import secrets
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from depot.activity import note
from depot.answers import ExportList, ExportOut, problems
from depot.auth import DESCRIBED, Sender
from depot.making import new
from depot.models import CUT, DONE, DOOMED, READY, RUNNING, WAITING, Account, Export
from depot.reports import FORMS, FormName
from depot.resources import Db, Store, Work
from depot.statements import ReportName
from holdfast import Conflict, NotFound, exports, set_action

router = APIRouter(prefix="/api/exports", tags=["exports"], dependencies=DESCRIBED)

_KEPT: Final = 50
"""Files that an account may have, those that are not made yet included."""
_LATELY: Final = 10
_FILE: Final[dict[str, Any]] = {"description": "The report.", "content": {media: {} for media in FORMS.values()}}


@router.get("", summary="List reports that are made, or were lately", responses=problems(401, 503))
async def list_exports(account: Sender, database: Db) -> ExportList:
    """Those that wait, are made or can be fetched, and the last few that were sent or broke off; the newest first."""
    set_action("export.list")
    return ExportList(items=[ExportOut.of(export) for export in await database.read(shown, account)])


@router.post(
    "",
    status_code=202,
    summary="Make a report a file",
    responses=problems(401, 403, 409, 422, 503, 507),
)
async def prepare(
    account: Sender,
    database: Db,
    work: Work,
    report: Annotated[ReportName, Query(description="What it is made of.")],
    form: Annotated[FormName, Query(description="What it is written as.")],
) -> ExportOut:
    """Have it made in the background. It can be fetched, in parts too, when its state is `ready`, for a day."""
    set_action("export.prepare")
    export = await database.write(ask, account, report, form)
    work.set()
    return ExportOut.of(export)


@router.get("/{export_id}", summary="Look at a report", responses=problems(401, 404, 503))
async def show(export_id: str, account: Sender, database: Db) -> ExportOut:
    """How far it is."""
    set_action("export.show")
    return ExportOut.of(await database.read(owned, account, export_id))


@router.get(
    "/{export_id}/content",
    summary="Fetch a report that is a file",
    response_class=Response,
    response_model=None,
    responses={
        200: _FILE,
        206: {"description": "The part of it that Range asks for."},
        304: {"description": "It is as the client has it already."},
        **problems(400, 401, 404, 409, 416, 503),
    },
)
async def content(export_id: str, account: Sender, database: Db, blobs: Store) -> exports.Download:
    """The file, as often as wanted, whole or in parts: the ETag is its SHA-256."""
    set_action("export.download")
    export = await database.write(_fetch, account, export_id)
    if await blobs.size(export.id) is None:
        raise _no_export(export_id)
    kept = exports.Kept(
        export.id, export.file_name, export.media_type or "", export.bytes, export.sha256 or "", export.rows
    )
    return exports.download(kept, blobs)


@router.delete(
    "/{export_id}",
    status_code=204,
    summary="Remove a report that is a file",
    response_class=Response,
    responses=problems(401, 403, 404, 409, 503),
)
async def remove(export_id: str, account: Sender, database: Db, work: Work) -> None:
    """Remove the file, or make it no further. It is out of sight at once; the space is free a little later."""
    set_action("export.delete")
    await database.write(doom, account, export_id)
    work.set()


# -- what happens in the database --


def ask(session: Session, account: Account, name: str, form: str) -> Export:
    """Ask for a file of a report. Raises Conflict."""
    mine = select(func.count()).select_from(Export).where(Export.account_no == account.no, Export.kept)
    if (session.scalar(mine.where(Export.state.in_((WAITING, RUNNING, READY)))) or 0) >= _KEPT:
        raise Conflict(f"There are {_KEPT} files of reports already: remove one first.")
    export = new(session, account, name, form, secrets.token_hex(16), WAITING)
    note(session, account, "export.prepare", name=export.file_name)
    return export


def shown(session: Session, account: Account) -> list[Export]:
    """The exports of an account that are worth showing, the newest first."""
    mine = select(Export).where(Export.account_no == account.no).order_by(Export.no.desc())
    there = session.scalars(mine.where(Export.state.in_((WAITING, RUNNING, READY))))
    lately = session.scalars(mine.where(Export.state.in_((DONE, CUT))).limit(_LATELY))
    return sorted([*there, *lately], key=lambda export: export.no, reverse=True)


def doom(session: Session, account: Account, export_id: str) -> None:
    """Remove a file of an account, wherever it is on its way. Raises NotFound, Conflict."""
    export = owned(session, account, export_id)
    if not export.kept:
        raise Conflict("This report was sent, and is no file that could be removed.")
    export.state = DOOMED
    note(session, account, "export.delete", name=export.file_name)


def owned(session: Session, account: Account, export_id: str) -> Export:
    """The export of that ID. Raises NotFound if there is none, and in the same words if it is another account's."""
    mine = select(Export).where(Export.id == export_id, Export.account_no == account.no, Export.state != DOOMED)
    export = session.scalar(mine)
    if export is None:
        raise _no_export(export_id)
    return export


def _fetch(session: Session, account: Account, export_id: str) -> Export:
    export = owned(session, account, export_id)
    if export.state != READY:
        raise Conflict("There is no file yet: ask again when its state is ready." if export.kept else "It is no file.")
    note(session, account, "export.download", name=export.file_name)
    return export


def _no_export(export_id: str) -> NotFound:
    return NotFound(f"There is no report {export_id[:64]!r}.")
