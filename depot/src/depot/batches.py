"""What reports are made of: the rows of an account, in their order, in batches that are bounded in rows and in bytes.

Each batch is a short transaction of its own that goes on after the last row of the one before (keyset pagination), so
one deep inside costs no more than the first, and none is open while the client takes its time.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from depot.database import Database
from depot.models import READY, Account, Activity, File, records
from holdfast import Gone

Row = Sequence[Any]

FILE_COLUMNS: Final = ("id", "name", "size", "sha256", "created", "state", "records", "problems")
ACTIVITY_COLUMNS: Final = ("at", "account", "action", "file_id", "name", "request_id")
RECORD_COLUMNS: Final = ("file_id", "row", "data")

_ROWS: Final = 5_000
_CHARS: Final = 1 << 20
_STEP: Final = 100


async def file_batches(database: Database, account: Account) -> AsyncGenerator[list[Row]]:
    """The files of an account, the oldest first."""
    last = 0
    while files := await database.read(_files_after, account.no, last):
        last = files[-1].no
        yield [
            (one.id, one.name, one.size, one.sha256, one.created, one.state, one.records, one.problems_total)
            for one in files
        ]


def _files_after(session: Session, account_no: int, last: int) -> list[File]:
    mine = select(File).where(File.account_no == account_no, File.no > last)
    return list(session.scalars(mine.order_by(File.no).limit(_ROWS)))


async def activity_batches(database: Database, account: Account) -> AsyncGenerator[list[Row]]:
    """What an account did, the oldest first."""
    last = 0
    while found := await database.read(_activity_after, account.no, last):
        last = found[-1].no
        yield [(one.at, account.name, one.action, one.file_id, one.name, one.request_id) for one in found]


def _activity_after(session: Session, account_no: int, last: int) -> list[Activity]:
    mine = select(Activity).where(Activity.account_no == account_no, Activity.no > last)
    return list(session.scalars(mine.order_by(Activity.no).limit(_ROWS)))


# -- records --


class Place(NamedTuple):
    """A place between records: behind a row of a file, by the file's number and the row's; 0 for before the first."""

    file_no: int = 0
    row: int = 0


class Found(NamedTuple):
    """A record, as the database has it."""

    file_id: str
    row: int
    data: str
    """JSON."""
    file_no: int
    file_name: str

    @property
    def place(self) -> Place:
        """The place behind it."""
        return Place(self.file_no, self.row)


async def record_batches(database: Database, account: Account, only: File | None = None) -> AsyncGenerator[list[Row]]:
    """The records of an account's files, or of one, in the order of their arrival: (file ID, row, JSON).

    Files that are ready are in it, whole. Raises Gone if one is deleted after some of its records went out: half a file
    must not look like a whole one.
    """
    place = Place()
    while found := await database.read(_unbroken_after, account.no, place, only and only.no):
        place = found[-1].place
        yield [line[:3] for line in found]


def _unbroken_after(session: Session, account_no: int, place: Place, only: int | None) -> list[Found]:
    if place.row and session.get(File, place.file_no) is None:
        raise Gone("A file was deleted while its records were sent.")
    return records_after(session, account_no, place, only)


def records_after(
    session: Session, account_no: int, place: Place, only: int | None = None, rows: int = _ROWS
) -> list[Found]:
    """The records of an account's files that are ready, from `place` on: a batch, of at most `rows`; none at the end.

    With `only` those of the file with this number. What is not the account's is not found, whatever the numbers.
    """
    columns = select(File.id, records.c.row, records.c.data, File.no, File.name)
    mine = columns.where(File.account_no == account_no, File.state == READY)
    joined = mine.join(records, records.c.file_no == File.no)
    here = place.file_no if only is None else only
    row = place.row if here == place.file_no else 0
    batch, full = _some(session, joined.where(File.no == here, records.c.row > row).order_by(records.c.row), rows)
    if only is None and not full:
        later = joined.where(File.no > here).order_by(File.no, records.c.row)
        batch += _some(session, later, rows - len(batch))[0]
    return batch


def _some(session: Session, wanted: Select[str, int, str, int, str], rows: int) -> tuple[list[Found], bool]:
    """The first rows, and whether they fill a batch. They are fetched a few at a time, for each may be long."""
    batch: list[Found] = []
    chars = 0
    with session.execute(wanted.limit(rows), execution_options={"yield_per": _STEP}) as found:
        for step in found.partitions():
            batch.extend(Found(*line) for line in step)
            chars += sum(len(line[2]) for line in step)
            if chars >= _CHARS:
                return batch, True
    return batch, len(batch) == rows
