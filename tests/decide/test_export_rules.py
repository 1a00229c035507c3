"""The rules of exports, without a row being read: formats, columns, formulas, the mark at the end, SQL around SQL."""

import contextlib
import dataclasses
import datetime as dt
import decimal
import uuid
from typing import Annotated, Any, ClassVar, NamedTuple, Optional, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decide.exports import formats
from holdfast.decide.exports.columns import Column, Kind, columns_of, kind_of
from holdfast.decide.exports.ends import LONGEST, End, Mark, begun, end_of, ended
from holdfast.decide.exports.errors import ColumnsMismatch, NotAcceptable, UnknownFormat
from holdfast.decide.exports.formats import CSV, JSON, NDJSON, PARQUET, XLSX
from holdfast.decide.exports.formulas import FIRST, is_formula, neutral
from holdfast.decide.exports.server import Typed, binds_plainly, is_copied, wrapped

# -- formats --


@pytest.mark.parametrize(
    ("name", "form"),
    [("csv", CSV), (".csv", CSV), ("CSV", CSV), ("jsonl", NDJSON), ("ndjson", NDJSON), ("json", JSON), ("Xlsx", XLSX)],
)
def test_a_format_is_found_by_its_name_and_by_its_extension(name, form):
    assert formats.named(name) is form


@pytest.mark.parametrize("name", ["", ".", "docx", "csv ", "text/csv", "csv\n", "..csv", "c\u017fv"])
def test_any_other_name_is_an_unknown_format_and_the_answer_names_those_there_are(name):
    with pytest.raises(UnknownFormat) as caught:
        formats.named(name)
    assert caught.value.status == 404
    assert caught.value.members == {"formats": ["csv", "ndjson", "json", "xlsx", "parquet"]}


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/orders.csv", CSV),
        ("/a.b/orders.2026.XLSX", XLSX),
        ("/orders.jsonl", NDJSON),
        ("/orders.csv/", None),
        ("/orders.csv/items", None),
        ("/csv", None),
        ("/orders.csv.gz", None),
        ("/orders.", None),
        ("", None),
    ],
)
def test_only_the_extension_of_the_last_part_of_a_path_is_a_format(path, form):
    assert formats.by_path(path) is form


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, CSV),
        ("", CSV),
        ("*/*", CSV),
        ("text/*", CSV),
        ("application/*", NDJSON),
        ("application/json", JSON),
        ("application/json; charset=utf-8", JSON),
        ("APPLICATION/JSON", JSON),
        ("text/csv;q=0.4, application/json;q=0.5", JSON),
        ("text/csv;q=0, */*;q=0.1", NDJSON),
        ("text/csv;q=0, application/x-ndjson;q=0, */*", JSON),
        ("text/html, application/xhtml+xml, */*;q=0.8", CSV),
        ("application/jsonl", NDJSON),
        ("application/vnd.apache.parquet;q=1, text/csv;q=0.999", PARQUET),
        ("text/csv;q=0.5, text/*;q=0.9, application/json;q=0.6", JSON),  # the most particular range decides
        ("application/json;q=wrong, text/csv;q=0.1", CSV),
        (", ,text/csv,", CSV),
    ],
)
def test_the_best_of_what_a_request_accepts_is_given(accept, form):
    assert formats.accepted(accept) is form


@pytest.mark.parametrize(
    "accept", ["text/html", "text/csv;q=0", "*/*;q=0", "text/csv;q=-1", "image/*", "csv", "text/csv;q=nan"]
)
def test_a_request_that_accepts_none_is_told_what_there_is(accept):
    with pytest.raises(NotAcceptable) as caught:
        formats.accepted(accept)
    assert (caught.value.status, caught.value.code) == (406, "not-acceptable")
    assert "text/csv" in caught.value.members["media_types"]


@given(st.text())
def test_no_accept_header_makes_it_fail_otherwise(accept):
    with contextlib.suppress(NotAcceptable):
        assert formats.accepted(accept) in formats.FORMATS


