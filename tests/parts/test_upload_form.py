"""Forms: bytes in, events out, however they are cut; and what is broken or too much."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import BadRequest, HoldfastError, TooLarge, UnsupportedMedia
from holdfast.parts.uploads.form import Field, FileBegins, FileBytes, FileEnds, Form, FormLimits

TYPE = "multipart/form-data; boundary=frontier"
END = b"--frontier--\r\n"


def part(name, content, filename=None, more=""):
    given_name = "" if filename is None else f'; filename="{filename}"'
    head = f'--frontier\r\nContent-Disposition: form-data; name="{name}"{given_name}\r\n{more}\r\n'
    return head.encode() + content + b"\r\n"


def fed(body, size=1 << 16, content_type=TYPE, limits=None, length=None):
    """The events of a form, its bytes joined."""
    form = Form(content_type, length, limits)
    events = []
    for at in range(0, len(body), size):
        for event in form.feed(body[at : at + size]):
            if isinstance(event, FileBytes) and events and isinstance(events[-1], FileBytes):
                events[-1] = FileBytes(events[-1].data + event.data)
            else:
                events.append(event)
    form.finish()
    return events


SEVERAL = (
    part("before", "grüße".encode())
    + part("file", b"a,b\r\n--frontie\r\n1,2", "x.csv", "Content-Type: Text/CSV; charset=utf-8\r\n")
    + part("between", b"")
    + part("file", b"", "empty.bin")
    + part("none", b"", "", "Content-Type: application/octet-stream\r\n")
    + part("after", b"1")
    + END
)
EVENTS = [
    Field("before", "grüße"),
    FileBegins("file", "x.csv", "text/csv"),
    FileBytes(b"a,b\r\n--frontie\r\n1,2"),
    FileEnds(),
    Field("between", ""),
    FileBegins("file", "empty.bin", None),
    FileEnds(),
    Field("after", "1"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 11, 12, 13, 64, 1 << 16])
def test_files_and_fields_come_in_order_however_the_form_is_cut(size):
    assert fed(SEVERAL, size, length=len(SEVERAL)) == EVENTS


def test_a_file_without_a_name_is_a_file_if_it_has_bytes():
    assert fed(part("f", b"x", "") + END) == [FileBegins("f", None, None), FileBytes(b"x"), FileEnds()]


def test_the_bytes_of_a_file_are_passed_on_as_they_come():
    form = Form(TYPE, None)
    begun = list(form.feed(part("f", b"", "big.bin")[:-2] + b"x" * 100_000))
    assert begun == [FileBegins("f", "big.bin", None), FileBytes(b"x" * 100_000)]
    for _ in range(20):
        assert list(form.feed(b"y" * 100_000)) == [FileBytes(b"y" * 100_000)]
    assert list(form.feed(b"\r\n" + END)) == [FileEnds()]
    form.finish()


@settings(max_examples=60)
@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_come_out_as_they_went_in(content, size):
    body = part("file", content, "x") + END
    if b"\r\n--frontier" not in b"\r\n" + content:
        got = b"".join(event.data for event in fed(body, size) if isinstance(event, FileBytes))
        assert got == content


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("../../etc/passwd", "../../etc/passwd"),
        ("invoice\u202efdp.exe", "invoice\ufffdfdp.exe"),
        ("x" * 1_000, "x" * 255),
        ("blob", "blob"),
        (" ", "unnamed"),
    ],
)
def test_a_name_is_data_and_bounded(header, name):
    assert fed(part("f", b"1", header) + END)[0] == FileBegins("f", name, None)


@pytest.mark.parametrize("behind", [b"", b"\r\n", b"\r\n\r\n", b"epilogue", b"\n" * 4_000])
@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_what_stands_behind_the_form_is_passed_over_if_it_is_little(behind, size):
    assert fed(part("a", b"1") + END[:-2] + behind, size) == [Field("a", "1")]


def test_an_empty_form_is_whole():
    assert fed(END) == []


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", BadRequest),
        (b"no form at all, but long enough to be seen as none", BadRequest),
        (part("file", b"1", "a.csv"), BadRequest),
        (part("file", b"1", "a.csv")[:-20], BadRequest),
        (part("file", b"1", "a.csv") + END[:-4], BadRequest),
        (part("file", b"1", "a.csv", "Content-Length: 7\r\n") + END, BadRequest),
        (part("file", b"1", "a.csv", "Content-Length: -1\r\n") + END, BadRequest),
        (part("file", b"1", "a.csv", " folded\r\n") + END, BadRequest),
        (part("file", b"1", "a.csv", "No colon\r\n") + END, BadRequest),
        (part("file", b"1", "a.csv").replace(b"form-data", b"attachment") + END, BadRequest),
        (part("file", b"1", "a.csv").replace(b'; name="file"', b"") + END, BadRequest),
        (part("file", b"1", "a.csv").replace(b"file", b"\xff\xfe", 1) + END, BadRequest),
        (part("field", b"\xff\xfe") + END, BadRequest),
        (part("a", b"1").replace(b"\r\n", b"\n") + END, BadRequest),
        (b"junk" + part("a", b"1") + END, BadRequest),
        (part("a", b"1") + END + b"x" * 10_000, BadRequest),
        (part("file", b"1", "a.csv", "X: " + "y" * 5_000 + "\r\n") + END, TooLarge),
        (b"--frontier\r\n" + b"X" * 9_000, TooLarge),
        (part("file", b"1", "a.csv", "".join(f"X-{i}: 1\r\n" for i in range(20))) + END, TooLarge),
        (b"".join(part(f"f{i}", b"") for i in range(5)) + END, TooLarge),
        (b"".join(part("f", b"1", "x") for _ in range(4)) + END, TooLarge),
        (b"".join(part("f", b"1", "") for _ in range(4)) + END, TooLarge),
        (b"".join(part("f", b"", "x") for _ in range(9)) + END, TooLarge),
        (part("big", b"x" * 101) + END, TooLarge),
        (b"".join(part("f", b"x" * 90) for _ in range(3)) + END, TooLarge),
    ],
)
@pytest.mark.parametrize("size", [5, 4_000])
def test_a_form_that_is_broken_or_too_much_is_refused(body, error, size):
    with pytest.raises(error):
        fed(body, size, limits=FormLimits(files=3, fields=4, field_bytes=100, fields_bytes=250))


def test_more_than_was_announced_is_refused():
    body = part("a", b"1") + END
    assert fed(body, length=len(body)) == [Field("a", "1")]
    with pytest.raises(BadRequest):
        fed(body, length=len(body) - 1)


@pytest.mark.parametrize(
    ("content_type", "error"),
    [
        ("multipart/mixed; boundary=frontier", UnsupportedMedia),
        ("text/plain", UnsupportedMedia),
        ("multipart/form-data", BadRequest),
        ("multipart/form-data; boundary=", BadRequest),
        ('multipart/form-data; boundary=""', BadRequest),
        ("multipart/form-data; boundary=a\tb", None),
        ("multipart/form-data; boundary=\u20ac", None),
        (f"multipart/form-data; boundary={'b' * 5_000}", None),
        ("multipart/form-data" + "; x=y" * 5_000 + "; boundary=frontier", BadRequest),
    ],
)
def test_a_form_without_a_usable_boundary_is_refused(content_type, error):
    with pytest.raises(error or HoldfastError):
        fed(part("file", b"1", "a.csv") + END, content_type=content_type)


def test_a_quoted_boundary_is_read():
    body = b'--a b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--a b--\r\n'
    assert fed(body, content_type='Multipart/Form-Data; charset=utf-8; Boundary="a b"') == [Field("x", "1")]


@given(st.binary(max_size=200), st.integers(1, 64))
def test_nothing_that_is_sent_makes_anything_else_fail(junk, size):
    for body in (junk, part("a", junk, "x"), part("a", b"1") + junk, b"--frontier\r\n" + junk):
        try:
            fed(body, size, limits=FormLimits(field_bytes=50))
        except (BadRequest, TooLarge):
            continue
