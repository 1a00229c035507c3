"""The mark at the end of an export: how many rows there were, and the SHA-256 of everything before it.

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
    """Of all bytes before the mark, in hexadecimal."""


def marked(form: str, rows: int, sha256: str) -> bytes:
    """The mark of an export in the format called `form`, csv or ndjson."""
    if form == "csv":
        return f"#end,rows={rows},sha256={sha256}\n".encode()
    return f'{{"_end":{{"rows":{rows},"sha256":"{sha256}"}}}}\n'.encode()


def end_of(last: bytes) -> tuple[int, End] | None:
    """How many bytes the mark takes at the end of `last`, the last bytes of an export, and what it says; or None."""
    start = max(last.rfind(b'{"_end":'), last.rfind(b"#end,"))
    found = _MARK.fullmatch(last, start) if start >= 0 else None
    if found is None or (start and last[start - 1 : start] != b"\n"):
        return None
    rows = found["ndjson_rows"] or found["csv_rows"]
    digest: bytes = found["ndjson_sum"] or found["csv_sum"]
    return len(last) - start, End(int(rows), digest.decode())
