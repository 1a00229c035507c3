"""The value grammar: how each value is written, whatever it comes from and whatever it goes into. See docs/exports.md.

Functions here take whole columns, for what is done for a thousand values at once is done in C.
"""

import base64
import datetime
import enum
import math
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from json.encoder import encode_basestring
from types import NoneType
from typing import Any, Final

import msgspec

Write = Callable[[Any], str]
"""Writes one value that is not None."""

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_SURROGATES: Final = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def utf8(text: str) -> bytes:
    """`text` in UTF-8. Halves of surrogate pairs, which are no characters, become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.translate(_SURROGATES).encode()


# -- one value --


def text(value: Any) -> str:
    """What is written for a value that is not None."""
    return writer(type(value))(value)


def json_text(value: Any) -> str:
    """The same as JSON: a number, a literal, a JSON value, or the text as a string."""
    if value is None:
        return "null"
    kind = type(value)
    if _is_json(kind):
        written = writer(kind)(value)
        return f'"{written}"' if written in _NO_NUMBERS else written
    return encode_basestring(text(value))


def plain(value: Any) -> Any:
    """What JSON is made of: containers, texts, numbers; everything else as its text."""
    if value is None or isinstance(value, bool | str) or type(value) is int:
        return str(value) if isinstance(value, str) else value
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else text(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if isinstance(value, float | Decimal):
        return value if math.isfinite(value) else text(value)
    if isinstance(value, msgspec.Struct) or hasattr(value, "__dataclass_fields__"):
        return plain(msgspec.to_builtins(value, builtin_types=_BUILTIN))
    return text(value)


@lru_cache(maxsize=256)
def writer(kind: type) -> Write:
    """What writes values of a type."""
    for base in kind.__mro__:
        if base in _WRITERS:
            return _WRITERS[base]
    if issubclass(kind, msgspec.Struct) or hasattr(kind, "__dataclass_fields__"):
        return _json
    return str


@lru_cache(maxsize=256)
def _is_json(kind: type) -> bool:
    """Whether what `writer` makes of it is JSON as it is."""
    if issubclass(kind, enum.Enum):
        return False
    return issubclass(kind, int | float | Decimal) or writer(kind) is _json


# -- a column --


def kinds(column: Iterable[Any]) -> tuple[set[type], bool]:
    """The types in a column, and whether there are NULLs beside them."""
    found = set(map(type, column))
    nulls = NoneType in found
    found.discard(NoneType)
    return found, nulls


def texts(column: Sequence[Any], found: set[type], *, nulls: bool) -> list[str | None]:
    """What is written for each value of a column whose types are `found`; None for NULL."""
    if len(found) != 1:
        return [None if value is None else text(value) for value in column]
    (kind,) = found
    if kind is float:
        return _floats(column, nulls=nulls)
    write = writer(kind)
    if nulls:
        return [None if value is None else write(value) for value in column]
    return list(map(write, column))


def _floats(column: Sequence[Any], *, nulls: bool) -> list[str | None]:
    made = [None if value is None else repr(value) for value in column] if nulls else list(map(repr, column))
    if "n" in "".join(filter(None, made)):  # nan, inf
        return [None if value is None else _float(value) for value in column]
    return made


# -- the grammar --

_NO_NUMBERS: Final = frozenset({"NaN", "Infinity", "-Infinity"})
_BUILTIN: Final = (bytes, bytearray, datetime.datetime, datetime.date, datetime.time, datetime.timedelta, uuid.UUID, Decimal)


def _boolean(value: bool) -> str:  # noqa: FBT001 - it is the value
    return "true" if value else "false"


def _float(value: float) -> str:
    """The shortest that reads back as the same number."""
    return float.__repr__(value) if math.isfinite(value) else _no_number(value)


def _decimal(value: Decimal) -> str:
    """All digits, and never an exponent."""
    return format(value, "f") if value.is_finite() else _no_number(value)


def _no_number(value: float | Decimal) -> str:
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124 - NaN is not itself


def _bytes(value: bytes) -> str:
    """Base64 (RFC 4648, section 4)."""
    return base64.b64encode(value).decode()


def _timestamp(value: datetime.datetime) -> str:
    """RFC 3339, in UTC where the zone is known; as many digits of a second as are needed."""
    if value.tzinfo is None:
        return _trimmed(value.isoformat())
    return _trimmed(value.astimezone(datetime.UTC).replace(tzinfo=None).isoformat()) + "Z"


def _time(value: datetime.time) -> str:
    if value.tzinfo is None:
        return _trimmed(value.isoformat())
    offset = value.isoformat()[len(value.replace(tzinfo=None).isoformat()) :]
    return _trimmed(value.replace(tzinfo=None).isoformat()) + offset


def _trimmed(written: str) -> str:
    return written.rstrip("0") if "." in written else written


def _interval(value: datetime.timedelta) -> str:
    """An ISO 8601 duration of days, hours, minutes and seconds; each part carries the sign of what is below a day."""
    sign, below = ("-", -value) if value < datetime.timedelta() else ("", value)
    days = f"{sign}{below.days}D" if below.days else ""
    hours, rest = divmod(below.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [f"{sign}{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M")) if number]
    if seconds or below.microseconds:
        fraction = f".{below.microseconds:06d}".rstrip("0") if below.microseconds else ""
        parts.append(f"{sign}{seconds}{fraction}S")
    clock = "".join(parts)
    return f"P{days}T{clock}" if clock else f"P{days}" if days else "PT0S"


def _json(value: Any) -> str:
    return _encode(plain(value)).decode()


def _enum(value: enum.Enum) -> str:
    return text(value.value)


_WRITERS: Final[dict[type, Write]] = {
    enum.Enum: _enum,
    bool: _boolean,
    int: int.__repr__,
    float: _float,
    Decimal: _decimal,
    str: str.__str__,
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _bytes,
    datetime.datetime: _timestamp,
    datetime.date: datetime.date.isoformat,
    datetime.time: _time,
    datetime.timedelta: _interval,
    uuid.UUID: str,
    dict: _json,
    list: _json,
    tuple: _json,
    set: _json,
    frozenset: _json,
}
