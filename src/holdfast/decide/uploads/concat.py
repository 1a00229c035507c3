"""The concatenation of tus: `Upload-Concat: partial`, or `final;/files/a /files/b`."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from holdfast.decide.uploads.head import is_upload_id
from holdfast.decide.uploads.vocabulary import Kind
from holdfast.errors import BadRequest

_MOST: Final = 10_000
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,255}(?=/)")
# No segment begins with a dot, and none is percent-encoded: nothing climbs, and nothing is hidden.
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")


class Concat(NamedTuple):
    """What the upload is, and the IDs of what it is made of."""

    kind: Kind
    parts: tuple[str, ...] = ()


def concat(text: str | None, base: str) -> Concat:
    """What `Upload-Concat` says. Every part must be an upload below `base`, our own path. Raises BadRequest."""
    if text is None:
        return Concat(Kind.WHOLE)
    if text == "partial":
        return Concat(Kind.PARTIAL)
    word, semicolon, urls = text.partition(";")
    found = urls.split(" ")
    if word != "final" or not semicolon or len(found) > _MOST:
        raise BadRequest("Upload-Concat is neither `partial` nor `final;` with addresses of uploads.")
    return Concat(Kind.FINAL, tuple(_upload_id(url, base) for url in found))


def written(kind: Kind, parts: Sequence[str], base: str) -> str | None:
    """`Upload-Concat` for an upload; None for one that is neither partial nor final."""
    if kind is Kind.PARTIAL:
        return "partial"
    return "final;" + " ".join(f"{base}/{part}" for part in parts) if kind is Kind.FINAL else None


def _upload_id(url: str, base: str) -> str:
    """The ID in the address of an upload. A path before `base` is a proxy's; which host it names does not matter."""
    origin = _ORIGIN.match(url)
    place, _, upload_id = url[origin.end() if origin else 0 :].rpartition("/")
    prefix = place.removesuffix(base)
    known = place.endswith(base) and _PREFIX.fullmatch(prefix) is not None
    if not known or not is_upload_id(upload_id):
        raise BadRequest("Upload-Concat names an address that is none of an upload here.")
    return upload_id
