"""Resumable Uploads for HTTP, interop versions 3 to 8. Most heads are the examples of the drafts."""

import hashlib
from base64 import b64encode
from dataclasses import replace

import pytest

from holdfast.decide.uploads.dialect import Terms
from holdfast.decide.uploads.dialects import discovery, spoken
from holdfast.decide.uploads.errors import CompletedUpload, Finishing, InconsistentLength, MismatchingOffset
from holdfast.decide.uploads.head import head
from holdfast.decide.uploads.ietf import Ietf
from holdfast.decide.uploads.interop import INTEROPS, NEWEST
from holdfast.decide.uploads.rules import Limits, Refuse
from holdfast.decide.uploads.vocabulary import Append, Cancel, Create, Digest, Look, Phase, Upload
from holdfast.errors import (
    BadRequest,
    MethodNotAllowed,
    NotFound,
    ScanRefused,
    TooLarge,
    Unavailable,
    UnsupportedMedia,
    UploadGone,
)

ID = "b530ce8ff" + "0" * 23
PART = "application/partial-upload"
TERMS = Terms("https://example.com/upload", Limits(max_size=1_234_567_890), 1_000.0)
UPLOAD = Upload(ID, "ann", 1_000.0, 4_600.0, offset=25, length=100)
WHOLE = replace(UPLOAD, offset=100, phase=Phase.FINISHED, result="file-7", sha256=hashlib.sha256(b"x").hexdigest())
LIMIT = "max-size=1234567890"
REPR = "sha-256=:" + b64encode(hashlib.sha256(b"x").digest()).decode() + ":"


def asked(method, upload_id=None, version=None, **headers):
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    if version is not None:
        named["Upload-Draft-Interop-Version"] = str(version)
    raw = [(key.encode(), value.encode("latin-1")) for key, value in named.items()]
    return head(method, raw, upload_id=upload_id, base="/upload")


def parsed(method, upload_id=None, version=None, **headers):
    request = asked(method, upload_id, version, **headers)
    dialect = spoken(request)
    assert isinstance(dialect, Ietf), dialect
    return dialect.parse(request)


def refused(command, error):
    assert isinstance(command, Refuse), command
    assert type(command.error) is error
    return command.error


def speaker(version):
    return Ietf(INTEROPS[version], announced=True)


# -- which version --


@pytest.mark.parametrize(
    ("request_head", "name"),
    [
        (asked("POST", version=8, Upload_Complete="?1"), "ietf-8"),
        (asked("POST", version=7, Upload_Complete="?1"), "ietf-7"),
        (asked("POST", version=6, Upload_Complete="?1"), "ietf-6"),
        (asked("POST", version=5, Upload_Complete="?1"), "ietf-5"),
        (asked("POST", version=4, Upload_Complete="?1"), "ietf-4"),
        (asked("POST", version=3, Upload_Incomplete="?0"), "ietf-3"),
        (asked("POST", version=99, Upload_Complete="?1"), "ietf-8"),
        (asked("POST", version="eight", Upload_Complete="?1"), "ietf-8"),
        (asked("POST", Upload_Complete="?1"), "ietf-8"),
        (asked("POST", Upload_Incomplete="?1"), "ietf-3"),
        (asked("POST", Upload_Complete="true"), "plain"),
        (asked("POST", Upload_Complete="1"), "plain"),
        (asked("POST"), "plain"),
        (asked("PUT", Content_Type="text/csv"), "plain"),
        (asked("POST", Content_Type="multipart/form-data; boundary=x"), "form"),
        (asked("POST", Content_Type="multipart/form-data; boundary=x", Upload_Complete="?1"), "ietf-8"),
        (asked("HEAD", ID), "ietf-8"),
        (asked("GET", ID), "ietf-8"),
        (asked("DELETE", ID), "ietf-8"),
        (asked("PATCH", ID, Content_Type=PART), "ietf-8"),
        (asked("PUT", ID, Content_Type="text/csv"), "plain"),
        (asked("POST", ID, Content_Type="multipart/form-data; boundary=x"), "plain"),
        (asked("HEAD", ID, Tus_Resumable="1.0.0"), "tus"),
        (asked("PATCH", ID, Content_Type="application/offset+octet-stream"), "tus"),
    ],
)
def test_the_head_says_which_dialect_is_spoken(request_head, name):
    assert spoken(request_head).name == name
    assert spoken(request_head).resumable is (name not in {"plain", "form"})


