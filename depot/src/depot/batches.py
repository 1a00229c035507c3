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
    """The last row that went out: the file's number and the row in it."""

    file_no: int
    row: int


Found = tuple[str, int, str, int]
"""The file's ID, the row's number, its data, the file's number."""


async def record_batches(database: Database, account: Account, only: File | None = None) -> AsyncGenerator[list[Row]]:
    """The records of an account's files, or of one, in the order of their arrival: (file ID, row, JSON).

    Files that are ready are in it, whole. Raises Gone if one is deleted after some of its records went out: half a file
    must not look like a whole one.
    """
    place = Place(only.no if only else 0, 0)
    while True:
        place, rows = await database.read(_records_after, account.no, place, alone=only is not None)
        if not rows:
            return
        yield rows


def _records_after(session: Session, account_no: int, place: Place, *, alone: bool) -> tuple[Place, list[Row]]:
    """The rows after `place`: the rest of its file, and unless it is `alone`, those of the files after it."""
    if place.row and session.get(File, place.file_no) is None:
        raise Gone("A file was deleted while its records were sent.")
    columns = select(File.id, records.c.row, records.c.data, File.no).where(File.state == READY)
    joined = columns.join(records, records.c.file_no == File.no)
    rest = joined.where(File.no == place.file_no, records.c.row > place.row).order_by(records.c.row)
    batch, full = _some(session, rest)
    if not alone and not full:
        later = joined.where(File.account_no == account_no, File.no > place.file_no)
        batch += _some(session, later.order_by(File.no, records.c.row))[0]
    if batch:
        place = Place(batch[-1][3], batch[-1][1])
    return place, [line[:3] for line in batch]


def _some(session: Session, wanted: Select[*Found]) -> tuple[list[Found], bool]:
    """The first rows, and whether they fill a batch. They are fetched a few at a time, for each may be long."""
    batch: list[Found] = []
    chars = 0
    with session.execute(wanted.limit(_ROWS), execution_options={"yield_per": _STEP}) as found:
        for step in found.partitions():
            batch.extend(step)
            chars += sum(len(line[2]) for line in step)
            if chars >= _CHARS:
                return batch, True
    return batch, len(batch) == _ROWS
