"""Sessions: browsers that are signed in.

The cookie holds 256 random bits, the database their hash, as with the accounts' tokens; so sessions outlive restarts,
and every worker knows them. A session ends when its owner says so, when it was not used for a while, and in any case
after some weeks.
"""

import hashlib
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from depot import csrf
from depot.activity import note
from depot.database import Database
from depot.models import Account, BrowserSession, rfc3339
from depot.settings import SessionSettings
from holdfast import Secret, Unavailable

_TOUCHED_AFTER: Final = timedelta(minutes=1)
_MOST: Final = 50
"""Sessions of one account: beyond that the one that was not used for the longest time ends."""
_SWEPT_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Device:
    """Where somebody signs in."""

    client: str
    """The address."""
    agent: str
    """What the browser calls itself."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who sends a request by a browser."""

    account: Account
    session_no: int
    cookie: Secret

    @property
    def csrf(self) -> str:
        """What the forms and scripts of a page send back."""
        return csrf.token_for(self.cookie)


def _digest(cookie: Secret) -> str:
    return hashlib.sha256(cookie.reveal().encode()).hexdigest()


def _utc() -> datetime:
    return datetime.now(UTC)


class Sessions:
    """The sessions of all accounts."""

    def __init__(self, database: Database, lasting: SessionSettings, clock: Callable[[], datetime] = _utc) -> None:
        """Keep them in `database`, as long as `lasting` says."""
        self._database = database
        self._lasts = timedelta(days=lasting.days)
        self._idle = timedelta(hours=lasting.idle_hours)
        self._clock = clock

    @property
    def lasting_s(self) -> int:
        """Seconds after which a session ends in any case."""
        return int(self._lasts.total_seconds())

    async def find(self, cookie: Secret) -> SignedIn | None:
        """The session that a cookie belongs to, if it has not ended."""
        now = self._clock()
        found = await self._database.read(_find, _digest(cookie), now, self._idle)
        if found is None:
            return None
        row, account = found
        if row.last_seen < rfc3339(now - _TOUCHED_AFTER):
            with suppress(Unavailable):  # to know when it was used is not worth a failed request
                await self._database.write(_touch, row.no, now)
        return SignedIn(account, row.no, cookie)

    def begin(self, session: Session, account: Account, device: Device) -> Secret:
        """In a transaction: begin a session and return what goes into its cookie, which nobody had before."""
        now = self._clock()
        cookie = Secret(secrets.token_urlsafe(32))
        _keep_few(session, account.no)
        row = BrowserSession(
            token_sha256=_digest(cookie),
            account_no=account.no,
            created=rfc3339(now),
            last_seen=rfc3339(now),
            expires=rfc3339(now + self._lasts),
            client=device.client,
            agent=device.agent,
        )
        session.add(row)
        note(session, account, "session.sign-in")
        return cookie

    async def of(self, account: Account) -> list[BrowserSession]:
        """The sessions of an account that have not ended, the last one used first."""
        return await self._database.read(_live, account.no, self._clock(), self._idle)

    async def end(self, signed_in: SignedIn) -> None:
        """End one session."""
        await self._database.write(_end, signed_in)

    async def end_all(self, account: Account) -> None:
        """End all sessions of an account."""
        await self._database.write(_end_all, account)

    async def sweep(self) -> None:
        """Remove what has ended by itself."""
        await self._database.write(_sweep, self._clock(), self._idle)


# -- what happens in the database --


def end_sessions(session: Session, account_no: int) -> None:
    """End all sessions of an account."""
    session.execute(delete(BrowserSession).where(BrowserSession.account_no == account_no))


def _find(session: Session, digest: str, now: datetime, idle: timedelta) -> tuple[BrowserSession, Account] | None:
    wanted = select(BrowserSession, Account).join(Account).where(BrowserSession.token_sha256 == digest)
    found = session.execute(wanted.where(*_alive(now, idle))).first()
    return found and (found[0], found[1])


def _live(session: Session, account_no: int, now: datetime, idle: timedelta) -> list[BrowserSession]:
    mine = select(BrowserSession).where(BrowserSession.account_no == account_no, *_alive(now, idle))
    return list(session.scalars(mine.order_by(BrowserSession.last_seen.desc(), BrowserSession.no.desc())))


def _alive(now: datetime, idle: timedelta) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return BrowserSession.expires > rfc3339(now), BrowserSession.last_seen > rfc3339(now - idle)


def _touch(session: Session, no: int, now: datetime) -> None:
    row = session.get(BrowserSession, no)
    if row is not None:
        row.last_seen = rfc3339(now)


def _keep_few(session: Session, account_no: int) -> None:
    mine = select(BrowserSession).where(BrowserSession.account_no == account_no)
    for row in session.scalars(mine.order_by(BrowserSession.last_seen.desc()).offset(_MOST - 1)):
        session.delete(row)


def _end(session: Session, signed_in: SignedIn) -> None:
    session.execute(delete(BrowserSession).where(BrowserSession.no == signed_in.session_no))
    note(session, signed_in.account, "session.sign-out")


def _end_all(session: Session, account: Account) -> None:
    end_sessions(session, account.no)
    note(session, account, "session.sign-out-everywhere")


def _sweep(session: Session, now: datetime, idle: timedelta) -> None:
    expires, seen = rfc3339(now), rfc3339(now - idle)
    ended = select(BrowserSession.no).where((BrowserSession.expires <= expires) | (BrowserSession.last_seen <= seen))
    session.execute(delete(BrowserSession).where(BrowserSession.no.in_(ended.limit(_SWEPT_AT_ONCE))))
