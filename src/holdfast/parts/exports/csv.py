"""CSV (RFC 4180): UTF-8; NULL is nothing, empty text is `""`; text that begins a formula is made text for spreadsheets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from holdfast.decide.exports.columns import Columns
from holdfast.decide.exports.errors import ColumnsMismatch
from holdfast.decide.exports.formulas import FIRST, neutral
from holdfast.parts.exports.encoding import Batch
from holdfast.parts.exports.values import kinds, text, texts, utf8

_BARE: Final = {int, float, bool, Decimal, datetime, date, time, timedelta, UUID}
"""Types of which no value has a character that is quoted, or begins a formula that calculates."""
_DELIMITERS: Final = frozenset(",;\t|")


@dataclass(frozen=True, slots=True)
class Csv:
    """A dialect of CSV."""

    delimiter: str = ","
    newline: str = "\r\n"
    header: bool = True
    """Whether the first line has the names of the columns."""
    bom: bool = False
    """Whether it begins with a byte order mark, by which Excel knows UTF-8."""
    neutral: bool = True
    """Whether text that a spreadsheet would take for a formula is put behind an apostrophe."""

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
        self._dialect = dialect
        self._special = ('"', dialect.delimiter, "\n", "\r")
        self._look = FIRST | {""} if dialect.neutral else frozenset({""})

    def head(self) -> bytes:
        """The byte order mark and the names, as far as they are wanted."""
        mark = "\ufeff" if self._dialect.bom else ""
        names = self._dialect.delimiter.join(map(self._quoted, self._names)) + self._dialect.newline
        return utf8(mark + (names if self._dialect.header else ""))

    def batch(self, columns: Batch) -> bytes:
        """A line for each row."""
        newline = self._dialect.newline
        lines = map(self._dialect.delimiter.join, zip(*map(self._fields, columns), strict=True))
        return utf8(newline.join(lines) + newline)

    def tail(self) -> bytes:
        """Nothing."""
        return b""

    def _fields(self, column: Sequence[Any]) -> Sequence[str]:
        found, nulls = kinds(column)
        if found == {str}:
            return self._texts(column, nulls=nulls)
        if found <= _BARE:
            return _filled(texts(column, found, nulls=nulls), nulls=nulls)
        return ["" if value is None else self._field(value) for value in column]

    def _texts(self, column: Sequence[str | None], *, nulls: bool) -> Sequence[str]:
        """A column of text. Most need nothing at all, which is seen for all of them at once."""
        there = [value for value in column if value is not None] if nulls else column
        joined = "".join(there)  # pyright: ignore[reportArgumentType] - there are no NULLs left
        firsts = {value[:1] for value in there}  # pyright: ignore[reportOptionalSubscript] - as above
        if self._look.isdisjoint(firsts) and not any(map(joined.__contains__, self._special)):
            return _filled(column, nulls=nulls)
        quoted: Callable[[str], str] = self._quoted
        return ["" if value is None else quoted(value) for value in column]

    def _field(self, value: Any) -> str:
        return text(value) if type(value) in _BARE else self._quoted(text(value))

    def _quoted(self, value: str) -> str:
        if self._dialect.neutral:
            value = neutral(value)
        if not value or any(map(value.__contains__, self._special)):
            return '"' + value.replace('"', '""') + '"'
        return value


def _filled(column: Sequence[str | None], *, nulls: bool) -> Sequence[str]:
    return [value or "" for value in column] if nulls else column  # pyright: ignore[reportReturnType] - there are no NULLs
