"""Parquet read back by three readers, and rows from Arrow."""

import enum
import io
import tracemalloc
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from holdfast import exports
from holdfast.decide.exports.columns import Column, Kind
from holdfast.decide.exports.errors import ColumnsMismatch, SourceUnsuited
from holdfast.parts.exports.formats.parquet import ParquetEncoder
from holdfast.parts.exports.sources.arrow import ArrowSource

EAST = timezone(timedelta(hours=2))
NOON = datetime(2024, 2, 29, 12, 0, 0, 1)


class Level(enum.IntEnum):
    HIGH = 3


class Colour(enum.StrEnum):
    RED = "red"


def written(rows, columns, size=64, **options):
    encoder = ParquetEncoder(columns, **options)
    made = [encoder.head()]
    made += [encoder.batch(rows[at : at + size]) for at in range(0, len(rows), size)]
    return b"".join([*made, encoder.tail()])


def table(data):
    return pq.read_table(io.BytesIO(data))


def column_of(values, kind=Kind.ANY):
    """The type of one column, and its values as they come back."""
    found = table(written([(value,) for value in values], [Column("value", kind)]))["value"]
    return str(found.type), found.to_pylist()


KNOWN = [
    (Kind.BOOLEAN, "bool", [True, False, None]),
    (Kind.INTEGER, "int64", [0, -(2**63), 2**63 - 1, None]),
    (Kind.FLOAT, "double", [0.1, -1e300, float("inf"), None]),
    (Kind.TEXT, "string", ["", "é😀\U0010fffd", "\x00\r\n", None]),
    (Kind.BYTES, "binary", [b"", b"\x00\xff", None]),
    (Kind.DATE, "date32[day]", [date(1, 1, 1), date(9999, 12, 31), None]),
    (Kind.TIME, "time64[us]", [time(0), time(23, 59, 59, 999_999), None]),
    (Kind.TIMESTAMP, "timestamp[us]", [datetime.min, NOON, datetime.max, None]),
    (Kind.TIMESTAMP, "timestamp[us, tz=UTC]", [NOON.replace(tzinfo=UTC), None]),
    (Kind.INTERVAL, "duration[us]", [timedelta(0), timedelta(-1, 5, 7), None]),
    (Kind.DECIMAL, "decimal128(38, 18)", [Decimal("-1.5"), Decimal("12345678901234567890.123456789012345678"), None]),
]


@pytest.mark.parametrize(("kind", "name", "values"), KNOWN, ids=lambda one: one if isinstance(one, str) else "")
def test_a_kind_has_a_type_and_its_values_come_back(kind, name, values):
    assert column_of(values, kind) == (name, values)


@pytest.mark.parametrize(("kind", "name", "values"), KNOWN, ids=lambda one: one if isinstance(one, str) else "")
def test_a_column_of_any_kind_becomes_what_its_values_are(kind, name, values):
    assert column_of(values) == (name, values)


@pytest.mark.parametrize(
    ("kind", "value", "written_as"),
    [
        (Kind.UUID, uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Kind.JSON, {"a": [1, None]}, '{"a":[1,null]}'),
        (Kind.JSON_TEXT, '{"a": 1}', '{"a": 1}'),
        (Kind.TEXT, 5, "5"),
        (Kind.TEXT, Decimal("1E+3"), "1000"),
        (Kind.TEXT, Colour.RED, "red"),
        (Kind.TEXT, "a\ud800b", "a\ufffdb"),
    ],
)
def test_what_has_no_type_of_its_own_is_text(kind, value, written_as):
    assert column_of([value, None], kind) == ("string", [written_as, None])


