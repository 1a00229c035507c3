"""The page of records: all, or those in which something is found."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from depot import files
from depot.answers import FileOut
from depot.auth import Member
from depot.batches import Found, Place
from depot.models import READY, Account, File
from depot.pages.views import Row
from depot.resources import Db, Look, Searching
from depot.search import Fields, fields
from holdfast import offload, set_action

_A_PAGE: Final = 50
_FILES: Final = 100
_FIELDS_SHOWN: Final = 200
_VALUE_SHOWN: Final = 2_000
_ROW_SHOWN: Final = 20_000

router = APIRouter()


@router.get("/records")
async def list_records(
    request: Request,
    member: Member,
    database: Db,
    search: Searching,
    pages: Look,
    q: Annotated[str, Query(max_length=200)] = "",
    file: Annotated[str, Query(max_length=64)] = "",
    after: Annotated[str, Query(pattern=r"^(\d{1,18}\.\d{1,18})?$")] = "",
) -> Response:
    """Records in their order, from the place `after`, those with `q` in a value; of one file, or of all."""
    set_action("record.search" if q.strip() else "record.list")
    only = await database.read(files.owned, member.account, file) if file else None
    hits = await search.find(member.account, q.strip(), _place(after), only and only.no, _A_PAGE)
    return await pages.page(
        request,
        "records.html",
        member,
        q=q.strip(),
        file=only and FileOut.listed(only),
        rows=await offload.thread(_rows, hits.found),
        next=hits.next and f"{hits.next.file_no}.{hits.next.row}",
        after=after,
        searched=hits.searched,
        more=hits.next is not None and not hits.full,
        files=await database.read(_ready, member.account),
    )


def _place(after: str) -> Place:
    file_no, _, row = after.partition(".")
    return Place(int(file_no), int(row)) if after else Place()


def _ready(session: Session, account: Account) -> list[FileOut]:
    """The newest files that have records to choose from."""
    wanted = select(File).where(File.account_no == account.no, File.state == READY)
    return [FileOut.listed(file) for file in session.scalars(wanted.order_by(File.no.desc()).limit(_FILES))]


def _rows(found: list[Found]) -> list[Row]:
    return [Row(one.file_id, one.file_name, one.row, shown(fields(one.data))) for one in found]


def shown(record: Fields) -> Fields:
    """What of a record a page shows: all of it, but for one that would fill a book."""
    kept: Fields = []
    room = _ROW_SHOWN
    for name, value in record[:_FIELDS_SHOWN]:
        length = min(_VALUE_SHOWN, room)
        kept.append((name, value if len(value) <= length else f"{value[:length]}…"))
        room -= min(len(value), length)
    left_out = len(record) - len(kept)
    return [*kept, ("…", f"{left_out} more fields are in the report")] if left_out else kept
