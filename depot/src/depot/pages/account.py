"""The page of an account: where it is signed in."""

from fastapi import APIRouter, Request, Response

from depot.auth import Member
from depot.pages.views import Place
from depot.resources import Look, Signed
from holdfast import set_action

router = APIRouter()


@router.get("/account")
async def show(request: Request, member: Member, sessions: Signed, pages: Look) -> Response:
    """The browsers in which the account is signed in."""
    set_action("account.show")
    places = [
        Place(one.created, one.last_seen, one.client, one.agent, current=one.no == member.session_no)
        for one in await sessions.of(member.account)
    ]
    return await pages.page(request, "account.html", member, sessions=places)
