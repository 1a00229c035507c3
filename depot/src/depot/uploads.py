"""One upload, from the request to the disk: a form with the field `file`, or the body as it is.

Async, because every step waits: for the client to send, for the disk to take. At any moment an upload holds a few
hundred kilobytes, whatever its size: the next piece is not asked for before the last one is with the disk.
"""

from typing import Final

from fastapi import Request
from starlette.requests import ClientDisconnect

from depot.blobs import Arriving
from depot.forms import UploadForm
from depot.names import name_in
from holdfast import BadRequest, Invalid, TooLarge, UnsupportedMedia

_FORM_ROOM: Final = 1 << 20
"""What a form may add to its file, in bytes."""


async def receive(request: Request, file: Arriving, name: str | None) -> str:
    """Write what `request` sends to `file`, and return the sender's name for it. `name` is the one in the query.

    Raises BadRequest, Invalid, TooLarge, UnsupportedMedia, InsufficientStorage.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Send the body without a Content-Encoding; a compressed file is stored as it is.")
    length = _declared(request)
    if length is not None and length > file.limit + _FORM_ROOM:
        raise TooLarge(f"Files of at most {file.limit} bytes are taken.")
    try:
        content_type = request.headers.get("content-type", "")
        if content_type.lower().startswith("multipart/"):
            return await _form(request, file, UploadForm(content_type, length))
        return await _body(request, file, name)
    except ClientDisconnect as error:
        raise BadRequest("The upload broke off before its end.") from error


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


def _declared(request: Request) -> int | None:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None
