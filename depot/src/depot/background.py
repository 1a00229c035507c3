"""What goes on beside the requests: reading files, making reports, removing what was deleted, forgetting what ended.

Uploads that nobody goes on with are not among it: `holdfast.uploads` sees to them.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from depot import attempts, records
from depot.database import Database
from depot.intake import Intake
from depot.leases import Leases
from depot.models import Removal
from depot.preparing import Preparing
from depot.sessions import Sessions
from holdfast import Unavailable, draining, uploads

_READERS: Final = 4
_PREPARERS: Final = 2
_LOOK_AGAIN_S: Final = 1.0
_SWEEP_EVERY_S: Final = 60.0

logger = logging.getLogger(__name__)


class News(asyncio.Event):
    """Set when there is something to do. Other processes find it by themselves within a second."""

    async def spread(self) -> None:
        """As `set`, for what is done once an answer has been sent: the client comes first."""
        self.set()


class Background:
    """The tasks of one process, as long as the block of `running`."""

    def __init__(
        self,
        database: Database,
        blobs: uploads.Blobs,
        leases: Leases,
        intake: Intake,
        sessions: Sessions,
        preparing: Preparing,
        news: News,
    ) -> None:
        """Do what `database` says is to be done, at once when `news` is set."""
        self._database = database
        self._blobs = blobs
        self._leases = leases
        self._intake = intake
        self._sessions = sessions
        self._preparing = preparing
        self._news = news

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Work until the end of the block; what is not done then is done by whoever comes next."""
        works = [self._intake.read_next] * _READERS + [self._remove_next]
        works += [self._preparing.prepare_next] * _PREPARERS + [self._preparing.remove_next]
        tasks = [asyncio.create_task(self._keep_on(work), name=work.__name__) for work in works]
        tasks.append(asyncio.create_task(self._sweep_on(), name="sweep"))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_on(self, work: Callable[[], Awaitable[bool]]) -> None:
        while True:
            self._news.clear()
            try:
                worked = not draining.is_set() and await work()
            except Unavailable as error:  # of the database or the store, which may be back soon
                logger.warning("background work has to wait", extra={"why": error.detail})
                worked = False
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
        await self._blobs.remove(removal.file_id)
        await self._leases.forget(removal.file_id)
        await self._database.write(_removed, removal.file_no)
        return True

    # -- what has ended by itself --

    async def _sweep_on(self) -> None:
        while True:
            try:
                await self._preparing.sweep()
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
