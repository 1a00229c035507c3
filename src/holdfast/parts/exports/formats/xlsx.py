"""XLSX (ECMA-376): cells with types, written as the rows come, in little memory.

| value | cell |
|---|---|
| NULL | an empty one |
| int, Decimal | a number up to 15 digits; beyond, text, for a cell would lose the others |
| float | a number: a cell has the same 64 bits; NaN and the infinities are text |
| bool | a boolean |
| date, datetime | a date; before 1900-03-01 text, for Excel counts those days wrongly |
| datetime with a zone | the same in UTC |
| time | a time; with a zone text |
| timedelta | a duration; text if it is negative, which Excel cannot show |
| str | text as it is: what begins with `=` is no formula |
| others | text, as in every format |

Seconds are shown with milliseconds where there are any; the value is exact to about a microsecond. Text of more than
32,767 UTF-16 units is cut, ends with `…`, and is counted. Characters that XML cannot have are written `_xHHHH_`, as the
standard says (ECMA-376, 22.9.2.19), and the `_` of text that looks like it as well. LibreOffice reads that back, and so
does calamine, but for U+FFFE and U+FFFF; openpyxl leaves it as it is written. Halves of surrogate pairs become U+FFFD.

A sheet ends at 1,048,576 rows, or before 4 GiB of XML, and the next one goes on; each begins with the names of the
columns.
"""

import enum
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from operator import attrgetter
from types import NoneType
from typing import Any, Final, TypeAlias

from holdfast.decide.exports.columns import Columns
from holdfast.decide.exports.errors import ColumnsMismatch
from holdfast.parts.exports.formats import xlsx_parts as parts
from holdfast.parts.exports.formats.encoding import Rows
from holdfast.parts.exports.formats.values import side_by_side, text, utf8

_MOST_ROWS: Final = 1_048_576
_MOST_COLUMNS: Final = 16_384
_MOST_BYTES: Final = 0xF0000000
"""A sheet that has so much XML gets no further batch."""

Shaped: TypeAlias = tuple[str, Sequence[object]]
"""The cell of a column in the template of its rows, behind its place, and what is filled in there, row by row."""


class XlsxEncoder:
    """One export as XLSX."""

    def __init__(self, columns: Columns, sheet: str = "Export", rows_a_sheet: int = _MOST_ROWS) -> None:
        """A sheet is called `sheet`, as far as Excel takes that, and has `rows_a_sheet` rows at most, at least two."""
        if len(columns) > _MOST_COLUMNS:
            raise ColumnsMismatch(f"A sheet has {_MOST_COLUMNS} columns at most, and the export has {len(columns)}.")
        self._columns = columns
        self._places = [f'<c r="{parts.letters(number)}%s"' for number in range(1, len(columns) + 1)]
        """How the cells of each column begin; what follows is its shape."""
        self._sheet = sheet
        self._rows_a_sheet = max(2, min(rows_a_sheet, _MOST_ROWS))
        self._archive = parts.Archive()
        self._cells = _Cells()
        names = (self._cells.text(column.name, parts.BOLD) for column in columns)
        self._names = "".join(place % 1 + name for place, name in zip(self._places, names, strict=True))
        self._done: list[str] = []
        """What the sheets that are done have their filters over."""
        self._row = 0
        self._flushed = False
        self._weight = 0

    @property
    def weight(self) -> int:
        """As Dense."""
        return self._weight + self._cells.left_out

    @property
    def cut(self) -> int:
        """How many cells had text that was too long."""
        return self._cells.cut

    def head(self) -> bytes:
        """The styles, and the beginning of the first sheet."""
        add = self._archive.add
        return add("_rels/.rels", parts.ROOT) + add("xl/styles.xml", parts.STYLES) + self._begun()

    def batch(self, rows: Rows, *, plain: bool = False) -> bytes:  # noqa: ARG002 - a cell needs more than that
        """Some rows. Those of the first batch are there at once, later ones when the compressor gives them."""
        columns = side_by_side(rows, len(self._columns))
        made: list[bytes] = []
        done = 0
        while done < len(rows):
            if self._row >= self._rows_a_sheet or self._archive.size >= _MOST_BYTES:
                made += self._ended(), self._begun()
            count = min(len(rows) - done, self._rows_a_sheet - self._row)
            some = columns if count == len(rows) else [column[done : done + count] for column in columns]
            made.append(self._archive.write(self._written(some, count)))
            done += count
        if not self._flushed:
            self._flushed = True
            made.append(self._archive.flush())
        return b"".join(made)

    def tail(self) -> bytes:
        """The end of the last sheet, the list of sheets, and the directory."""
        ended = self._ended()
        sheets = len(self._done)
        add = self._archive.add
        return b"".join(
            (
                ended,
                add("xl/workbook.xml", parts.workbook(self._sheet, self._done)),
                add("xl/_rels/workbook.xml.rels", parts.relations(sheets)),
                add("[Content_Types].xml", parts.content_types(sheets)),
                self._archive.close(),
            )
        )

    def _begun(self) -> bytes:
        """The next sheet, as far as the names of the columns."""
        number = len(self._done) + 1
        head = f'{parts.sheet_head(self._columns, first=number == 1)}<row r="1">{self._names}</row>'
        self._row = 1
        return self._archive.begin(f"xl/worksheets/sheet{number}.xml") + self._archive.write(head.encode())

    def _ended(self) -> bytes:
        over = parts.area(len(self._columns), self._row)
        self._done.append(over)
        return self._archive.write(parts.sheet_tail(over).encode()) + self._archive.end()

    def _written(self, columns: Sequence[Sequence[Any]], count: int) -> bytes:
        """So many rows: a template that is filled with what the columns have side by side."""
        numbers = list(map(str, range(self._row + 1, self._row + 1 + count)))
        self._row += count
        template = '<row r="%s">'
        filled: list[Sequence[object]] = [numbers]
        for place, (shape, values) in zip(self._places, map(self._cells.column, columns), strict=True):
            template += place + shape
            filled += numbers, values
        template += "</row>"
        written = "".join(map(template.__mod__, zip(*filled, strict=True))).encode()
        self._weight += len(written)
        return written


