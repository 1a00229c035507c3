"""Names and forms from outside, without a server."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depot.forms import UploadForm
from depot.names import disposition, kept_name, name_in
from holdfast import BadRequest, HoldfastError, Invalid, TooLarge, UnsupportedMedia

TYPE = "multipart/form-data; boundary=frontier"


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("sales 2026.csv", "sales 2026.csv"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("C:\\Users\\ann\\x.csv", "C:\\Users\\ann\\x.csv"),
        ("a\0b\r\nc.csv", "a\ufffdb\ufffd\ufffdc.csv"),
        ("invoice\u202efdp.exe", "invoice\ufffdfdp.exe"),
        ("\ud800.csv", "\ufffd.csv"),
        ("   ", "unnamed"),
        ("", "unnamed"),
        ("x" * 1000, "x" * 255),
    ],
)
def test_a_name_is_kept_but_nothing_that_cannot_be_shown(given_name: str, kept: str) -> None:
    assert kept_name(given_name) == kept


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment; filename=plain.csv", "plain.csv"),
        ('attachment; filename="with space; and semicolon.csv"', "with space; and semicolon.csv"),
        (r'attachment; filename="quo\"te.csv"', 'quo"te.csv'),
        ("attachment; filename=x.csv; filename*=UTF-8''%e2%82%ac%20rates.csv", "€ rates.csv"),
        ("attachment; filename*=iso-8859-1'en'%A3.csv", "£.csv"),
        ("attachment; filename*=klingon''x; filename=plain.csv", "plain.csv"),
        ('attachment; FileName="' + "näme.csv".encode().decode("latin-1") + '"', "näme.csv"),
        ('attachment; filename="' + "caf\xe9.csv" + '"', "café.csv"),
        ("attachment", None),
        ("", None),
        ('attachment; filename="open', None),
    ],
)
def test_the_name_in_a_content_disposition_is_found(header: str, name: str | None) -> None:
    assert name_in(header) == name


@given(st.text(max_size=300))
def test_any_kept_name_survives_the_way_through_a_header(name: str) -> None:
    kept = kept_name(name)
    header = disposition(kept)
    header.encode("ascii")
    assert name_in(header) == kept
    assert not {"\r", "\n", "\0"} & set(header)
    assert "/" not in header.partition(";")[2].partition("filename*")[0]


@given(st.text(max_size=200))
def test_no_header_makes_the_search_for_a_name_fail(header: str) -> None:
    name_in(header)


# -- forms --


def part(name: str, content: bytes, filename: str | None = None, more: str = "") -> bytes:
    given_name = f'; filename="{filename}"' if filename is not None else ""
    head = f'--frontier\r\nContent-Disposition: form-data; name="{name}"{given_name}\r\n{more}\r\n'
    return head.encode() + content + b"\r\n"


END = b"--frontier--\r\n"


def fed(body: bytes, size: int = 1 << 16, content_type: str = TYPE) -> tuple[str, bytes]:
    form = UploadForm(content_type, len(body))
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    content = b"".join(piece for chunk in pieces for piece in form.feed(chunk))
    return form.finish(), content


@settings(max_examples=60)
@given(st.binary(max_size=300), st.integers(1, 50))
def test_the_file_comes_out_of_the_form_however_it_is_cut(content: bytes, size: int) -> None:
    body = (
        part("before", b"1") + part("file", content, "x.csv", "Content-Type: text/html\r\n") + part("after", b"2") + END
    )
    if b"\r\n--frontier" not in content:
        assert fed(body, size) == ("x.csv", content)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", BadRequest),
        (b"no form at all, but long enough to be seen as none", BadRequest),
        (END, Invalid),
        (part("other", b"1") + END, Invalid),
        (part("file", b"1") + END, Invalid),
        (part("file", b"1", "") + END, Invalid),
        (part("file", b"1", "a.csv") + part("file", b"2", "b.csv") + END, Invalid),
        (part("file", b"1", "a.csv"), BadRequest),
        (part("file", b"1", "a.csv")[:-20], BadRequest),
        (part("file", b"1", "a.csv", "Content-Length: 7\r\n") + END, BadRequest),
        (part("file", b"1", "a.csv", "X: " + "y" * 5_000 + "\r\n") + END, TooLarge),
        (part("file", b"1", "a.csv", "".join(f"X-{i}: 1\r\n" for i in range(20))) + END, TooLarge),
        (part("file", b"1", "a.csv") + b"".join(part(f"f{i}", b"") for i in range(40)) + END, TooLarge),
        (part("big", b"x" * 70_000) + part("file", b"1", "a.csv") + END, TooLarge),
        (part("file", b"1", "a.csv").replace(b"form-data", b"attachment") + END, BadRequest),
        (part("file", b"1", "a.csv").replace(b"file", b"\xff\xfe", 1) + END, BadRequest),
    ],
)
def test_a_form_that_is_broken_or_too_much_is_refused(body: bytes, error: type[HoldfastError]) -> None:
    with pytest.raises(error):
        fed(body)


@pytest.mark.parametrize(
    ("content_type", "error"),
    [
        ("multipart/mixed; boundary=frontier", UnsupportedMedia),
        ("multipart/form-data", BadRequest),
        ("multipart/form-data; boundary=", BadRequest),
        (f"multipart/form-data; boundary={'b' * 5_000}", BadRequest),
    ],
)
def test_a_form_without_a_usable_boundary_is_refused(content_type: str, error: type[HoldfastError]) -> None:
    with pytest.raises(error):
        fed(part("file", b"1", "a.csv") + END, content_type=content_type)