@pytest.mark.parametrize(
    ("accepts", "coding"),
    [
        (None, None),
        ("", None),
        ("gzip", "gzip"),
        ("gzip, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0, zstd;q=0", None),
        ("gzip;q=0.0", None),
        ("zstd;q=0, *", "gzip"),
        ("*;q=0", None),
        ("*", "zstd"),
        ("identity", None),
        ("identity;q=1, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=0.9", "gzip"),
        ("br, deflate", None),
        ("GZIP", "gzip"),
    ],
)
def test_a_coding_is_used_only_where_it_is_accepted_and_not_refused(accepts, coding):
    assert formats.coding(accepts, ("zstd", "gzip")) == coding


def test_no_coding_is_used_where_there_is_none():
    assert formats.coding("gzip, zstd", ()) is None


# -- columns --


class Named(NamedTuple):
    id: int
    note: str | None


class Typed_(TypedDict):
    id: int
    note: str


class Struct(msgspec.Struct):
    id: int
    note: str | None = None


@dataclasses.dataclass
class Record:
    id: int
    price: decimal.Decimal
    kinds: ClassVar[dict[str, int]] = {}
    table: ClassVar = "records"


@pytest.mark.parametrize("described", [Named, Typed_, Struct])
def test_a_class_of_rows_describes_the_columns(described):
    assert columns_of(described) == [Column("id", Kind.INTEGER), Column("note", Kind.TEXT)]


def test_what_belongs_to_the_class_and_not_to_its_rows_is_no_column():
    assert columns_of(Record) == [Column("id", Kind.INTEGER), Column("price", Kind.DECIMAL)]


def test_names_alone_and_names_with_types_describe_the_columns():
    assert columns_of(["a", Column("b", Kind.UUID)]) == [Column("a"), Column("b", Kind.UUID)]
    assert columns_of({"a": int, "b": Kind.JSON}) == [Column("a", Kind.INTEGER), Column("b", Kind.JSON)]


@pytest.mark.parametrize("described", [[], (), {}, ["a", "a"], ["a", Column("b"), "b"], "ab", ""])
def test_no_columns_and_two_of_one_name_are_refused(described):
    with pytest.raises(ColumnsMismatch) as caught:
        columns_of(described)
    assert (caught.value.status, caught.value.code) == (500, "columns-mismatch")


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (int, Kind.INTEGER),
        (bool, Kind.BOOLEAN),
        (int | None, Kind.INTEGER),
        (Optional[dt.datetime], Kind.TIMESTAMP),  # noqa: UP045 - as applications have it
        (Annotated[decimal.Decimal, "cents"], Kind.DECIMAL),
        (dt.date, Kind.DATE),
        (uuid.UUID, Kind.UUID),
        (list[int], Kind.JSON),
        (dict[str, Any], Kind.JSON),
        (int | str, Kind.ANY),
        (Any, Kind.ANY),
        (None, Kind.ANY),
        ("int", Kind.ANY),
    ],
)
def test_a_type_says_what_kind_of_column_it_is(annotation, kind):
    assert kind_of(annotation) is kind


# -- formulas --

FORMULAS = [
    "=1+1",
    "=HYPERLINK(0)",
    "+1+1",
    "-1+1",
    "-cmd|' /C calc'!A0",
    "=cmd|' /C notepad'!'A1'",
    "@SUM(1+1)",
    '=DDE("cmd";"/C calc";"!A0")',
    "\t=1",
    "\tA",
    "\r=1",
    "\nA",
    "\x00=1",
    " =1+1",
    "\u00a0=1",
    "\u3000-1+1",
    "   \u00a0 @x",
    "\uff1d1+1",
    "\uff0b1+1",
    "\uff0d1+1",
    "\uff20x",
    "-",
    "+",
    "=",
    "@",
    "--5",
    "+-5",
    "-5-3",
    "-5%",
    "-1e5",
    "-0x10",
    "+49 30 1234",
    "- 5",
    "-5\n",
    "-5 ",
    "-1,234.56",
    "-\u0665",
    "-" + "1" * 16,
    "=\ud800",
]
NUMBERS = ["-5", "+5", "-5.25", "-0,5", "+49301234", "-" + "1" * 15, "-0"]
PLAIN = ["", "5", "A=1", "'=1", "a\n=1", "a,=1", "\u2212" + "1", "\u00ad=", "1-1", "x@y.example", "Ω", "_=1", '"=1"']


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_takes_for_a_formula_stands_behind_an_apostrophe(text):
    assert is_formula(text)
    assert neutral(text) == "'" + text


