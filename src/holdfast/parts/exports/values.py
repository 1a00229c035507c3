"""The value grammar: how each value is written, whatever it comes from and goes into. See docs/exports.md."""

import base64
import datetime as dt
import enum
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec

from holdfast.decide.exports.errors import ColumnsMismatch
from holdfast.parts.exports.encoding import Rows

Write = Callable[[Any], str]
"""Writes one value that is not None."""

_SURROGATES: Final = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def utf8(text: str) -> bytes:
    """`text` in UTF-8. Halves of surrogate pairs, which are no characters, become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.translate(_SURROGATES).encode()


def whole(text: str) -> str:
    """`text` with every half of a surrogate pair replaced."""
    return text.translate(_SURROGATES)


def text(value: Any) -> str:
    """What is written for a value that is not None."""
    return _writer(value.__class__)(value)


def side_by_side(rows: Rows, count: int) -> list[tuple[Any, ...]]:
    """The columns of some rows. Raises ColumnsMismatch if one has more or fewer values than `count`."""
    try:
        columns = list(zip(*rows, strict=True))
    except ValueError:
        columns = []
    if len(columns) != count:
        raise ColumnsMismatch(f"A row has another number of values than the {count} columns.")
    return columns


@lru_cache(maxsize=256)
def _writer(kind: Any) -> Write:
    for base in kind.__mro__:
        if base in _WRITERS:
            return _WRITERS[base]
    if issubclass(kind, msgspec.Struct) or hasattr(kind, "__dataclass_fields__"):
        return _json
    return str


# -- the grammar --


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _number(value: float | Decimal) -> str:
    """A float as the shortest that reads back as the same; a decimal with all its digits."""
    if math.isfinite(value):
        return float.__repr__(value) if isinstance(value, float) else format(value, "f")
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _bytes(value: bytes) -> str:
    """Base64 (RFC 4648, section 4)."""
    return base64.b64encode(value).decode()


def _time(value: dt.datetime | dt.time) -> str:
    """RFC 3339, with the offset of its zone where that is known."""
    written = value.isoformat()
    return f"{written[:-6]}Z" if written.endswith("+00:00") else written


def _interval(value: dt.timedelta) -> str:
    """An ISO 8601 duration of days, hours, minutes and seconds, each with the sign of the whole."""
    sign, rest = ("-", -value) if value < dt.timedelta() else ("", value)
    minutes, seconds = divmod(rest.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{rest.microseconds:06d}".rstrip("0") if rest.microseconds else ""
    numbers = ((f"{hours}", "H"), (f"{minutes}", "M"), (f"{seconds}{fraction}", "S"))
    clock = "".join(f"{sign}{number}{unit}" for number, unit in numbers if number != "0")
    days = f"{sign}{rest.days}D" if rest.days else ""
    return f"P{days}T{clock}" if clock else f"P{days}" if days else "PT0S"


def _json(value: Any) -> str:
    return json.encode(value).decode()


def _enum(value: enum.Enum) -> str:
    return text(value.value)


def _hook(value: Any) -> str:
    return text(value)


_WRITERS: Final[dict[type, Write]] = {
    enum.Enum: _enum,
    bool: _boolean,
    int: int.__repr__,
    float: _number,
    Decimal: _number,
    str: str.__str__,
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _bytes,
    dt.datetime: _time,
    dt.date: dt.date.isoformat,
    dt.time: _time,
    dt.timedelta: _interval,
    UUID: str,
    dict: _json,
    list: _json,
    tuple: _json,
    set: _json,
    frozenset: _json,
}

json: Final = msgspec.json.Encoder(enc_hook=_hook, decimal_format="number")
"""Writes whole rows at the speed of C; its way is the grammar's, but for what `csv` and `ndjson` look for first."""


def has_no_number(values: Sequence[Any]) -> bool:
    """Whether one of some floats and decimals is NaN or infinite."""
    return not all(value is None or math.isfinite(value) for value in values)
