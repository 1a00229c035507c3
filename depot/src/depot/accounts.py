"""Accounts: who may use the depot, and the tokens that they prove it with.

A token is 256 random bits, so a plain SHA-256 of it is enough to keep: there is nothing to guess. The token itself is
shown once, to whoever made it, and never goes to the log. Functions that take a session are run by `Database`.
"""

import hashlib
import secrets
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

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


def owner(session: Session, token: Secret) -> Account | None:
    """The account that a token belongs to."""
    return session.scalar(select(Account).where(Account.token_sha256 == digest(token)))


def add(session: Session, name: str) -> Secret:
    """Make an account and return its token. Raises Conflict if the name is taken."""
    if _named(session, name) is not None:
        raise Conflict(f"There is an account {name!r} already.")
    token = new_token()
    session.add(Account(name=name, token_sha256=digest(token), created=now()))
    return token


def renew(session: Session, name: str) -> Secret:
    """Give an account a new token; the old one ends. Raises NotFound."""
    account = _named(session, name)
    if account is None:
        raise NotFound(f"There is no account {name!r}.")
    token = new_token()
    account.token_sha256 = digest(token)
    return token


def names(session: Session) -> list[str]:
    """The names of all accounts, sorted."""
    return list(session.scalars(select(Account.name).order_by(Account.name)))


def ensure_first(session: Session, given: Secret | None) -> Secret | None:
    """Make the first account if there is none, with the token `given` or a new one; return a new one, to be shown.

    Of several workers that start at once, one makes it: whoever is first to write.
    """
    if session.scalar(select(func.count(Account.no))):
        return None
    token = given or new_token()
    session.add(Account(name=FIRST, token_sha256=digest(token), created=now()))
    return None if given else token


def _named(session: Session, name: str) -> Account | None:
    return session.scalar(select(Account).where(Account.name == name))
