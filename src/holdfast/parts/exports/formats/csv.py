"""CSV (RFC 4180) in UTF-8: numbers and booleans are bare, all else is quoted, NULL is nothing, empty text is `""`.

A row that is written as a JSON array is nearly a line of CSV, and msgspec writes it many times as fast as Python could.
So what differs is looked for in whole columns, and only those values are written here: NULL, what needs an escape, what
is no number, what would be a formula.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from types import NoneType
from typing import Any, Final
from uuid import UUID

import msgspec

from holdfast.decide.exports.columns import Columns, Kind
from holdfast.decide.exports.errors import ColumnsMismatch
from holdfast.decide.exports.formulas import FIRST, neutral
from holdfast.parts.exports.formats.encoding import Rows
from holdfast.parts.exports.formats.values import embedded, json, side_by_side, text, utf8

_BARE: Final = frozenset({int, float, bool, Decimal})
_QUICK: Final = frozenset({int, float, bool, str, datetime, date, time, UUID, NoneType})
"""Types that msgspec writes as they should be, if nothing odd is in them."""
_DECIMAL: Final = frozenset({Decimal, NoneType})
_ODD: Final = frozenset("EIN")
"""What the text of a decimal has besides digits where it has an exponent or is no number."""
_NULL: Final = msgspec.Raw(b"")
_DELIMITERS: Final = frozenset(",;\t|")


@dataclass(frozen=True, slots=True)
class Csv:
    """A dialect of CSV."""

    delimiter: str = ","
    newline: str = "\n"
    """As servers write it; for CR LF, which RFC 4180 names, a query is written here and not by its server."""
    header: bool = True
    """Whether the first line has the names of the columns."""
    bom: bool = False
    """Whether it begins with a byte order mark, by which Excel knows UTF-8."""
    neutral: bool = True
    """Whether text that a spreadsheet would take for a formula is put behind an apostrophe."""
    native: bool = False
    """Whether a server that writes CSV itself may write values its own way: faster, but not by the grammar."""

    def __post_init__(self) -> None:
        """Raise ColumnsMismatch for what no reader would understand."""
        if self.delimiter not in _DELIMITERS or self.newline not in {"\r\n", "\n"}:
            raise ColumnsMismatch("CSV is delimited by one of , ; | and tab, and its lines end with CR LF or LF.")


FOR_MACHINES: Final = Csv(neutral=False)
"""CSV that programs read: every text as it is."""


class CsvEncoder:
    """One export as CSV."""

    def __init__(self, columns: Columns, dialect: Csv) -> None:
        """Begin."""
        self._names = [column.name for column in columns]
        self._json = [column.kind is Kind.JSON for column in columns]
        self._dialect = dialect
        self._newline = dialect.newline.encode()

    def head(self) -> bytes:
        """The byte order mark and the names, as far as they are wanted."""
        return head(self._names, self._dialect)

    def batch(self, rows: Rows, *, plain: bool = False) -> bytes:
        """A line for each row."""
        if plain and not self._dialect.neutral and self._dialect.delimiter == "," and not any(self._json):
            body = json.encode_lines(rows)
            if b"\\" not in body and b"null" not in body:
                return body[1:-2].replace(b"]\n[", self._newline) + self._newline
        columns: Sequence[Sequence[Any]] = side_by_side(rows, len(self._names))
        if any(self._json):
            columns = [
                _as_json(column) if is_json else column for column, is_json in zip(columns, self._json, strict=True)
            ]
        if self._dialect.delimiter != ",":
            return self._joined(columns)
        looked = [self._looked(column) for column in columns]
        try:
            body = json.encode_lines(list(zip(*looked, strict=True)))
        except UnicodeEncodeError:  # half of a surrogate pair
            body = b"\\"
        if b"\\" in body or b"null" in body:
            body = json.encode_lines(list(zip(*map(self._written, looked), strict=True)))
        lines = body[1:-2].replace(b"]\n[", self._newline)
        if len(body) - 3 - len(lines) != (len(rows) - 1) * (3 - len(self._newline)):  # a text has the same in it
            return self._joined(columns)
        return lines + self._newline

    def tail(self) -> bytes:
        """Nothing."""
        return b""

    def _looked(self, column: Sequence[Any]) -> Sequence[Any]:
        """A column with its NULLs and formulas seen to; the rest may still need to be `_written`."""
        found = set(map(type, column))
        if found <= _DECIMAL:
            return self._decimals(column)
        if not found <= _QUICK:
            return [self._raw(value) for value in column]
        if str in found and self._dialect.neutral:
            texts = column if len(found) == 1 else [value for value in column if type(value) is str]
            if not FIRST.isdisjoint({value[:1] for value in texts}):
                column = [neutral(value) if type(value) is str else value for value in column]
        if NoneType in found:
            column = [_NULL if value is None else value for value in column]
        return column

    def _decimals(self, column: Sequence[Decimal | None]) -> Sequence[Any]:
        """Decimals; as a rule their own text is what is wanted."""
        written = ["" if value is None else str(value) for value in column]
        if _ODD.isdisjoint("".join(written)):
            return list(map(msgspec.Raw, written))
        return [self._raw(value) for value in column]

    def _written(self, column: Sequence[Any]) -> Sequence[Any]:
        """A column in which everything is seen to."""
        found = set(map(type, column))
        if found == {str}:
            joined = "".join(column)
            if joined.isprintable() and '"' not in joined and "\\" not in joined:
                return column
        elif found <= {int, bool, msgspec.Raw}:
            return column
        return [value if type(value) is msgspec.Raw else self._raw(value) for value in column]

    def _raw(self, value: Any) -> msgspec.Raw:
        return msgspec.Raw(utf8(_field(value, self._dialect)))

    def _joined(self, columns: Sequence[Sequence[Any]]) -> bytes:
        """Lines for other delimiters, value by value."""
        fields = [[_field(value, self._dialect) for value in column] for column in columns]
        lines = map(self._dialect.delimiter.join, zip(*fields, strict=True))
        return utf8(self._dialect.newline.join(lines) + self._dialect.newline)


def _as_json(values: Sequence[Any]) -> Sequence[Any]:
    """A column of JSON, in which a string is one of JSON as well."""
    return [embedded(value).decode() if isinstance(value, str) else value for value in values]


def head(names: Sequence[str], dialect: Csv) -> bytes:
    """What comes before the first row."""
    mark = "\ufeff" if dialect.bom else ""
    line = dialect.delimiter.join(_field(name, dialect) for name in names) + dialect.newline
    return utf8(mark + (line if dialect.header else ""))


def _field(value: Any, dialect: Csv) -> str:
    if value is None:
        return ""
    written = text(value)
    if type(value) in _BARE:
        return written
    if dialect.neutral:
        written = neutral(written)
    return '"' + written.replace('"', '""') + '"'