@pytest.mark.parametrize(
    ("values", "written_as"),
    [
        ([1, "a"], ["1", "a"]),
        ([True, 1], ["true", "1"]),
        ([1, 2**64], ["1", "18446744073709551616"]),
        ([2**64, 1.5], ["18446744073709551616", "1.5"]),
        ([date(2024, 1, 1), datetime(2024, 1, 1)], ["2024-01-01", "2024-01-01T00:00:00"]),
        ([NOON, NOON.replace(tzinfo=UTC)], ["2024-02-29T12:00:00.000001", "2024-02-29T12:00:00.000001Z"]),
        ([time(1, tzinfo=UTC)], ["01:00:00Z"]),
        ([timedelta.max], ["P999999999DT23H59M59.999999S"]),
        ([Decimal("NaN")], ["NaN"]),
        ([Decimal("0.1234567890123456789")], ["0.1234567890123456789"]),
        ([[1], {"a": 1}], ["[1]", '{"a":1}']),
        ([None, None], [None, None]),
    ],
    ids=str,
)
def test_a_column_of_any_kind_whose_values_have_nothing_in_common_is_text(values, written_as):
    assert column_of(values) == ("string", written_as)


def test_integers_among_floats_are_floats_as_long_as_nothing_is_lost():
    assert column_of([1, 2.5, 2**53]) == ("double", [1.0, 2.5, float(2**53)])
    assert column_of([1, 2.5, 2**53 + 1]) == ("string", ["1", "2.5", "9007199254740993"])
    with pytest.raises(ColumnsMismatch, match="value"):
        column_of([2**53 + 1], Kind.FLOAT)


def test_decimals_of_more_digits_are_text_if_the_first_group_has_them():
    assert column_of([Decimal("1.5"), Decimal("0." + "3" * 20)], Kind.DECIMAL) == ("string", ["1.5", "0." + "3" * 20])
    assert column_of([Decimal("1" * 21)], Kind.DECIMAL) == ("string", ["1" * 21])
    assert column_of([Decimal("1." + "0" * 20)], Kind.DECIMAL) == ("decimal128(38, 18)", [Decimal(1)])
    assert column_of([None], Kind.DECIMAL)[0] == "decimal128(38, 18)"


def test_subclasses_are_what_they_inherit_from():
    assert column_of([Level.HIGH, 4], Kind.INTEGER) == ("int64", [3, 4])
    assert column_of([bytearray(b"a"), memoryview(b"b")], Kind.BYTES) == ("binary", [b"a", b"b"])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.BOOLEAN, 1),
        (Kind.INTEGER, True),
        (Kind.INTEGER, 1.0),
        (Kind.INTEGER, 2**63),
        (Kind.INTEGER, "1"),
        (Kind.FLOAT, True),
        (Kind.FLOAT, Decimal("1.5")),
        (Kind.BYTES, "text"),
        (Kind.DATE, NOON),
        (Kind.TIME, time(1, tzinfo=UTC)),
        (Kind.TIMESTAMP, date(2024, 1, 1)),
        (Kind.INTERVAL, 5),
        (Kind.INTERVAL, timedelta.max),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_its_kind_is_named_by_its_column(kind, value):
    with pytest.raises(ColumnsMismatch, match="The column value has a value that does not fit"):
        column_of([value], kind)


@pytest.mark.parametrize(
    ("kind", "first", "later"),
    [
        (Kind.ANY, 1, "a"),
        (Kind.ANY, 1, 2**63),
        (Kind.ANY, NOON, NOON.replace(tzinfo=EAST)),
        (Kind.TIMESTAMP, NOON.replace(tzinfo=UTC), NOON),
        (Kind.DECIMAL, Decimal(1), Decimal("0." + "3" * 20)),
        (Kind.DECIMAL, Decimal(1), Decimal("NaN")),
    ],
    ids=str,
)
def test_a_later_value_that_does_not_fit_the_first_group_ends_the_export(kind, first, later):
    encoder = ParquetEncoder([Column("value", kind)], group_rows=2)
    encoder.head()
    assert encoder.batch([(first,), (None,)])
    with pytest.raises(ColumnsMismatch, match="The column value"):
        encoder.batch([(later,)])


def test_a_column_that_is_text_takes_whatever_comes_later():
    data = written([("a",), (1,), (None,), ({"b": 2},)], [Column("value")], size=1, group_rows=1)
    assert table(data)["value"].to_pylist() == ["a", "1", None, '{"b":2}']


