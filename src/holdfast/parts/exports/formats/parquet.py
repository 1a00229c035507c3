"""Parquet, by pyarrow: groups of rows of a few MiB, compressed with zstd.

| kind | type |
|---|---|
| boolean, integer, float | BOOLEAN, INT64, DOUBLE |
| decimal | DECIMAL(38, 18) if all values of the first group fit; else a string |
| text, UUID, JSON | a string |
| bytes | binary |
| date, time | DATE; TIME in microseconds |
| timestamp | TIMESTAMP in microseconds, in UTC if the values of the first group have a zone |
| interval | INT64, microseconds; readers of Arrow's own schema make it a duration |
| any | what all values of the first group are; a string if they have nothing in common |

A string has every value as text, as in every format, so anything fits. A value that fits no other type ends the export
with ColumnsMismatch: whoever has decimals of more digits, or integers beyond 64 bits, describes the column as `str`.
"""

import io
import os
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any, Final, NamedTuple, cast

os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # for pages, which cannot be told to use the one below
import pyarrow as pa
from pyarrow import parquet as pq

from holdfast.decide.exports.columns import Column, Columns, Kind
from holdfast.decide.exports.errors import ColumnsMismatch
from holdfast.parts.exports.formats.encoding import Rows
from holdfast.parts.exports.formats.values import side_by_side, text, utf8

_arrow: Any = cast("Any", pa)  # it has no types
_parquet: Any = cast("Any", pq)

_POOL: Final[Any] = _arrow.system_memory_pool()
"""Arrow's usual one keeps for each thread what that took at most. This one gives back what it is told to."""

_GROUP_ROWS: Final = 65_536
_GROUP_BYTES: Final = 512 * 1024
_GROUPS: Final = 128
"""So many groups of this size; then they grow, up to four times it: what is noted of each is held until the end."""
_GIVE_BACK: Final = 4 * 1024 * 1024
"""After so much the allocator gives back what is free: by itself it would soon hold a multiple of the largest group."""
_FIRST_BYTES: Final = 256 * 1024
"""The first group is smaller, for its rows are held as Python has them until the types are decided."""
_MARK: Final = b"PAR1"
_PAGE: Final = 64 * 1024
_PAGE_ROWS: Final = 1024
"""A page is looked at after so many rows, or fewer where those of the first group fill one: it may have enough."""
_BATCHES: Final = 16
"""So many batches become one: each costs some KiB, however few rows it has."""


class _Type(NamedTuple):
    """A type of Arrow, and what fits it."""

    arrow: Any
    takes: tuple[type, ...]
    but: tuple[type, ...] = ()
    """Subclasses that are something else."""
    zoned: bool | None = None
    """Whether values have to have a zone; None where they know none."""


_BOOLEAN: Final = _Type(_arrow.bool_(), (bool,))
_INTEGER: Final = _Type(_arrow.int64(), (int,), (bool,))
_FLOAT: Final = _Type(_arrow.float64(), (float, int), (bool,))
_DECIMAL: Final = _Type(_arrow.decimal128(38, 18), (Decimal, int), (bool,))
_BINARY: Final = _Type(_arrow.binary(), (bytes, bytearray, memoryview))
_DATE: Final = _Type(_arrow.date32(), (date,), (datetime,))
_TIME: Final = _Type(_arrow.time64("us"), (time,), zoned=False)
_TIMESTAMP: Final = _Type(_arrow.timestamp("us"), (datetime,), zoned=False)
_INSTANT: Final = _Type(_arrow.timestamp("us", "UTC"), (datetime,), zoned=True)
_INTERVAL: Final = _Type(_arrow.duration("us"), (timedelta,))
_STRING: Final = _Type(_arrow.string(), (object,))

_WHOLE: Final = (_BOOLEAN, _INTEGER, _STRING)
_ANYTHING: Final = (_BOOLEAN, _FLOAT, _DECIMAL, _DATE, _TIMESTAMP, _INSTANT, _TIME, _INTERVAL, _BINARY, _STRING)
_TYPES: Final[dict[Kind, tuple[_Type, ...]]] = {
    Kind.BOOLEAN: (_BOOLEAN,),
    Kind.INTEGER: (_INTEGER,),
    Kind.FLOAT: (_FLOAT,),
    Kind.DECIMAL: (_DECIMAL, _STRING),
    Kind.BYTES: (_BINARY,),
    Kind.DATE: (_DATE,),
    Kind.TIME: (_TIME,),
    Kind.TIMESTAMP: (_TIMESTAMP, _INSTANT),
    Kind.INTERVAL: (_INTERVAL,),
    Kind.ANY: _ANYTHING,
}
"""What each kind may be; where there is a choice, the first group decides. Others are strings."""


