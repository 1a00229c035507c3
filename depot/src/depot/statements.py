"""What each report is made of: its columns, and the one statement that gives its rows, in their order."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import Select, literal, select

from depot.models import READY, Account, Activity, File, records
from holdfast.exports import Column, Kind

ReportName = Literal["records", "files", "activity"]
Rows = Select[*tuple[Any, ...]]


class Report(NamedTuple):
    """A report."""

    name: ReportName
    columns: Sequence[Column]
    rows: Callable[[Account], Rows]
    """The statement, for the account that asks."""


def records_of(account: Account, only: File | None = None) -> Rows:
    """The records of all files that are ready, in the order of arrival, or of one."""
    columns = select(File.id.label("file_id"), records.c.row, records.c.data)
    mine = columns.join(records, records.c.file_no == File.no).where(File.account_no == account.no, File.state == READY)
    wanted = mine if only is None else mine.where(File.no == only.no)
    return wanted.order_by(File.no, records.c.row)


def _files(account: Account) -> Rows:
    columns = select(
        File.id,
        File.name,
        File.size,
        File.sha256,
        File.created,
        File.state,
        File.records,
        File.problems_total.label("problems"),
    )
    return columns.where(File.account_no == account.no).order_by(File.no)


def _activity(account: Account) -> Rows:
    columns = select(
        Activity.at,
        literal(account.name).label("account"),
        Activity.action,
        Activity.file_id,
        Activity.name,
        Activity.request_id,
    )
    return columns.where(Activity.account_no == account.no).order_by(Activity.no)


def _texts(*names: str) -> list[Column]:
    return [Column(name, Kind.TEXT) for name in names]


_INTEGER: Final = Kind.INTEGER

RECORDS: Final = Report(
    "records",
    [Column("file_id", Kind.TEXT), Column("row", _INTEGER), Column("data", Kind.JSON_TEXT)],
    records_of,
)
FILES: Final = Report(
    "files",
    [
        *_texts("id", "name"),
        Column("size", _INTEGER),
        *_texts("sha256", "created", "state"),
        Column("records", _INTEGER),
        Column("problems", _INTEGER),
    ],
    _files,
)
ACTIVITY: Final = Report("activity", _texts("at", "account", "action", "file_id", "name", "request_id"), _activity)
REPORTS: Final[Mapping[str, Report]] = {report.name: report for report in (RECORDS, FILES, ACTIVITY)}