def test_times_in_other_zones_come_in_utc():
    found, values = column_of([NOON.replace(tzinfo=EAST), NOON.replace(tzinfo=UTC)], Kind.TIMESTAMP)
    assert found == "timestamp[us, tz=UTC]"
    assert [value.astimezone(UTC).hour for value in values] == [10, 12]


EVERYTHING = [
    Column("n", Kind.INTEGER),
    Column("x", Kind.FLOAT),
    Column("s", Kind.TEXT),
    Column("ok", Kind.BOOLEAN),
    Column("day", Kind.DATE),
    Column("at", Kind.TIMESTAMP),
    Column("price", Kind.DECIMAL),
    Column("raw", Kind.BYTES),
    Column("any"),
]


def row(number):
    if number % 7 == 0:
        return (number, *[None] * 8)
    day = date(2024, 1, 1) + timedelta(number % 500)
    at = NOON + timedelta(seconds=number)
    return (number, number / 3, f"text {number}", number % 2 == 0, day, at, Decimal(number) / 4, b"%d" % number, number)


ROWS = [row(number) for number in range(5000)]


def test_several_readers_find_the_same_rows(tmp_path):
    path = tmp_path / "export.parquet"
    path.write_bytes(written(ROWS, EVERYTHING, group_rows=1000))
    assert pq.ParquetFile(path).num_row_groups == 5
    assert [tuple(found.values()) for found in pq.read_table(path).to_pylist()] == ROWS
    assert pl.read_parquet(path).rows() == ROWS
    assert duckdb.sql(f"select * from '{path}'").fetchall() == ROWS


@pytest.mark.parametrize("size", [1, 3, 64, 100, 5000])
def test_however_the_rows_come_the_file_has_them_all_in_order(size):
    data = written(ROWS, EVERYTHING, size=size, group_rows=700)
    assert [tuple(found.values()) for found in table(data).to_pylist()] == ROWS


def test_an_export_without_rows_is_a_file_with_a_schema(tmp_path):
    path = tmp_path / "empty.parquet"
    path.write_bytes(written([], EVERYTHING))
    assert pq.read_table(path).schema.names == pl.read_parquet(path).columns == [one.name for one in EVERYTHING]
    assert duckdb.sql(f"select count(*) from '{path}'").fetchall() == [(0,)]
    assert table(written([], ())).num_columns == 0


@pytest.mark.parametrize("kind", [Kind.INTEGER, Kind.ANY])
def test_the_file_begins_at_once_and_has_its_mark_once(kind):
    made = ParquetEncoder([Column("n", kind)])
    assert made.head() == b"PAR1"
    whole = b"PAR1" + made.batch([(1,)]) + made.tail()
    assert pq.read_table(io.BytesIO(whole)).to_pylist() == [{"n": 1}]


def test_a_row_of_another_length_is_refused_with_its_batch_though_the_types_wait_for_more():
    with pytest.raises(ColumnsMismatch):
        ParquetEncoder([Column("n"), Column("m")]).batch([(1, 2), (1,)])


def test_a_group_ends_by_rows_or_by_bytes():
    for columns in ([Column("s", Kind.TEXT)], [Column("s")]):
        encoder = ParquetEncoder(columns, group_rows=1000, group_bytes=10_000)
        encoder.head()
        assert [bool(encoder.batch([("x" * 1000,)] * 3)) for _ in range(8)] == [False, False, False, True] * 2
        assert [bool(encoder.batch([("",)] * 400)) for _ in range(6)] == [False, False, True] * 2


def test_a_row_of_another_length_is_refused():
    for columns in (EVERYTHING, EVERYTHING[:1]):
        encoder = ParquetEncoder(columns)
        encoder.head()
        with pytest.raises(ColumnsMismatch):
            encoder.batch([(1, 2)])
            encoder.tail()


@pytest.mark.parametrize("missing", [1, 4, 8, 9, 200, 0.5])
def test_a_file_that_is_cut_off_is_refused(missing, tmp_path):
    data = written(ROWS, EVERYTHING)
    path = tmp_path / "cut.parquet"
    path.write_bytes(data[: -missing if isinstance(missing, int) else int(len(data) * missing)])
    with pytest.raises(pa.ArrowException):
        pq.read_table(path)
    with pytest.raises(pl.exceptions.PolarsError):
        pl.read_parquet(path)
    with pytest.raises(duckdb.Error):
        duckdb.sql(f"select * from '{path}'").fetchall()


