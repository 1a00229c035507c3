"""The value grammar: what is written for each value in CSV, NDJSON and JSON, and what readers make of it."""

import base64
import csv
import dataclasses
import datetime as dt
import enum
import io
import json
import math
import re
import uuid
from decimal import Decimal

import duckdb
import msgspec
import polars as pl
import pytest
from csv_strictly import parsed
from exporting import text
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from holdfast import exports
from holdfast.exports import FOR_MACHINES, Column, ColumnsMismatch, Csv, Kind

CRLF = Csv(newline="\r\n")
quick = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def written(rows, form, columns=None, **how) -> str:
    """The export of `rows`, whose columns are called a, b, c ... where they are not described."""
    columns = columns or list("abcdefghij"[: len(rows[0])])
    return text(exports.stream(rows, columns=columns, form=form, **how))


def field(value, **how) -> str:
    """What CSV has for one value."""
    made = written([(value, 1)], "csv", **how)
    assert made.startswith('"a","b"\n')
    assert made.endswith(",1\n")
    return made.removeprefix('"a","b"\n').removesuffix(",1\n")


class Colour(enum.Enum):
    RED = "red"
    NONE = None


class Level(enum.IntEnum):
    HIGH = 3


class Word(str):
    __slots__ = ()


class Odd:
    def __str__(self) -> str:
        return "odd, =1"


@dataclasses.dataclass
class Tea:
    name: str
    cups: Decimal


class Struct(msgspec.Struct):
    name: str


UTC = dt.UTC
KOLKATA = dt.timezone(dt.timedelta(hours=5, minutes=30))
GRAMMAR = [
    (None, "", "null"),
    ("", '""', '""'),
    ("a", '"a"', '"a"'),
    ('say "x", y', '"say ""x"", y"', '"say \\"x\\", y"'),
    ("null", '"null"', '"null"'),
    ("true", '"true"', '"true"'),
    (True, "true", "true"),
    (False, "false", "false"),
    (0, "0", "0"),
    (-5, "-5", "-5"),
    (2**63, "9223372036854775808", "9223372036854775808"),
    (-(10**40), "-1" + "0" * 40, "-1" + "0" * 40),
    (1.0, "1.0", "1.0"),
    (0.1, "0.1", "0.1"),
    (-0.0, "-0.0", "-0.0"),
    (5e-324, "5e-324", "5e-324"),
    (math.nan, "NaN", '"NaN"'),
    (math.inf, "Infinity", '"Infinity"'),
    (-math.inf, "-Infinity", '"-Infinity"'),
    (Decimal("1.50"), "1.50", "1.50"),
    (Decimal("-0.00"), "-0.00", "-0.00"),
    (Decimal("123456789012345678901234567890.123456789"),) + ("123456789012345678901234567890.123456789",) * 2,
    (Decimal("NaN"), "NaN", '"NaN"'),
    (Decimal("sNaN"), "NaN", '"NaN"'),
    (Decimal("-Infinity"), "-Infinity", '"-Infinity"'),
    (b"", '""', '""'),
    (b"\x00\xff", '"AP8="', '"AP8="'),
    (bytearray(b"ab"), '"YWI="', '"YWI="'),
    (memoryview(b"ab"), '"YWI="', '"YWI="'),
    (dt.date(2026, 2, 3), '"2026-02-03"', '"2026-02-03"'),
    (dt.time(4, 5, 6), '"04:05:06"', '"04:05:06"'),
    (dt.datetime(2026, 2, 3, 4, 5, 6), '"2026-02-03T04:05:06"', '"2026-02-03T04:05:06"'),
    (dt.datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC), '"2026-02-03T04:05:06Z"', '"2026-02-03T04:05:06Z"'),
    (dt.datetime(1, 1, 1, 4, 5, 6, 7, KOLKATA),) + ('"0001-01-01T04:05:06.000007+05:30"',) * 2,
    (dt.timedelta(), '"PT0S"', '"PT0S"'),
    (dt.timedelta(days=1, hours=2, seconds=3.5), '"P1DT2H3.5S"', '"P1DT2H3.5S"'),
    (dt.timedelta(days=-1, hours=-2), '"P-1DT-2H"', '"P-1DT-2H"'),
    (uuid.UUID(int=5),) + ('"00000000-0000-0000-0000-000000000005"',) * 2,
    ([1, None, "a"], '"[1,null,""a""]"', '[1,null,"a"]'),
    ({"k": [True]}, '"{""k"":[true]}"', '{"k":[true]}'),
    ((), '"[]"', "[]"),
    (Tea("x", Decimal("1.50")), '"{""name"":""x"",""cups"":1.50}"', '{"name":"x","cups":1.50}'),
    (Struct("x"), '"{""name"":""x""}"', '{"name":"x"}'),
    (Colour.RED, '"red"', '"red"'),
    (Word('w"'), '"w"""', '"w\\""'),
    (Odd(), '"odd, =1"', '"odd, =1"'),
]


