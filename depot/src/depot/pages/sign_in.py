"""Signing in and out.

The form of the sign-in page is protected as all others are, lest somebody be signed in to a stranger's account without
noticing: there is no session yet whose token it could carry, so it has a cookie of its own.
"""

import math
import re
import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from depot import csrf
from depot.accounts import LONGEST_NAME
from depot.auth import Member, Visitor
from depot.credentials import COOKIE
from depot.errors import ForeignRequest, SignInNeeded
from depot.pages import agents
from depot.pages.destinations import granted
from depot.pages.fields import checked_fields, fields
from depot.pages.rendering import Pages, see_other
from depot.resources import Door, Look, Signed
from depot.sessions import Device
from depot.signing_in import Refused, TooSoon, Welcome
from holdfast import Secret, set_action, set_actor

_FORM_COOKIE: Final = "__Host-depot-form"
_FORM_TOKEN: Final = re.compile(r"[\w-]{43}", re.ASCII)
_WRONG: Final = "There is no account of this name with this password."
_TOO_SOON: Final = "Too many attempts failed."
_NO_COOKIE: Final = (
    "The form came without its cookie. The browser must accept cookies, and the address must begin with https://, "
    "unless it is http://127.0.0.1 or http://localhost."
)

router = APIRouter()


@router.get("/sign-in")
async def form(request: Request, visitor: Visitor, pages: Look, next: str = "") -> Response:  # noqa: A002 - its name in the address
    """The form; who is signed in already goes on at once."""
    set_action("session.form")
    if visitor is not None:
        return see_other(request, granted(next))
    return await _form(request, pages, {"next": granted(next)})


@router.post("/sign-in")
async def sign_in(request: Request, visitor: Visitor, sessions: Signed, doorkeeper: Door, pages: Look) -> Response:
    """Begin a session, always a new one, and go on to where the visitor wanted to be."""
    set_action("session.sign-in")
    filled_in = await fields(request)
    cookie = _form_cookie(request)
    if cookie is None:
        raise ForeignRequest(_NO_COOKIE)
    csrf.check_token(cookie, filled_in.get(csrf.FIELD))
    name = filled_in.get("name", "").strip()[: LONGEST_NAME + 1]
    then = granted(filled_in.get("next", ""))
    password = Secret(filled_in.get("password", ""))
    outcome = await doorkeeper.sign_in(name, password, _device(request))
    match outcome:
        case Welcome():
            set_actor(outcome.name)
            if visitor is not None:
                await sessions.end(visitor)
            answer = see_other(request, then)
            _set_cookie(answer, COOKIE, outcome.cookie, max_age=sessions.lasting_s)
            return answer
        case Refused():
            return await _form(request, pages, {"name": name, "next": then, "problem": _WRONG}, 403)
        case TooSoon():
            seconds = math.ceil(outcome.wait_s)
            given = {"name": name, "next": then, "problem": _TOO_SOON, "retry_after_s": seconds}
            answer = await _form(request, pages, given, 429)
            answer.headers["retry-after"] = str(seconds)
            return answer


@router.post("/sign-out")
async def sign_out(request: Request, member: Member, sessions: Signed) -> Response:
    """End this session."""
    set_action("session.sign-out")
    await checked_fields(request, member)
    await sessions.end(member)
    return _away(request)


@router.post("/sign-out-everywhere")
async def sign_out_everywhere(request: Request, member: Member, sessions: Signed) -> Response:
    """End all sessions of the account, this one too."""
    set_action("session.sign-out-everywhere")
    await checked_fields(request, member)
    await sessions.end_all(member.account)
    return _away(request)


async def needed(request: Request, error: Exception) -> Response:
    """Send who is not signed in to the form, and afterwards to where they wanted to be."""
    then = granted(error.then if isinstance(error, SignInNeeded) else "")
    return see_other(request, f"/sign-in?{urlencode({'next': then})}")


async def _form(request: Request, pages: Pages, given: Mapping[str, object], status: int = 200) -> Response:
    cookie = _form_cookie(request) or Secret(secrets.token_urlsafe(32))
    shown = {"name": "", "problem": None, "retry_after_s": None, "page": "sign-in", **given}
    answer = await pages.page(request, "sign_in.html", None, status=status, csrf=csrf.token_for(cookie), **shown)
    _set_cookie(answer, _FORM_COOKIE, cookie)
    return answer


def _form_cookie(request: Request) -> Secret | None:
    cookie = request.cookies.get(_FORM_COOKIE, "")
    return Secret(cookie) if _FORM_TOKEN.fullmatch(cookie) else None


def _set_cookie(answer: Response, name: str, value: Secret, max_age: int | None = None) -> None:
    answer.set_cookie(name, value.reveal(), max_age, path="/", secure=True, httponly=True, samesite="lax")


def _away(request: Request) -> Response:
    answer = see_other(request, "/sign-in")
    answer.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return answer


def _device(request: Request) -> Device:
    client = request.client.host if request.client else "unknown"
    return Device(client, agents.short(request.headers.get("user-agent", "")))