def test_memory_stays_flat_however_many_rows_there_are():
    group = 256 * 1024
    encoder = ParquetEncoder(EVERYTHING, group_bytes=group)
    encoder.head()
    rows = [row(number) for number in range(64)]
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        most = 0
        for _ in range(1500):
            encoder.batch(rows)
            most = max(most, pa.total_allocated_bytes() - before)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    encoder.tail()
    assert 0 < most < 4 * group
    assert peak < 4 * group


# -- rows from Arrow --


def fetched(source, most=64):
    arrow = ArrowSource(source)
    columns = arrow.open()
    rows = []
    while some := arrow.fetch(most):
        assert len(some) <= most
        rows += some
    arrow.interrupt()
    arrow.close()
    assert arrow.fetch(most) == []
    return columns, rows


TABLE = pa.table({"n": list(range(200)), "s": [f"text {number}" for number in range(200)]})
TABLE_ROWS = [(number, f"text {number}") for number in range(200)]


@pytest.mark.parametrize(
    "source",
    [
        lambda: TABLE,
        lambda: pa.concat_tables([TABLE[:50], TABLE[:0], TABLE[50:]]),
        lambda: TABLE.to_reader(max_chunksize=30),
        lambda: TABLE.to_batches(max_chunksize=70),
        lambda: iter(TABLE.to_batches(max_chunksize=70)),
        lambda: (one for one in TABLE.to_batches(max_chunksize=7)),
        lambda: TABLE.to_batches()[0],
        lambda: pl.from_arrow(TABLE),
        lambda: duckdb.from_arrow(TABLE),
    ],
    ids=["table", "chunks", "reader", "list", "iterator", "generator", "batch", "polars", "duckdb"],
)
@pytest.mark.parametrize("most", [1, 64, 1000])
def test_rows_come_from_whatever_has_arrow(source, most):
    columns, rows = fetched(source(), most)
    assert columns == [Column("n", Kind.INTEGER), Column("s", Kind.TEXT)]
    assert rows == TABLE_ROWS


@pytest.mark.parametrize(
    ("array", "kind", "values"),
    [
        (pa.array([True, None]), Kind.BOOLEAN, [True, None]),
        (pa.array([2**64 - 1], pa.uint64()), Kind.INTEGER, [2**64 - 1]),
        (pa.array([0.5], pa.float16()), Kind.FLOAT, [0.5]),
        (pa.array([Decimal("1.50")]), Kind.DECIMAL, [Decimal("1.50")]),
        (pa.array(["a"], pa.large_string()), Kind.TEXT, ["a"]),
        (pa.array(["a"], pa.string_view()), Kind.TEXT, ["a"]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), Kind.TEXT, ["a", "b", "a"]),
        (pa.array([b"ab"], pa.binary(2)), Kind.BYTES, [b"ab"]),
        (pa.array([date(2024, 1, 1)], pa.date64()), Kind.DATE, [date(2024, 1, 1)]),
        (pa.array([1500], pa.time64("ns")), Kind.TIME, [time(0, 0, 0, 1)]),
        (pa.array([61], pa.time32("s")), Kind.TIME, [time(0, 1, 1)]),
        (pa.array([1_999], pa.timestamp("ns")), Kind.TIMESTAMP, [datetime(1970, 1, 1, 0, 0, 0, 1)]),
        (pa.array([0], pa.timestamp("s", "+02:00")), Kind.TIMESTAMP, [datetime(1970, 1, 1, tzinfo=UTC)]),
        (
            pa.array([1_999], pa.timestamp("ns", "Europe/Berlin")),
            Kind.TIMESTAMP,
            [datetime(1970, 1, 1, 0, 0, 0, 1, UTC)],
        ),
        (pa.array([1_999], pa.duration("ns")), Kind.INTERVAL, [timedelta(microseconds=1)]),
        (pa.array([uuid.UUID(int=5)], pa.uuid()), Kind.UUID, [uuid.UUID(int=5)]),
        (pa.array(['{"a":1}'], pa.json_()), Kind.JSON_TEXT, ['{"a":1}']),
        (pa.array([{"a": [1, None]}]), Kind.JSON, [{"a": [1, None]}]),
        (pa.array([[1_999]], pa.list_(pa.timestamp("ns"))), Kind.JSON, [[datetime(1970, 1, 1, 0, 0, 0, 1)]]),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), Kind.JSON, [[("a", 1)]]),
        (pa.array([None, None]), Kind.ANY, [None, None]),
    ],
    ids=lambda one: str(one.type) if isinstance(one, pa.Array) else "",
)
def test_a_type_of_arrow_has_a_kind_and_values_of_python(array, kind, values):
    columns, rows = fetched(pa.table({"value": array}))
    assert columns == [Column("value", kind)]
    assert rows == [(value,) for value in values]
    assert [getattr(value, "tzinfo", None) is None for (value,) in rows] == [
        getattr(value, "tzinfo", None) is None for value in values
    ]