@pytest.mark.parametrize(("value", "in_csv", "in_json"), GRAMMAR, ids=range(len(GRAMMAR)))
def test_each_value_is_written_by_the_grammar(value, in_csv, in_json):
    assert field(value) == in_csv
    assert written([(value,)], "ndjson") == f'{{"a":{in_json}}}\n'
    assert written([(value,)], "json") == f'[\n{{"a":{in_json}}}\n]\n'


@pytest.mark.parametrize("other", [None, "x", 1, 1.5, True, Decimal(1), b"x", dt.date(2026, 1, 1), [1], Odd()])
def test_a_value_is_written_the_same_whatever_else_is_in_its_column(other):
    values = [value for value, *_ in GRAMMAR]
    alone = [field(value) for value in values]
    rows = [pair for value in values for pair in ((value, 1), (other, 1))]
    beside = [line.rsplit(",", 1)[0] for line in written(rows, "csv").splitlines()[1::2]]
    assert list(map(meaning, beside)) == list(map(meaning, alone))
    lines = written([(value,) for value in values] + [(other,)], "ndjson").splitlines()
    assert lines[:-1] == [written([(value,)], "ndjson").strip() for value in values]


def meaning(in_csv: str) -> str | float:
    """The shortest float may be written in two ways."""
    return float(in_csv) if in_csv[-1:].isdigit() and "e" in in_csv else in_csv


def test_numbers_of_an_enumeration_are_numbers():
    assert field(Level.HIGH).strip('"') == "3"
    assert written([(Level.HIGH,)], "ndjson") == '{"a":3}\n'


@pytest.mark.parametrize("number", [Decimal("1E+400"), Decimal("-1E+400"), Decimal("1E-400"), Decimal("1.5E+310")])
def test_a_decimal_beyond_all_floats_keeps_its_digits(number):
    assert Decimal(field(number)) == number
    assert "E" not in field(number)
    assert json.loads(written([(number,)], "ndjson"), parse_float=Decimal, parse_int=Decimal) == {"a": number}


NESTED = [
    ([math.nan, math.inf], [None, None]),
    ([Decimal("NaN"), Decimal("-Infinity"), Decimal("1.5")], [None, None, 1.5]),
    ({"a": {"b": [Decimal("Infinity")]}}, {"a": {"b": [None]}}),
    (["\ud800", {"\udfff": "x\udc00y"}], ["\ufffd", {"\ufffd": "x\ufffdy"}]),
    (["NaN", "Infinity"], ["NaN", "Infinity"]),
    ([b"\xff", dt.date(2026, 1, 2), uuid.UUID(int=1)], ["/w==", "2026-01-02", str(uuid.UUID(int=1))]),
    ({1: "a", dt.date(2026, 1, 2): "b"}, {"1": "a", "2026-01-02": "b"}),
    ([Tea("\ud800", Decimal("NaN"))], [{"name": "\ufffd", "cups": None}]),
    ([Colour.RED, Level.HIGH], ["red", 3]),
    ({"line\nbreak": 'q"\r\n'}, {"line\nbreak": 'q"\r\n'}),
]


