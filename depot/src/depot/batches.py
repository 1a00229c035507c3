"""The records of an account, in their order, from any place on: a few at a time, for a page or a search.

Each batch is a short transaction of its own that goes on after the last row of the one before (keyset pagination), so
one deep inside costs no more than the first. A report is another thing: it shows one moment (see `reports`).
"""

from typing import Final, NamedTuple

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from depot.models import READY, File, records

_CHARS: Final = 1 << 20
_STEP: Final = 100


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


def records_after(session: Session, account_no: int, place: Place, only: int | None, rows: int) -> list[Found]:
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
