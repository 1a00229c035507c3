"""The page of what an account did."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from depot.auth import Member
from depot.models import Activity
from depot.pages.views import Done
from depot.resources import Db, Look
from holdfast import set_action

_A_PAGE: Final = 50

router = APIRouter()


@router.get("/activity")
async def list_activity(
    request: Request,
    member: Member,
    database: Db,
    pages: Look,
    after: Annotated[int | None, Query(ge=1, lt=1 << 63)] = None,
) -> Response:
    """What the account did, the newest first."""
    set_action("activity.list")
    found = await database.read(_page, member.account.no, after)
    shown = found[:_A_PAGE]
    items = [Done(one.at, one.action, one.name, one.file_id, one.request_id) for one in shown]
    next_page = shown[-1].no if len(found) > _A_PAGE else None
    return await pages.page(request, "activity.html", member, items=items, next=next_page, after=after)


def _page(session: Session, account_no: int, after: int | None) -> list[Activity]:
    wanted = select(Activity).where(Activity.account_no == account_no)
    if after is not None:
        wanted = wanted.where(Activity.no < after)
    return list(session.scalars(wanted.order_by(Activity.no.desc()).limit(_A_PAGE + 1)))
