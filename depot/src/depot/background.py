"""What goes on beside the requests: reading files, removing what was deleted, tidying up once after the start, and
forgetting what has ended by itself.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from depot import attempts, records
from depot.blobs import Blobs
from depot.database import Database
from depot.intake import Intake
from depot.models import File, Removal
from depot.sessions import Sessions
from holdfast import draining, offload

_READERS: Final = 4
_LOOK_AGAIN_S: Final = 1.0
_NAMES_AT_ONCE: Final = 500
_SWEEP_EVERY_S: Final = 60.0

logger = logging.getLogger(__name__)


class Background:
    """The tasks of one process, as long as the block of `running`."""

    def __init__(self, database: Database, blobs: Blobs, intake: Intake, sessions: Sessions) -> None:
        """Do what `database` says is to be done."""
        self._database = database
        self._blobs = blobs
        self._intake = intake
        self._sessions = sessions
        self._news = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Work until the end of the block; what is not done then is done by whoever comes next."""
        works = [self._intake.read_next] * _READERS + [self._remove_next]
        tasks = [asyncio.create_task(self._keep_on(work), name=work.__name__) for work in works]
        tasks.append(asyncio.create_task(self._tidy_once(), name="tidy"))
        tasks.append(asyncio.create_task(self._sweep_on(), name="sweep"))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """There is something to do. Other processes find it by themselves within a second."""
        self._news.set()

    async def _keep_on(self, work: Callable[[], Awaitable[bool]]) -> None:
        while True:
            self._news.clear()
            try:
                worked = not draining.is_set() and await work()
            except Exception:  # a task that ended would never work again: it is said, and tried again
                logger.exception("background work failed; it is tried again")
                worked = False
            if not worked:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), _LOOK_AGAIN_S)

    # -- what was deleted --

    async def _remove_next(self) -> bool:
        """Remove the records and the content of one deleted file. Done twice, by two processes, it does no harm."""
        removal = await self._database.read(_next_removal)
        if removal is None:
            return False
        await records.remove(self._database, removal.file_no)
        await offload.thread(self._blobs.remove, removal.file_id)
        await self._database.write(_removed, removal.file_no)
        return True

    # -- what processes that died left behind --

    async def _tidy_once(self) -> None:
        try:
            await self.tidy()
        except Exception:  # the next start tries again
            logger.exception("tidying up failed")

    async def tidy(self) -> None:
        """Remove files that are whole, but that the database does not speak of, and the parts of broken uploads."""
        names: list[str] = []
        async with aclosing(offload.iterate(self._blobs.whole, batch=_NAMES_AT_ONCE)) as found:
            async for name in found:
                names.append(name)
                if len(names) == _NAMES_AT_ONCE:
                    await self._tidy_unknown(names)
                    names = []
        await self._tidy_unknown(names)

    async def _tidy_unknown(self, names: Iterable[str]) -> None:
        for name in await self._database.read(_unknown, names):
            with contextlib.suppress(FileNotFoundError):  # another process may be tidying up too
                await self._tidy_one(name)

    async def _tidy_one(self, name: str) -> None:
        lock = await offload.thread(self._blobs.lock, name)
        if lock is None:
            return  # an upload that is about to be known
        with lock:
            if await self._database.read(_unknown, [name]):  # it may have become known before the lock was ours
                await offload.thread(self._blobs.remove, name)
                logger.info("forsaken file removed", extra={"file_id": name})

    # -- what has ended by itself --

    async def _sweep_on(self) -> None:
        while True:
            try:
                await self._sessions.sweep()
                await self._database.write(attempts.sweep, time.time())
            except Exception:  # what is left is swept the next time
                logger.exception("sweeping failed; it is tried again")
            await asyncio.sleep(_SWEEP_EVERY_S)


# -- what happens in the database --


def _next_removal(session: Session) -> Removal | None:
    return session.scalar(select(Removal).limit(1))


def _removed(session: Session, file_no: int) -> None:
    session.execute(delete(Removal).where(Removal.file_no == file_no))


def _unknown(session: Session, names: Iterable[str]) -> set[str]:
    """Which of these names neither a file has nor one that is being removed."""
    wanted = set(names)
    known = session.scalars(select(File.id).where(File.id.in_(wanted)))
    doomed = session.scalars(select(Removal.file_id).where(Removal.file_id.in_(wanted)))
    return wanted - set(known) - set(doomed)
