"""The metadata of tus: `Upload-Metadata: filename ZG9jLnR4dA==,filetype dGV4dC9wbGFpbg==,flag`."""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Final, NamedTuple

from holdfast.decide.names import kept_name
from holdfast.decide.uploads.head import MEDIA_TYPE
from holdfast.errors import BadRequest

MOST_BYTES: Final = 8_192
MOST_PAIRS: Final = 64
_PAIR: Final = re.compile(r"([!-+\--~]{1,128})(?: ([A-Za-z0-9+/]*={0,2}))?")


class Metadata(NamedTuple):
    """What is used of it, and the whole as it was."""

    name: str | None
    media_type: str | None
    raw: str


def metadata(text: str | None) -> Metadata:
    """What the client says of the file: `filename` and `filetype`, or `name` and `type`. Raises BadRequest."""
    text = (text or "").strip(" \t")
    values = pairs(text)
    name = values.get("filename") or values.get("name")
    kind = (values.get("filetype") or values.get("type") or b"").decode("latin-1").partition(";")[0].strip().lower()
    return Metadata(
        kept_name(name.decode("utf-8", "replace")) if name else None,
        kind if MEDIA_TYPE.fullmatch(kind) else None,
        text,
    )


def pairs(text: str) -> Mapping[str, bytes]:
    """The keys with their values, decoded. Raises BadRequest if it is not well-formed, or too much."""
    found: dict[str, bytes] = {}
    if not text:
        return found
    if len(text) > MOST_BYTES or text.count(",") >= MOST_PAIRS:
        raise BadRequest(f"Upload-Metadata has more than {MOST_BYTES} bytes or {MOST_PAIRS} pairs.")
    for part in text.split(","):
        pair = _PAIR.fullmatch(part.strip(" \t"))
        if pair is None or pair[1] in found:
            raise BadRequest("Upload-Metadata is not made of pairs of a key, once each, and a base64 value.")
        try:
            found[pair[1]] = b64decode(pair[2] or "", validate=True)
        except binascii.Error:
            raise BadRequest("A value in Upload-Metadata is not base64.") from None
    return found
