"""The files of an account: send, list, look at, fetch, delete.

Every handler is async, because each of them waits for the database, the store or the client. What they wait for in the
database is a plain function of a session, below the handler that calls it.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, BackgroundTasks, Query, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from depot import downloads
from depot.activity import note
from depot.answers import FileList, FileOut, problems
from depot.auth import DESCRIBED, Sender
from depot.database import Database
from depot.models import Account, File, Removal
from depot.resources import Db, Incoming, Store, Work
from holdfast import Invalid, NotFound, exports, set_action, uploads

router = APIRouter(prefix="/api/files", tags=["files"], dependencies=DESCRIBED)

_FIELD: Final = "file"

_BINARY: Final[dict[str, str]] = {"type": "string", "format": "binary"}
_UPLOAD_BODY: Final[dict[str, Any]] = {
    "description": "A form with one or more fields `file`, or the file itself, of any type, with `?name=` or a "
    "Content-Disposition that names it.",
    "required": False,  # an empty body is an empty file
    "content": {
        "multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": {"file": _BINARY}}},
        "application/octet-stream": {"schema": _BINARY},
    },
}


@router.post(
    "",
    status_code=201,
    summary="Send a file",
    response_description="The file; of a form with several files, a list of them.",
    responses=problems(400, 401, 403, 413, 415, 422, 429, 503, 507),
    openapi_extra={"requestBody": _UPLOAD_BODY},
)
async def upload(
    request: Request,
    account: Sender,
    database: Db,
    incoming: Incoming,
    work: Work,
    afterwards: BackgroundTasks,
    name: Annotated[str | None, Query(min_length=1, description="The file's name, where the body is the file.")] = None,
) -> FileOut | FileList:
    """Store the file and answer when it is safe. CSV and NDJSON are then read in the background."""
    taken = await incoming.take(request.scope, request.receive, name=name, check=check)
    afterwards.add_task(work.spread)
    files = [FileOut.sent(file) for file in await arrived(database, account, taken)]
    return files[0] if len(files) == 1 else FileList(items=files, next=None)


async def arrived(database: Database, account: Account, taken: Sequence[uploads.Upload]) -> list[File]:
    """The files that came of a request. Raises Invalid if it brought none, NotFound if they are gone already."""
    if not taken:
        raise Invalid(f"The form has no file in a field named {_FIELD!r}.")
    return [await database.read(owned, account, upload.result or upload.id) for upload in taken]


def check(offered: uploads.Offered) -> None:
    """Raises Invalid for a file that the API does not take as it is sent."""
    if offered.field not in {None, _FIELD}:
        raise Invalid(f"The form has a file in the field {str(offered.field)[:64]!r}; send it in {_FIELD!r}.")
    if offered.name is None:
        raise Invalid("The file has no name: send `?name=`, or a filename in the Content-Disposition.")


@router.get("", summary="List files, the newest first", responses=problems(401, 422, 503))
async def list_files(
    account: Sender,
    database: Db,
    after: Annotated[int | None, Query(ge=1, lt=1 << 63, description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> FileList:
    """A page of the account's files. The order is that of arrival, so that pages neither repeat nor skip one."""
    set_action("file.list")
    found = await database.read(page, account, after, limit + 1)
    files = found[:limit]
    return FileList(items=[FileOut.listed(file) for file in files], next=files[-1].no if len(found) > limit else None)


def page(session: Session, account: Account, after: int | None, limit: int) -> list[File]:
    """The newest files of an account, or the newest of those that came before the one with the number `after`."""
    wanted = select(File).where(File.account_no == account.no)
    if after is not None:
        wanted = wanted.where(File.no < after)
    return list(session.scalars(wanted.order_by(File.no.desc()).limit(limit)))


@router.get("/{file_id}", summary="Look at a file", responses=problems(401, 404, 503))
async def show(file_id: str, account: Sender, database: Db) -> FileOut:
    """What is known of the file: how far it was read, and what was wrong in it."""
    set_action("file.show")
    return FileOut.of(await database.read(owned, account, file_id))


@router.get(
    "/{file_id}/content",
    summary="Fetch a file",
    response_class=Response,
    response_model=None,
    responses={
        200: {"description": "The file as it was sent.", "content": {"application/octet-stream": {"schema": _BINARY}}},
        206: {"description": "The part of it that Range asks for."},
        304: {"description": "It is as the client has it already."},
        **problems(400, 401, 404, 416, 503),
    },
)
async def content(file_id: str, account: Sender, database: Db, blobs: Store) -> exports.Download:
    """The file, byte for byte, as an attachment of no type: a browser saves it and never runs or shows it."""
    set_action("file.download")
    file = await database.write(_fetch, account, file_id)
    if await blobs.size(file.id) is None:
        raise _no_file(file_id)
    return downloads.answer(file, blobs)


def _fetch(session: Session, account: Account, file_id: str) -> File:
    file = owned(session, account, file_id)
    note(session, account, "file.download", file)
    return file


@router.delete(
    "/{file_id}",
    status_code=204,
    summary="Delete a file",
    response_class=Response,
    responses=problems(401, 403, 404, 503),
)
async def remove(file_id: str, account: Sender, database: Db, work: Work) -> None:
    """Delete the file with its records. They are out of sight at once; the space is free a little later."""
    set_action("file.delete")
    await database.write(delete, account, file_id)
    work.set()


def delete(session: Session, account: Account, file_id: str) -> None:
    """Delete a file of an account; its content and its records are removed later. Raises NotFound."""
    file = owned(session, account, file_id)
    session.add(Removal(file_no=file.no, file_id=file.id))
    note(session, account, "file.delete", file)
    session.delete(file)


def owned(session: Session, account: Account, file_id: str) -> File:
    """The file of that ID. Raises NotFound if there is none, and in the same words if it is another account's."""
    file = session.scalar(select(File).where(File.id == file_id, File.account_no == account.no))
    if file is None:
        raise _no_file(file_id)
    return file


def _no_file(file_id: str) -> NotFound:
    return NotFound(f"There is no file {file_id[:64]!r}.")
