"""XLSX: what is written, read back by two readers that share no code; and the archive around it, byte by byte."""

import enum
import io
import re
import shutil
import struct
import subprocess
import tracemalloc
import uuid
import zipfile
import zlib
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import openpyxl
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineError, CalamineWorkbook

from holdfast.decide.exports.columns import Column, Kind
from holdfast.decide.exports.errors import ColumnsMismatch
from holdfast.parts.exports.formats import xlsx
from holdfast.parts.exports.formats.xlsx import XlsxEncoder
from holdfast.parts.exports.formats.xlsx_parts import Archive, letters, sheet_name

TWO = (Column("number", Kind.INTEGER), Column("value"))


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Loud(str):
    __slots__ = ()

    def __str__(self):
        return self.upper()

    __format__ = __repr__ = lambda self, *_: "loud"


class Reading(float):
    def __repr__(self):
        return "a reading"


def written(rows, columns=TWO, size=64, **options):
    encoder = XlsxEncoder(columns, **options)
    made = [encoder.head()]
    made += [encoder.batch(rows[at : at + size]) for at in range(0, len(rows), size)]
    return b"".join([*made, encoder.tail()])


def by_openpyxl(data, **options):
    """The rows of each sheet."""
    book = openpyxl.load_workbook(io.BytesIO(data), **options)
    found = {sheet.title: [list(row) for row in sheet.iter_rows(values_only=True)] for sheet in book.worksheets}
    book.close()
    return found


def by_calamine(data):
    book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}


def read(values):
    """What both readers find for some values of one column: the first, openpyxl's, as it is in the file."""
    data = written([(number, value) for number, value in enumerate(values)])
    (one,) = by_openpyxl(data).values()
    (other,) = by_calamine(data).values()
    assert by_openpyxl(data, read_only=True) == by_openpyxl(data)
    assert one[0] == other[0] == ["number", "value"]
    assert [row[0] for row in one[1:]] == [row[0] for row in other[1:]] == list(range(len(values)))
    return [row[1] for row in one[1:]], [row[1] for row in other[1:]]


def decoded(text):
    """ST_Xstring, read as ECMA-376 (22.9.2.19) says."""
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), text)


def expected(text):
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


