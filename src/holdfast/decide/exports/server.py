"""CSV that PostgreSQL writes itself: which expression makes each column what the value grammar says.

https://www.postgresql.org/docs/current/sql-copy.html. Most types are written as they should be already; a query with
none of the others, and with no text to look at, is copied as it is.
"""

import re
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

SESSION: Final = (
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL DateStyle = 'ISO'",
    "SET LOCAL IntervalStyle = 'iso_8601'",
    "SET LOCAL extra_float_digits = 1",
)
"""What a transaction sets for its own time, so that values are written the same for everybody."""

_BARE: Final = frozenset(
    {"int2", "int4", "int8", "oid", "float4", "float8", "numeric", "date", "time", "uuid", "jsonb", "inet", "void"}
)
"""Types of which no value begins a formula, and all are written as they should be."""
_EXPRESSIONS: Final = {
    "bool": "{0}::text",
    "timestamp": "replace({0}::text, ' ', 'T')",
    "timestamptz": "replace(({0} AT TIME ZONE 'UTC')::text, ' ', 'T') || CASE WHEN isfinite({0}) THEN 'Z' ELSE '' END",
    "timetz": "regexp_replace(regexp_replace({0}::text, '([-+][0-9][0-9])$', '\\1:00'), '[+]00:00$', 'Z')",
    "bytea": "translate(encode({0}, 'base64'), E'\\n', '')",
    "interval": "justify_hours({0})::text",
}
_AS_TEXT: Final = {"text": "{0}", "bytea": "{0}", "bpchar": "textin(bpcharout({0}))"}
"""How a type becomes text, where not by a cast: that of char(n) would take away the spaces at its end."""
_FORMULA: Final = (
    "CASE WHEN ({0} < 'A' COLLATE \"C\" OR {0} >= U&'\\00A0' COLLATE \"C\")"
    " AND {0} ~ U&'^([\\0009\\000A\\000D]|[ \\00A0\\3000]*[-=+@\\FF0B\\FF0D\\FF1D\\FF20])'"
    " AND {0} !~ '^[+-]?[0-9]{{1,15}}([.,][0-9]{{1,15}})?$'"
    " THEN '''' || {0} ELSE {0} END"
)
"""As `formulas.is_formula`: the comparison before it is cheap, and true for few texts."""


_ARRAYS_OF_OTHERS: Final = frozenset({"float4", "float8", "numeric", "bytea", "interval"})
"""Types whose arrays the server makes another JSON of: NaN, bytes, and durations in them."""
_QUOTED: Final = re.compile(r"'[^'\\$]*'|\"[^\"$]*\"|--[^\n$]*(?:\n|\Z)|/\*[^*$]*\*/")
_QUOTES: Final = re.compile(r"'|\"|--|/\*|\$[^0-9]")
_IN_FRONT: Final = r"(?:\s|\(|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)*"
_WRAPPED: Final = re.compile(rf"{_IN_FRONT}(?:select|with|values|table)\b", re.IGNORECASE)


class Typed(NamedTuple):
    """A column of a query, as the server describes it."""

    name: str
    type_name: str
    is_array: bool = False


def is_wrapped(query: str) -> bool:
    """Whether a query may stand within another one, or within COPY or a cursor: SHOW and EXPLAIN may not."""
    return _WRAPPED.match(query) is not None


def is_copied(columns: Sequence[Typed], *, native: bool) -> bool:
    """Whether the server can write all columns by the grammar."""
    return native or not any(column.is_array and column.type_name in _ARRAYS_OF_OTHERS for column in columns)


def binds_plainly(query: str) -> bool:
    """Whether each `$1` in a query is a parameter for sure, and none is within a text or a comment.

    Parameters of COPY are not bound by the server: asyncpg puts them in, wherever it finds their numbers.
    """
    return _QUOTES.search(_QUOTED.sub(" ", query)) is None


def read(query: str, columns: Sequence[Typed], known: Collection[str]) -> str:
    """The query for reading rows: as text what no type in `known` is, so that it is written as the server does."""
    made = [_read(column, known) for column in columns]
    return query if all(expression == "{0}" for expression in made) else _select(query, made)


def _read(column: Typed, known: Collection[str]) -> str:
    if column.type_name == "float4" and not column.is_array:
        return "{0}::text::float8"  # its digits, not those of the next float8
    return "{0}" if column.is_array or column.type_name in known else "{0}::text"


def wrapped(query: str, columns: Sequence[Typed], *, neutral: bool, native: bool) -> str:
    """The query whose columns are written by the grammar; with `neutral`, formulas are made text.

    With `native` each value stays as the server writes it. `query` keeps its parameters and their numbers.
    """
    made = [_expression(column, neutral=neutral, native=native) for column in columns]
    return f"{query}\n" if all(expression == "{0}" for expression in made) else _select(query, made)


def _select(query: str, made: Sequence[str]) -> str:
    names = [f"c{number}" for number in range(len(made))]
    wanted = ", ".join(expression.format(name) for expression, name in zip(made, names, strict=True))
    # a line end, for the query may end in a comment
    return f"SELECT {wanted} FROM ({query}\n) AS export ({', '.join(names)})"  # noqa: S608 - of nothing from outside


def _expression(column: Typed, *, neutral: bool, native: bool) -> str:
    if column.is_array and not native:
        return "to_json({0})::text"
    written = "{0}" if native else _EXPRESSIONS.get(column.type_name, "{0}")
    if not neutral or column.type_name in _BARE or (written != "{0}" and column.type_name != "bytea"):
        return written
    return _FORMULA.replace("{0}", _AS_TEXT.get(column.type_name, "({0})::text").replace("{0}", written))