def test_the_newest_version_is_the_largest():
    assert NEWEST.number == max(INTEROPS)
    assert [interop.number for interop in INTEROPS.values()] == list(INTEROPS)


# -- heads to commands --


@pytest.mark.parametrize(
    ("method", "upload_id", "version", "headers", "command"),
    [
        (
            "POST",
            None,
            8,
            {
                "Content_Disposition": "inline; filename=\"file name.jpg\"; filename*=UTF-8''file%20name.jpg",
                "Content_Type": "image/jpeg; x=y",
                "Content_Length": "123456789",
                "Upload_Length": "123456789",
                "Upload_Complete": "?1",
            },
            Create(
                123456789,
                name="file name.jpg",
                media_type="image/jpeg",
                has_content=True,
                ends=True,
                content_length=123456789,
            ),
        ),
        (
            "POST",
            None,
            None,
            {"Upload_Complete": "?0", "Content_Length": "23456789", "Upload_Length": "123456789"},
            Create(123456789, has_content=True, ends=False, content_length=23456789),
        ),
        ("POST", None, 8, {"Upload_Complete": "?0"}, Create(None, ends=False, content_length=0)),
        ("PUT", None, 8, {"Upload_Complete": "?1;x"}, Create(None, ends=True, content_length=0)),
        (
            "PATCH",
            None,
            8,
            {"Upload_Complete": "?1", "Transfer_Encoding": "chunked"},
            Create(None, has_content=True, ends=True),
        ),
        ("POST", None, 8, {"Upload_Complete": "?0", "Upload_Length": "0"}, Create(0, ends=False, content_length=0)),
        ("POST", None, 8, {"Upload_Complete": "?0", "Upload_Length": "-1"}, Create(None, ends=False, content_length=0)),
        ("POST", None, 6, {"Upload_Complete": "?0", "Upload_Length": "0"}, Create(0, ends=True, content_length=0)),
        ("POST", None, 5, {"Upload_Complete": "?0", "Upload_Length": "9"}, Create(9, ends=False, content_length=0)),
        (
            "POST",
            None,
            3,
            {"Upload_Incomplete": "?0", "Content_Length": "100"},
            Create(None, has_content=True, ends=True, content_length=100),
        ),
        (
            "POST",
            None,
            3,
            {"Upload_Incomplete": "?1", "Content_Length": "25"},
            Create(None, has_content=True, ends=False, content_length=25),
        ),
        (
            "POST",
            None,
            6,
            {
                "Upload_Complete": "?0",
                "Content_Type": PART,
                "Upload_Metadata": "filename eC5jc3Y=,filetype dGV4dC9jc3Y=",
                "Content_Length": "3",
            },
            Create(
                None,
                name="x.csv",
                media_type="text/csv",
                metadata="filename eC5jc3Y=,filetype dGV4dC9jc3Y=",
                has_content=True,
                ends=False,
                content_length=3,
            ),
        ),
        (
            "POST",
            None,
            8,
            {
                "Upload_Complete": "?1",
                "Content_Length": "1",
                "Repr_Digest": REPR,
                "Content_Digest": REPR,
                "Want_Repr_Digest": "sha-512=1",
            },
            Create(
                None,
                has_content=True,
                ends=True,
                content_length=1,
                digests=(Digest("sha-256", hashlib.sha256(b"x").digest()),),
                content_digests=(Digest("sha-256", hashlib.sha256(b"x").digest()),),
            ),
        ),
        ("HEAD", ID, 8, {}, Look()),
        ("GET", ID, None, {}, Look()),
        ("DELETE", ID, None, {}, Cancel()),
        (
            "PATCH",
            ID,
            8,
            {"Upload_Complete": "?0", "Upload_Offset": "20000000", "Content_Length": "3456789", "Content_Type": PART},
            Append(20000000, ends=False, content_length=3456789),
        ),
        (
            "PATCH",
            ID,
            None,
            {
                "Upload_Complete": "?1",
                "Upload_Offset": "1230000000",
                "Content_Length": "4567890",
                "Content_Type": PART,
                "Upload_Length": "1234567890",
            },
            Append(1230000000, length=1234567890, ends=True, content_length=4567890),
        ),
        (
            "PATCH",
            ID,
            6,
            {"Upload_Offset": "100", "Content_Length": "100", "Content_Type": PART},
            Append(100, ends=False, content_length=100),
        ),
        (
            "PATCH",
            ID,
            5,
            {"Upload_Offset": "100", "Content_Length": "100"},
            Append(100, ends=False, content_length=100),
        ),
        ("PATCH", ID, 5, {"Upload_Offset": "100", "Upload_Complete": "?1"}, Append(100, ends=True, content_length=0)),
        ("PATCH", ID, 4, {"Upload_Offset": "100", "Upload_Complete": "?0"}, Append(100, ends=False, content_length=0)),
        ("PATCH", ID, 3, {"Upload_Offset": "100", "Content_Length": "100"}, Append(100, ends=True, content_length=100)),
        (
            "PATCH",
            ID,
            3,
            {"Upload_Offset": "100", "Upload_Incomplete": "?1"},
            Append(100, ends=False, content_length=0),
        ),
    ],
)
def test_a_head_becomes_a_command(method, upload_id, version, headers, command):
    assert parsed(method, upload_id, version, **headers) == command


