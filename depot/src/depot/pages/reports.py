"""The page of reports: what can be downloaded, or made a file, and how far each is.

The browser fetches them from the API, as every client does.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fastapi import APIRouter, Request, Response
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from depot import exports
from depot.auth import Member
from depot.database import Database
from depot.models import READY, Account, Activity, Export, File, rfc3339
from depot.pages.fields import checked_fields
from depot.pages.rendering import see_other
from depot.pages.views import ExportRow, Report
from depot.reports import FORMS
from depot.resources import Db, Keeping, Look, Work
from depot.settings import ReportSettings
from depot.statements import REPORTS
from holdfast import NotFound, set_action
from holdfast.exports import UnknownFormat

_COUNTED: Final = 100_000
"""Rows that are counted while somebody waits, and others wait to write."""
_LABELS: Final = {"csv": "CSV", "xlsx": "Excel", "json": "JSON", "ndjson": "NDJSON", "parquet": "Parquet"}

router = APIRouter(prefix="/reports")


@router.get("")
async def list_reports(request: Request, member: Member, database: Db, keeping: Keeping, pages: Look) -> Response:
    """All reports, with how much is in them."""
    set_action("report.list")
    counts = await database.read(_counts, member.account.no)
    reports = [
        _report(
            "records", "Records", "Every row of every file that is ready, with its file and its number.", counts.records
        ),
        _report("files", "Files", "Every file, with its size, its state and how many problems it has.", counts.files),
        _report(
            "activity",
            "What I did",
            "What was sent, fetched and deleted, when, and under which request.",
            counts.activity,
        ),
    ]
    made = await _made(database, member.account, keeping)
    return await pages.page(
        request, "reports.html", member, reports=reports, made=made, labels=_LABELS, hours=keeping.kept_hours
    )


@router.get("/made")
async def list_made(request: Request, member: Member, database: Db, keeping: Keeping, pages: Look) -> Response:
    """How far each is: that part of the page alone, for a script to ask for again and again."""
    set_action("export.list")
    made = await _made(database, member.account, keeping)
    return await pages.page(request, "made.html", member, made=made)


@router.post("")
async def prepare(request: Request, member: Member, database: Db, work: Work) -> Response:
    """Have a report made a file."""
    set_action("export.prepare")
    wanted = await checked_fields(request, member)
    report, form = wanted.get("report", ""), wanted.get("form", "")
    if report not in REPORTS:
        raise NotFound("There is no such report.")
    if form not in FORMS:
        raise UnknownFormat(formats=[*FORMS])
    await database.write(exports.ask, member.account, report, form)
    work.set()
    return see_other(request, "/reports#made")


@router.post("/{export_id}/remove")
async def remove(request: Request, export_id: str, member: Member, database: Db, work: Work) -> Response:
    """Remove a report that is a file, or make it no further."""
    set_action("export.delete")
    await checked_fields(request, member)
    await database.write(exports.doom, member.account, export_id)
    work.set()
    return see_other(request, "/reports#made")


def _report(name: str, title: str, description: str, rows: int | None) -> Report:
    links = [(label, f"/api/reports/{name}.{form}") for form, label in _LABELS.items()]
    return Report(name, title, description, rows, links)


async def _made(database: Database, account: Account, keeping: ReportSettings) -> list[ExportRow]:
    kept = timedelta(hours=keeping.kept_hours)
    return [_shown(export, kept) for export in await database.read(exports.shown, account)]


def _shown(export: Export, kept: timedelta) -> ExportRow:
    ended = export.ended if export.state == READY else None
    return ExportRow(
        id=export.id,
        file_name=export.file_name,
        state=export.state,
        kept=export.kept,
        rows=export.rows,
        bytes=export.bytes,
        started=export.started,
        until=ended and rfc3339(datetime.fromisoformat(ended) + kept),
        request_id=export.request_id,
    )


# -- what happens in the database --


@dataclass(frozen=True, slots=True)
class _Counts:
    records: int | None
    files: int | None
    activity: int | None


def _counts(session: Session, account_no: int) -> _Counts:
    files = _count(session, select(File.no).where(File.account_no == account_no))
    activity = _count(session, select(Activity.no).where(Activity.account_no == account_no))
    read = select(func.sum(File.records)).where(File.account_no == account_no, File.state == READY)
    return _Counts(None if files is None else session.scalar(read) or 0, files, activity)


def _count(session: Session, rows: Select[int]) -> int | None:
    """How many there are, if it does not take long to know."""
    found = session.scalar(select(func.count()).select_from(rows.limit(_COUNTED + 1).subquery()))
    return None if found is None or found > _COUNTED else found