class ParquetEncoder:
    """One export as Parquet. Whole groups of rows are handed on, so most batches give nothing."""

    def __init__(self, columns: Columns, group_rows: int = _GROUP_ROWS, group_bytes: int = _GROUP_BYTES) -> None:
        """A group ends with the batch that has made it `group_rows` or `group_bytes`."""
        self._columns = columns
        self._group_rows = group_rows
        self._group_bytes = group_bytes
        self._sink = io.BytesIO()
        self._marked = False
        """Whether pyarrow has written the mark too."""
        self._writer: Any = None
        self._types: list[_Type] | None = None
        """None until they are decided."""
        self._held: list[Rows] = []
        """Rows that wait for that."""
        self._merged: list[Any] = []
        self._batches: list[Any] = []
        self._rows = 0
        self._bytes = 0
        self.weight: int = 0
        """As Dense."""
        self._given_back_at = 0

    def head(self) -> bytes:
        """The mark of the format, though it may not be known yet of which types the columns are."""
        choices = [_TYPES.get(column.kind, (_STRING,)) for column in self._columns]
        if all(len(some) == 1 for some in choices):
            self._open([some[0] for some in choices])
        return _MARK

    def batch(self, rows: Rows, *, plain: bool = False) -> bytes:  # noqa: ARG002 - every value is looked at
        """Some rows: a group, if they complete one."""
        self._rows += len(rows)
        if self._types is None:
            side_by_side(rows, len(self._columns))
            self._held.append(rows)
            self._weigh(sum(map(_weight, rows)))
        else:
            self._weigh(self._add(rows, self._types))
        if self._rows >= self._group_rows or self._bytes >= self._most():
            self._end_group()
        return self._taken()

    def _most(self) -> int:
        """How many bytes this group has at most."""
        if self._types is None:
            return min(self._group_bytes, _FIRST_BYTES)
        return max(self._group_bytes, min(4 * self._group_bytes, self.weight // _GROUPS))

    def tail(self) -> bytes:
        """The last group, and the directory of all of them."""
        self._end_group()
        self._writer.close()
        return self._taken()

    def _open(self, types: list[_Type]) -> None:
        self._types = types
        names = [column.name for column in self._columns]
        self._schema = _arrow.schema([(name, one.arrow) for name, one in zip(names, types, strict=True)])

    def _begun(self) -> Any:
        row_bytes = self._bytes / max(1, self._rows)
        return _parquet.ParquetWriter(
            self._sink,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=False,  # those of all columns take several MiB; zstd finds most of what they save
            data_page_size=_PAGE,
            write_batch_size=max(1, min(_PAGE_ROWS, int(_PAGE / max(1.0, row_bytes)))),
            memory_pool=_POOL,
        )

    def _decide(self) -> list[_Type]:
        """Find the types, by the rows that have waited for them."""
        rows = [row for some in self._held for row in some]
        columns = side_by_side(rows, len(self._columns)) if rows else [()] * len(self._columns)
        types = list(map(_decided, self._columns, columns))
        self._open(types)
        return types

    def _weigh(self, size: int) -> None:
        self._bytes += size
        self.weight += size

    def _add(self, rows: Rows, types: list[_Type]) -> int:
        """Keep rows as Arrow has them; how many bytes they are."""
        columns = side_by_side(rows, len(self._columns))
        arrays = list(map(_fitted, self._columns, types, columns))
        batch = _arrow.RecordBatch.from_arrays(arrays, schema=self._schema)
        self._batches.append(batch)
        if len(self._batches) == _BATCHES:
            self._merge()
        return batch.get_total_buffer_size()

    def _merge(self) -> None:
        if self._batches:
            self._merged.append(_arrow.concat_batches(self._batches, memory_pool=_POOL))
            self._batches = []

    def _end_group(self) -> None:
        if self._types is None:
            types = self._decide()
            for rows in self._held:
                self._add(rows, types)
            self._held = []
        self._writer = writer = self._writer or self._begun()
        self._merge()
        if self._merged:
            writer.write_table(_arrow.Table.from_batches(self._merged))
        self._merged = []
        self._rows = self._bytes = 0
        if self.weight - self._given_back_at >= _GIVE_BACK:
            self._given_back_at = self.weight
            _POOL.release_unused()

    def _taken(self) -> bytes:
        """What pyarrow has written since; it counts the bytes itself."""
        made = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        if made and not self._marked:
            self._marked = True
            return made.removeprefix(_MARK)
        return made


def _weight(row: Sequence[Any]) -> int:
    """About how many bytes a row has."""
    return sum(len(value) if isinstance(value, str | bytes) else 16 for value in row)


def _decided(column: Column, values: Sequence[Any]) -> _Type:
    """The first type that takes all values. Raises ColumnsMismatch."""
    there = [value for value in values if value is not None]
    choice = _TYPES.get(column.kind, (_STRING,))
    if column.kind is Kind.ANY and all(isinstance(value, int) for value in there):
        choice = _WHOLE if there else (_STRING,)
    for one in choice:
        if _array(one, there) is not None:
            return one
    raise _mismatch(column, choice[0])


def _fitted(column: Column, one: _Type, values: Sequence[Any]) -> Any:
    array = _array(one, values)
    if array is None:
        raise _mismatch(column, one)
    return array


def _array(one: _Type, values: Sequence[Any]) -> Any:
    """The values as an array of Arrow; None if they do not fit."""
    if one is _STRING:
        return _strings(values)
    found: set[type] = set(map(type, values))
    if not all(kind is NoneType or (issubclass(kind, one.takes) and not issubclass(kind, one.but)) for kind in found):
        return None
    if one.zoned is not None and any(
        value is not None and (value.tzinfo is not None) is not one.zoned for value in values
    ):
        return None
    try:
        return _arrow.array(values, one.arrow, memory_pool=_POOL)
    except (_arrow.ArrowException, ValueError, TypeError, ArithmeticError):
        return None


def _strings(values: Sequence[Any]) -> Any:
    written = [value if value is None or type(value) is str else text(value) for value in values]
    try:
        return _arrow.array(written, _STRING.arrow, memory_pool=_POOL)
    except UnicodeEncodeError:  # half of a surrogate pair
        whole = [None if value is None else utf8(value).decode() for value in written]
        return _arrow.array(whole, _STRING.arrow, memory_pool=_POOL)


def _mismatch(column: Column, one: _Type) -> ColumnsMismatch:
    return ColumnsMismatch(
        f"The column {column.name} has a value that does not fit {one.arrow}, which is what it has in Parquet."
    )
