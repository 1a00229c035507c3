"""How far reports are that are being made: told to the database, where every process and every page sees it.

Whoever makes one holds its lease (see `leases`), so one that says `running` and is nobody's was left by a process that
died. What a process makes is told twice a second, all of it in one transaction, and only what has changed.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from depot.activity import note
from depot.database import Database
from depot.leases import Leases
from depot.models import CUT, DOOMED, RUNNING, WAITING, Account, Export, now
from holdfast import HoldfastError, TooMany, current, exports

_EVERY_S: Final = 0.5
_AT_ONCE: Final = 16
"""Reports that an account may be sent at the same time: each has its rows on the disk."""

logger = logging.getLogger(__name__)


class Made:
    """One report that this process makes."""

    def __init__(self) -> None:
        """Nothing is made of it yet."""
        self.state: str = CUT
        """What came of it. Whoever makes it says so at its end."""
        self.file: exports.Kept | None = None
        """The file that came of it."""
        self.on_removal: Callable[[], object] | None = None
        """What to call when somebody removes it while it is made."""
        self._progress = exports.Progress()
        self._told = (0, 0)

    def tell(self, progress: exports.Progress) -> None:
        """Hear how far it is, as exports tell it."""
        self._progress = progress

    @property
    def so_far(self) -> tuple[int, int]:
        """Rows and bytes."""
        return self._progress.rows or 0, self._progress.bytes

    def removed(self) -> None:
        """Say that somebody has removed it."""
        called, self.on_removal = self.on_removal, None
        if called is not None:
            called()

    def news(self) -> tuple[int, int] | None:
        """Rows and bytes, if they are others than the last time."""
        before, self._told = self._told, self.so_far
        return None if self._told == before else self._told


class Claim(NamedTuple):
    """A report that is ours to make, as long as we hold its lease."""

    no: int
    id: str


class Making:
    """What this process makes."""

    def __init__(self, database: Database, leases: Leases) -> None:
        """Tell `database` of it, as long as the block of `running`."""
        self._database = database
        self._leases = leases
        self._made: dict[int, Made] = {}

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Tell how far everything is, until the end of the block."""
        task = asyncio.create_task(self._tell_on(), name="tell how far reports are")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    @asynccontextmanager
    async def sending(self, account: Account, name: str, form: str, made: Made) -> AsyncGenerator[None]:
        """Note that a report is sent to an account, and follow it while the block sends it. Raises TooMany."""
        async with self._leases.held_new() as export_id:
            no = await self._database.write(_begin, account, name, form, export_id)
            async with self.following(Claim(no, export_id), made):
                yield

    @asynccontextmanager
    async def following(self, claim: Claim, made: Made) -> AsyncGenerator[None]:
        """Tell how far a report is while the block makes it, and what came of it, however the block ends."""
        self._made[claim.no] = made
        try:
            yield
        finally:
            del self._made[claim.no]
            try:
                await self._database.write(_end, claim.no, made)
            except HoldfastError as error:  # it is nobody's now, so a sweep will cut it
                logger.warning("what came of a report could not be told", extra={"why": error.detail})

    async def _tell_on(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self._tell()
            except HoldfastError as error:
                logger.warning("how far reports are could not be told", extra={"why": error.detail})
            except Exception:  # a task that ended would never tell anything again
                logger.exception("how far reports are could not be told")

    async def _tell(self) -> None:
        news = {no: found for no, made in self._made.items() if (found := made.news()) is not None}
        if news:
            await self._database.write(_go_on, news)
        removable = {no: made for no, made in self._made.items() if made.on_removal is not None}
        for no in await self._database.read(_doomed, list(removable)) if removable else ():
            removable[no].removed()


# -- what happens in the database --


def new(session: Session, account: Account, name: str, form: str, export_id: str, state: str) -> Export:
    """A report of an account that will be a file if it has to wait for it, and else is sent."""
    request = current()
    export = Export(
        id=export_id,
        account_no=account.no,
        name=name,
        form=form,
        kept=state == WAITING,
        state=state,
        started=now(),
        request_id=request and request.id,
    )
    session.add(export)
    session.flush()
    return export


def _begin(session: Session, account: Account, name: str, form: str, export_id: str) -> int:
    mine = select(func.count()).select_from(Export).where(Export.account_no == account.no)
    if (session.scalar(mine.where(Export.state == RUNNING, ~Export.kept)) or 0) >= _AT_ONCE:
        raise TooMany(f"{_AT_ONCE} reports are being sent to this account.", headers={"retry-after": "10"})
    note(session, account, f"report.{name}.{form}")
    return new(session, account, name, form, export_id, RUNNING).no


def _go_on(session: Session, news: Mapping[int, tuple[int, int]]) -> None:
    for no, (rows, size) in news.items():
        session.execute(update(Export).where(Export.no == no, Export.state == RUNNING).values(rows=rows, bytes=size))


def _doomed(session: Session, numbers: Sequence[int]) -> list[int]:
    return list(session.scalars(select(Export.no).where(Export.no.in_(numbers), Export.state == DOOMED)))


def _end(session: Session, no: int, made: Made) -> None:
    """Write what came of it, unless somebody has removed it meanwhile."""
    export = session.get(Export, no)
    if export is None or export.state != RUNNING:
        return
    export.state = made.state
    if made.state == WAITING:
        export.rows = export.bytes = 0
        return
    export.rows, export.bytes = made.so_far
    export.ended = now()
    if made.file is not None:
        export.bytes, export.media_type, export.sha256 = made.file.size, made.file.media_type, made.file.sha256
