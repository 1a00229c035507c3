"""Accounts: who may use the depot, and the tokens that they prove it with.

A token is 256 random bits, so a plain SHA-256 of it is enough to keep: there is nothing to guess. The token itself is
shown once, to whoever made it, and never goes to the log.
"""

import hashlib
import secrets
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from depot.database import Database
from depot.models import Account, now
from holdfast import Conflict, NotFound, Secret

FIRST: Final = "first"
"""The name of the account that is made at the first start."""


def new_token() -> Secret:
    """A token that nobody had before and nobody can guess."""
    return Secret(f"depot_{secrets.token_urlsafe(32)}")


def digest(token: Secret) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.reveal().encode()).hexdigest()


async def owner(database: Database, token: Secret) -> Account | None:
    """The account that a token belongs to."""
    async with database.reading() as session:
        return await session.scalar(select(Account).where(Account.token_sha256 == digest(token)))


async def add(database: Database, name: str) -> Secret:
    """Make an account and return its token. Raises Conflict if the name is taken."""
    token = new_token()
    async with database.writing() as session:
        if await _named(session, name) is not None:
            raise Conflict(f"There is an account {name!r} already.")
        session.add(Account(name=name, token_sha256=digest(token), created=now()))
    return token


async def renew(database: Database, name: str) -> Secret:
    """Give an account a new token; the old one ends. Raises NotFound."""
    token = new_token()
    async with database.writing() as session:
        account = await _named(session, name)
        if account is None:
            raise NotFound(f"There is no account {name!r}.")
        account.token_sha256 = digest(token)
    return token


async def everyone(database: Database) -> list[Account]:
    """All accounts, by name."""
    async with database.reading() as session:
        return list(await session.scalars(select(Account).order_by(Account.name)))


async def ensure_first(database: Database, given: Secret | None) -> Secret | None:
    """Make the first account if there is none, with the token `given` or a new one; return a new one to be shown.

    Of several workers that start at once, one makes it: whoever is first to write.
    """
    token = given or new_token()
    async with database.writing() as session:
        if await session.scalar(select(func.count(Account.no))):
            return None
        session.add(Account(name=FIRST, token_sha256=digest(token), created=now()))
    return None if given else token


async def _named(session: AsyncSession, name: str) -> Account | None:
    return await session.scalar(select(Account).where(Account.name == name))
