"""Signing in: a name and a password become a session, or the reason why not.

Async, for it waits: for its turn, for the database, and for the thread that makes the hash. A hash takes 32 MiB and a
quarter of a second, so a process makes two at a time; a crowd waits in line, and past a length of that line is told to
come again, before anything is calculated.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy.orm import Session

from depot import accounts, attempts, passwords
from depot.database import Database
from depot.sessions import Device, Sessions
from holdfast import Secret, Unavailable, offload

_AT_ONCE: Final = 2
_IN_LINE: Final = 32

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Welcome:
    """Signed in: `name` is the account's, `cookie` the new session's."""

    name: str
    cookie: Secret


@dataclass(frozen=True, slots=True)
class Refused:
    """There is no account of that name with that password; which of the two is wrong is not told."""


@dataclass(frozen=True, slots=True)
class TooSoon:
    """After too many failures the next attempt may be made in so many seconds."""

    wait_s: float


Outcome = Welcome | Refused | TooSoon


class Doorkeeper:
    """Lets people in."""

    def __init__(self, database: Database, sessions: Sessions, clock: Callable[[], float] = time.time) -> None:
        """For the accounts in `database`. `clock` gives seconds since 1970, for all workers the same."""
        self._database = database
        self._sessions = sessions
        self._clock = clock
        self._hashing = asyncio.Semaphore(_AT_ONCE)
        self._in_line = 0

    async def sign_in(self, name: str, password: Secret, device: Device) -> Outcome:
        """Begin a session for who knows the password of `name`. Raises Unavailable if too many do so at once."""
        counted = attempts.keys(name, device.client)
        early = await self._database.read(attempts.wait, counted, self._clock())
        if early:
            logger.info("sign-in refused: too soon after failures", extra={"wait_s": round(early, 1)})
            return TooSoon(early)  # before the line, so that those who wait do not fill it
        async with self._turn():
            begun = await self._database.write(attempts.begin, counted, self._clock())
            if not isinstance(begun, attempts.Begun):
                return TooSoon(begun)
            kept = await self._database.read(_kept, name)
            if not await offload.thread(passwords.matches, kept, password) or kept is None:
                # a name that is not an account's stays out of the log: now and then it is a password
                logger.info("sign-in refused", extra={"account": None if kept is None else name})
                return Refused()
            better = None if passwords.is_current(kept) else await offload.thread(passwords.hashed, password)
            enter = partial(self._enter, name=name, kept=kept, better=better, device=device)
            return await self._database.write(enter, counted, begun)

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        if self._in_line >= _AT_ONCE + _IN_LINE:
            raise Unavailable("Too many people are signing in at this moment.", headers={"retry-after": "10"})
        self._in_line += 1
        try:
            async with self._hashing:
                yield
        finally:
            self._in_line -= 1

    def _enter(
        self,
        session: Session,
        counted: attempts.Keys,
        begun: attempts.Begun,
        *,
        name: str,
        kept: str,
        better: str | None,
        device: Device,
    ) -> Outcome:
        account = accounts.named(session, name)
        if account is None or account.password != kept:
            return Refused()  # it was given another one in between
        account.password = better or kept
        attempts.succeeded(session, counted, begun)
        return Welcome(account.name, self._sessions.begin(session, account, device))


def _kept(session: Session, name: str) -> str | None:
    account = accounts.named(session, name)
    return account and account.password
