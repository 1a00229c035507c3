"""Reading files in the background: from `stored` over `reading` to `ready` or `failed`.

What is to be done stands in the database, so that a restart forgets nothing. Whoever reads a file holds a lease on it
(see `leases`): a file that says `reading` and is nobody's was left by a process that died, and is read again from the
start. The methods wait (for threads, and for their turn), so they are async; what they wait for is plain: the reading
itself, and the functions of a session at the end.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from depot import contents, records
from depot.answers import FileOut
from depot.database import Database
from depot.leases import Leases
from depot.models import FAILED, READING, READY, STORED, File
from depot.reading import Problems, Record, Unreadable, read
from depot.webhook import Herald
from holdfast import HoldfastError, continuing, offload, uploads

_CANDIDATES: Final = 16
_UNREAD: Final = (STORED, READING)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A file that is ours to read."""

    no: int
    id: str
    name: str
    request_id: str | None
    """The request that sent it: the log tells of the reading under the same ID."""
    again: bool
    """Whether someone began to read it before."""


class Deleted(Exception):
    """The file was deleted while it was read."""


class Intake:
    """Reads files that are stored. Several tasks may call `read_next` at once, in several processes."""

    def __init__(self, database: Database, blobs: uploads.Blobs, leases: Leases, herald: Herald) -> None:
        """Read what `database` says is to be read, and tell `herald` of each file that is done."""
        self._database = database
        self._blobs = blobs
        self._leases = leases
        self._herald = herald
        # One batch at a time: threads that calculate share one interpreter, and only get in each other's way
        self._turn = asyncio.Lock()

    async def read_next(self) -> bool:
        """Read one file, the oldest that nobody reads. False if there is none."""
        for file_no, file_id in await self._database.read(_unread):
            async with self._leases.held(file_id) as ours:
                claim = await self._claim(file_no, file_id) if ours else None
                if claim is not None:
                    with continuing(claim.request_id):
                        await self._read_and_tell(claim)
                    return True
        return False

    async def _claim(self, file_no: int, file_id: str) -> Claim | None:
        if await self._blobs.size(file_id) is None:
            await self._database.write(_lose, file_no)
            return None
        return await self._database.write(_begin, file_no)

    async def _read_and_tell(self, claim: Claim) -> None:
        started = time.monotonic()
        try:
            file = await self._read(claim)
        except Deleted:
            logger.info("file deleted while it was read", extra={"file_id": claim.id})
            return
        seconds = round(time.monotonic() - started, 3)
        counts = {"records": file.records, "problems": file.problems_total, "seconds": seconds}
        logger.info("file read", extra={"file_id": file.id, "state": file.state, **counts})
        self._herald.tell(FileOut.of(file))

    async def _read(self, claim: Claim) -> File:
        problems = Problems()
        try:
            if claim.again:
                await records.remove(self._database, claim.no)
            return await self._read_batches(claim, problems)
        except Unreadable as error:
            problems.add(None, str(error))
        except (HoldfastError, Deleted):
            raise  # too busy or no room: the file stays as it is, and is tried again
        except Exception:
            logger.exception("file could not be read", extra={"file_id": claim.id})
            problems.add(None, "it could not be read here; the operator's log says why")
        await records.remove(self._database, claim.no)
        return await self._database.write(_end, claim.no, FAILED, (), problems)

    async def _read_batches(self, claim: Claim, problems: Problems) -> File:
        """Write each batch when the next one is there, and the last one together with the end."""
        last: Sequence[Record] = ()
        async with (
            contents.opened(self._blobs, claim.id) as content,
            aclosing(offload.iterate(partial(read, content, claim.name, problems))) as batches,
        ):
            while True:
                async with self._turn:
                    batch = await anext(batches, None)
                    if batch is None:
                        return await self._database.write(_end, claim.no, READY, last, problems)
                    await self._database.write(_go_on, claim.no, last)
                last = batch


# -- what happens in the database --


def _unread(session: Session) -> list[tuple[int, str]]:
    """The oldest files of those that someone began to read, and of those that nobody did."""
    found: list[tuple[int, str]] = []
    for state in (READING, STORED):
        oldest = select(File.no, File.id).where(File.state == state).order_by(File.no).limit(_CANDIDATES)
        found.extend((file_no, file_id) for file_no, file_id in session.execute(oldest))
    return found


def _begin(session: Session, file_no: int) -> Claim | None:
    """Claim the file if it still is to be read: its last reader may have been done just before it was ours."""
    file = session.get(File, file_no)
    if file is None or file.state not in _UNREAD:
        return None
    again = file.state == READING
    file.state, file.records = READING, 0
    return Claim(file.no, file.id, file.name, file.request_id, again)


def _lose(session: Session, file_no: int) -> None:
    """The content is not there: gone by accident, or with the file."""
    file = session.get(File, file_no)
    if file is not None and file.state in _UNREAD:
        logger.error("content lost", extra={"file_id": file.id})
        file.state, file.problems_total = FAILED, 1
        file.problems = [{"line": None, "problem": "its content is gone"}]


def _go_on(session: Session, file_no: int, batch: Sequence[Record]) -> File:
    """Write a batch. Raises Deleted, which undoes it, if the file is not there any more."""
    file = session.get(File, file_no)
    if file is None:
        raise Deleted
    records.insert(session, file_no, batch)
    file.records += len(batch)
    return file


def _end(session: Session, file_no: int, state: str, last: Sequence[Record], problems: Problems) -> File:
    """Write the last batch and what came of it all."""
    file = _go_on(session, file_no, last)
    found: list[dict[str, Any]] = [asdict(problem) for problem in problems.kept]
    file.state, file.problems, file.problems_total = state, found, problems.total
    if state == FAILED:
        file.records = 0
    return file