@pytest.mark.parametrize("text", NUMBERS + PLAIN)
def test_plain_numbers_and_plain_text_are_left_as_they_are(text):
    assert not is_formula(text)
    assert neutral(text) == text


@given(st.text(min_size=1))
def test_every_formula_begins_with_what_is_looked_for_first(text):
    assert text[0] in FIRST or not is_formula(text)


@given(st.sampled_from("=+-@\uff0b\uff0d\uff1d\uff20"), st.text(), st.text(alphabet=" \u00a0\u3000", max_size=3))
def test_nothing_but_a_number_gets_through_with_a_dangerous_beginning(first, rest, before):
    made = neutral(before + first + rest)
    assert made.startswith("'") or (made[1:].replace(",", "").replace(".", "").isdigit() and made[0] in "+-")


@given(st.text())
def test_neutralising_adds_an_apostrophe_or_nothing(text):
    assert neutral(text) in {text, "'" + text}


# -- the mark at the end --


@pytest.mark.parametrize("form", ["csv", "ndjson"])
@given(rows=st.integers(0, 10**19 - 1))
def test_a_mark_is_found_again_behind_anything_that_ends_a_line(form, rows):
    summed = begun(form, rows)
    mark = summed + ended(form, "ab" * 32)
    found = Mark(len(mark), len(summed), End(rows, "ab" * 32))
    assert end_of(b'x\n{"_end":\n' + mark) == found
    assert end_of(mark) == found
    assert len(mark) < LONGEST


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_mark_that_is_cut_or_changed_anywhere_is_none(form):
    mark = begun(form, 12) + ended(form, "ab" * 32)
    assert [cut for cut in range(len(mark)) if end_of(b"x\n" + mark[:cut])] == []
    assert end_of(b"x" + mark) is None, "it has a line of its own"
    assert end_of(mark + b"\n") is None
    assert end_of(mark + b"x") is None
    assert end_of(b"x\n" + mark.replace(b"ab", b"AB")) is None


# -- SQL around SQL --


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM a WHERE b = $1 AND c = 'x'",
        "SELECT 'it''s', \"a\" FROM t WHERE x > $1 -- it's all",
        "SELECT /* the best */ $1::int",
        "SELECT $1, $2",
    ],
)
def test_a_query_whose_parameters_are_nowhere_else_is_bound_plainly(query):
    assert binds_plainly(query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 'costs $1' WHERE a = $1",
        'SELECT 1 AS "$1" WHERE a = $1',
        "SELECT $1 -- and not $2",
        "SELECT $1 /* $1 */",
        "SELECT $$a $1$$, $1",
        "SELECT $tag$ $1 $tag$, $1",
        "SELECT E'\\' $1', $1",
        "SELECT 'open $1",
        "SELECT /* /* */ $1 */ $1",
    ],
)
def test_a_query_with_the_look_of_a_parameter_in_a_text_is_not(query):
    assert not binds_plainly(query)


def test_a_query_that_ends_in_a_comment_stays_a_query():
    for columns in ([Typed("a", "int4")], [Typed("a", "text")]):
        made = wrapped("SELECT a FROM t -- all", columns, neutral=True, native=False)
        assert ")" not in made[made.index("-- all") :].partition("\n")[0]


def test_columns_that_need_nothing_are_copied_as_they_are():
    columns = [Typed("a", "int8"), Typed("b", "uuid"), Typed("c", "date")]
    assert wrapped("TABLE t", columns, neutral=True, native=False).strip() == "TABLE t"


def test_arrays_that_the_server_would_write_otherwise_are_not_copied():
    assert is_copied([Typed("a", "int4", is_array=True)], native=False)
    assert not is_copied([Typed("a", "bytea", is_array=True)], native=False)
    assert is_copied([Typed("a", "bytea", is_array=True)], native=True)
