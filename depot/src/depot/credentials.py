"""Whose a request is, by its head alone: for whoever has to know, in a handler or not.

A program sends the token of its account. A browser sends the cookie of its session, and with all that changes something
the proof that a page of ours sent it (`csrf`). Async, because to know takes a look into the database.
"""

from typing import Final

from fastapi import Request

from depot import accounts, csrf
from depot.database import Database
from depot.models import Account
from depot.sessions import Sessions, SignedIn
from holdfast import Secret, Unauthorised, set_actor

COOKIE: Final = "__Host-depot"
"""A browser takes a cookie of such a name only from the host itself, over TLS, for all paths."""


async def account_of(request: Request, database: Database, sessions: Sessions) -> Account:
    """The account that sends a request. Raises Unauthorised, and ForeignRequest for what only a cookie vouches for."""
    given = request.headers.get("authorization")
    account = await (_by_cookie(request, sessions) if given is None else _by_token(database, given))
    set_actor(account.name)
    return account


async def browser_of(request: Request, sessions: Sessions) -> SignedIn | None:
    """The browser that asks for a page or sends a form, if somebody is signed in there; only a cookie counts here.

    Raises ForeignRequest if another site's page sent the request; whoever reads the form checks its token.
    """
    if request.method not in csrf.SAFE:
        csrf.check_origin(request.headers)
    cookie = request.cookies.get(COOKIE)
    signed_in = None if cookie is None else await sessions.find(Secret(cookie))
    if signed_in is not None:
        set_actor(signed_in.account.name)
    return signed_in


async def _by_token(database: Database, given: str) -> Account:
    scheme, _, token = given.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorised("Send `Authorization: Bearer TOKEN`.")
    account = await database.read(accounts.owner, Secret(token.strip()))
    if account is None:
        raise Unauthorised("The token belongs to no account.")
    return account


async def _by_cookie(request: Request, sessions: Sessions) -> Account:
    cookie = request.cookies.get(COOKIE)
    if cookie is None:
        raise Unauthorised("Send `Authorization: Bearer TOKEN`, or sign in at /sign-in.")
    if request.method not in csrf.SAFE:
        csrf.check_origin(request.headers)
        csrf.check_token(Secret(cookie), request.headers.get(csrf.HEADER))
    signed_in = await sessions.find(Secret(cookie))
    if signed_in is None:
        raise Unauthorised("The session has ended: sign in again at /sign-in.")
    return signed_in.account
