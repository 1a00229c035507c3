"""CSV that PostgreSQL writes itself: which expression makes each column what the value grammar says.

https://www.postgresql.org/docs/current/sql-copy.html. Most types are written as they should be already; a query with
none of the others, and with no text to look at, is copied as it is.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

SESSION: Final = (
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL DateStyle = 'ISO'",
    "SET LOCAL IntervalStyle = 'iso_8601'",
    "SET LOCAL extra_float_digits = 1",
)
"""What a transaction sets for its own time, so that values are written the same for everybody."""

_TEXTS: Final = frozenset({"text", "varchar", "bpchar", "char", "name", "citext", "unknown", "xml", "json"})
_BARE: Final = frozenset(
    {"int2", "int4", "int8", "oid", "float4", "float8", "numeric", "date", "time", "timetz", "uuid", "jsonb", "inet"}
)
"""Types of which no value begins a formula, and all are written as they should be."""
_EXPRESSIONS: Final = {
    "bool": "{0}::text",
    "timestamp": "replace({0}::text, ' ', 'T')",
    "timestamptz": "replace(({0} AT TIME ZONE 'UTC')::text, ' ', 'T') || CASE WHEN isfinite({0}) THEN 'Z' ELSE '' END",
    "bytea": "translate(encode({0}, 'base64'), E'\\n', '')",
    "interval": "justify_hours({0})::text",
}
_FORMULA: Final = (
    "CASE WHEN ({0} < 'A' COLLATE \"C\" OR {0} >= U&'\\00A0' COLLATE \"C\")"
    " AND {0} ~ U&'^([\\0009\\000A\\000D]|[ \\00A0\\3000]*[-=+@\\FF0B\\FF0D\\FF1D\\FF20])'"
    " AND {0} !~ '^[+-]?[0-9]{{1,15}}([.,][0-9]{{1,15}})?$'"
    " THEN '''' || {0} ELSE {0} END"
)
"""As `formulas.is_formula`: the comparison before it is cheap, and true for few texts."""


class Typed(NamedTuple):
    """A column of a query, as the server describes it."""

    name: str
    type_name: str
    is_array: bool = False


def wrapped(query: str, columns: Sequence[Typed], *, neutral: bool, native: bool) -> str:
    """The query whose columns are written by the grammar; with `neutral`, formulas are made text.

    With `native` each value stays as the server writes it. `query` keeps its parameters and their numbers.
    """
    made = [_expression(column, neutral=neutral, native=native) for column in columns]
    if all(expression == "{0}" for expression in made):
        return query
    names = [f"c{number}" for number in range(len(columns))]
    wanted = ", ".join(expression.format(name) for expression, name in zip(made, names, strict=True))
    return f"SELECT {wanted} FROM ({query}) AS export ({', '.join(names)})"  # noqa: S608 - of nothing from outside


def _expression(column: Typed, *, neutral: bool, native: bool) -> str:
    if column.is_array and not native:
        return "to_json({0})::text"
    written = "{0}" if native else _EXPRESSIONS.get(column.type_name, "{0}")
    if not neutral or column.type_name in _BARE or (written != "{0}" and column.type_name != "bytea"):
        return written
    as_text = written if column.type_name in {"text", "bytea"} else f"({written})::text"
    return _FORMULA.replace("{0}", as_text)
