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
from holdfast.parts.exports.formats.encoding import Rows

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
    if _is_number(value):
        return float.__repr__(value) if isinstance(value, float) else format(value, "f")
    not_a_number = value.is_nan() if isinstance(value, Decimal) else math.isnan(value)
    return "NaN" if not_a_number else "Infinity" if value > 0 else "-Infinity"


def _is_number(value: float | Decimal) -> bool:
    """Decimals are asked themselves: as floats, those of many digits would be infinite."""
    return value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)


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
    return embedded(value).decode()


def embedded(value: Any) -> bytes:
    """A value that has others in it, as JSON."""
    try:
        written = json.encode(value)
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.encode(_mended(value))
    if b"NaN" in written or b"Infinity" in written:  # in a text, or a decimal, and then it is no JSON
        return json.encode(_mended(value))
    return written


def _mended(value: Any) -> Any:
    """The same of dicts and lists, with what JSON cannot have seen to."""
    built = msgspec.to_builtins(value, builtin_types=_LEFT, str_keys=True, enc_hook=_hook)
    return _walked(built)


def _walked(value: Any) -> Any:
    kind = value.__class__
    if kind is dict:
        return {whole(name): _walked(member) for name, member in value.items()}
    if kind is list or kind is tuple:
        return [_walked(item) for item in value]
    if isinstance(value, Decimal) and not value.is_finite():
        return None
    return whole(value) if isinstance(value, str) else value


def is_nested(kind: type) -> bool:
    """Whether values of a type have others in them, and are JSON."""
    return _writer(kind) is _json


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

_LEFT: Final = (Decimal, bytes, bytearray, memoryview, dt.datetime, dt.date, dt.time, dt.timedelta, UUID)

json: Final = msgspec.json.Encoder(enc_hook=_hook, decimal_format="number")
"""Writes whole rows at the speed of C; its way is the grammar's, but for what `csv` and `ndjson` look for first."""


def has_no_number(values: Sequence[Any]) -> bool:
    """Whether one of some floats and decimals is NaN or infinite."""
    return not all(value is None or _is_number(value) for value in values)
