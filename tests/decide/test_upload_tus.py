"""tus 1.0.0: request heads to commands, and what came of them to answers. The heads are the specification's."""

import hashlib
from base64 import b64encode
from dataclasses import replace

import pytest

from holdfast.decide.uploads.dialect import Terms
from holdfast.decide.uploads.dialects import discovery, spoken
from holdfast.decide.uploads.errors import (
    ChecksumMismatch,
    Finishing,
    InvalidDigest,
    MismatchingOffset,
    UnsupportedDigest,
    UnsupportedVersion,
    WrongDigest,
)
from holdfast.decide.uploads.head import head
from holdfast.decide.uploads.metadata import pairs
from holdfast.decide.uploads.rules import Limits, Refuse
from holdfast.decide.uploads.tus import TUS
from holdfast.decide.uploads.vocabulary import Append, Cancel, Create, Digest, Kind, Look, Phase, Upload
from holdfast.errors import BadRequest, MethodNotAllowed, NotFound, UnsupportedMedia

ID, A, B = "24e533e02ec3bc40c387f1a0e460e216", "a" * 32, "b" * 32
STREAM = "application/offset+octet-stream"
TERMS = Terms("/files", Limits(), 1_000.0)
UPLOAD = Upload(ID, "ann", 1_000.0, 1403712000.0, offset=70, length=100)
WHOLE = replace(UPLOAD, offset=100, phase=Phase.FINISHED, result="file-7", sha256="ab" * 32)


def asked(method, upload_id=None, **headers):
    named = {"Tus-Resumable": "1.0.0", **{key.replace("_", "-"): value for key, value in headers.items()}}
    raw = [(key.encode(), value.encode("latin-1")) for key, value in named.items() if value is not None]
    return head(method, raw, upload_id=upload_id, base="/files")


def parsed(method, upload_id=None, **headers):
    request = asked(method, upload_id, **headers)
    assert spoken(request) is TUS
    return TUS.parse(request)


def coded(key, value):
    return f"{key} {b64encode(value).decode()}"


def refused(command, error):
    assert isinstance(command, Refuse), command
    assert type(command.error) is error
    return command.error


@pytest.mark.parametrize(
    ("method", "upload_id", "headers", "command"),
    [
        ("HEAD", ID, {}, Look()),
        ("GET", ID, {}, Look()),
        ("DELETE", ID, {"Content_Length": "0"}, Cancel()),
        ("POST", ID, {"X_HTTP_Method_Override": "DELETE"}, Cancel()),
        (
            "PATCH",
            ID,
            {"Content_Type": STREAM, "Content_Length": "30", "Upload_Offset": "70"},
            Append(70, content_length=30),
        ),
        (
            "POST",
            ID,
            {"X_HTTP_Method_Override": "PATCH", "Content_Type": STREAM, "Content_Length": "1", "Upload_Offset": "70"},
            Append(70, content_length=1),
        ),
        (
            "PATCH",
            ID,
            {"Content_Type": STREAM, "Transfer_Encoding": "chunked", "Upload_Offset": "0", "Upload_Length": "9"},
            Append(0, length=9),
        ),
        (
            "PATCH",
            ID,
            {
                "Content_Type": STREAM,
                "Content_Length": "11",
                "Upload_Offset": "0",
                "Upload_Checksum": "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
            },
            Append(0, content_length=11, content_digests=(Digest("sha1", hashlib.sha1(b"hello world").digest()),)),
        ),
        ("POST", None, {"Content_Length": "0", "Upload_Length": "100"}, Create(100, content_length=0)),
        ("POST", None, {"Upload_Length": "0"}, Create(0, content_length=0)),
        ("POST", None, {"Upload_Defer_Length": "1"}, Create(None, content_length=0)),
        (
            "POST",
            None,
            {"Content_Length": "5", "Upload_Length": "100", "Content_Type": STREAM},
            Create(100, has_content=True, content_length=5),
        ),
        (
            "POST",
            None,
            {"Transfer_Encoding": "chunked", "Upload_Length": "100", "Content_Type": STREAM},
            Create(100, has_content=True),
        ),
        ("POST", None, {"Upload_Length": "100", "Content_Type": "text/plain"}, Create(100, content_length=0)),
        (
            "POST",
            None,
            {"Upload_Concat": "partial", "Upload_Length": "5"},
            Create(5, kind=Kind.PARTIAL, content_length=0),
        ),
        (
            "POST",
            None,
            {"Upload_Concat": f"final;/files/{A} /files/{B}"},
            Create(None, kind=Kind.FINAL, parts=(A, B), content_length=0),
        ),
        (
            "POST",
            None,
            {"Upload_Concat": f"final;https://tus.example.org:8443/deep/er/files/{A} /x/files/{A}"},
            Create(None, kind=Kind.FINAL, parts=(A, A), content_length=0),
        ),
        (
            "POST",
            None,
            {
                "Upload_Length": "100",
                "Upload_Metadata": "filename d29ybGRfZG9taW5hdGlvbl9wbGFuLnBkZg==,is_confidential",
            },
            Create(
                100,
                name="world_domination_plan.pdf",
                metadata="filename d29ybGRfZG9taW5hdGlvbl9wbGFuLnBkZg==,is_confidential",
                content_length=0,
            ),
        ),
    ],
)
def test_a_head_becomes_a_command(method, upload_id, headers, command):
    assert parsed(method, upload_id, **headers) == command


