"""The mark at the end of an export: how many rows there were, and the SHA-256 of everything before that sum.

CSV and NDJSON look whole wherever they are cut between two lines. With the mark a reader sees that nothing is missing.
"""

import re
from typing import Final, NamedTuple

LONGEST: Final = 256
"""Bytes that a mark has at most."""
_MARK: Final = re.compile(
    rb'\{"_end":\{"rows":(?P<ndjson_rows>[0-9]{1,19}),"sha256":"(?P<ndjson_sum>[0-9a-f]{64})"\}\}\n'
    rb"|#end,rows=(?P<csv_rows>[0-9]{1,19}),sha256=(?P<csv_sum>[0-9a-f]{64})\n"
)


class End(NamedTuple):
    """What a mark says."""

    rows: int
    sha256: str
    """Of all bytes before it, the number of rows among them, in hexadecimal."""


class Mark(NamedTuple):
    """A mark that was found."""

    size: int
    """How many bytes it takes."""
    summed: int
    """How many of them, from its beginning, the sum is also of."""
    end: End


def begun(form: str, rows: int) -> bytes:
    """The mark of an export in the format called `form`, csv or ndjson, as far as the sum, which is of this as well."""
    return f"#end,rows={rows},sha256=".encode() if form == "csv" else f'{{"_end":{{"rows":{rows},"sha256":"'.encode()


def ended(form: str, sha256: str) -> bytes:
    """The rest of it."""
    return f"{sha256}\n".encode() if form == "csv" else f'{sha256}"}}}}\n'.encode()


def end_of(last: bytes) -> Mark | None:
    """The mark at the end of `last`, the last bytes of an export; None where there is none."""
    start = max(last.rfind(b'{"_end":'), last.rfind(b"#end,"))
    found = _MARK.fullmatch(last, start) if start >= 0 else None
    if found is None or (start and last[start - 1 : start] != b"\n"):
        return None
    form = "csv" if found["ndjson_sum"] is None else "ndjson"
    end = End(int(found[f"{form}_rows"]), found[f"{form}_sum"].decode())
    return Mark(len(last) - start, found.start(f"{form}_sum") - start, end)
