"""The pages of files: all, one, sending without a script, deleting."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.types import Scope

from depot import csrf, files
from depot.answers import FileOut
from depot.auth import Member
from depot.credentials import browser_of
from depot.errors import SignInNeeded
from depot.models import Account
from depot.pages.fields import checked_fields
from depot.pages.rendering import see_other
from depot.resources import Chosen, Db, Incoming, Look, Signed, Work
from depot.sessions import SignedIn
from holdfast import NotFound, UnsupportedMedia, set_action, uploads

_A_PAGE = 25

After = Annotated[int | None, Query(ge=1, lt=1 << 63)]

router = APIRouter(prefix="/files")


@router.get("")
async def list_files(
    request: Request,
    member: Member,
    database: Db,
    pages: Look,
    chosen: Chosen,
    after: After = None,
    sent: str | None = None,
) -> Response:
    """The newest files, or those after `after`; `sent` is the ID of one that has just come in."""
    set_action("file.list")
    found = await database.read(files.page, member.account, after, _A_PAGE + 1)
    shown = found[:_A_PAGE]
    return await pages.page(
        request,
        "files.html",
        member,
        files=[FileOut.listed(file) for file in shown],
        next=shown[-1].no if len(found) > _A_PAGE else None,
        after=after,
        max_bytes=chosen.max_file_mb << 20,
        sent=await database.read(_name, member.account, sent) if sent else None,
    )


def _name(session: Session, account: Account, file_id: str) -> str | None:
    try:
        return files.owned(session, account, file_id).name
    except NotFound:
        return None  # somebody has written the address by hand, or deleted the file


@router.post("")
async def upload(
    request: Request,
    member: Member,
    database: Db,
    incoming: Incoming,
    sessions: Signed,
    work: Work,
    afterwards: BackgroundTasks,
) -> Response:
    """Send files by a plain form. It is the API's way with another answer."""
    set_action("file.upload")

    async def authorise(_: Scope) -> str:
        found = await browser_of(request, sessions)
        if found is None:
            raise SignInNeeded("")
        return found.account.name

    taken = await incoming.take(request.scope, request.receive, authorise=authorise, check=partial(_check, member))
    afterwards.add_task(work.spread)
    sent = await files.arrived(database, member.account, taken)
    return see_other(request, f"/files?sent={sent[0].id}" if len(sent) == 1 else "/files")


def _check(member: SignedIn, offered: uploads.Offered) -> None:
    if offered.field is None:
        raise UnsupportedMedia("Send the form as multipart/form-data.")
    csrf.check_token(member.cookie, offered.fields.get(csrf.FIELD))
    files.check(offered)


@router.get("/{file_id}")
async def show(request: Request, file_id: str, member: Member, database: Db, pages: Look) -> Response:
    """One file: how far it was read, and what was wrong in it."""
    set_action("file.show")
    file = await database.read(files.owned, member.account, file_id)
    return await pages.page(request, "file.html", member, page="files", file=FileOut.of(file))


@router.post("/{file_id}/delete")
async def delete(request: Request, file_id: str, member: Member, database: Db, work: Work) -> Response:
    """Delete a file with its records."""
    set_action("file.delete")
    await checked_fields(request, member)
    await database.write(files.delete, member.account, file_id)
    work.set()
    return see_other(request, "/files")
