"""A whole file in one body, and what every head says in every dialect."""

import hashlib
from base64 import b64encode
from dataclasses import replace

import pytest

from holdfast.decide.uploads.dialect import Terms
from holdfast.decide.uploads.dialects import spoken
from holdfast.decide.uploads.errors import UnsupportedDigest
from holdfast.decide.uploads.head import content_length, head, is_upload_id, media_type, number
from holdfast.decide.uploads.rules import Limits, Refuse
from holdfast.decide.uploads.vocabulary import Create, Digest, Phase, Upload
from holdfast.decide.uploads.whole import FORM, PLAIN
from holdfast.errors import BadRequest, MethodNotAllowed, TooLarge, UnsupportedMedia

ID = "a" * 32
TERMS = Terms("/upload", Limits(), 0.0)
FINISHED = Upload(ID, "ann", 0.0, 9.0, Phase.FINISHED, 1, 1, sha256=hashlib.sha256(b"x").hexdigest(), result="file 7/é")
FORM_TYPE = "multipart/form-data; boundary=frontier"


def asked(method="PUT", upload_id=None, name=None, **headers):
    raw = [(key.replace("_", "-").encode(), value.encode("latin-1")) for key, value in headers.items()]
    return head(method, raw, upload_id=upload_id, name=name, base="/upload")


@pytest.mark.parametrize(
    ("request_head", "command"),
    [
        (
            asked(Content_Length="5", Content_Type="Text/CSV; charset=utf-8", name="a/b.csv"),
            Create(5, name="a/b.csv", media_type="text/csv", has_content=True, ends=True, content_length=5),
        ),
        (
            asked("POST", Content_Length="5", Content_Disposition='attachment; filename="x.csv"'),
            Create(5, name="x.csv", has_content=True, ends=True, content_length=5),
        ),
        (asked(Transfer_Encoding="chunked"), Create(None, has_content=True, ends=True)),
        (asked(), Create(0, ends=True, content_length=0)),
        (asked(Content_Length="0", name=""), Create(0, ends=True, content_length=0)),
        (
            asked(Content_Length="1", Content_Encoding="Identity", Repr_Digest=f"sha-512=:{'A' * 86}==:"),
            Create(1, has_content=True, ends=True, content_length=1, digests=(Digest("sha-512", b"\0" * 64),)),
        ),
    ],
)
def test_a_plain_body_is_a_whole_file(request_head, command):
    assert spoken(request_head) is PLAIN
    assert PLAIN.parse(request_head) == command


@pytest.mark.parametrize(
    ("request_head", "error"),
    [
        (asked("GET"), MethodNotAllowed),
        (asked("DELETE"), MethodNotAllowed),
        (asked("PATCH"), MethodNotAllowed),
        (asked("PUT", ID), MethodNotAllowed),
        (asked("POST", ID, Content_Type=FORM_TYPE), MethodNotAllowed),
        (asked(Content_Encoding="gzip"), UnsupportedMedia),
        (asked(Content_Length="-1"), BadRequest),
        (asked(Content_Length="5", Content_Range="bytes 5-9/10"), BadRequest),
        (asked(Content_Length="5", Content_Digest="md5=:AAAA:"), UnsupportedDigest),
    ],
)
def test_what_is_no_whole_file_is_refused(request_head, error):
    command = spoken(request_head).parse(request_head)
    assert isinstance(command, Refuse)
    assert type(command.error) is error


def test_a_form_begins_a_whole_file_for_each_of_its_files():
    request_head = asked("POST", Content_Type=FORM_TYPE, Content_Length="500")
    assert spoken(request_head) is FORM
    assert FORM.parse(request_head) == Create(None, has_content=True, ends=True)
    for headers in ({"Content_Length": "0"}, {"Content_Length": "9", "Content_Digest": f"sha-256=:{'A' * 43}=:"}):
        refused = FORM.parse(asked("POST", Content_Type=FORM_TYPE, **headers))
        assert isinstance(refused, Refuse)
        assert type(refused.error) is BadRequest


@pytest.mark.parametrize("dialect", [PLAIN, FORM])
def test_a_whole_file_is_answered_with_what_came_of_it(dialect):
    command = Create(1, ends=True)
    answer = dialect.answer(command, FINISHED, TERMS)
    assert answer.status == 201
    assert dict(answer.headers) == {
        "repr-digest": f"sha-256=:{b64encode(hashlib.sha256(b'x').digest()).decode()}:",
        "holdfast-file-id": "file%207/%C3%A9",
    }
    later = dialect.answer(command, replace(FINISHED, phase=Phase.FINISHING), TERMS)
    assert (later.status, dict(later.headers)) == (202, {"location": f"/upload/{ID}", "retry-after": "1"})
    refused = dialect.refusal(TooLarge(), FINISHED, TERMS)
    assert (refused.status, refused.headers, type(refused.error)) == (413, (), TooLarge)
    assert dialect.interim(FINISHED, TERMS, created=True) is None


# -- heads --


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("007", 7),
        ("9223372036854775807", (1 << 63) - 1),
        ("9223372036854775808", None),
        ("99999999999999999999", None),
        ("9" * 5_000, None),
        ("-1", None),
        ("+1", None),
        ("1e9", None),
        ("1.0", None),
        ("1_0", None),
        (" 1", None),
        ("1\n", None),
        ("0x1", None),
        ("\xb2", None),
        ("\u0663", None),
        ("\uff11", None),
        ("", None),
        (None, None),
    ],
)
def test_a_number_of_bytes_is_made_of_ascii_digits(text, value):
    assert number(text) == value


def test_headers_that_come_twice_are_one_and_names_have_no_case():
    found = head("put", [(b"X-A", b" 1 "), (b"x-a", b"2"), (b"content-length", b"5"), (b"Content-Length", b"6")])
    assert found.method == "PUT"
    assert found.get("x-a") == "1 , 2"
    with pytest.raises(BadRequest):
        content_length(found)


def test_a_request_of_http_1_without_a_length_has_no_body():
    assert content_length(head("PUT", [])) == 0
    assert content_length(head("PUT", [(b"transfer-encoding", b"chunked")])) is None
    assert content_length(head("PUT", [], http_version="2")) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("text/csv", "text/csv"),
        ("Text/CSV ; charset=utf-8", "text/csv"),
        ("application/vnd.a+b", "application/vnd.a+b"),
        ("text", None),
        ("text/", None),
        ("text/csv, text/html", None),
        ("text/\xe4", None),
        ("a/" + "b" * 200, None),
        ("", None),
    ],
)
def test_a_media_type_is_one_or_none(text, found):
    assert media_type(asked(Content_Type=text)) == found


def test_an_id_is_32_hexadecimal_digits():
    assert is_upload_id("0123456789abcdef" * 2)
    assert not [
        text for text in ("A" * 32, "a" * 31, "a" * 33, "a" * 32 + "\n", "../" + "a" * 29) if is_upload_id(text)
    ]
