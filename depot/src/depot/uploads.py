"""One upload, from the request to the disk: a form with the field `file`, or the body as it is.

Async, because every step waits: for the client to send, for the disk to take. At any moment an upload holds a few
hundred kilobytes, whatever its size: the next piece is not asked for before the last one is with the disk.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from fastapi import Request
from starlette.requests import ClientDisconnect

from depot.blobs import Arriving
from depot.forms import Check, UploadForm
from depot.names import name_in
from holdfast import BadRequest, Invalid, TooLarge, UnsupportedMedia

_FORM_ROOM: Final = 1 << 20
"""What a form may add to its file, in bytes."""


async def receive(request: Request, file: Arriving, name: str | None) -> str:
    """Write what `request` sends to `file`, and return the sender's name for it. `name` is the one in the query.

    Raises BadRequest, Invalid, TooLarge, UnsupportedMedia, InsufficientStorage.
    """
    length = _acceptable(request, file)
    content_type = request.headers.get("content-type", "")
    with _breaking_off_explained():
        if content_type.lower().startswith("multipart/"):
            return await _form(request, file, UploadForm(content_type, length))
        return await _body(request, file, name)


async def receive_form(request: Request, file: Arriving, check: Check) -> str:
    """As `receive`, of a form alone, with nothing written before `check` has seen the fields that precede the file."""
    form = UploadForm(request.headers.get("content-type", ""), _acceptable(request, file), check)
    with _breaking_off_explained():
        return await _form(request, file, form)


async def _form(request: Request, file: Arriving, form: UploadForm) -> str:
    async for chunk in request.stream():
        for piece in form.feed(chunk):
            await file.write(piece)
    return form.finish()


async def _body(request: Request, file: Arriving, name: str | None) -> str:
    name = name or name_in(request.headers.get("content-disposition", ""))
    if not name:
        raise Invalid("The file has no name: send `?name=` or a Content-Disposition with a filename.")
    async for chunk in request.stream():
        await file.write(chunk)
    return name


def _acceptable(request: Request, file: Arriving) -> int | None:
    """The length that the request declares. Raises TooLarge, UnsupportedMedia."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Send the body without a Content-Encoding; a compressed file is stored as it is.")
    declared = request.headers.get("content-length", "")
    length = int(declared) if declared.isascii() and declared.isdigit() else None
    if length is not None and length > file.limit + _FORM_ROOM:
        raise TooLarge(f"Files of at most {file.limit} bytes are taken.")
    return length


@contextmanager
def _breaking_off_explained() -> Generator[None]:
    try:
        yield
    except ClientDisconnect as error:
        raise BadRequest("The upload broke off before its end.") from error
