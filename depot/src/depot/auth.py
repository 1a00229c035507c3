"""Who sends a request, as a parameter. FastAPI finds it before the handler runs, so that nobody unknown gets anything.

The rules are in `credentials`.
"""

from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.security import APIKeyCookie, HTTPBearer

from depot import csrf
from depot.credentials import COOKIE, account_of, browser_of
from depot.errors import SignInNeeded
from depot.models import Account
from depot.resources import Db, Signed
from depot.sessions import SignedIn

# These two are for the description of the API.
_bearer = HTTPBearer(auto_error=False, description="The token of an account: `python -m depot accounts add NAME`.")
_cookie = APIKeyCookie(
    name=COOKIE,
    auto_error=False,
    scheme_name="Session",
    description="The session of a browser that is signed in. Requests that change something also need the header "
    f"`{csrf.HEADER}` with what the page's `csrf-token` says. Where there is an Authorization, that alone counts.",
)


async def sender(request: Request, response: Response, database: Db, sessions: Signed) -> Account:
    """The account that sends the request. Raises Unauthorised, ForeignRequest."""
    account = await account_of(request, database, sessions)
    if "authorization" not in request.headers:
        response.headers["cache-control"] = "no-store"  # the browser may be the next one's in a minute
    return account


Sender = Annotated[Account, Depends(sender)]
DESCRIBED = (Depends(_bearer), Depends(_cookie))
"""What a router of the API declares, so that its description says how to send one's credentials."""


# -- pages --


async def visitor(request: Request, sessions: Signed) -> SignedIn | None:
    """Who looks at a page, if it is somebody that is signed in. Raises ForeignRequest."""
    return await browser_of(request, sessions)


Visitor = Annotated[SignedIn | None, Depends(visitor)]


async def member(request: Request, visitor: Visitor) -> SignedIn:
    """Who looks at a page that is for those who are signed in. Raises SignInNeeded, ForeignRequest."""
    if visitor is None:
        there = request.url.path if request.method in csrf.SAFE else ""
        raise SignInNeeded(f"{there}?{request.url.query}" if there and request.url.query else there)
    return visitor


Member = Annotated[SignedIn, Depends(member)]
