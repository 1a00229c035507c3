"""NDJSON, an object on each line, and JSON, an array of the same objects."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import starmap
from types import NoneType
from typing import Any, Final
from uuid import UUID

import msgspec

from holdfast.decide.exports.columns import Column, Columns, Kind
from holdfast.parts.exports.formats.encoding import Rows
from holdfast.parts.exports.formats.values import (
    embedded,
    has_no_number,
    is_nested,
    json,
    side_by_side,
    text,
    utf8,
    whole,
)

_ODD: Final = frozenset({float, Decimal, timedelta, str})
"""Types of which some values need a closer look."""
_FLAT: Final = frozenset({NoneType, bool, int, float, Decimal, str, bytes, datetime, date, time, timedelta, UUID})
_VALID: Final = msgspec.json.Decoder(msgspec.Raw)


class _Objects:
    """Rows as JSON objects, one on each line."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._object = _maker([column.name for column in columns])
        self._embedded = any(column.kind is Kind.JSON_TEXT for column in columns)

    def lines(self, rows: Rows, *, plain: bool) -> bytes:
        if plain and not self._embedded:
            body = json.encode_lines(list(starmap(self._object, rows)))
            if b"null" not in body:  # which stands for what is no number, too
                return body
        columns = side_by_side(rows, len(self._columns))
        looked = list(map(_looked, self._columns, columns))
        same = all(made is column for made, column in zip(looked, columns, strict=True))
        try:
            return json.encode_lines(list(starmap(self._object, rows if same else zip(*looked, strict=True))))
        except UnicodeEncodeError:  # half of a surrogate pair
            mended = [[_whole(value) for value in column] for column in looked]
            return json.encode_lines(list(starmap(self._object, zip(*mended, strict=True))))


def _maker(names: Sequence[str]) -> Callable[..., object]:
    """What makes an object of a row: a struct, which is fastest, or a dict where a name is not fit for one."""
    fields = [f"f{number}" for number in range(len(names))]
    try:
        return msgspec.defstruct("Row", fields, rename=dict(zip(fields, names, strict=True)), gc=False)
    except ValueError:
        return lambda *row: dict(zip(map(whole, names), row, strict=True))


def _looked(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    """A column, in which what msgspec would write otherwise is written here."""
    found = set(map(type, values))
    nested = {kind for kind in found if kind not in _FLAT and is_nested(kind)}
    if nested:
        return [msgspec.Raw(embedded(value)) if type(value) in nested else _scalar(column, value) for value in values]
    if found.isdisjoint(_ODD):
        return values
    if column.kind is Kind.JSON_TEXT and str in found:
        return [_scalar(column, value) for value in values]
    if timedelta in found or (not found.isdisjoint({float, Decimal}) and _has_no_number(values)):
        return [text(value) if _is_odd(value) else value for value in values]
    return values


def _scalar(column: Column, value: Any) -> Any:
    if column.kind is Kind.JSON_TEXT and type(value) is str:
        return _embedded(value)
    return text(value) if _is_odd(value) else value


def _has_no_number(values: Sequence[Any]) -> bool:
    return has_no_number([value for value in values if isinstance(value, float | Decimal)])


def _is_odd(value: Any) -> bool:
    if isinstance(value, float | Decimal):
        return has_no_number((value,))
    return isinstance(value, timedelta)


def _embedded(value: str) -> msgspec.Raw:
    """Text that is JSON already, on one line; a string of what was said to be JSON and is none."""
    written = utf8(value)
    try:
        _VALID.decode(written)
        return msgspec.Raw(msgspec.json.format(written, indent=-1) if b"\n" in written or b"\r" in written else written)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.Raw(json.encode(written.decode()))


def _whole(value: Any) -> Any:
    return whole(value) if isinstance(value, str) else value


class NdjsonEncoder:
    """One export as NDJSON."""

    def __init__(self, columns: Columns) -> None:
        """Begin."""
        self._objects = _Objects(columns)

    def head(self) -> bytes:
        """Nothing."""
        return b""

    def batch(self, rows: Rows, *, plain: bool = False) -> bytes:
        """A line for each row."""
        return self._objects.lines(rows, plain=plain)

    def tail(self) -> bytes:
        """Nothing."""
        return b""


class JsonEncoder:
    """One export as a JSON array."""

    def __init__(self, columns: Columns) -> None:
        """Begin."""
        self._objects = _Objects(columns)
        self._begun = False

    def head(self) -> bytes:
        """The bracket that opens it."""
        return b"["

    def batch(self, rows: Rows, *, plain: bool = False) -> bytes:
        """Some of its items."""
        before = b",\n" if self._begun else b"\n"
        self._begun = True
        return before + self._objects.lines(rows, plain=plain)[:-1].replace(b"}\n{", b"},\n{")

    def tail(self) -> bytes:
        """The bracket that closes it."""
        return b"\n]\n"
