"""The files of an account: send, list, look at, fetch, delete.

Every handler is async, because each of them waits for the database, the disk or the client. What they wait for in the
database is a plain function of a session, below the handler that calls it.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette import responses as starlette

from depot.activity import note
from depot.answers import FileList, FileOut, problems
from depot.auth import Sender
from depot.blobs import Arriving, Blobs, Stored
from depot.database import Database
from depot.models import Account, File, Removal, now
from depot.names import disposition, kept_name
from depot.resources import Db, Store, Work
from depot.uploads import receive
from holdfast import BadRequest, NotFound, RangeNotSatisfiable, current, offload, set_action

router = APIRouter(prefix="/api/files", tags=["files"])

_BINARY: Final[dict[str, str]] = {"type": "string", "format": "binary"}
_UPLOAD_BODY: Final[dict[str, Any]] = {
    "description": "A form with the field `file`, or the file itself, of any type, with `?name=` or a "
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
    responses=problems(400, 401, 403, 413, 415, 422, 503, 507),
    openapi_extra={"requestBody": _UPLOAD_BODY},
)
async def upload(
    request: Request,
    account: Sender,
    database: Db,
    blobs: Store,
    work: Work,
    name: Annotated[str | None, Query(min_length=1, description="The file's name, where the body is the file.")] = None,
) -> FileOut:
    """Store the file and answer when it is safe on the disk. CSV and NDJSON are then read in the background."""
    set_action("file.upload")
    file = await store(partial(receive, request, name=name), account, database, blobs)
    work.wake()
    return FileOut.of(file)


async def store(
    receiving: Callable[[Arriving], Awaitable[str]], account: Account, database: Database, blobs: Blobs
) -> File:
    """Store what `receiving` writes, under the name that it returns. It is safe on the disk when this returns."""
    async with blobs.arriving() as arriving:
        name = kept_name(await receiving(arriving))
        return await database.write(_add, account, name, await arriving.finish())


def _add(session: Session, account: Account, name: str, stored: Stored) -> File:
    request = current()
    file = File(
        id=stored.id,
        account_no=account.no,
        name=name,
        size=stored.size,
        sha256=stored.sha256,
        created=now(),
        request_id=request and request.id,  # so that what happens to the file later is found under it too
    )
    session.add(file)
    note(session, account, "file.upload", file)
    return file


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
    response_class=FileResponse,
    responses={
        200: {"description": "The file as it was sent.", "content": {"application/octet-stream": {"schema": _BINARY}}},
        206: {"description": "The part of it that Range asks for."},
        **problems(400, 401, 404, 416, 503),
    },
)
async def content(file_id: str, account: Sender, database: Db, blobs: Store) -> Response:
    """The file, byte for byte, as an attachment of no type: a browser saves it and never runs or shows it."""
    set_action("file.download")
    file = await database.write(_fetch, account, file_id)
    path = blobs.path(file.id)
    try:
        stat = await offload.thread(path.stat)
    except FileNotFoundError as error:
        raise _no_file(file_id) from error
    headers = {
        "content-disposition": disposition(file.name),
        "content-security-policy": "sandbox; default-src 'none'",
        "x-content-type-options": "nosniff",
        "cache-control": "private",
        "etag": f'"{file.sha256}"',
    }
    return _Attachment(path, headers=headers, media_type="application/octet-stream", stat_result=stat)


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
    work.wake()


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


class _Attachment(FileResponse):
    """Starlette's response for files, with faults of the Range header answered as problems."""

    chunk_size = 256 * 1024

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        try:
            return super()._parse_range_header(http_range, file_size)
        except starlette.MalformedRangeHeader as error:
            raise BadRequest("The Range header cannot be understood.") from error
        except starlette.RangeNotSatisfiable as error:
            raise RangeNotSatisfiable(headers={"content-range": f"bytes */{file_size}"}) from error