@pytest.mark.parametrize(("value", "read"), NESTED, ids=range(len(NESTED)))
def test_what_is_within_other_values_is_json_that_every_reader_takes(value, read):
    strict = json.JSONDecoder(parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert strict.decode(parsed(written([(value, 1)], "csv"))[1][0]) == read
    assert strict.decode(written([(value,)], "ndjson")) == {"a": read}
    assert strict.decode(written([(value,), (value,)], "json")) == [{"a": read}, {"a": read}]


@pytest.mark.parametrize(
    ("json_text", "read"),
    [
        ('{"a": 1}', {"a": 1}),
        ('{\n  "a":\r\n 1}', {"a": 1}),
        ('"x"', "x"),
        ("null", None),
        ("", ""),
        ("x", "x"),
        ('{"a": NaN}', '{"a": NaN}'),
        ("1 2", "1 2"),
        ("[1,]", "[1,]"),
        ('"}\n{"', '"}\n{"'),
        ("\ud800", "\ufffd"),
        ('"\ud800"', "\ufffd"),
    ],
)
def test_text_that_is_json_is_embedded_and_what_is_none_is_a_string(json_text, read):
    columns = [Column("a", Kind.JSON_TEXT), Column("b")]
    made = written([(json_text, 1), (None, 2), (json_text, 3)], "ndjson", columns)
    assert [json.loads(line) for line in made.splitlines()] == [
        {"a": read, "b": 1},
        {"a": None, "b": 2},
        {"a": read, "b": 3},
    ]
    as_array = written([(json_text, 1), (json_text, 2)], "json", columns)
    assert json.loads(as_array) == [{"a": read, "b": 1}, {"a": read, "b": 2}]


# -- text --

PLANES = "".join(chr(plane + place) for plane in range(0, 0x110000, 0x10000) for place in (0x41, 0xFFFD))
nasty = st.text(
    alphabet=st.sampled_from("\",;\t|\r\n[]{}\\'\0= -+@\ufeff\u2028\u2029\x0b\x0c\x1c\x7f\x85\ud800\udfff\U0001f71aé")
)
texts = st.one_of(
    st.text(), nasty, st.sampled_from([PLANES, "]\n[", "}\n{", "a]\n[b", "\\.", '"', "null", "\ud83d\ude00"])
)
values = st.one_of(
    st.none(),
    texts,
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
    st.binary(max_size=20),
    st.dates(),
    st.datetimes(),
    st.datetimes(dt.datetime(1975, 1, 1), timezones=st.timezones()),
    st.uuids(),
    st.timedeltas(),
    st.recursive(st.one_of(st.none(), texts, st.integers()), lambda inner: st.lists(inner, max_size=3), max_leaves=5),
)


def whole(value):
    """`value` without halves of surrogate pairs."""
    if isinstance(value, list):
        return [whole(item) for item in value]
    return (
        "".join("\ufffd" if 0xD800 <= ord(one) < 0xE000 else one for one in value) if isinstance(value, str) else value
    )


def table(cell):
    return st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[cell] * width), min_size=1, max_size=8))


@quick
@given(table(texts), st.sampled_from(["\n", "\r\n"]))
@example([("x]\n[y", "]\n["), ("\ud800", "")], "\n")
@example([("x]\n[y", "]\n["), ("\ud800", "")], "\r\n")
@example([(PLANES,)], "\n")
def test_pythons_csv_reads_every_text_back_equal(rows, newline):
    made = written(rows, "csv", csv=Csv(neutral=False, newline=newline))
    found = list(csv.reader(io.StringIO(made, newline=""), strict=True))
    assert found[1:] == [[whole(value) for value in row] for row in rows]


@quick
@given(table(st.one_of(st.none(), texts)), st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["\n", "\r\n"]))
def test_every_delimiter_separates(rows, delimiter, newline):
    made = written(rows, "csv", csv=Csv(neutral=False, newline=newline, delimiter=delimiter))
    found = list(csv.reader(io.StringIO(made, newline=""), strict=True, delimiter=delimiter))
    assert [line or [""] for line in found[1:]] == [[whole(value) or "" for value in row] for row in rows]


@quick
@given(table(st.one_of(st.none(), st.just(""), texts)), st.sampled_from(["\n", "\r\n"]))
def test_nothing_is_told_from_empty_text(rows, newline):
    made = written([(1, *row) for row in rows], "csv", csv=Csv(neutral=False, newline=newline))
    assert parsed(made, newline)[1:] == [["1", *map(whole, row)] for row in rows]