APPEND = {"Content_Type": PART, "Upload_Complete": "?0", "Upload_Offset": "5"}


@pytest.mark.parametrize(
    ("method", "upload_id", "version", "headers", "error"),
    [
        ("POST", None, 8, {}, BadRequest),
        ("POST", None, 8, {"Upload_Complete": "true"}, BadRequest),
        ("POST", None, 8, {"Upload_Incomplete": "?0"}, BadRequest),
        ("POST", None, 3, {"Upload_Complete": "?1"}, BadRequest),
        ("POST", None, 8, {"Upload_Complete": "?1", "Upload_Offset": "5"}, BadRequest),
        ("POST", None, 8, {"Upload_Complete": "?1", "Content_Encoding": "gzip"}, UnsupportedMedia),
        ("POST", None, 8, {"Upload_Complete": "?1", "Content_Length": "x"}, BadRequest),
        ("POST", None, 8, {"Upload_Complete": "?1", "Upload_Metadata": "x y z"}, BadRequest),
        ("POST", None, 8, {"Upload_Complete": "?1", "Repr_Digest": "junk!"}, BadRequest),
        ("GET", None, 8, {"Upload_Complete": "?1"}, MethodNotAllowed),
        ("HEAD", ID, 8, {"Upload_Offset": "10"}, BadRequest),
        ("HEAD", ID, None, {"Upload_Complete": "?0"}, BadRequest),
        ("GET", ID, 6, {"Upload_Length": "10"}, BadRequest),
        ("DELETE", ID, 5, {"Upload_Offset": "10"}, BadRequest),
        ("PATCH", ID, 8, {**APPEND, "Content_Type": "text/plain"}, UnsupportedMedia),
        ("PATCH", ID, 6, {"Upload_Complete": "?0", "Upload_Offset": "5"}, UnsupportedMedia),
        ("PATCH", ID, 8, {"Content_Type": PART, "Upload_Complete": "?0"}, BadRequest),
        ("PATCH", ID, 8, {"Content_Type": PART, "Upload_Offset": "5"}, BadRequest),
        ("PATCH", ID, 7, {"Content_Type": PART, "Upload_Offset": "5"}, BadRequest),
        ("PATCH", ID, 8, {**APPEND, "Upload_Complete": "yes"}, BadRequest),
        *[
            ("PATCH", ID, 8, {**APPEND, "Upload_Offset": offset}, BadRequest)
            for offset in (
                "abc",
                "-1",
                "1e9",
                "1.0",
                "?1",
                '"5"',
                "1, 1",
                "",
                "\xb2",
                "9223372036854775808",
                "1000000000000000",
            )
        ],
        ("PATCH", ID, 8, {**APPEND, "Content_Encoding": "br"}, UnsupportedMedia),
    ],
)
def test_a_head_that_is_wrong_is_refused(method, upload_id, version, headers, error):
    refused(parsed(method, upload_id, version, **headers), error)


def test_a_refused_type_names_the_one_that_is_taken():
    error = refused(parsed("PATCH", ID, 8, **{**APPEND, "Content_Type": "text/plain"}), UnsupportedMedia)
    assert error.headers == {"accept-patch": PART}


def test_a_method_that_is_not_answered_gets_those_that_are():
    error = refused(parsed("DELETE", None, 8), MethodNotAllowed)
    assert error.headers == {"allow": "POST, PUT, PATCH, OPTIONS"}


# -- answers --

