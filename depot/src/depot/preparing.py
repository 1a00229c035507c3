"""Reports as files: made in the background, a few at a time, to be had as often as one likes, and gone after a day.

What is to be made stands in the database, so that it is made although nobody waits for it, and whichever process is
there. If one is stopped, the next makes what it was making. If one dies, that is cut and not begun again: it may have
been the reason.
"""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from depot.database import Database
from depot.leases import Leases
from depot.making import Claim, Made, Making
from depot.models import CUT, DONE, DOOMED, READY, RUNNING, WAITING, Account, Export, now, rfc3339
from depot.statements import REPORTS
from holdfast import HoldfastError, continuing, exports, uploads

_CANDIDATES: Final = 16
_SWEPT_AT_ONCE: Final = 1_000

logger = logging.getLogger(__name__)


class _Wanted(NamedTuple):
    """What a file is to be made of."""

    claim: Claim
    account: Account
    name: str
    form: str
    request_id: str | None


class Preparing:
    """Makes files of reports, and removes them. Several tasks may call it at once, in several processes."""

    def __init__(
        self,
        database: Database,
        blobs: uploads.Blobs,
        leases: Leases,
        making: Making,
        settings: exports.ExportSettings,
        kept: timedelta,
    ) -> None:
        """Make what `database` says is to be made, and let it go when it has been there for as long as `kept`."""
        self._database = database
        self._blobs = blobs
        self._leases = leases
        self._making = making
        self._settings = settings
        self._kept = kept

    async def prepare_next(self) -> bool:
        """Make one file, the one that has waited longest. False if none waits."""
        for no, export_id in await self._database.read(_in_state, WAITING):
            async with self._leases.held(export_id) as ours:
                wanted = await self._begun(Claim(no, export_id)) if ours else None
                if wanted is not None:
                    with continuing(wanted.request_id):
                        await self._prepare(wanted)
                    return True
        return False

    async def _begun(self, claim: Claim) -> _Wanted | None:
        """Begin, if it still is to be made. Where this process is stopped meanwhile, the report waits for the next."""
        beginning = asyncio.ensure_future(self._database.write(_begin, claim))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            await asyncio.wait({beginning})
            await self._database.write(_wait_again, claim.no)
            raise

    async def _prepare(self, wanted: _Wanted) -> None:
        made, began = Made(), time.monotonic()
        async with self._making.following(wanted.claim, made):
            try:
                made.file = await self._saved(wanted, made)
                made.state = CUT if made.file is None else READY
            except asyncio.CancelledError:
                made.state = WAITING  # this process is being stopped
                raise
            except HoldfastError as error:
                logger.warning("a report could not be made a file", extra={"why": error.detail})
            except Exception:
                logger.exception("a report could not be made a file")
        rows, size = made.so_far
        told = {"rows": rows, "bytes": size, "seconds": round(time.monotonic() - began, 3)}
        logger.info("report made", extra={"export_id": wanted.claim.id, "state": made.state, **told})

    async def _saved(self, wanted: _Wanted, made: Made) -> exports.Kept | None:
        """The file; None if it was removed while it was made."""
        report = REPORTS[wanted.name]
        await self._blobs.remove(wanted.claim.id)  # what a process that was stopped may have left
        saving = asyncio.ensure_future(
            exports.save(
                partial(self._database.snapshot, report.rows(wanted.account)),
                columns=report.columns,
                into=self._blobs,
                form=wanted.form,
                name=wanted.name,
                file_id=wanted.claim.id,
                progress=made.tell,
                settings=self._settings,
            )
        )
        made.on_removal = saving.cancel
        try:
            await asyncio.wait({saving})
        finally:
            saving.cancel()
            await asyncio.wait({saving})
        return None if saving.cancelled() else saving.result()

    # -- what is not wanted any more --

    async def remove_next(self) -> bool:
        """Remove the bytes of one export that was removed. Done twice, by two processes, it does no harm."""
        for no, export_id in await self._database.read(_in_state, DOOMED):
            async with self._leases.held(export_id) as ours:
                if ours:  # else whoever makes it is about to stop
                    await self._blobs.remove(export_id)
                    await self._database.write(_forget, no)
                    return True
        return False

    async def sweep(self) -> None:
        """Cut what a process that died has left, with its bytes; let go of what has been there long enough."""
        for no, export_id in await self._database.read(_in_state, RUNNING, _SWEPT_AT_ONCE):
            async with self._leases.held(export_id) as ours:
                if ours:
                    await self._cut(no, export_id)
        await self._database.write(_expire, rfc3339(datetime.now(UTC) - self._kept))

    async def _cut(self, no: int, export_id: str) -> None:
        if await self._database.read(_is_running, no):  # it may have been done just before it was ours
            await self._blobs.remove(export_id)
            await self._database.write(_cut, no)


# -- what happens in the database --


def _in_state(session: Session, state: str, most: int = _CANDIDATES) -> list[tuple[int, str]]:
    oldest = select(Export.no, Export.id).where(Export.state == state).order_by(Export.no).limit(most)
    return [(no, export_id) for no, export_id in session.execute(oldest)]


def _begin(session: Session, claim: Claim) -> _Wanted | None:
    """Begin to make a file, if it still is to be made."""
    export = session.get(Export, claim.no)
    if export is None or export.state != WAITING:
        return None
    export.state = RUNNING
    account = session.get_one(Account, export.account_no)
    return _Wanted(claim, account, export.name, export.form, export.request_id)


def _wait_again(session: Session, no: int) -> None:
    session.execute(update(Export).where(Export.no == no, Export.state == RUNNING).values(state=WAITING))


def _is_running(session: Session, no: int) -> bool:
    return session.scalar(select(Export.no).where(Export.no == no, Export.state == RUNNING)) is not None


def _cut(session: Session, no: int) -> None:
    cut = update(Export).where(Export.no == no, Export.state == RUNNING)
    session.execute(cut.values(state=CUT, ended=now()))


def _expire(session: Session, before: str) -> None:
    """Forget what was sent and what was cut; what is a file goes as if somebody removed it."""
    ended = select(Export.no).where(Export.state.in_((DONE, CUT)), Export.ended < before).limit(_SWEPT_AT_ONCE)
    session.execute(delete(Export).where(Export.no.in_(ended)))
    session.execute(update(Export).where(Export.state == READY, Export.ended < before).values(state=DOOMED))


def _forget(session: Session, no: int) -> None:
    session.execute(delete(Export).where(Export.no == no, Export.state == DOOMED))
