"""Accounts: who may use the depot, and the tokens and passwords that they prove it with.

A token is 256 random bits, so a plain SHA-256 of it is enough to keep: there is nothing to guess. A password can be
guessed, so what is kept of it is expensive to make (`passwords`). Either is shown once, to whoever made it, and never
goes to the log. Functions that take a session are run by `Database`.
"""

import hashlib
import secrets
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from depot.models import Account, now
from depot.sessions import end_sessions
from holdfast import Conflict, Invalid, NotFound, Secret

FIRST: Final = "first"
"""The name of the account that is made at the first start."""
LONGEST_NAME: Final = 255


def new_token() -> Secret:
    """A token that nobody had before and nobody can guess."""
    return Secret(f"depot_{secrets.token_urlsafe(32)}")


def digest(token: Secret) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.reveal().encode()).hexdigest()


def owner(session: Session, token: Secret) -> Account | None:
    """The account that a token belongs to."""
    return session.scalar(select(Account).where(Account.token_sha256 == digest(token)))


def named(session: Session, name: str) -> Account | None:
    """The account of that name."""
    return session.scalar(select(Account).where(Account.name == name))


def add(session: Session, name: str, password: str) -> Secret:
    """Make an account with a hash of its password, and return its token.

    Raises Invalid for a name that cannot be typed on the sign-in page, Conflict if it is taken.
    """
    if not name or name != name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise Invalid(f"A name has 1 to {LONGEST_NAME} characters that can be seen, and no space around them.")
    if named(session, name) is not None:
        raise Conflict(f"There is an account {name!r} already.")
    token = new_token()
    session.add(Account(name=name, token_sha256=digest(token), created=now(), password=password))
    return token


def renew(session: Session, name: str) -> Secret:
    """Give an account a new token; the old one ends. Raises NotFound."""
    token = new_token()
    _existing(session, name).token_sha256 = digest(token)
    return token


def set_password(session: Session, name: str, password: str) -> None:
    """Give an account the hash of a new password, and sign it out everywhere. Raises NotFound."""
    account = _existing(session, name)
    account.password = password
    end_sessions(session, account.no)


def names(session: Session) -> list[tuple[str, bool]]:
    """The names of all accounts, sorted, and whether each has a password."""
    found = session.execute(select(Account.name, Account.password.is_not(None)).order_by(Account.name))
    return [(name, has_password) for name, has_password in found]


def any_there(session: Session) -> bool:
    """Whether there is an account."""
    return session.scalar(select(Account.no).limit(1)) is not None


def any_with_password(session: Session) -> bool:
    """Whether somebody can sign in."""
    return session.scalar(select(Account.no).where(Account.password.is_not(None)).limit(1)) is not None


def make_first(session: Session, token: Secret, password: str) -> bool:
    """Make the first account if there is none; whether it did.

    Of several workers that start at once, one makes it: whoever is first to write.
    """
    if any_there(session):
        return False
    session.add(Account(name=FIRST, token_sha256=digest(token), created=now(), password=password))
    return True


def _existing(session: Session, name: str) -> Account:
    account = named(session, name)
    if account is None:
        raise NotFound(f"There is no account {name!r}.")
    return account
