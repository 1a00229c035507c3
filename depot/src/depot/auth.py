"""Who sends a request. FastAPI runs this before the handler, so that nobody unknown gets a byte stored.

A program sends the token of its account. A browser sends the cookie of its session, and with all that changes something
the proof that a page of ours sent it (`csrf`).
"""

from typing import Annotated, Final

from fastapi import Depends, Request, Response
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from depot import accounts, csrf
from depot.database import Database
from depot.errors import SignInNeeded
from depot.models import Account
from depot.resources import Db, Signed
from depot.sessions import Sessions, SignedIn
from holdfast import Secret, Unauthorised, set_actor

COOKIE: Final = "__Host-depot"
"""A browser takes a cookie of such a name only from the host itself, over TLS, for all paths."""

_bearer = HTTPBearer(auto_error=False, description="The token of an account: `python -m depot accounts add NAME`.")
_cookie = APIKeyCookie(
    name=COOKIE,
    auto_error=False,
    scheme_name="Session",
    description="The session of a browser that is signed in. Requests that change something also need the header "
    f"`{csrf.HEADER}` with what the page's `csrf-token` says. Where there is an Authorization, that alone counts.",
)


async def sender(
    request: Request,
    response: Response,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
    database: Db,
    sessions: Signed,
) -> Account:
    """The account that sends the request. Async, because it waits for the database.

    Raises Unauthorised, and ForeignRequest for what only a cookie vouches for.
    """
    if "authorization" in request.headers:
        account = await _by_token(database, credentials)
    else:
        account = (await _by_cookie(request, sessions, cookie)).account
        response.headers["cache-control"] = "no-store"  # the browser may be the next one's in a minute
    set_actor(account.name)
    return account


async def _by_token(database: Database, credentials: HTTPAuthorizationCredentials | None) -> Account:
    if credentials is None:
        raise Unauthorised("Send `Authorization: Bearer TOKEN`.")
    account = await database.read(accounts.owner, Secret(credentials.credentials))
    if account is None:
        raise Unauthorised("The token belongs to no account.")
    return account


async def _by_cookie(request: Request, sessions: Sessions, cookie: str | None) -> SignedIn:
    if cookie is None:
        raise Unauthorised("Send `Authorization: Bearer TOKEN`, or sign in at /sign-in.")
    if request.method not in csrf.SAFE:
        csrf.check_origin(request.headers)
        csrf.check_token(Secret(cookie), request.headers.get(csrf.HEADER))
    signed_in = await sessions.find(Secret(cookie))
    if signed_in is None:
        raise Unauthorised("The session has ended: sign in again at /sign-in.")
    return signed_in


Sender = Annotated[Account, Depends(sender)]


# -- pages --


async def visitor(request: Request, sessions: Signed) -> SignedIn | None:
    """Who looks at a page, if it is somebody that is signed in; only a cookie counts here.

    Raises ForeignRequest if another site's page sent the request; whoever reads the form checks its token.
    """
    if request.method not in csrf.SAFE:
        csrf.check_origin(request.headers)
    cookie = request.cookies.get(COOKIE)
    signed_in = None if cookie is None else await sessions.find(Secret(cookie))
    if signed_in is not None:
        set_actor(signed_in.account.name)
    return signed_in


Visitor = Annotated[SignedIn | None, Depends(visitor)]


async def member(request: Request, visitor: Visitor) -> SignedIn:
    """Who looks at a page that is for those who are signed in. Raises SignInNeeded, ForeignRequest."""
    if visitor is None:
        there = request.url.path if request.method in csrf.SAFE else ""
        raise SignInNeeded(f"{there}?{request.url.query}" if there and request.url.query else there)
    return visitor


Member = Annotated[SignedIn, Depends(member)]
