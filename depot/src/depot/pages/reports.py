"""The page of reports: what can be downloaded. The browser fetches them from the API, as every client does."""

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from depot.auth import Member
from depot.models import READY, Activity, File
from depot.pages.views import Report
from depot.resources import Db, Look
from holdfast import set_action

_COUNTED: Final = 100_000
"""Rows that are counted while somebody waits, and others wait to write."""

router = APIRouter()


@router.get("/reports")
async def list_reports(request: Request, member: Member, database: Db, pages: Look) -> Response:
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
    return await pages.page(request, "reports.html", member, reports=reports)


def _report(name: str, title: str, description: str, rows: int | None) -> Report:
    links = [("CSV", f"/api/reports/{name}.csv"), ("NDJSON", f"/api/reports/{name}.ndjson")]
    return Report(name, title, description, rows, links)


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
