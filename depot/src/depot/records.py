"""Records in the database: written and removed by the thousand, in transactions that stay short."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from depot.database import Database
from depot.models import records
from depot.reading import Record

_ROWS_A_STATEMENT: Final = 1_000
_ROWS_A_REMOVAL: Final = 20_000


def insert(session: Session, file_no: int, batch: Sequence[Record]) -> None:
    """Insert a batch.

    One statement for many rows: sqlite3 lets another thread have the interpreter at every row of an `executemany`, and
    beside a busy one that makes it a hundred times slower.
    """
    connection = session.connection()
    for start in range(0, len(batch), _ROWS_A_STATEMENT):
        part = batch[start : start + _ROWS_A_STATEMENT]
        values = tuple(chain.from_iterable((file_no, row, data) for row, data in part))
        connection.exec_driver_sql(_insertion(len(part)), values)


@lru_cache(maxsize=16)
def _insertion(rows: int) -> str:
    places = ", ".join(["(?, ?, ?)"] * rows)
    return f'INSERT INTO records (file_no, "row", data) VALUES {places}'  # noqa: S608 - made of nothing from outside


async def remove(database: Database, file_no: int) -> None:
    """Remove all records of a file, in several transactions, so that others can write in between."""
    while await database.write(_remove_some, file_no):
        pass


def _remove_some(session: Session, file_no: int) -> bool:
    """Remove the first records of a file. False if none are left."""
    of_file = select(records.c.row).where(records.c.file_no == file_no).order_by(records.c.row)
    until = session.scalar(of_file.offset(_ROWS_A_REMOVAL).limit(1))
    doomed = delete(records).where(records.c.file_no == file_no)
    session.execute(doomed if until is None else doomed.where(records.c.row < until))
    return until is not None