AGE = f"{LIMIT}, max-age=3600"
FILE = {"repr-digest": REPR, "holdfast-file-id": "file-7"}
PLACE = {"location": f"https://example.com/upload/{ID}"}


@pytest.mark.parametrize(
    ("version", "command", "upload", "status", "headers"),
    [
        (8, Create(100), UPLOAD, 201, {**PLACE, "upload-offset": "25", "upload-complete": "?0", "upload-limit": AGE}),
        (
            8,
            Create(100),
            WHOLE,
            201,
            {**PLACE, "upload-offset": "100", "upload-complete": "?1", "upload-limit": AGE, **FILE},
        ),
        (8, Append(0), UPLOAD, 204, {"upload-offset": "25", "upload-complete": "?0", "upload-limit": AGE}),
        (8, Append(0), WHOLE, 200, {"upload-offset": "100", "upload-complete": "?1", "upload-limit": AGE, **FILE}),
        (
            8,
            Look(),
            UPLOAD,
            204,
            {
                "upload-offset": "25",
                "upload-complete": "?0",
                "upload-length": "100",
                "upload-limit": AGE,
                "cache-control": "no-store",
            },
        ),
        (
            7,
            Look(),
            replace(UPLOAD, length=None),
            204,
            {"upload-offset": "25", "upload-complete": "?0", "upload-limit": AGE, "cache-control": "no-store"},
        ),
        (
            8,
            Look(),
            WHOLE,
            204,
            {
                "upload-offset": "100",
                "upload-complete": "?1",
                "upload-length": "100",
                "upload-limit": AGE,
                "cache-control": "no-store",
                **FILE,
            },
        ),
        (8, Cancel(), UPLOAD, 204, {}),
        (7, Append(0), UPLOAD, 204, {"upload-offset": "25", "upload-complete": "?0", "upload-limit": AGE}),
        (7, Append(0), WHOLE, 200, {"upload-offset": "100", "upload-complete": "?1", "upload-limit": AGE, **FILE}),
        (
            6,
            Append(0),
            UPLOAD,
            201,
            {"upload-offset": "25", "upload-complete": "?0", "upload-limit": f"{LIMIT}, expires=3600"},
        ),
        (
            6,
            Look(),
            UPLOAD,
            204,
            {
                "upload-offset": "25",
                "upload-complete": "?0",
                "upload-length": "100",
                "upload-limit": f"{LIMIT}, expires=3600",
                "cache-control": "no-store",
            },
        ),
        (5, Append(0), WHOLE, 201, {"upload-offset": "100", "upload-complete": "?1", **FILE}),
        (5, Look(), UPLOAD, 204, {"upload-offset": "25", "upload-complete": "?0", "cache-control": "no-store"}),
        (4, Create(100), UPLOAD, 201, {**PLACE, "upload-offset": "25", "upload-complete": "?0"}),
        (3, Create(100), UPLOAD, 201, {**PLACE, "upload-offset": "25", "upload-incomplete": "?1"}),
        (3, Look(), UPLOAD, 204, {"upload-offset": "25", "upload-incomplete": "?1", "cache-control": "no-store"}),
        (3, Append(0), WHOLE, 201, {"upload-offset": "100", "upload-incomplete": "?0", **FILE}),
    ],
)
def test_what_came_of_a_command_is_told(version, command, upload, status, headers):
    answer = speaker(version).answer(command, upload, TERMS)
    assert answer.status == status
    assert answer.error is None
    assert dict(answer.headers) == headers
    assert len(dict(answer.headers)) == len(answer.headers)


def test_an_upload_that_is_still_being_finished_is_not_told_of_as_complete():
    finishing = replace(UPLOAD, offset=100, phase=Phase.FINISHING)
    told = dict(speaker(8).answer(Look(), finishing, TERMS).headers)
    assert (told["upload-offset"], told["upload-complete"]) == ("100", "?0")
    answer = speaker(8).answer(Append(25, ends=True), finishing, TERMS)
    assert (answer.status, type(answer.error)) == (503, Unavailable)
    assert answer.error.headers == {"retry-after": "1"}
    assert dict(answer.headers)["upload-complete"] == "?0"


