"""Columns: what an export has side by side, by name and kind. They come from a schema, never from the first row."""

import datetime as dt
import decimal
import types
import typing
import uuid
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias

from holdfast.decide.exports.errors import ColumnsMismatch


class Kind(StrEnum):
    """What the values of a column are, besides NULL."""

    ANY = "any"
    """Not known: each value is taken for what it is."""
    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "float"
    DECIMAL = "decimal"
    TEXT = "text"
    BYTES = "bytes"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    """A point in time: in UTC where its zone is known."""
    INTERVAL = "interval"
    UUID = "uuid"
    JSON = "json"
    """Something that is written as JSON."""
    JSON_TEXT = "json text"
    """Text that is JSON already."""


class Column(NamedTuple):
    """One column."""

    name: str
    kind: Kind = Kind.ANY


Columns: TypeAlias = Sequence[Column]

Described: TypeAlias = Sequence[str] | Sequence[Column] | Mapping[str, Any] | type
"""How an application tells its columns: their names, in order; names with types or kinds; or a class of rows."""

_KINDS: Final[dict[object, Kind]] = {
    bool: Kind.BOOLEAN,
    int: Kind.INTEGER,
    float: Kind.FLOAT,
    decimal.Decimal: Kind.DECIMAL,
    str: Kind.TEXT,
    bytes: Kind.BYTES,
    bytearray: Kind.BYTES,
    memoryview: Kind.BYTES,
    dt.datetime: Kind.TIMESTAMP,
    dt.date: Kind.DATE,
    dt.time: Kind.TIME,
    dt.timedelta: Kind.INTERVAL,
    uuid.UUID: Kind.UUID,
    dict: Kind.JSON,
    list: Kind.JSON,
    tuple: Kind.JSON,
}


def columns_of(described: Described) -> Columns:
    """The columns that an application describes. Raises ColumnsMismatch if there are none, or two have one name."""
    found = [Column(str(column.name), column.kind) for column in _found(described)]
    names = [column.name for column in found]
    if not names:
        raise ColumnsMismatch("The export has no columns.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ColumnsMismatch(f"The export has more than one column of a name: {', '.join(twice)}.")
    return found


def fitting(described: Columns, found: Columns) -> Columns:
    """The columns as the application describes them. Raises ColumnsMismatch if the query has more or fewer."""
    if len(described) != len(found):
        raise ColumnsMismatch(f"The query has {len(found)} columns, and {len(described)} are described.")
    return described


def kind_of(annotation: object) -> Kind:
    """The kind of a column by the type of its values; `ANY` for what tells none."""
    if isinstance(annotation, Kind):
        return annotation
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return kind_of(typing.get_args(annotation)[0])
    if origin in {types.UnionType, typing.Union}:
        kinds = {kind_of(one) for one in typing.get_args(annotation) if one is not type(None)}
        return kinds.pop() if len(kinds) == 1 else Kind.ANY
    known = origin or annotation
    if isinstance(known, type):
        return next((_KINDS[base] for base in known.__mro__ if base in _KINDS), Kind.ANY)
    return Kind.ANY


def _is_of_class(hint: object) -> bool:
    """Whether a field belongs to the class and not to its rows."""
    return (typing.get_origin(hint) or hint) is typing.ClassVar


def _found(described: Described) -> Columns:
    if isinstance(described, type):
        hints = typing.get_type_hints(described)
        return [Column(name, kind_of(hint)) for name, hint in hints.items() if not _is_of_class(hint)]
    if isinstance(described, Mapping):
        return [Column(name, kind_of(hint)) for name, hint in described.items()]
    if isinstance(described, str):
        raise ColumnsMismatch("The columns are a list of names, not one text.")
    return [one if isinstance(one, Column) else Column(one) for one in described]
