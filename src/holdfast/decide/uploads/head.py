"""The head of a request, as far as uploads are concerned, and what it says in every dialect."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from holdfast.errors import BadRequest, MethodNotAllowed, UnsupportedMedia

UPLOAD_ID: Final = re.compile(r"[0-9a-f]{32}")
"""What every ID of an upload matches, whole."""
MEDIA_TYPE: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,127}/[!#$%&'*+.^_`|~0-9A-Za-z-]{1,127}")
"""What every media type matches, whole, without its parameters."""
_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_LARGEST: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Head:
    """What was asked, before any of the body is read."""

    method: str
    headers: Mapping[str, str]
    """Names in lower case; those that came several times joined by a comma and a space."""
    upload_id: str | None = None
    """Which upload was addressed; None: the place where uploads begin."""
    base: str = ""
    """The path of that place, without a slash at its end."""
    name: str | None = None
    """The client's name for the file, where the address carries one (`?name=`)."""

    def get(self, name: str) -> str | None:
        """The value of a header, without the space around it; None if it was not sent."""
        value = self.headers.get(name)
        return None if value is None else value.strip(" \t")


def head(
    method: str,
    headers: Iterable[tuple[bytes, bytes]],
    *,
    upload_id: str | None = None,
    base: str = "",
    name: str | None = None,
    http_version: str = "1.1",
) -> Head:
    """The head made of an ASGI scope's method, headers and HTTP version."""
    found: dict[str, str] = {}
    for key, value in headers:
        text, known = value.decode("latin-1"), key.decode("latin-1").lower()
        found[known] = f"{found[known]}, {text}" if known in found else text
    if http_version.startswith("1") and not {"content-length", "transfer-encoding"} & found.keys():
        found["content-length"] = "0"  # RFC 9112, 6.3: it has no body
    return Head(method.upper(), found, upload_id, base, name)


def is_upload_id(text: str) -> bool:
    """Whether `text` can be the ID of an upload: 32 hexadecimal digits in lower case."""
    return UPLOAD_ID.fullmatch(text) is not None


def number(text: str | None) -> int | None:
    """A count of bytes: decimal digits, at most 2**63 - 1. None for anything else."""
    if text is None or _NUMBER.fullmatch(text) is None:
        return None
    value = int(text)
    return value if value <= _LARGEST else None


def content_length(head: Head) -> int | None:
    """How many bytes the body has; None where the request does not say. Raises BadRequest."""
    text = head.get("content-length")
    if text is None:
        return None
    length = number(text)
    if length is None:
        raise BadRequest("Content-Length is no number of bytes.")
    return length


def media_type(head: Head) -> str | None:
    """The media type of the body in lower case, without parameters; None if there is none, or what is sent is none."""
    value = (head.get("content-type") or "").partition(";")[0].strip().lower()
    return value if MEDIA_TYPE.fullmatch(value) else None


def refuse_codings(head: Head) -> None:
    """Raise UnsupportedMedia if the body has a Content-Encoding: bytes are kept as they are, so it would be lost."""
    coding = head.get("content-encoding")
    if coding is not None and coding.lower() not in {"", "identity"}:
        raise UnsupportedMedia(
            "Send the body without a Content-Encoding; a compressed file is kept as it is.",
            headers={"accept-encoding": "identity"},
        )


def not_answered(*allowed: str) -> MethodNotAllowed:
    """The error for a method that the address does not answer; `allowed` are those that it does."""
    return MethodNotAllowed(headers={"allow": ", ".join((*allowed, "OPTIONS"))})
