"""NDJSON, an object on each line, and JSON, an array of the same objects."""

from collections.abc import Sequence
from json.encoder import encode_basestring
from typing import Any, Final

import msgspec

from holdfast.decide.exports.columns import Column, Columns, Kind
from holdfast.parts.exports.encoding import Batch
from holdfast.parts.exports.values import json_text, kinds, texts, utf8

_NUMBERS: Final = ({int}, {float})
_compact: Final = msgspec.json.format


class _Objects:
    """Rows as JSON objects, and what stands between them."""

    def __init__(self, columns: Columns, between: str) -> None:
        self._columns = columns
        self._between = between
        self._keys = [encode_basestring(column.name).replace("%", "%%") for column in columns]

    def encoded(self, columns: Batch) -> str:
        """The objects of some rows: one template, filled row by row."""
        shapes: list[str] = []
        filled: list[Sequence[object]] = []
        for column, values in zip(self._columns, columns, strict=True):
            shape, written = _member(column, values)
            shapes.append(shape)
            filled.append(written)
        members = ",".join(f"{key}:{shape}" for key, shape in zip(self._keys, shapes, strict=True))
        return self._between.join(map(f"{{{members}}}".__mod__, zip(*filled, strict=True)))


def _member(column: Column, values: Sequence[Any]) -> tuple[str, Sequence[object]]:
    """How a column goes into the template, and with what."""
    found, nulls = kinds(values)
    if column.kind is Kind.JSON_TEXT and found <= {str}:
        return "%s", ["null" if value is None else _on_one_line(value) for value in values]
    if found == {str} and not nulls and _is_plain(values):
        return '"%s"', values
    if found in _NUMBERS:
        written = texts(values, found, nulls=nulls)
        if found == {int} or "n" not in "".join(filter(None, written)):
            return "%s", ["null" if one is None else one for one in written] if nulls else written
    return "%s", list(map(json_text, values))


def _is_plain(values: Sequence[str]) -> bool:
    """Whether no text needs an escape: looked at all at once."""
    joined = "".join(values)
    return joined.isprintable() and '"' not in joined and "\\" not in joined


def _on_one_line(value: str) -> str:
    """JSON that may have been written over several lines."""
    return _compact(value, indent=-1) if "\n" in value or "\r" in value else value


class NdjsonEncoder:
    """One export as NDJSON."""

    def __init__(self, columns: Columns) -> None:
        """Begin."""
        self._objects = _Objects(columns, "\n")

    def head(self) -> bytes:
        """Nothing."""
        return b""

    def batch(self, columns: Batch) -> bytes:
        """A line for each row."""
        return utf8(self._objects.encoded(columns) + "\n")

    def tail(self) -> bytes:
        """Nothing."""
        return b""


class JsonEncoder:
    """One export as a JSON array."""

    def __init__(self, columns: Columns) -> None:
        """Begin."""
        self._objects = _Objects(columns, ",\n")
        self._begun = False

    def head(self) -> bytes:
        """The bracket that opens it."""
        return b"["

    def batch(self, columns: Batch) -> bytes:
        """Some of its items."""
        before = ",\n" if self._begun else "\n"
        self._begun = True
        return utf8(before + self._objects.encoded(columns))

    def tail(self) -> bytes:
        """The bracket that closes it."""
        return b"\n]\n"
