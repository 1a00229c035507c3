"""Which bytes of a file a request asks for (RFC 9110, section 14). Pure functions."""

import re
from typing import Final, NamedTuple

from holdfast.errors import BadRequest, RangeNotSatisfiable

_RANGES: Final = re.compile(r"bytes=[ \t]*(.+)", re.IGNORECASE)
_RANGE: Final = re.compile(r"([0-9]{0,18})-([0-9]{0,18})")


class Part(NamedTuple):
    """A part of a file."""

    start: int
    end: int
    """The first byte that is not in it."""


def asked(header: str | None, size: int, *, still_valid: bool = True) -> Part | None:
    """The part of a file of `size` bytes that a Range header asks for; None for the whole.

    The whole is also the answer to more than one range, and where If-Range names what the file is not (`still_valid`).
    Raises BadRequest, RangeNotSatisfiable.
    """
    if header is None or not still_valid:
        return None
    ranges = _RANGES.fullmatch(header.strip())
    if ranges is None:
        raise BadRequest("The Range header cannot be understood.")
    found = [_RANGE.fullmatch(one.strip()) for one in ranges[1].split(",")]
    parts = [_part(one[1], one[2], size) for one in found if one is not None and one[0] != "-"]
    if len(parts) != len(found):
        raise BadRequest("The Range header cannot be understood.")
    if len(parts) > 1:
        return None
    if parts[0].start >= parts[0].end:
        raise RangeNotSatisfiable(headers={"content-range": f"bytes */{size}"})
    return parts[0]


def _part(first: str, last: str, size: int) -> Part:
    if not first:
        return Part(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        raise BadRequest("A range ends before it begins.")
    return Part(int(first), min(size, int(last) + 1) if last else size)