EAST = timezone(timedelta(hours=2))
AS_THEY_ARE = [
    (True, True),
    (False, False),
    (0, 0),
    (-5, -5),
    (10**15 - 1, 10**15 - 1),
    (1 - 10**15, 1 - 10**15),
    (1.5, 1.5),
    (0.1 + 0.2, 0.1 + 0.2),
    (1e300, 1e300),
    (5e-324, 5e-324),
    (Reading(2.5), 2.5),
    (Level.HIGH, 3),
    (Decimal("1.50"), 1.5),
    (Decimal("0E-18"), 0),
    (Decimal("1.000000000000000000"), 1),
    (Decimal("-12345.6789012345"), -12345.6789012345),
    (Decimal("1E+3"), 1000),
    (time(0, 0), time(0, 0)),
    (time(12, 30, 1), time(12, 30, 1)),
    (time(23, 59, 59, 500_000), time(23, 59, 59, 500_000)),
    (timedelta(0), timedelta(0)),
    (timedelta(days=40, hours=1, milliseconds=5), timedelta(days=40, hours=1, milliseconds=5)),
    (datetime(2024, 2, 29, 3, 4, 5), datetime(2024, 2, 29, 3, 4, 5)),
    (datetime(2024, 2, 29, 3, 4, 5, 678_000), datetime(2024, 2, 29, 3, 4, 5, 678_000)),
    (datetime(2024, 2, 29, 3, 4, 5, tzinfo=EAST), datetime(2024, 2, 29, 1, 4, 5)),
]
AS_TEXT = [
    (10**15, "1000000000000000"),
    (-(2**63), "-9223372036854775808"),
    (2**200, str(2**200)),
    (Decimal("1234567890.1234567"), "1234567890.1234567"),
    (Decimal("1E-400"), "0." + "0" * 399 + "1"),
    (Decimal("NaN"), "NaN"),
    (Decimal("-Infinity"), "-Infinity"),
    (float("nan"), "NaN"),
    (float("inf"), "Infinity"),
    (float("-inf"), "-Infinity"),
    (date(1900, 2, 28), "1900-02-28"),
    (datetime(1899, 12, 31, 5), "1899-12-31T05:00:00"),
    (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
    (time(1, tzinfo=UTC), "01:00:00Z"),
    (timedelta(seconds=-1), "PT-1S"),
    (timedelta.max, "P999999999DT23H59M59.999999S"),
    (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (b"abc", "YWJj"),
    ({"a": [1, None]}, '{"a":[1,null]}'),
    ((1, 2), "[1,2]"),
    (Colour.RED, "red"),
    (Loud("soft"), "soft"),
    (Loud("<soft> "), "<soft> "),
    ("", ""),
    ("=1+1", "=1+1"),
    ("+1", "+1"),
    ("-1", "-1"),
    ("@A1", "@A1"),
    ("42", "42"),
    ("  padded ", "  padded "),
    ("two\nlines\tand a tab", "two\nlines\tand a tab"),
    ("\n", "\n"),
    ("<&>\"']]>", "<&>\"']]>"),
    ("no\u00a0break", "no\u00a0break"),
    ("%s %d %%", "%s %d %%"),
]


@pytest.mark.parametrize(("value", "cell"), AS_THEY_ARE, ids=repr)
def test_a_value_that_a_cell_can_hold_comes_back_with_its_type(value, cell):
    (one,), (other,) = read([value])
    assert type(one) is type(cell)
    assert one == other == cell


@pytest.mark.parametrize(("value", "cell"), AS_TEXT, ids=lambda value: repr(value)[:30])
def test_a_value_that_a_cell_cannot_hold_is_text(value, cell):
    assert read([value]) == ([cell], [cell])


def test_a_date_is_a_date_without_a_time():
    first, leap, last = date(1900, 3, 1), date(2024, 2, 29), date(9999, 12, 31)
    one, other = read([first, leap, last])
    assert other == [first, leap, last]
    assert [value.date() for value in one] == [first, leap, last]  # openpyxl knows no dates alone
    book = openpyxl.load_workbook(io.BytesIO(written([(1, leap), (2, datetime(2024, 1, 1, 0, 0, 0, 1000))])))
    assert [book.active[place].number_format for place in ("B2", "B3")] == ["yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss.000"]


def test_nulls_are_empty_cells_wherever_they_are():
    columns = [Column("a"), Column("b"), Column("c")]
    rows = [(None, 1, None), (None, None, None), ("x", None, 2.5), (None, date(2024, 1, 1), True)]
    data = written(rows, columns)
    (found,) = by_openpyxl(data).values()
    assert found[1:4] == [list(row) for row in rows[:3]]
    assert found[4] == [None, datetime(2024, 1, 1), True]
    (other,) = by_calamine(data).values()
    assert other[1:] == [["", 1, ""], ["", "", ""], ["x", "", 2.5], ["", date(2024, 1, 1), True]]


def test_a_column_of_everything_mixed_is_as_each_value_alone():
    values = [value for value, _ in AS_THEY_ARE + AS_TEXT] + [None]
    cells = [cell for _, cell in AS_THEY_ARE + AS_TEXT]
    one, other = read(values)
    assert one == [*cells, None]
    assert other == [*cells, ""]


def test_values_beside_ones_of_the_same_type_are_as_each_alone():
    for values in (
        [1, 10**15, -3],
        [1.5, float("nan"), 2.0],
        [Decimal(1), Decimal("0.1234567890123456"), Decimal("NaN")],
        [date(1899, 1, 1), date(2024, 1, 1)],
        [datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=EAST), datetime(2024, 1, 1, 0, 0, 0, 500_000)],
        [time(1), time(1, tzinfo=UTC)],
        [timedelta(1), timedelta(-1)],
        ["plain", "<odd>", " ", "", "_x0041_", "\x00"],
        [None, "a", None],
    ):
        assert read(values) == tuple([read([value])[reader][0] for value in values] for reader in (0, 1))


def test_a_character_of_every_plane_comes_back():
    text = "".join(chr((plane << 16) + 0x20AC) for plane in range(17)) + "\ud7ff\ue000\ufffd\U0010fffd"
    assert read([text, "plain"]) == ([text, "plain"], [text, "plain"])


def test_what_xml_cannot_have_is_escaped_as_the_standard_says():
    one, other = read(["\x00", "a\r\nb", "\x1f", "\uffff"])
    assert one == ["_x0000_", "a_x000D_\nb", "_x001F_", "_xFFFF_"]  # openpyxl does not decode it
    assert other == ["\x00", "a\r\nb", "\x1f", "_xFFFF_"]  # calamine does, but for this


def test_text_that_looks_like_an_escape_comes_back_as_it_was():
    texts = ["_x0041_", "_x000D\r", "__x0041__", "_x0041_x0042_", "_x005F_x0041_", "_x00\x01", "_x_", "_X0041_"]
    one, other = read(texts)
    assert list(map(decoded, one)) == texts
    assert other == texts


def test_halves_of_surrogate_pairs_become_the_replacement_character():
    texts = ["\ud83d", "a\udc00b", "\ud83d\ude00"]
    assert read(texts)[0] == read(texts)[1] == ["\ufffd", "a\ufffdb", "\ufffd\ufffd"]


_ANY_TEXT = st.text(
    st.characters(codec=None) | st.sampled_from("_x0041 \r\n\t<&>'\"\ud800\udfff\x00\ufffe"), max_size=40
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_ANY_TEXT, min_size=1, max_size=20))
def test_any_text_comes_back(texts):
    one, other = read(texts)
    assert [decoded(text or "") for text in one] == list(map(expected, texts))
    for text, found in zip(texts, other, strict=True):
        if "\ufffe" not in text and "\uffff" not in text:
            assert found == expected(text)


