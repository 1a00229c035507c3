"""Files to records, without a server: bytes in, records and problems out."""

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depot.reading import Problems, Unreadable, read
from depot.reading.lines import RECORD_LIMIT

VALUES = st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\r\n\t"), max_size=8)


def records(content: bytes, name: str = "table.csv") -> tuple[list[tuple[int, dict]], Problems]:
    problems = Problems()
    found = [one for batch in read(io.BytesIO(content), name, problems) for one in batch]
    return [(row, json.loads(data)) for row, data in found], problems


def rows(content: bytes, name: str = "table.csv") -> list[dict]:
    return [data for _, data in records(content, name)[0]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    text = f"name{delimiter}price\r\nAnn{delimiter}1\r\nBob{delimiter}2\r\n"
    assert rows(text.encode()) == [{"name": "Ann", "price": "1"}, {"name": "Bob", "price": "2"}]


def test_a_decimal_comma_is_not_taken_for_a_delimiter() -> None:
    assert rows(b"name;price\nAnn;1,50\nBob;2,25\n") == [
        {"name": "Ann", "price": "1,50"},
        {"name": "Bob", "price": "2,25"},
    ]


def test_excels_line_that_names_the_delimiter_is_no_row() -> None:
    assert rows(b"sep=;\r\na;b\r\n1;2\r\n") == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_is_read_with_and_without_a_mark(codec: str) -> None:
    found, problems = records("näme;wert\nJosé;5 €\n".encode(codec))
    assert found == [(1, {"näme": "José", "wert": "5 €"})]
    assert problems.total == 0


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_of_either_order_is_known_by_its_mark(codec: str) -> None:
    assert rows("\ufeffa;b\n1;☃\n".encode(codec)) == [{"a": "1", "b": "☃"}]


def test_what_is_not_utf_8_is_read_as_windows_1252_and_the_line_is_named() -> None:
    found, problems = records("name;price\nAnn;1\nJosé;5 €\n".encode("cp1252"))
    assert found[1] == (2, {"name": "José", "price": "5 €"})
    assert [(one.line, "Windows-1252" in one.problem) for one in problems.kept] == [(3, True)]


def test_bytes_that_break_a_marked_encoding_are_a_problem_and_not_an_end() -> None:
    found, problems = records(b"\xef\xbb\xbfa;b\n1;\xff\n3;4\n")
    assert found == [(1, {"a": "1", "b": "\ufffd"}), (2, {"a": "3", "b": "4"})]
    assert [one.line for one in problems.kept] == [2]


def test_a_table_as_a_german_office_writes_it_is_read() -> None:
    content = (
        'Kunde;"Ort / Straße";Betrag;Bemerkung;\r\n'
        '"Müller & Söhne GmbH";"Köln\r\nAm Dom 1";1.234,50 €;"sagt ""bald""";\r\n'
        "Jansen;Leer;;;\r\n"
        "\r\n"
        "Summe;;1.234,50 €\r\n"
        "O'Neill;Cork;-0,99;=1+1;\r\n"
    ).encode("cp1252")
    found, problems = records(content)
    assert [row for row, _ in found] == [1, 2, 4]
    assert found[0][1] == {
        "Kunde": "Müller & Söhne GmbH",
        "Ort / Straße": "Köln\r\nAm Dom 1",
        "Betrag": "1.234,50 €",
        "Bemerkung": 'sagt "bald"',
        "column_5": "",
    }
    assert [(one.line, one.problem) for one in problems.kept] == [
        (1, "not UTF-8 from here on; the whole file was read as Windows-1252"),
        (1, "column 5 has no name; it is called column_5"),
        (6, "3 fields instead of 5"),
    ]


def test_quotes_protect_delimiters_line_ends_and_quotes() -> None:
    assert rows(b'a,b\n"x, y","one\ntwo"\n"say ""hi""",2\n') == [
        {"a": "x, y", "b": "one\ntwo"},
        {"a": 'say "hi"', "b": "2"},
    ]


def test_ragged_rows_are_named_by_their_line_and_the_others_are_kept() -> None:
    found, problems = records(b'a,b\n"1\n1",2\n3\n4,5,6\n7,8\n')
    assert found == [(1, {"a": "1\n1", "b": "2"}), (4, {"a": "7", "b": "8"})]
    assert [(one.line, one.problem) for one in problems.kept] == [
        (4, "1 field instead of 2"),
        (5, "3 fields instead of 2"),
    ]


def test_a_quotation_that_is_never_closed_names_every_line_that_it_swallowed() -> None:
    found, problems = records(b'a,b\n1,2\n3,"4\n5,6\n7,8\n')
    assert found == [(1, {"a": "1", "b": "2"})]
    assert (problems.kept[0].line, problems.kept[0].problem[:14]) == (3, "lines 3 to 5, ")


def test_text_after_a_closing_quote_is_refused_and_not_mangled() -> None:
    found, problems = records(b'a,b\n"x"y,1\n2,3\n')
    assert found == [(2, {"a": "2", "b": "3"})]
    assert [one.line for one in problems.kept] == [2]


def test_a_nul_character_spoils_its_row_alone() -> None:
    found, problems = records(b"a,b\n1,x\0y\n2,3\n")
    assert found == [(2, {"a": "2", "b": "3"})]
    assert [(one.line, one.problem) for one in problems.kept] == [(2, "a NUL character")]


def test_columns_without_a_name_or_with_anothers_get_one_of_their_own() -> None:
    found, problems = records(b"a,a,,a_2\n1,2,3,4\n")
    assert found == [(1, {"a": "1", "a_2": "2", "column_3": "3", "a_2_2": "4"})]
    assert [one.line for one in problems.kept] == [1, 1, 1]


def test_values_stay_the_text_that_they_were() -> None:
    assert rows(b"a,b,c\n007,1e5, x \n") == [{"a": "007", "b": "1e5", "c": " x "}]


def test_a_record_without_end_is_left_out_and_reading_goes_on() -> None:
    one_line, one_field = b"x" * (3 * RECORD_LIMIT) + b"\n", b'"' + b"x\n" * RECORD_LIMIT
    many_fields = b'"y\n",' * (RECORD_LIMIT // 5) + b'"\n'
    for monster in (one_line, one_field, many_fields):
        found, problems = records(b"a,b\n1,2\n1," + monster + b"3,4\n")
        assert found[0] == (1, {"a": "1", "b": "2"})
        assert found[-1][1] == {"a": "3", "b": "4"}
        assert problems.kept[0].line == 3


def test_problems_beyond_the_first_hundred_are_counted() -> None:
    found, problems = records(b"a,b\n" + b"1\n" * 5_000 + b"1,2\n")
    assert len(found) == 1
    assert (len(problems.kept), problems.total) == (100, 5_000)
    assert problems.kept[99].line == 101


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_has_no_records_and_says_so(content: bytes) -> None:
    for name in ("empty.csv", "empty.ndjson"):
        found, problems = records(content, name)
        assert found == []
        assert [one.line for one in problems.kept] == [None]


def test_a_header_alone_is_a_table_without_rows() -> None:
    found, problems = records(b"a,b\n")
    assert (found, problems.total) == ([], 0)


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40,
        b'"never closed\n' * 3,
        (",".join(f"c{i}" for i in range(3_000)) + "\n").encode(),
        b"x" * 300 + b",b\n1,2\n",
    ],
)
def test_a_csv_that_cannot_be_one_is_unreadable(content: bytes) -> None:
    with pytest.raises(Unreadable):
        records(content)


