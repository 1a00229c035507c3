"""Rows to bytes: CSV and NDJSON. Pure calculation: it runs in a thread, a batch at a time."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

Row = Sequence[Any]
Encode = Callable[[Sequence[Row]], bytes]
"""Turns a batch of rows into bytes."""

_json: Final = msgspec.json.Encoder()


def csv_encoder(columns: Sequence[str]) -> tuple[bytes, Encode]:
    """The header line, and what encodes the rows below it. UTF-8, lines end with CR LF (RFC 4180)."""

    def encode(rows: Sequence[Row]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        return text.getvalue().encode()

    return encode([columns]), encode


def ndjson_encoder(columns: Sequence[str], json_column: str | None = None) -> tuple[bytes, Encode]:
    """Nothing to begin with, and what encodes each row as an object; `json_column` holds JSON that goes in as it is."""

    def encode(rows: Sequence[Row]) -> bytes:
        lines: list[dict[str, Any]] = [dict(zip(columns, row, strict=True)) for row in rows]
        if json_column is not None:
            for line in lines:
                line[json_column] = msgspec.Raw(line[json_column])
        return _json.encode_lines(lines)

    return b"", encode
