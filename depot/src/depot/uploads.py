"""What the depot brings to `holdfast.uploads`: who may send files, how many bytes, and what becomes of a whole one.

Holdfast receives, however a client speaks, keeps what arrived, and cleans up. So nothing here is about bytes.
"""

from collections.abc import Iterable
from typing import Final

from fastapi import Request
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.types import Scope

from depot import accounts
from depot.activity import note
from depot.credentials import account_of
from depot.database import Database
from depot.models import Account, File, Removal, now
from depot.sessions import Sessions
from holdfast import NotFound, current, set_action, uploads

AT: Final = "/api/uploads"
"""Where clients that can go on with an upload send it."""


class Arrivals:
    """The hooks. Async, because each waits for the database."""

    def __init__(self, database: Database, sessions: Sessions, *, quota_mb: int | None) -> None:
        """An account may have `quota_mb` MiB in files and unfinished uploads; None: as many as find room."""
        self._database = database
        self._sessions = sessions
        self._quota_bytes = None if quota_mb is None else quota_mb << 20

    async def authorise(self, scope: Scope) -> str:
        """The account that sends a request. It is asked before the first byte, and again before a file is whole."""
        set_action("file.upload")
        account = await account_of(Request(scope), self._database, self._sessions)
        return account.name

    async def quota(self, owner: str) -> uploads.Room:
        """What an account has left beside its files."""
        if self._quota_bytes is None:
            return uploads.Room()
        used = await self._database.read(_used, owner)
        return uploads.Room(owner_bytes=max(0, self._quota_bytes - used))

    async def finished(self, whole: uploads.Whole) -> str:
        """Let everybody see the file; its ID."""
        return await self._database.write(_add, whole)


# -- what happens in the database --


def _used(session: Session, owner: str) -> int:
    mine = select(func.coalesce(func.sum(File.size), 0)).join(Account).where(Account.name == owner)
    return session.scalar(mine) or 0


def _add(session: Session, whole: uploads.Whole) -> str:
    """Add the file, with what is noted of it. Done twice, after a crash in between, it does no harm."""
    upload = whole.upload
    if session.scalar(select(File.no).where(File.id == upload.id)) is not None:
        return upload.id
    account = accounts.named(session, upload.owner)
    if account is None:
        raise NotFound("There is no such account any more.")
    request = current()
    file = File(
        id=upload.id,
        account_no=account.no,
        name=uploads.kept_name(upload.name or ""),
        size=whole.size,
        sha256=whole.sha256,
        created=now(),
        request_id=request and request.id,  # so that what happens to the file later is found under it too
    )
    session.add(file)
    note(session, account, "file.upload", file)
    return file.id


def known(session: Session, ids: Iterable[str]) -> set[str]:
    """Which of these are IDs of files, or of files that are being removed."""
    wanted = set(ids)
    files = session.scalars(select(File.id).where(File.id.in_(wanted)))
    doomed = session.scalars(select(Removal.file_id).where(Removal.file_id.in_(wanted)))
    return set(files) | set(doomed)