@quick
@given(table(values))
def test_json_loads_reads_every_value_back_and_each_line_is_one_row(rows):
    lines = written(rows, "ndjson").split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(rows)
    read = [list(json.loads(line, parse_float=Decimal).values()) for line in lines]
    for found, meant in zip(read, rows, strict=True):
        for one, value in zip(found, meant, strict=True):
            same(one, value)
    again = json.loads(written(rows, "json"), parse_float=Decimal)
    assert [list(row.values()) for row in again] == read


def duration(written: str) -> dt.timedelta:
    """What a duration of ISO 8601 says whose numbers have signs of their own."""
    found = re.fullmatch(r"P(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?[\d.]+)S)?)?", written)
    assert found is not None, written
    days, hours, minutes, seconds = (Decimal(number or 0) for number in found.groups())
    micros = int(((days * 24 + hours) * 60 + minutes) * 60_000_000 + seconds * 1_000_000)
    return dt.timedelta(microseconds=micros)


def same(found, value):
    """Fail unless `found`, read from JSON, is what `value` means."""
    match value:
        case bytes():
            assert base64.b64decode(found) == value
        case dt.datetime():
            assert dt.datetime.fromisoformat(found) == value
        case dt.date():
            assert dt.date.fromisoformat(found) == value
        case dt.timedelta():
            assert duration(found) == value
        case uuid.UUID():
            assert uuid.UUID(found) == value
        case float() if math.isinf(value):
            assert found == ("Infinity" if value > 0 else "-Infinity")
        case float():
            assert float(found) == value
        case _:
            assert found == whole(value)
            assert type(found) is type(value) or isinstance(value, Decimal)


@quick
@given(table(texts))
def test_polars_reads_every_text_back_equal(rows):
    made = written(rows, "csv", csv=FOR_MACHINES).encode()
    frame = pl.read_csv(made, infer_schema=False)
    assert frame.rows() == [tuple(whole(value) for value in row) for row in rows]


@settings(max_examples=25, deadline=None)
@given(table(st.text().filter(lambda value: "\0" not in value)))
def test_duckdb_reads_every_text_back_equal(tmp_path_factory, rows):
    file = tmp_path_factory.mktemp("duck") / "made.csv"
    file.write_text(written(rows, "csv", csv=FOR_MACHINES), newline="")
    names = ", ".join(f"'{name}': 'VARCHAR'" for name in "abcd"[: len(rows[0])])
    how = "auto_detect=false, header=true, delim=',', quote='\"', escape='\"', new_line='\\n', nullstr='', "
    how += "allow_quoted_nulls=false, strict_mode=true"
    found = duckdb.sql(f"SELECT * FROM read_csv('{file}', {how}, columns={{{names}}})").fetchall()
    assert found == rows


def test_readers_find_the_types_of_numbers_booleans_and_nothing():
    rows = [(1, 1.5, True, "x", None), (None, None, None, "", "y")]
    made = written(rows, "csv")
    frame = pl.read_csv(made.encode())
    assert frame.rows() == rows
    assert frame.dtypes == [pl.Int64, pl.Float64, pl.Boolean, pl.String, pl.String]
    lines = pl.read_ndjson(written(rows, "ndjson").encode())
    assert lines.rows() == rows


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, 0x85, 0x2028, 0xFEFF, 0xFFFE, 0xFFFF, 0x10FFFF])
def test_every_odd_character_comes_back_from_json_and_csv(code):
    value = f"a{chr(code)}b"
    assert json.loads(written([(value,)], "ndjson")) == {"a": value}
    assert parsed(written([(value, 1)], "csv"))[1] == [value, "1"]


def test_halves_of_surrogate_pairs_become_replacement_characters_and_stay_two():
    assert written([("\ud83d\ude00",)], "ndjson") == '{"a":"\ufffd\ufffd"}\n'
    assert field("x\udc80") == '"x\ufffd"'
    assert written([(1,)], "ndjson", ["n\ud800"]) == '{"n\ufffd":1}\n'
    assert written([(1,)], "csv", ["n\ud800"]) == '"n\ufffd"\n1\n'


@pytest.mark.parametrize(
    "name", ["", " ", "a b", 'q"', "a,b", "a\nb", "__proto__", "self", "f0", "ключ", "a" * 5000, "_end"]
)
def test_a_column_may_be_called_anything(name):
    assert json.loads(written([(1, 2)], "ndjson", [name, "other"])) == {name: 1, "other": 2}
    assert parsed(written([(1, 2)], "csv", [name, "other"]))[0] == [name or "", "other"]