@pytest.mark.parametrize(
    ("version", "error", "upload", "whole", "status", "headers"),
    [
        (8, MismatchingOffset(25, 99), UPLOAD, False, 409, {"upload-complete": "?0", "upload-limit": LIMIT}),
        (
            8,
            InconsistentLength(),
            UPLOAD,
            False,
            400,
            {"upload-complete": "?0", "upload-limit": LIMIT, "upload-offset": "25"},
        ),
        (8, TooLarge(), None, False, 413, {"upload-complete": "?0", "upload-limit": LIMIT}),
        (8, CompletedUpload(), WHOLE, False, 400, {"upload-complete": "?0", "upload-limit": LIMIT}),
        (
            8,
            ScanRefused(),
            replace(WHOLE, phase=Phase.REFUSED),
            True,
            422,
            {"upload-complete": "?1", "upload-limit": LIMIT},
        ),
        (8, UploadGone(), None, False, 410, {"upload-complete": "?0", "upload-limit": LIMIT}),
        (8, Finishing(), UPLOAD, False, 503, {"upload-complete": "?0", "upload-limit": LIMIT, "upload-offset": "25"}),
        (6, UploadGone(), None, False, 404, {"upload-complete": "?0", "upload-limit": LIMIT}),
        (5, NotFound(), None, False, 404, {"upload-complete": "?0"}),
        (3, MismatchingOffset(25, 99), UPLOAD, False, 409, {"upload-incomplete": "?1"}),
        (3, ScanRefused(), None, True, 422, {"upload-incomplete": "?0"}),
    ],
)
def test_a_refusal_says_whether_it_is_about_the_upload_or_the_file(version, error, upload, whole, status, headers):
    answer = speaker(version).refusal(error, upload, TERMS, whole=whole)
    assert answer.status == answer.error.status == status
    assert dict(answer.headers) == headers
    assert not dict(answer.headers).keys() & answer.error.headers.keys()


def test_a_problem_has_the_type_and_members_of_the_draft():
    assert MismatchingOffset(12500000, 25000000).members == {
        "type": "https://iana.org/assignments/http-problem-types#mismatching-upload-offset",
        "expected-offset": 12500000,
        "provided-offset": 25000000,
    }
    assert (
        InconsistentLength().members["type"]
        == "https://iana.org/assignments/http-problem-types#inconsistent-upload-length"
    )
    assert CompletedUpload().members["type"] == "https://iana.org/assignments/http-problem-types#completed-upload"


@pytest.mark.parametrize(
    ("version", "created", "headers"),
    [
        (8, True, {**PLACE, "upload-limit": AGE}),
        (6, True, {**PLACE, "upload-limit": f"{LIMIT}, expires=3600"}),
        (5, True, PLACE),
        (3, True, PLACE),
        (8, False, {"upload-offset": "25"}),
        (5, False, {"upload-offset": "25"}),
        (4, False, None),
        (3, False, None),
    ],
)
def test_a_104_tells_the_address_first_and_then_the_progress(version, created, headers):
    answer = speaker(version).interim(UPLOAD, TERMS, created=created)
    if headers is None:
        assert answer is None
    else:
        assert answer.status == 104
        assert dict(answer.headers) == {"upload-draft-interop-version": str(version), **headers}


@pytest.mark.parametrize("version", [None, 9, 2, "x"])
def test_nobody_gets_a_104_who_does_not_name_a_version_that_is_spoken(version):
    dialect = spoken(asked("POST", version=version, Upload_Complete="?1"))
    assert dialect.interim(UPLOAD, TERMS, created=True) is None


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        (Limits(), "min-size=0"),
        (Limits(max_size=100), "max-size=100"),
        (
            Limits(100, 1, 50, 5, 3600.9),
            "max-size=100, min-size=1, max-append-size=50, min-append-size=5, max-age=3600",
        ),
        (Limits(max_size=1 << 62), "max-size=999999999999999"),
    ],
)
def test_options_tell_the_limits(limits, field):
    answer = discovery(asked("OPTIONS", Upload_Complete="?1"), Terms("/upload", limits, 0.0))
    assert answer.status == 204
    assert dict(answer.headers)["upload-limit"] == field
    assert PART in dict(answer.headers)["accept-patch"]


def test_options_tell_the_limits_in_the_words_of_the_version():
    terms = Terms("/upload", Limits(max_age=60.0), 0.0)
    assert dict(discovery(asked("OPTIONS", version=6), terms).headers)["upload-limit"] == "expires=60"
    assert dict(discovery(asked("OPTIONS", version=5), terms).headers)["upload-limit"] == "max-age=60"
    assert dict(discovery(asked("OPTIONS", ID), terms).headers)["allow"] == "HEAD, GET, PATCH, DELETE, OPTIONS"