@pytest.mark.parametrize(
    ("method", "upload_id", "headers", "error"),
    [
        ("HEAD", ID, {"Tus_Resumable": "0.2.2"}, UnsupportedVersion),
        ("PATCH", ID, {"Tus_Resumable": "1.0.0, 1.0.0"}, UnsupportedVersion),
        ("PUT", ID, {}, MethodNotAllowed),
        ("POST", ID, {}, MethodNotAllowed),
        ("POST", ID, {"X_HTTP_Method_Override": "TRACE"}, MethodNotAllowed),
        ("GET", ID, {"X_HTTP_Method_Override": "DELETE"}, None),
        ("DELETE", None, {}, MethodNotAllowed),
        ("PATCH", ID, {"Upload_Offset": "70"}, UnsupportedMedia),
        ("PATCH", ID, {"Upload_Offset": "70", "Content_Type": "application/octet-stream"}, UnsupportedMedia),
        ("PATCH", ID, {"Upload_Offset": "0", "Content_Type": STREAM, "Content_Encoding": "gzip"}, UnsupportedMedia),
        ("PATCH", ID, {"Content_Type": STREAM}, BadRequest),
        ("PATCH", ID, {"Content_Type": STREAM, "Upload_Offset": "-1"}, BadRequest),
        ("PATCH", ID, {"Content_Type": STREAM, "Upload_Offset": "1e9"}, BadRequest),
        ("PATCH", ID, {"Content_Type": STREAM, "Upload_Offset": "9223372036854775808"}, BadRequest),
        ("PATCH", ID, {"Content_Type": STREAM, "Upload_Offset": "\xb2"}, BadRequest),
        ("PATCH", ID, {"Content_Type": STREAM, "Upload_Offset": "70, 70"}, BadRequest),
        ("PATCH", ID, {"Content_Type": STREAM, "Upload_Offset": "70", "Upload_Length": "x"}, BadRequest),
        ("PATCH", ID, {"Content_Type": STREAM, "Upload_Offset": "70", "Content_Length": "+5"}, BadRequest),
        (
            "PATCH",
            ID,
            {"Content_Type": STREAM, "Upload_Offset": "0", "Upload_Checksum": "crc32 AA=="},
            UnsupportedDigest,
        ),
        ("PATCH", ID, {"Content_Type": STREAM, "Upload_Offset": "0", "Upload_Checksum": "sha1 AA=="}, InvalidDigest),
        ("PATCH", ID, {"Content_Type": STREAM, "Upload_Offset": "0", "Upload_Checksum": "sha1"}, BadRequest),
        ("POST", None, {}, BadRequest),
        ("POST", None, {"Upload_Length": "5", "Upload_Defer_Length": "1"}, BadRequest),
        ("POST", None, {"Upload_Defer_Length": "2"}, BadRequest),
        ("POST", None, {"Upload_Length": "-5"}, BadRequest),
        ("POST", None, {"Upload_Length": "5", "Content_Length": "5"}, UnsupportedMedia),
        ("POST", None, {"Upload_Length": "5", "Content_Length": "5", "Content_Type": "text/plain"}, UnsupportedMedia),
        ("POST", None, {"Upload_Length": "5", "Upload_Concat": "whole"}, BadRequest),
        ("POST", None, {"Upload_Length": "5", "Upload_Concat": "final"}, BadRequest),
        ("POST", None, {"Upload_Concat": "final;"}, BadRequest),
        ("POST", None, {"Upload_Concat": f"final;/files/{A}", "Upload_Length": "5"}, BadRequest),
        ("POST", None, {"Upload_Length": "5", "Upload_Metadata": "filename d29y ZG9t"}, BadRequest),
    ],
)
def test_a_head_that_is_wrong_is_refused(method, upload_id, headers, error):
    command = parsed(method, upload_id, **headers)
    if error is None:
        assert command == Look(), "only a POST may stand for another method: a link must not delete"
    else:
        refused(command, error)