def test_text_beyond_what_a_cell_may_have_is_cut_and_counted():
    fits = ["a" * 32_767, "😀" * 16_383 + "a", "\x00" * 32_767]
    long = ["a" * 32_768, "😀" * 16_384, "é" * 100_000, "\ud800" * 40_000]
    encoder = XlsxEncoder(TWO)
    made = encoder.head() + encoder.batch(list(enumerate(fits)))
    assert encoder.cut == 0
    made += encoder.batch(list(enumerate(long)))
    assert encoder.cut == 4
    (found,) = by_openpyxl(made + encoder.tail()).values()
    cells = [decoded(row[1]) for row in found[1:]]
    assert cells[:3] == fits
    assert cells[3:] == ["a" * 32_766 + "…", "😀" * 16_383 + "…", "é" * 32_766 + "…", "\ufffd" * 32_766 + "…"]
    assert max(len(cell.encode("utf-16-le")) // 2 for cell in cells) == 32_767


def test_the_header_is_bold_and_stays_in_sight_and_has_a_filter():
    columns = [Column(' a <b> & "c"\r', Kind.TEXT), Column("=n", Kind.INTEGER), Column("id", Kind.UUID)]
    book = openpyxl.load_workbook(io.BytesIO(written([("x", 1, uuid.UUID(int=1))] * 3, columns)))
    sheet = book.active
    assert [cell.value for cell in sheet[1]] == [' a <b> & "c"_x000D_', "=n", "id"]
    assert [cell.data_type for cell in sheet[1]] == ["s", "s", "s"]
    assert [cell.font.b for cell in sheet[1]] == [True, True, True]
    assert not sheet["A2"].font.b
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:C4"
    assert sheet.column_dimensions["C"].width > sheet.column_dimensions["A"].width > sheet.column_dimensions["B"].width


def test_sheets_roll_over_and_each_has_the_header():
    rows = [(number, f"text {number}") for number in range(25)]
    for size in (1, 7, 9, 10, 25):
        data = written(rows, size=size, rows_a_sheet=10)
        found = by_openpyxl(data)
        assert list(found) == ["Export", "Export 2", "Export 3"]
        assert [len(sheet) for sheet in found.values()] == [10, 10, 8]
        assert all(sheet[0] == ["number", "value"] for sheet in found.values())
        assert [tuple(row) for sheet in found.values() for row in sheet[1:]] == rows
        assert by_openpyxl(data, read_only=True) == by_calamine(data) == found


def test_a_sheet_that_is_full_is_not_followed_by_an_empty_one():
    found = by_openpyxl(written([(number, "x") for number in range(18)], rows_a_sheet=10))
    assert [len(sheet) for sheet in found.values()] == [10, 10]


def test_a_sheet_that_comes_near_four_gib_is_followed_by_another(monkeypatch):
    monkeypatch.setattr(xlsx, "_MOST_BYTES", 10_000)
    rows = [(number, "x" * 50) for number in range(300)]
    found = by_openpyxl(written(rows))
    assert len(found) > 2
    assert [tuple(row) for sheet in found.values() for row in sheet[1:]] == rows


def test_an_export_without_rows_is_a_file_with_a_header():
    data = written([])
    assert by_openpyxl(data) == by_calamine(data) == {"Export": [["number", "value"]]}


def test_an_export_without_columns_is_a_file():
    assert by_openpyxl(written([], ())) == {"Export": []}
    assert list(by_openpyxl(written([(), ()], ()))) == ["Export"]


def test_polars_reads_it():
    rows = [(number, f"text {number}") for number in range(300)]
    assert pl.read_excel(io.BytesIO(written(rows)), engine="openpyxl").rows() == rows


@pytest.mark.parametrize(
    ("wanted", "number", "name"),
    [
        ("Orders", 1, "Orders"),
        ("Orders", 12, "Orders 12"),
        ("a[b]c:d*e?f/g\\h", 1, "a b c d e f g h"),
        ("'quoted'", 1, "quoted"),
        ("it's", 2, "it's 2"),
        ("x" * 40, 1, "x" * 31),
        ("x" * 40, 10, "x" * 28 + " 10"),
        ("😀" * 40, 1, "😀" * 15),
        ("", 1, "Export"),
        ("/:", 1, "Export"),
        ("History", 1, "History Export"),
        ("a\x00\ud800b", 1, "a \ufffdb"),
    ],
)
def test_a_sheet_has_a_name_that_excel_takes(wanted, number, name):
    assert sheet_name(wanted, number) == name


def test_the_name_of_a_sheet_may_have_what_xml_escapes():
    data = written([(number, "x") for number in range(3)], sheet='<R&D> it\'s "so"', rows_a_sheet=3)
    names = ['<R&D> it\'s "so"', '<R&D> it\'s "so" 2']
    assert list(by_openpyxl(data)) == list(by_calamine(data)) == names
    book = openpyxl.load_workbook(io.BytesIO(data))
    assert [sheet.auto_filter.ref for sheet in book.worksheets] == ["A1:B3", "A1:B2"]


def test_columns_have_the_names_that_spreadsheets_give_them():
    assert [letters(number) for number in (1, 26, 27, 52, 702, 703, 16_384)] == [
        "A",
        "Z",
        "AA",
        "AZ",
        "ZZ",
        "AAA",
        "XFD",
    ]
    with pytest.raises(ColumnsMismatch, match="16384"):
        XlsxEncoder([Column(str(number)) for number in range(16_385)])


def test_a_row_of_another_length_is_refused():
    encoder = XlsxEncoder(TWO)
    encoder.head()
    with pytest.raises(ColumnsMismatch):
        encoder.batch([(1, 2), (1, 2, 3)])


# -- bytes --


def sheet_so_far(made):
    """What can be unpacked of the first sheet of a file that is not whole."""
    at = made.index(b"xl/worksheets/sheet1.xml") + len("xl/worksheets/sheet1.xml")
    return zlib.decompressobj(-15).decompress(made[at:]).decode()


def test_the_first_batch_is_there_at_once():
    encoder = XlsxEncoder(TWO)
    head = encoder.head()
    assert head.startswith(b"PK\3\4")
    first = encoder.batch([(1, "the first of all")])
    assert sheet_so_far(head + first).endswith("<t>the first of all</t></is></c></row>")


def test_the_same_rows_make_the_same_file():
    rows = [(1, "a"), (2, "b")]
    assert written(rows) == written(rows)


ROWS = [(number, f"text {number * 7919 % 1000}") for number in range(3000)]


def check_archive(data):
    """Every byte of an archive is accounted for, from its front and from its directory."""
    at, found = 0, []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        for entry in archive.infolist():
            assert entry.header_offset == at
            signature, version, flags, method, _, _, crc, packed, size, length, extra = struct.unpack_from(
                "<4s5H3I2H", data, at
            )
            assert (signature, version, flags, method, extra) == (b"PK\3\4", 20, entry.flag_bits, 8, 0)
            at += 30
            assert data[at : at + length].decode() == entry.filename
            at += length + entry.compress_size
            sizes = (entry.CRC, entry.compress_size, entry.file_size)
            if flags & 8:
                assert (crc, packed, size) == (0, 0, 0)
                assert struct.unpack_from("<4s3I", data, at) == (b"PK\7\x08", *sizes)
                at += 16
            else:
                assert (crc, packed, size) == sizes
            found.append(entry.filename)
        assert archive.start_dir == at
    return found


def test_the_archive_is_whole_and_nothing_else_is_in_it():
    names = check_archive(written(ROWS, rows_a_sheet=1000))
    sheets = [f"xl/worksheets/sheet{number}.xml" for number in range(1, 5)]
    book = ["xl/workbook.xml", "xl/_rels/workbook.xml.rels", "[Content_Types].xml"]
    assert names == ["_rels/.rels", "xl/styles.xml", *sheets, *book]
    check_archive(written([]))


@pytest.mark.skipif(shutil.which("unzip") is None, reason="there is no unzip here")
def test_unzip_finds_no_errors(tmp_path):
    path = tmp_path / "export.xlsx"
    path.write_bytes(written(ROWS, rows_a_sheet=1000))
    done = subprocess.run(["unzip", "-t", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "No errors detected" in done.stdout


@pytest.mark.parametrize("missing", [1, 21, 22, 23, 300, 2000, 0.5, 0.95])
def test_a_file_that_is_cut_off_is_refused(missing):
    data = written(ROWS)
    cut = data[: -missing if isinstance(missing, int) else int(len(data) * (1 - missing))]
    assert cut
    with pytest.raises(zipfile.BadZipFile):
        by_openpyxl(cut)
    with pytest.raises(CalamineError):
        by_calamine(cut)


def test_an_archive_beyond_four_gib_is_read(tmp_path):
    far = 5 * 1024**3
    encoder = XlsxEncoder(TWO)
    encoder._archive = Archive(far)
    path = tmp_path / "large.xlsx"
    with path.open("wb") as file:
        file.truncate(far)  # a hole, which takes no room
        file.seek(far)
        file.write(encoder.head() + encoder.batch(ROWS) + encoder.tail())
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert min(entry.header_offset for entry in archive.infolist()) == far
    assert CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()[1:] == [list(row) for row in ROWS]


def test_an_archive_of_more_parts_than_sixteen_bits_count_is_read():
    archive = Archive()
    data = b"".join([*(archive.add(f"{number}", "") for number in range(70_000)), archive.close()])
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert len(found.infolist()) == 70_000
        assert found.read("69999") == b""


def test_memory_stays_flat_however_many_rows_there_are():
    encoder = XlsxEncoder(TWO)
    encoder.head()
    rows = [(number, f"text {number}") for number in range(64)]
    for _ in range(20):
        encoder.batch(rows)
    tracemalloc.start()
    try:
        encoder.batch(rows)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        made = sum(len(encoder.batch(rows)) for _ in range(1500))
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made > 500_000
    assert after - before < 512 * 1024  # what waits to be compressed
    assert peak - before < 1024 * 1024