def test_a_thousand_columns_keep_their_order():
    names = [f"c{number}" for number in range(1000)]
    assert list(json.loads(written([range(1000)], "ndjson", names)).items()) == [(f"c{n}", n) for n in range(1000)]
    assert parsed(written([tuple(range(1000))], "csv", names))[1] == [str(number) for number in range(1000)]


# -- formulas --


@pytest.mark.parametrize(
    "payload",
    [
        "=1+1",
        "+1+1",
        "-1+1",
        "@x",
        "\t=1",
        "\r=1",
        "\n=1",
        "\0=1",
        " =1",
        "\u00a0=1",
        "\uff1d1",
        '=DDE("cmd";"/C calc";"x")',
    ],
)
def test_a_formula_is_text_by_default_and_stays_as_it_is_for_machines(payload):
    assert parsed(written([(payload, 1)], "csv"))[1] == ["'" + payload, "1"]
    assert parsed(written([(payload, 1)], "csv", csv=FOR_MACHINES))[1] == [payload, "1"]
    assert json.loads(written([(payload,)], "ndjson")) == {"a": payload}, "JSON opens in no spreadsheet"


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_formula_is_text_in_every_row_of_a_batch_and_in_a_name(delimiter):
    rows = [("x", None), ("=1", "=2"), (None, "-5"), ("=3", "y")]
    made = written(rows, "csv", ["=a", "b"], csv=Csv(delimiter=delimiter))
    found = list(csv.reader(io.StringIO(made), delimiter=delimiter))
    assert found == [["'=a", "b"], ["x", ""], ["'=1", "'=2"], ["", "-5"], ["'=3", "y"]]


def test_a_formula_that_is_no_plain_text_is_text_too():
    class Sum:
        def __str__(self) -> str:
            return "=1+1"

    class Kinds(enum.Enum):
        SUM = "=1+1"

    for value in (Sum(), Kinds.SUM, Word("=1+1")):
        assert parsed(written([(value, 1)], "csv"))[1] == ["'=1+1", "1"]


@pytest.mark.parametrize("number", [-5, -5.5, Decimal("-5.00"), -(10**30), "-5", "+5", "-5.25", "-0,5"])
def test_a_number_is_never_touched(number):
    assert parsed(written([(number, 1)], "csv"))[1] == [str(number), "1"]


# -- dialects --


def test_the_mark_and_the_header_are_there_as_wanted():
    assert written([(1,)], "csv", csv=Csv(bom=True)) == '\ufeff"a"\n1\n'
    assert written([(1,)], "csv", csv=Csv(header=False)) == "1\n"
    assert written([(1,)], "csv", csv=Csv(header=False, bom=True)) == "\ufeff1\n"
    assert written([(1, 2)], "csv", csv=Csv(delimiter=";", newline="\r\n")) == '"a";"b"\r\n1;2\r\n'


@pytest.mark.parametrize(
    "how",
    [
        {"delimiter": "'"},
        {"delimiter": ""},
        {"delimiter": ",,"},
        {"delimiter": "\n"},
        {"newline": "\r"},
        {"newline": ""},
    ],
)
def test_a_dialect_that_nobody_could_read_is_refused(how):
    with pytest.raises(ColumnsMismatch):
        Csv(**how)


# -- rows that do not fit --


@pytest.mark.parametrize("form", ["csv", "ndjson", "json"])
@pytest.mark.parametrize(
    "rows", [[(1, 2, 3)], [(1,)], [()], [(1, 2), (1, 2, 3)], [(1, 2), (1,)], [(1, 2)] * 100 + [(1, 2, 3)] * 100]
)
def test_rows_with_more_or_fewer_values_than_columns_end_the_export(rows, form):
    with pytest.raises(ColumnsMismatch):
        written(rows, form, ["a", "b"])


@pytest.mark.parametrize("form", ["csv", "ndjson", "json"])
def test_an_export_without_rows_is_whole_all_the_same(form):
    empty = {"csv": '"a","b"\n', "ndjson": "", "json": "[\n]\n"}
    assert text(exports.stream([], columns=["a", "b"], form=form)) == empty[form]
