"""Rows in any shape an application has them: tuples, dicts, records, objects; made the tuples that encoders take."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

from holdfast.decide.exports.columns import Column, Columns, Described, columns_of
from holdfast.decide.exports.errors import ColumnsMismatch
from holdfast.parts.exports.formats.encoding import Rows

Shape: TypeAlias = Callable[[Sequence[Any]], Rows]
"""Makes the rows of an application rows of values."""


def shaped(described: Described | None, first: Any) -> tuple[Columns, Shape]:
    """The columns, and what makes rows of things like `first`. Raises ColumnsMismatch.

    Where the columns are not described their names come from the first row, as far as it has names; nothing else does.
    """
    columns = columns_of(_columns_in(first) if described is None else described)
    names = [column.name for column in columns]
    if isinstance(first, Mapping):
        exact = len(names) if described is None else None
        return columns, lambda rows: _picked(itemgetter(*names), rows, names, exact)
    kind: Any = first.__class__
    if isinstance(first, Sequence) and not isinstance(first, str | bytes | bytearray):
        return columns, lambda rows: rows
    if hasattr(kind, "keys") and hasattr(kind, "__iter__"):  # a record of asyncpg, whose values are walked through
        return columns, lambda rows: rows
    if described is None and not _is_record(kind):
        raise ColumnsMismatch(
            "A row is a tuple, a mapping, or an object with fields; for others, describe the columns."
        )
    return columns, lambda rows: _picked(attrgetter(*names), rows, names, None)


def unshaped(described: Described | None) -> Columns:
    """The columns of an export without a row."""
    return () if described is None else columns_of(described)


def _columns_in(first: Any) -> Columns:
    kind: Any = first.__class__
    keys: Any = getattr(first, "keys", None)
    if callable(keys):  # mappings, and records of drivers
        found: Any = keys()
        return [Column(str(name)) for name in found]
    if _is_record(kind):
        return columns_of(kind)
    fields: tuple[str, ...] = getattr(first, "_fields", ())
    if fields:
        return [Column(name) for name in fields]
    raise ColumnsMismatch("The rows do not say what their columns are called: describe the columns.")


def _is_record(kind: Any) -> bool:
    """Whether a class says which fields its objects have."""
    if hasattr(kind, "_fields"):
        return bool(getattr(kind, "__annotations__", None))
    return any(hasattr(kind, mark) for mark in ("__struct_fields__", "__dataclass_fields__", "__attrs_attrs__"))


def _picked(pick: Callable[[Any], Any], rows: Sequence[Any], names: Sequence[str], exact: int | None) -> Rows:
    try:
        picked = list(map(pick, rows))
    except (KeyError, AttributeError, TypeError) as error:
        raise ColumnsMismatch(f"A row lacks one of the columns: {', '.join(names)}.") from error
    if exact is not None and any(len(row) != exact for row in rows):
        raise ColumnsMismatch("A row has columns that the first row does not have.")
    return picked if len(names) != 1 else [(value,) for value in picked]