def test_ndjson_lines_that_are_no_objects_are_named_by_their_line() -> None:
    deep = b'{"a":' + b"[" * 100_000
    found, problems = records(b'{"a":1}\n\n[1]\n{"a":\n' + deep + b'\n{"a":12345678901234567890.10}\n', "x.ndjson")
    assert [row for row, _ in found] == [1, 5]
    assert [one.line for one in problems.kept] == [3, 4, 5]


def test_ndjson_numbers_keep_every_digit() -> None:
    batches = read(io.BytesIO(b'{"a": 12345678901234567890.100}\n'), "x.jsonl", Problems())
    assert [one for batch in batches for one in batch] == [(1, '{"a": 12345678901234567890.100}')]


def test_the_content_decides_where_the_name_does_not() -> None:
    assert rows(b'{"a":1}\n{"a":2}\n', "upload") == [{"a": 1}, {"a": 2}]
    assert rows(b"a;b\n1;2\n", "upload.txt") == [{"a": "1", "b": "2"}]
    for content in (b"Just a letter, with commas.\nAnd another line\n", b"%PDF-1.7\n" + bytes(100), b"[1,\n2]\n"):
        found, problems = records(content, "upload")
        assert found == []
        assert problems.total == 1


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["x.csv", "x.ndjson", "x"]))
def test_no_bytes_make_it_fail_in_another_way_than_unreadable(content: bytes, name: str) -> None:
    try:
        found, _ = records(content, name)
    except Unreadable:
        return
    assert [row for row, _ in found] == sorted({row for row, _ in found})


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(",;\t|"), st.lists(st.lists(VALUES, min_size=3, max_size=3), max_size=20))
def test_what_the_standard_library_writes_is_read_back(delimiter: str, table: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([["a", "b", "c"], *table])
    assert [list(row.values()) for row in rows(text.getvalue().encode())] == table
