"""Rows from Arrow: tables, readers, record batches, and whatever else streams Arrow, as Polars and DuckDB do.

Python knows microseconds: of nanoseconds the last three digits are dropped. Times with a zone come in UTC. Lists,
structs and maps are JSON.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final, cast

import pyarrow as pa
from pyarrow import types

from holdfast.decide.exports.columns import Column, Columns, Kind, columns_of
from holdfast.decide.exports.errors import ColumnsMismatch, SourceUnsuited
from holdfast.parts.exports.formats.encoding import Rows

_arrow: Any = cast("Any", pa)  # it has no types
_is: Any = cast("Any", types)

_KINDS: Final[Sequence[tuple[Callable[[Any], bool], Kind]]] = (
    (_is.is_boolean, Kind.BOOLEAN),
    (_is.is_integer, Kind.INTEGER),
    (_is.is_floating, Kind.FLOAT),
    (_is.is_decimal, Kind.DECIMAL),
    (_is.is_string, Kind.TEXT),
    (_is.is_large_string, Kind.TEXT),
    (_is.is_string_view, Kind.TEXT),
    (_is.is_binary, Kind.BYTES),
    (_is.is_large_binary, Kind.BYTES),
    (_is.is_fixed_size_binary, Kind.BYTES),
    (_is.is_binary_view, Kind.BYTES),
    (_is.is_date, Kind.DATE),
    (_is.is_time, Kind.TIME),
    (_is.is_timestamp, Kind.TIMESTAMP),
    (_is.is_duration, Kind.INTERVAL),
    (_is.is_nested, Kind.JSON),
)


class ArrowSource:
    """Rows from a Table, a RecordBatchReader, an iterable of RecordBatches, or what has `__arrow_c_stream__`."""

    def __init__(self, source: Any) -> None:
        """Nothing is read before `open`."""
        self._source = source
        self._close: Callable[[], object] | None = None
        self._batches: Iterator[Any] = iter(())
        self._schema: Any = None
        self._types: list[Any] = []
        """What each column is read as."""
        self._batch: Any = None
        self._at = 0

    plain: bool = False

    def open(self) -> Columns:
        """The columns, by the schema; none where an iterable has no batch. Raises SourceUnsuited, ColumnsMismatch."""
        self._batches, self._schema = self._begun()
        if self._schema is None:
            return ()
        self._types = [_readable(field.type) for field in self._schema]
        return columns_of([Column(field.name, _kind(field.type)) for field in self._schema])

    def fetch(self, most: int) -> Rows:
        """Up to `most` rows of one batch; none at the end. Raises SourceUnsuited for what Python has no value for."""
        while self._batch is None or self._at >= self._batch.num_rows:
            self._batch, self._at = next(self._batches, None), 0
            if self._batch is None:
                return []
            if not self._batch.schema.equals(self._schema):
                raise ColumnsMismatch("The record batches do not all have the same columns.")
        piece = self._batch.slice(self._at, most)
        self._at += piece.num_rows
        return list(zip(*map(_values, self._schema.names, piece.columns, self._types), strict=True))

    def interrupt(self) -> None:
        """Nothing: what computes a batch cannot be told to stop."""

    def close(self) -> None:
        """Let go of the reader, or of the iterator."""
        self._batch, self._batches = None, iter(())
        if self._close is not None:
            self._close()
            self._close = None

    def _begun(self) -> tuple[Iterator[Any], Any]:
        """The batches, and their schema."""
        source = self._source
        if isinstance(source, _arrow.RecordBatch):
            return iter((source,)), source.schema
        if hasattr(source, "__arrow_c_stream__"):
            reader = _arrow.RecordBatchReader.from_stream(source)
            self._close = reader.close
            return iter(reader), reader.schema
        if not isinstance(source, Iterable):
            raise SourceUnsuited(f"Rows of Arrow cannot be had from {type(source).__name__}.")
        batches: Iterator[Any] = iter(cast("Iterable[Any]", source))
        self._close = getattr(batches, "close", None)
        first = list(islice(batches, 1))
        if first and not isinstance(first[0], _arrow.RecordBatch):
            raise SourceUnsuited(f"There is a {type(first[0]).__name__} where a RecordBatch should be.")
        return chain(first, batches), first[0].schema if first else None


def _values(name: str, column: Any, wanted: Any) -> list[Any]:
    try:
        return (column if column.type.equals(wanted) else column.cast(wanted, safe=False)).to_pylist()
    except (ValueError, ArithmeticError) as error:  # a year beyond 9999, text that is no UTF-8
        raise SourceUnsuited(f"The column {name} has a value that Python cannot hold.") from error


def _kind(found: Any) -> Kind:
    if isinstance(found, _arrow.BaseExtensionType):
        named = {"arrow.uuid": Kind.UUID, "arrow.json": Kind.JSON_TEXT}
        return named.get(found.extension_name) or _kind(found.storage_type)
    if _is.is_dictionary(found) or _is.is_run_end_encoded(found):
        return _kind(found.value_type)
    return next((kind for fits, kind in _KINDS if fits(found)), Kind.ANY)


def _readable(found: Any) -> Any:
    """The same type, as far as Python has values for it."""
    if _is.is_timestamp(found):
        return _arrow.timestamp("us" if found.unit == "ns" else found.unit, found.tz and "UTC")
    if _is.is_time64(found):
        return _arrow.time64("us")
    if _is.is_duration(found):
        return _arrow.duration("us" if found.unit == "ns" else found.unit)
    if _is.is_dictionary(found) and not _readable(found.value_type).equals(found.value_type):
        return _readable(found.value_type)
    if _is.is_map(found):
        return _arrow.map_(_readable(found.key_type), _readable(found.item_type))
    if _is.is_struct(found):
        return _arrow.struct([field.with_type(_readable(field.type)) for field in found])
    if _is.is_list(found):
        return _arrow.list_(found.value_field.with_type(_readable(found.value_type)))
    if _is.is_large_list(found):
        return _arrow.large_list(found.value_field.with_type(_readable(found.value_type)))
    if _is.is_fixed_size_list(found):
        return _arrow.list_(found.value_field.with_type(_readable(found.value_type)), found.list_size)
    return found