@pytest.mark.parametrize(
    "url",
    [
        f"/files/../{A}",
        f"/files/{A}/../../etc/passwd",
        f"/files/{A[:-1]}",
        f"/files/{A}a",
        f"/files/{A.upper()}",
        f"/other/{A}",
        f"/files{A}",
        f"/files/x/{A}",
        f"/files/{A}?x=1",
        f"/files/{A}#x",
        f"/files/{A}/",
        f"//evil.example/files/{A}/..",
        f"/%2e%2e/files/{A}",
        f"/./files/{A}",
        f"/../files/{A}",
        f"/a//files/{A}",
        f"https://user@evil/files/{A}",
        f"file:///files/{A}",
        f"javascript:/files/{A}",
        f"\\files\\{A}",
        A,
        f" /files/{A}",
    ],
)
def test_a_final_upload_is_made_of_addresses_of_ours_only(url):
    refused(parsed("POST", Upload_Concat=f"final;/files/{B} {url}"), BadRequest)


def test_who_forgets_the_version_is_told_of_it():
    request = asked("PATCH", ID, Tus_Resumable=None, Content_Type=STREAM, Upload_Offset="70")
    request.headers.pop("tus-resumable", None)
    assert spoken(request) is TUS
    answer = TUS.refusal(refused(TUS.parse(request), UnsupportedVersion), None, TERMS)
    assert answer.status == 412
    assert dict(answer.headers) == {"tus-resumable": "1.0.0", "tus-version": "1.0.0"}


# -- metadata --


@pytest.mark.parametrize(
    ("text", "name", "media_type"),
    [
        ("filename eC5jc3Y=,filetype dGV4dC9jc3Y=", "x.csv", "text/csv"),
        ("name eC5jc3Y=, type dGV4dC9jc3Y7IGNoYXJzZXQ9dXRmLTg=", "x.csv", "text/csv"),
        ("relativePath bnVsbA==,filename w6QuY3N2", "ä.csv", None),
        (coded("filename", b"../../etc/passwd"), "../../etc/passwd", None),
        (coded("filename", b"a\0b\r\nX: 1"), "a\ufffdb\ufffd\ufffdX: 1", None),
        (coded("filename", b"\xff\xfe"), "\ufffd\ufffd", None),
        ("filename", None, None),
        ("filename ,filetype", None, None),
        (coded("filetype", b"text/html\r\nX: 1"), None, None),
        ("", None, None),
    ],
)
def test_the_name_and_the_type_are_found_in_the_metadata(text, name, media_type):
    command = parsed("POST", Upload_Length="5", Upload_Metadata=text)
    assert (command.name, command.media_type, command.metadata) == (name, media_type, text)


@pytest.mark.parametrize(
    "text",
    [
        ",",
        "a YQ==,",
        "a YQ==,a YQ==",
        "a  YQ==",
        "a Y=Q=",
        "a YQ",
        "a YQ==\tb",
        "k\xe4y YQ==",
        "k" * 200 + " YQ==",
        ",".join(f"k{i}" for i in range(70)),
        "a " + "A" * 9_000,
    ],
)
def test_metadata_that_is_wrong_or_too_much_is_refused(text):
    refused(parsed("POST", Upload_Length="5", Upload_Metadata=text), BadRequest)


def test_every_pair_of_the_metadata_can_be_had():
    assert pairs("a YQ==,flag,b Yg==") == {"a": b"a", "flag": b"", "b": b"b"}


# -- answers --