def test_a_value_that_python_cannot_hold_is_named_by_its_column():
    with pytest.raises(SourceUnsuited, match="The column late"):
        fetched(pa.table({"late": pa.array([2**60], pa.timestamp("us"))}))


def test_a_large_batch_is_never_made_python_as_a_whole():
    arrow = ArrowSource(pa.table({"n": pa.array(range(1_000_000))}))
    arrow.open()
    tracemalloc.start()
    try:
        assert arrow.fetch(64)[-1] == (63,)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000


def test_what_is_no_arrow_is_refused():
    for source in (5, [{"a": 1}], [TABLE]):
        with pytest.raises(SourceUnsuited):
            ArrowSource(source).open()
    with pytest.raises(ColumnsMismatch, match="more than one column of a name"):
        ArrowSource(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])).open()
    with pytest.raises(ColumnsMismatch, match="same columns"):
        fetched([*TABLE.to_batches(), *TABLE.select(["n"]).to_batches()])


def test_an_iterable_without_a_batch_has_neither_columns_nor_rows():
    assert fetched([]) == ((), [])
    assert fetched(TABLE[:0]) == ([Column("n", Kind.INTEGER), Column("s", Kind.TEXT)], [])


def test_a_generator_is_closed_with_the_source():
    closed = []

    def batches():
        try:
            yield from TABLE.to_batches(max_chunksize=10)
        finally:
            closed.append(True)

    arrow = ArrowSource(batches())
    arrow.open()
    assert len(arrow.fetch(64)) == 10
    arrow.close()
    assert closed == [True]


def test_what_comes_from_arrow_goes_into_parquet_unchanged():
    data = written(ROWS, EVERYTHING)
    columns, rows = fetched(table(data))
    assert rows == ROWS
    assert table(written(rows, columns)).equals(table(data))


@pytest.mark.anyio
@pytest.mark.parametrize(
    "make", [pl.from_arrow, duckdb.from_arrow, lambda found: found], ids=["polars", "duckdb", "arrow"]
)
async def test_whatever_streams_arrow_is_exported_with_its_types(make):
    found = pa.table({"name": ["Assam", None], "picked": [date(2026, 2, 3), None], "cups": [3, -2]})
    made = [piece async for piece in exports.encode(make(found), form="ndjson")]
    assert b"".join(made) == (
        b'{"name":"Assam","picked":"2026-02-03","cups":3}\n{"name":null,"picked":null,"cups":-2}\n'
    )


def test_groups_are_small_at_first_and_grow_in_large_files():
    rows = [(number, "x" * 90) for number in range(40_000)]
    data = written(rows, [Column("id", Kind.INTEGER), Column("text", Kind.TEXT)], group_bytes=8 * 1024)
    groups = pq.ParquetFile(io.BytesIO(data)).metadata
    sizes = [groups.row_group(number).num_rows for number in range(groups.num_row_groups)]
    assert max(sizes[:100]) * 2 < max(sizes)
    assert max(sizes) * 100 <= 4 * 8 * 1024 + 2 * 64 * 100
    assert table(data).num_rows == 40_000
