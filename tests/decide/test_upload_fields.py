"""Structured fields, as RFC 9651 has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decide.uploads.fields import (
    Date,
    Display,
    Inner,
    Item,
    Token,
    boolean,
    dictionary,
    flag,
    integer,
    item,
    written,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("-17", -17),
        ("00", 0),
        ("  5  ", 5),
        ("999999999999999", 999_999_999_999_999),
        ("4.5", 4.5),
        ("-0.125", -0.125),
        ('"hello world"', "hello world"),
        (r'"a \"quoted\" back\\slash"', r'a "quoted" back\slash'),
        ('""', ""),
        ("foo123/456", Token("foo123/456")),
        ("*", Token("*")),
        (":cHJldGVuZCB0aGlzIGlzIGJpbmFyeSBjb250ZW50Lg==:", b"pretend this is binary content."),
        ("::", b""),
        (":YQ:", b"a"),
        ("?1", True),
        ("?0", False),
        ("@1659578233", Date(1659578233)),
        ("@-62135596800", Date(-62135596800)),
        ('%"This is intended for display to %c3%bcsers."', Display("This is intended for display to üsers.")),
    ],
)
def test_an_item_is_read(text, value):
    found = item(text)
    assert found is not None
    assert found.value == value
    assert type(found.value) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1000000000000000",
        "1.",
        ".5",
        "1.2345",
        "1234567890123.1",
        "--1",
        "-",
        "+1",
        "1e9",
        "1_000",
        "٣",
        "１",  # noqa: RUF001 - a full-width digit is the point
        "0x10",
        '"open',
        '"ctl\x07"',
        r'"bad \n escape"',
        '"ümlaut"',
        "?2",
        "?",
        "?true",
        ":a b:",
        ":YQ",
        ":=:",
        ":Y:",
        "@1.5",
        "@",
        '%"%C3%BC"',
        '%"%ff"',
        "%no",
        "1, 2",
        "1 2",
        "1;",
        "1;=2",
        "1;A=2",
        "\t1",
        "{",
    ],
)
def test_what_is_no_item_is_none(text):
    assert item(text) is None


def test_parameters_are_read_and_the_last_of_a_name_counts():
    assert item('abc;a=1; b="x";c;a=?0') == Item(Token("abc"), {"b": "x", "c": True, "a": False})
    assert integer("100;unit=bytes") == 100
    assert boolean("?1;why") is True


@pytest.mark.parametrize("text", [None, "-1", "1.0", "?1", '"5"', "five", "1, 1"])
def test_what_is_no_count_of_bytes_is_none(text):
    assert integer(text) is None


@pytest.mark.parametrize("text", [None, "1", "0", "true", "?1, ?0", "?1?1"])
def test_what_is_no_boolean_is_none(text):
    assert boolean(text) is None


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("", {}),
        ('en="Applepie", da=:w4ZibGV0w6ZydGU=:', {"en": Item("Applepie", {}), "da": Item("Æbletærte".encode(), {})}),
        ("a=?0, b, c; foo=bar", {"a": Item(False, {}), "b": Item(True, {}), "c": Item(True, {"foo": Token("bar")})}),
        (
            "rating=1.5, feelings=(joy sadness)",
            {"rating": Item(1.5, {}), "feelings": Inner((Item(Token("joy"), {}), Item(Token("sadness"), {})), {})},
        ),
        (
            "a=(1 2), b=3, c=4;aa=bb, d=(5 6);valid",
            {
                "a": Inner((Item(1, {}), Item(2, {})), {}),
                "b": Item(3, {}),
                "c": Item(4, {"aa": Token("bb")}),
                "d": Inner((Item(5, {}), Item(6, {})), {"valid": True}),
            },
        ),
        ("a=1,\t b=2 ", {"a": Item(1, {}), "b": Item(2, {})}),
        ("a=1,b=2,a=3", {"b": Item(2, {}), "a": Item(3, {})}),
        ("a=()", {"a": Inner((), {})}),
        ("a=( 1  2 )", {"a": Inner((Item(1, {}), Item(2, {})), {})}),
        ("max-size=100, min-size=0", {"max-size": Item(100, {}), "min-size": Item(0, {})}),
    ],
)
def test_a_dictionary_is_read_in_order(text, members):
    found = dictionary(text)
    assert found == members
    assert list(found) == list(members)


@pytest.mark.parametrize(
    "text",
    [
        "a=1,",
        "a=1,,b=2",
        "a=1 b=2",
        "A=1",
        "=1",
        "a=",
        "a=(1",
        "a=(1,2)",
        "a=(1(2))",
        "1",
        ",",
        "a==1",
        "ä=1",
        "x" * 20_000,
    ],
)
def test_what_is_no_dictionary_is_none(text):
    assert dictionary(text) is None


def test_fields_are_written():
    assert written({"max-size": 100, "sha-256": b"\0\xff", "on": True, "off": False}) == (
        "max-size=100, sha-256=:AP8=:, on, off=?0"
    )
    assert (flag(True), flag(False)) == ("?1", "?0")


keys = st.from_regex(r"[a-z*][a-z0-9_.*-]{0,20}", fullmatch=True)


@given(st.dictionaries(keys, st.integers(0, 10**15 - 1) | st.binary(max_size=64) | st.booleans(), max_size=8))
def test_what_is_written_is_read_again(members):
    found = dictionary(written(members))
    assert {key: member.value for key, member in found.items()} == members


@given(st.text(max_size=200) | st.text(alphabet='?01a=;,:@%"(). \t\\-', max_size=40))
def test_nothing_that_is_sent_makes_reading_fail(text):
    item(text)
    dictionary(text)
    assert integer(text) is None or integer(text) >= 0
