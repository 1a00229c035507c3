"""The fields of a small form."""

from typing import Final
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.requests import ClientDisconnect

from depot import csrf
from depot.sessions import SignedIn
from holdfast import BadRequest, TooLarge, UnsupportedMedia

_MOST_BYTES: Final = 16 * 1024
_MOST_FIELDS: Final = 32
_TYPE: Final = "application/x-www-form-urlencoded"


async def fields(request: Request) -> dict[str, str]:
    """What was filled in; of fields of one name the last counts. Async, for it waits for the client.

    Raises UnsupportedMedia, TooLarge, BadRequest.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise UnsupportedMedia(f"Send the form as {_TYPE}.")
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise TooLarge(f"This form has at most {_MOST_BYTES} bytes.")
    except ClientDisconnect as error:
        raise BadRequest("The form broke off before its end.") from error
    try:
        filled_in = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise BadRequest("The form cannot be read.") from error
    return dict(filled_in)


async def checked_fields(request: Request, signed_in: SignedIn) -> dict[str, str]:
    """As `fields`, of a form that a page of ours sent. Raises ForeignRequest."""
    found = await fields(request)
    csrf.check_token(signed_in.cookie, found.get(csrf.FIELD))
    return found