# -- cells --

_NULL: Final = "/>"
_NUMBER: Final = "><v>%s</v></c>"
_TEXT: Final = ' t="inlineStr"><is><t>%s</t></is></c>'
_EXACT: Final = 10**15
"""Integers below have at most 15 digits."""
_EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - a cell knows no zones
_EPOCH_UTC: Final = _EPOCH.replace(tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_FIRST_DAY: Final = 61
"""The first of March 1900. Excel takes 60 for a 29th of February, which there was not."""
_END_OF_DAYS: Final = 2_958_466
"""The first of January 10000."""
_LONGEST: Final = 32_767
_NO_XML: Final = r"\x00-\x08\x0b-\x1f\ufffe\uffff"
_ODD: Final = re.compile(rf"[&<>{_NO_XML}\ud800-\udfff]|_(?=x[0-9A-Fa-f]{{4}}[_{_NO_XML}])")
_MENDED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "_": "_x005F_"}
_SPECIAL: Final = ("&", ">", "_x", " <", "< ")
_ordinal: Final = date.toordinal
_microsecond: Final = attrgetter("microsecond")
_microseconds: Final = attrgetter("microseconds")


class _Cells:
    """Columns to cells. What most columns are is seen for all values at once, and nothing done for each of them."""

    def __init__(self) -> None:
        self.cut = 0
        self.left_out = 0
        """Characters that were cut off."""
        self._shapers: dict[type, Callable[[Sequence[Any]], Shaped]] = {
            NoneType: lambda column: ("%s", [_NULL] * len(column)),
            enum.Enum: lambda column: ("%s", [self._cell(value.value) for value in column]),
            bool: lambda column: (' t="b"><v>%d</v></c>', column),
            int: self._integers,
            float: self._floats,
            Decimal: self._decimals,
            str: self._texts,
            datetime: self._timestamps,
            date: self._dates,
            time: self._times,
            timedelta: self._intervals,
            object: lambda column: self._texts(list(map(text, column))),
        }

    def column(self, column: Sequence[Any]) -> Shaped:
        """Some values of a column."""
        found: set[type] = set(map(type, column))
        if len(found) == 1:
            return self._shaper(found.pop())(column)
        if NoneType not in found or len(found) != 2:
            return "%s", list(map(self._cell, column))
        shape, filled = self.column([value for value in column if value is not None])
        cells = map(shape.__mod__, filled)
        return "%s", [_NULL if value is None else next(cells) for value in column]

    def _cell(self, value: Any) -> str:
        shape, filled = self.column((value,))
        return shape % filled[0]

    def _shaper(self, kind: type) -> Callable[[Sequence[Any]], Shaped]:
        found = self._shapers.get(kind)
        if found is None:
            bases = (enum.Enum,) if issubclass(kind, enum.Enum) else kind.__mro__
            found = self._shapers[kind] = next(self._shapers[base] for base in bases if base in self._shapers)
        return found

    # -- numbers --

    def _integers(self, column: Sequence[int]) -> Shaped:
        if min(column) > -_EXACT and max(column) < _EXACT:
            return "><v>%d</v></c>", column
        return "%s", [_NUMBER % int(value) if -_EXACT < value < _EXACT else self.text(text(value)) for value in column]

    def _floats(self, column: Sequence[float]) -> Shaped:
        if type(column[0]) is not float:
            column = list(map(float, column))  # subclasses may be written otherwise
        if isfinite(sum(column)):
            return "><v>%r</v></c>", column
        return "%s", [_NUMBER % value if isfinite(value) else self.text(text(value)) for value in column]

    def _decimals(self, column: Sequence[Decimal]) -> Shaped:
        written = list(map(str, column))
        joined = "".join(written)
        if max(map(len, written)) <= 15 and "E" not in joined and "N" not in joined and "I" not in joined:
            return _NUMBER, written
        return "%s", list(map(self._decimal, column))

    def _decimal(self, value: Decimal) -> str:
        written = text(value)
        short = written.rstrip("0").rstrip(".") if "." in written else written
        digits = len(short.lstrip("-0.").replace(".", ""))
        if value.is_finite() and digits <= 15 and (value.adjusted() > -300 or not value):
            return _NUMBER % short
        return self.text(written)

    # -- dates and times --

    def _dates(self, column: Sequence[date]) -> Shaped:
        before = _EPOCH.toordinal()
        serials = [days - before for days in map(_ordinal, column)]
        return self._serials(column, serials, [0] * len(column), parts.DATE, _FIRST_DAY)

    def _timestamps(self, column: Sequence[datetime]) -> Shaped:
        zones = {value.tzinfo is None for value in column}
        if len(zones) == 2:
            return "%s", list(map(self._cell, column))
        epoch = _EPOCH if zones == {True} else _EPOCH_UTC
        serials = [(value - epoch) / _DAY for value in column]
        return self._serials(column, serials, list(map(_microsecond, column)), parts.TIMESTAMP, _FIRST_DAY)

    def _times(self, column: Sequence[time]) -> Shaped:
        serials = [
            timedelta(0, value.second, value.microsecond, 0, value.minute, value.hour) / _DAY
            if value.tzinfo is None
            else -1.0
            for value in column
        ]
        return self._serials(column, serials, list(map(_microsecond, column)), parts.TIME, 0)

    def _intervals(self, column: Sequence[timedelta]) -> Shaped:
        serials = [value / _DAY for value in column]
        return self._serials(column, serials, list(map(_microseconds, column)), parts.INTERVAL, 0)

    def _serials(
        self, column: Sequence[Any], serials: Sequence[float], fractions: Sequence[int], style: int, least: int
    ) -> Shaped:
        """Days since the epoch, with times of day behind the point; text for those before `least`."""
        if least <= min(serials) and max(serials) < _END_OF_DAYS and not any(fractions):
            return f' s="{style}"><v>%r</v></c>', serials
        return "%s", [
            f' s="{style + bool(fraction)}"><v>{serial!r}</v></c>'
            if least <= serial < _END_OF_DAYS
            else self.text(text(value))
            for value, serial, fraction in zip(column, serials, fractions, strict=True)
        ]

    # -- text --

    def _texts(self, column: Sequence[str]) -> Shaped:
        if type(column[0]) is not str:
            column = list(map(str.__str__, column))  # as above
        joined = "<".join(column)
        if (
            joined.isprintable()
            and joined.count("<") == len(column) - 1
            and not any(map(joined.__contains__, _SPECIAL))
            and joined[:1] != " "
            and joined[-1:] != " "
            and (len(joined) * 2 <= _LONGEST or max(map(len, column)) * 2 <= _LONGEST)
        ):
            return _TEXT, column
        return "%s", list(map(self.text, column))

    def text(self, value: str, style: int = 0) -> str:
        """A cell of any text."""
        if len(value) * 2 > _LONGEST:
            value = self._fitted(value)
        written = _ODD.sub(_mended, value)
        space = (
            ' xml:space="preserve"' if not written.isprintable() or written[:1] == " " or written[-1:] == " " else ""
        )
        return f' s="{style}" t="inlineStr"><is><t{space}>{written}</t></is></c>'

    def _fitted(self, value: str) -> str:
        wide = utf8(value).decode().encode("utf-16-le")
        if len(wide) <= 2 * _LONGEST:
            return value
        self.cut += 1
        self.left_out += len(value) - _LONGEST
        return wide[: 2 * (_LONGEST - 1)].decode("utf-16-le", "ignore") + "…"  # not half of a surrogate pair


def _mended(odd: re.Match[str]) -> str:
    """What is written for a character, or for the `_` that begins what looks like one that is written this way."""
    found = odd[0]
    if "\ud800" <= found <= "\udfff":
        return "\ufffd"
    return _MENDED.get(found) or f"_x{ord(found):04X}_"
