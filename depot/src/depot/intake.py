"""Reading files in the background: from `stored` over `reading` to `ready` or `failed`.

What is to be done stands in the database, so that a restart forgets nothing. Whoever reads a file holds a lock on it
(see `blobs`): a file that says `reading` and is not locked was left by a process that died, and is read again from the
start. The tasks here wait (for the database, for a thread), so they are async; what calculates is in `reading`, and
runs in a thread, a batch at a time.
"""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from depot import records
from depot.answers import FileOut
from depot.blobs import Blobs
from depot.database import Database
from depot.models import FAILED, READING, READY, STORED, File
from depot.reading import Problems, Unreadable, read
from depot.records import Values
from depot.webhook import Herald
from holdfast import HoldfastError, offload

_CANDIDATES: Final = 16

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A file that is ours to read."""

    no: int
    id: str
    name: str
    path: Path
    again: bool
    """Whether someone began to read it before."""
    lock: BinaryIO
    """Held until all of it is in the database."""


class _Deleted(Exception):
    """The file was deleted while it was read."""


class Intake:
    """Reads files that are stored. Several tasks may call `read_next` at once, in several processes."""

    def __init__(self, database: Database, blobs: Blobs, herald: Herald) -> None:
        """Read what `database` says is to be read, and tell `herald` of each file that is done."""
        self._database = database
        self._blobs = blobs
        self._herald = herald
        # One batch at a time: threads that calculate share one interpreter, and only get in each other's way
        self._turn = asyncio.Lock()

    async def read_next(self) -> bool:
        """Read one file, the oldest that nobody reads. False if there is none."""
        claim = await self._claim()
        if claim is None:
            return False
        started = time.monotonic()
        with claim.lock:
            try:
                file = await self._read(claim)
            except _Deleted:
                logger.info("file deleted while it was read", extra={"file_id": claim.id})
                return True
        seconds = round(time.monotonic() - started, 3)
        counts = {"records": file.records, "problems": file.problems_total, "seconds": seconds}
        logger.info("file read", extra={"file_id": file.id, "state": file.state, **counts})
        self._herald.tell(FileOut.of(file))
        return True

    # -- to claim --

    async def _claim(self) -> Claim | None:
        async with self._database.reading() as session:
            waiting = select(File.no, File.id).where(File.state.in_([STORED, READING]))
            files = (await session.execute(waiting.order_by(File.no).limit(_CANDIDATES))).all()
        for file_no, file_id in files:
            try:
                lock = await offload.thread(self._blobs.lock, file_id)
            except FileNotFoundError:
                await self._lost(file_no)
                continue
            claim = lock and await self._claim_locked(file_no, lock)
            if claim:
                return claim
        return None

    async def _claim_locked(self, file_no: int, lock: BinaryIO) -> Claim | None:
        """Look whether the file still is to be read, now that nobody else can: its last reader may just be done."""
        async with self._database.writing() as session:
            file = await session.get(File, file_no)
            if file is None or file.state not in {STORED, READING}:
                lock.close()
                return None
            again = file.state == READING
            file.state, file.records = READING, 0
        return Claim(file.no, file.id, file.name, self._blobs.path(file.id), again, lock)

    async def _lost(self, file_no: int) -> None:
        problems = Problems()
        problems.add(None, "its content is gone from the disk")
        async with self._database.writing() as session:
            if await _update(session, file_no, [STORED, READING], state=FAILED, **_found(problems)):
                logger.error("content lost", extra={"file_no": file_no})

    # -- to read --

    async def _read(self, claim: Claim) -> File:
        problems = Problems()
        try:
            if claim.again:
                await records.remove(self._database, claim.no)
            return await self._read_batches(claim, problems)
        except Unreadable as error:
            problems.add(None, str(error))
        except (HoldfastError, _Deleted):
            raise  # too busy or no room: the file stays as it is, and is tried again
        except Exception:
            logger.exception("file could not be read", extra={"file_id": claim.id})
            problems.add(None, "it could not be read here; the operator's log says why")
        return await self._fail(claim, problems)

    async def _read_batches(self, claim: Claim, problems: Problems) -> File:
        """Write each batch when the next is there, and the last one together with the end."""
        last: Sequence[Values] = ()
        async with aclosing(offload.iterate(partial(_batches, claim, problems))) as batches:
            while True:
                async with self._turn:
                    batch = await anext(batches, None)
                    if batch is None:
                        return await self._write(claim, last, state=READY, **_found(problems))
                    await self._write(claim, last)
                last = batch

    async def _write(self, claim: Claim, batch: Sequence[Values], **columns: object) -> File:
        async with self._database.writing() as session:
            for values in batch:
                await records.insert(session, values)
            count = sum(len(values) for values in batch) // records.COLUMNS
            columns = {"records": File.records + count, **columns}
            if not await _update(session, claim.no, [READING], **columns):
                raise _Deleted  # and what was inserted is undone with the transaction
            return await session.get_one(File, claim.no)

    async def _fail(self, claim: Claim, problems: Problems) -> File:
        await records.remove(self._database, claim.no)
        return await self._write(claim, (), state=FAILED, records=0, **_found(problems))


def _batches(claim: Claim, problems: Problems) -> Iterator[list[Values]]:
    """The records of a file, laid out for the database. Runs in a thread."""
    with claim.path.open("rb") as content:
        for batch in read(content, claim.name, problems):
            yield list(records.insertable(claim.no, batch))


def _found(problems: Problems) -> dict[str, Any]:
    return {"problems": [asdict(problem) for problem in problems.kept], "problems_total": problems.total}


async def _update(session: AsyncSession, file_no: int, states: Sequence[str], **columns: object) -> bool:
    """Change a file if it is in one of the `states`; False if it is not."""
    change = update(File).where(File.no == file_no, File.state.in_(states)).values(**columns)
    result = await session.execute(change, execution_options={"synchronize_session": False})
    return cast("CursorResult[Any]", result).rowcount == 1
