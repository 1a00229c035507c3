"""Records in the database: written and removed by the thousand, in transactions that stay short."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from depot.database import Database
from depot.models import records
from depot.reading import Record

COLUMNS: Final = 3
"""How many values a row has."""

_ROWS_A_STATEMENT: Final = 1_000
_ROWS_A_REMOVAL: Final = 20_000

Values = tuple[int | str, ...]
"""The values of some rows, one after the other, as the driver takes them."""


def insertable(file_no: int, batch: Sequence[Record]) -> Iterator[Values]:
    """Lay out a batch for `insert`. Pure calculation: it runs in the thread that reads the file."""
    for start in range(0, len(batch), _ROWS_A_STATEMENT):
        part = batch[start : start + _ROWS_A_STATEMENT]
        yield tuple(chain.from_iterable((file_no, row, data) for row, data in part))


async def insert(session: AsyncSession, values: Values) -> None:
    """Insert the rows that `insertable` laid out.

    One statement for many rows: sqlite3 lets another thread have the interpreter at every row of an `executemany`, and
    beside a busy one that makes it a hundred times slower.
    """
    connection = await session.connection()
    await connection.exec_driver_sql(_insertion(len(values) // COLUMNS), values)


@lru_cache(maxsize=16)
def _insertion(rows: int) -> str:
    places = ", ".join(["(?, ?, ?)"] * rows)
    return f'INSERT INTO records (file_no, "row", data) VALUES {places}'  # noqa: S608 - made of nothing from outside


async def remove(database: Database, file_no: int) -> None:
    """Remove all records of a file, so many at a time that others can write in between."""
    last = 0
    while True:
        async with database.writing() as session:
            of_file = select(records.c.row).where(records.c.file_no == file_no, records.c.row > last)
            until = await session.scalar(of_file.order_by(records.c.row).offset(_ROWS_A_REMOVAL - 1).limit(1))
            doomed = delete(records).where(records.c.file_no == file_no)
            await session.execute(doomed if until is None else doomed.where(records.c.row <= until))
        if until is None:
            return
        last = until