@pytest.mark.parametrize(
    ("command", "upload", "status", "headers"),
    [
        (
            Create(100),
            replace(UPLOAD, offset=0),
            201,
            {"location": f"/files/{ID}", "upload-offset": "0", "upload-expires": "Wed, 25 Jun 2014 16:00:00 GMT"},
        ),
        (Create(100), WHOLE, 201, {"location": f"/files/{ID}", "upload-offset": "100", "holdfast-file-id": "file-7"}),
        (Append(70), UPLOAD, 204, {"upload-offset": "70", "upload-expires": "Wed, 25 Jun 2014 16:00:00 GMT"}),
        (Append(70), WHOLE, 204, {"upload-offset": "100", "holdfast-file-id": "file-7"}),
        (Cancel(), UPLOAD, 204, {}),
        (
            Look(),
            replace(UPLOAD, metadata="filename eA=="),
            200,
            {
                "upload-offset": "70",
                "upload-length": "100",
                "upload-metadata": "filename eA==",
                "upload-expires": "Wed, 25 Jun 2014 16:00:00 GMT",
                "cache-control": "no-store",
            },
        ),
        (
            Look(),
            replace(UPLOAD, length=None, kind=Kind.PARTIAL),
            200,
            {
                "upload-offset": "70",
                "upload-defer-length": "1",
                "upload-concat": "partial",
                "upload-expires": "Wed, 25 Jun 2014 16:00:00 GMT",
                "cache-control": "no-store",
            },
        ),
        (
            Look(),
            replace(WHOLE, kind=Kind.FINAL, parts=(A, B), result=None),
            200,
            {
                "upload-offset": "100",
                "upload-length": "100",
                "upload-concat": f"final;/files/{A} /files/{B}",
                "cache-control": "no-store",
            },
        ),
    ],
)
def test_what_came_of_a_command_is_told(command, upload, status, headers):
    answer = TUS.answer(command, upload, TERMS)
    assert answer.status == status
    assert answer.error is None
    assert dict(answer.headers) == {"tus-resumable": "1.0.0", **headers}
    assert len(dict(answer.headers)) == len(answer.headers)


def test_an_expiry_that_is_never_has_a_date_too():
    answer = TUS.answer(Append(0), replace(UPLOAD, expires=float("inf")), TERMS)
    assert dict(answer.headers)["upload-expires"] == "Fri, 31 Dec 9999 23:59:59 GMT"


@pytest.mark.parametrize("command", [Append(70), Look(), Create(100)])
def test_an_upload_that_is_still_being_finished_is_not_told_of_as_finished(command):
    answer = TUS.answer(command, replace(UPLOAD, offset=100, phase=Phase.FINISHING), TERMS)
    assert (answer.status, type(answer.error)) == (423, Finishing)
    assert "upload-offset" not in dict(answer.headers)


def test_a_wrong_checksum_of_a_body_is_460_and_a_wrong_one_of_the_whole_is_not():
    wrong = [Digest("sha1", b"\0" * 20)]
    answer = TUS.refusal(WrongDigest(wrong, "Content-Digest"), UPLOAD, TERMS)
    assert (answer.status, type(answer.error)) == (460, ChecksumMismatch)
    assert dict(answer.headers) == {"tus-resumable": "1.0.0", "upload-offset": "70"}
    assert answer.error.members["mismatched_digests"][0]["header"] == "Upload-Checksum"
    assert TUS.refusal(WrongDigest(wrong, "Repr-Digest"), UPLOAD, TERMS).status == 400


def test_a_refusal_carries_the_version_and_the_offset_once():
    answer = TUS.refusal(MismatchingOffset(70, 99), UPLOAD, TERMS)
    assert (answer.status, answer.headers) == (409, (("tus-resumable", "1.0.0"),))
    assert answer.error.headers == {"upload-offset": "70"}
    assert dict(TUS.refusal(NotFound(), None, TERMS).headers) == {"tus-resumable": "1.0.0"}


def test_tus_knows_no_interim_answers():
    assert TUS.interim(UPLOAD, TERMS, created=True) is None


def test_options_tell_what_is_spoken():
    terms = TERMS._replace(limits=Limits(max_size=1_073_741_824))
    answer = discovery(asked("OPTIONS", Tus_Resumable="0.1.0"), terms)
    told = dict(answer.headers)
    assert answer.status == 204
    assert told["tus-resumable"] == told["tus-version"] == "1.0.0"
    assert told["tus-max-size"] == "1073741824"
    assert told["tus-checksum-algorithm"] == "sha1,md5,sha256,sha512"
    assert told["tus-extension"].split(",") == [
        "creation",
        "creation-with-upload",
        "creation-defer-length",
        "expiration",
        "checksum",
        "termination",
        "concatenation",
    ]
    assert told["upload-limit"] == "max-size=1073741824"
    assert "tus-max-size" not in dict(discovery(asked("OPTIONS"), TERMS).headers)
