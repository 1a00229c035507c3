"""What reports are made of: the rows of an account, in their order, in batches that are bounded in rows and in bytes.

Each batch is a short transaction that goes on after the last row of the one before (keyset pagination), so a batch deep
inside costs no more than the first.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from depot.database import Database
from depot.models import READY, Account, Activity, File, records
from holdfast import Gone

_ROWS: Final = 5_000
_CHARS: Final = 1 << 20
_STEP: Final = 100

Row = Sequence[Any]
Found = tuple[int, str, Any, Any]

FILE_COLUMNS: Final = ("id", "name", "size", "sha256", "created", "state", "records", "problems")
ACTIVITY_COLUMNS: Final = ("at", "account", "action", "file_id", "name", "request_id")
RECORD_COLUMNS: Final = ("file_id", "row", "data")


async def file_batches(database: Database, account: Account) -> AsyncGenerator[Sequence[Row]]:
    """The files of an account, the oldest first."""
    last = 0
    while True:
        async with database.reading() as session:
            wanted = select(File).where(File.account_no == account.no, File.no > last).order_by(File.no).limit(_ROWS)
            files = list(await session.scalars(wanted))
        if not files:
            return
        last = files[-1].no
        yield [
            (one.id, one.name, one.size, one.sha256, one.created, one.state, one.records, one.problems_total)
            for one in files
        ]


async def activity_batches(database: Database, account: Account) -> AsyncGenerator[Sequence[Row]]:
    """What an account did, the oldest first."""
    last = 0
    while True:
        async with database.reading() as session:
            mine = select(Activity).where(Activity.account_no == account.no, Activity.no > last)
            found = list(await session.scalars(mine.order_by(Activity.no).limit(_ROWS)))
        if not found:
            return
        last = found[-1].no
        yield [(one.at, account.name, one.action, one.file_id, one.name, one.request_id) for one in found]


# -- records --


@dataclass(slots=True)
class _Batch:
    rows: list[Row] = field(default_factory=list[Row])
    chars: int = 0

    @property
    def full(self) -> bool:
        return len(self.rows) >= _ROWS or self.chars >= _CHARS


async def record_batches(
    database: Database, account: Account, only: File | None = None
) -> AsyncGenerator[Sequence[Row]]:
    """The records of an account's files, or of one, in the order of their arrival: (file ID, row, JSON).

    Files that are ready are in it, whole. Raises Gone if one is deleted after some of its records went out: half a file
    must not look like a whole one.
    """
    file_no, row = (only.no, 0) if only else (0, 0)
    while True:
        batch = _Batch()
        async with database.reading() as session:
            if row and await session.scalar(select(File.no).where(File.no == file_no)) is None:
                raise Gone("A file was deleted while its records were sent.")
            await _fill(session, _rest_of(file_no, row), batch)
            if only is None and not batch.full:
                await _fill(session, _later_than(file_no, account), batch)
        if not batch.rows:
            return
        file_no, _, row, _ = batch.rows[-1]
        yield [line[1:] for line in batch.rows]


def _columns() -> Select[*Found]:
    joined = select(File.no, File.id, records.c.row, records.c.data)
    return joined.join(records, records.c.file_no == File.no).where(File.state == READY)


def _rest_of(file_no: int, row: int) -> Select[*Found]:
    return _columns().where(File.no == file_no, records.c.row > row).order_by(records.c.row)


def _later_than(file_no: int, account: Account) -> Select[*Found]:
    return _columns().where(File.account_no == account.no, File.no > file_no).order_by(File.no, records.c.row)


async def _fill(session: AsyncSession, wanted: Select[*Found], batch: _Batch) -> None:
    """Add rows until the batch is full. They are fetched a few at a time, for each may be as long as a page."""
    found = await session.stream(wanted.limit(_ROWS - len(batch.rows)), execution_options={"yield_per": _STEP})
    async for step in found.partitions(_STEP):
        batch.rows.extend(step)
        batch.chars += sum(len(line[3]) for line in step)
        if batch.full:
            break
    await found.close()
