"""Files to records: which kind of file it is, and its records in batches.

Everything in this folder is calculation: no database, no clock, no waiting. That is why nothing here is async, and
why the tests of it need nothing but bytes.
"""

import io
from collections.abc import Iterator
from typing import BinaryIO, Final, Literal

from depot.reading import delimited, encodings, json_lines
from depot.reading.delimited import Record
from depot.reading.problems import Problem, Problems, Unreadable

__all__ = ["Problem", "Problems", "Record", "Unreadable", "read"]

Kind = Literal["csv", "ndjson"]

_HEAD: Final = 1 << 16
_SAMPLE_LINES: Final = 100
_SURE: Final = 0.9
_SUFFIXES: Final[dict[str, Kind]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}


def read(stream: BinaryIO, name: str, problems: Problems) -> Iterator[list[Record]]:
    """Yield the records of a file in batches, and note in `problems` what could not become one.

    `name` decides by its suffix, or else the content does. A file that is neither CSV nor NDJSON has no records, and
    a problem that says so. Raises Unreadable for a file that cannot be what its name says. Each step is bounded in
    memory and in time, so that it can run in a thread beside other work.
    """
    head = stream.read(_HEAD)
    named = _SUFFIXES.get(name[name.rfind(".") :].lower()) if "." in name else None
    if encodings.is_binary(head):
        if named:
            raise Unreadable(f"this is not text, so it is not {named.upper()}; UTF-16 needs a byte order mark")
        problems.add(None, "neither CSV nor NDJSON: kept as it is, without records")
        return
    sample = _sample(head)
    kind = named or _kind_of(sample)
    if kind is None:
        problems.add(None, "neither CSV nor NDJSON: kept as it is, without records")
        return
    encoding = encodings.find(stream, problems)
    text = io.TextIOWrapper(stream, encoding.codec, encoding.errors, newline="" if kind == "csv" else "\n")
    try:
        if kind == "csv":
            delimiter, _ = delimited.delimiter_of(sample)
            yield from delimited.batches(text, delimiter, problems, has_nul=encoding.has_nul)
        else:
            yield from json_lines.batches(text, problems)
    finally:
        text.detach()  # the stream is the caller's to close


def _sample(head: bytes) -> list[str]:
    lines = head.decode(encodings.marked(head) or "utf-8", "replace").splitlines(keepends=True)
    if len(head) == _HEAD and len(lines) > 1:
        lines.pop()  # cut off in the middle
    return lines[:_SAMPLE_LINES]


def _kind_of(sample: list[str]) -> Kind | None:
    first = next((line.strip() for line in sample if line.strip()), "")
    if json_lines.is_object(first):
        return "ndjson"
    if first[:1] in {"", "{", "[", "<"}:
        return None
    _, agreement = delimited.delimiter_of(sample)
    return "csv" if len(sample) > 1 and agreement >= _SURE else None
