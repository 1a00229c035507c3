"""Ten thousand heads that mean harm: each is understood or refused, and no answer carries harm on."""

import json
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decide.uploads.dialect import Terms
from holdfast.decide.uploads.dialects import discovery, spoken
from holdfast.decide.uploads.head import head
from holdfast.decide.uploads.rules import Limits, Refuse, decide
from holdfast.decide.uploads.vocabulary import Append, Create, Upload
from holdfast.problems import document

COUNT = 10_000
ID = "a" * 32
TERMS = Terms("/uploads", Limits(max_size=1 << 30), 0.0)
UPLOAD = Upload(ID, "ann", 0.0, 9.0, offset=5, length=10, metadata="filename eA==")
NAMES = (
    "tus-resumable",
    "upload-offset",
    "upload-length",
    "upload-defer-length",
    "upload-metadata",
    "upload-checksum",
    "upload-concat",
    "upload-complete",
    "upload-incomplete",
    "upload-draft-interop-version",
    "content-length",
    "content-type",
    "content-encoding",
    "content-disposition",
    "content-digest",
    "repr-digest",
    "want-repr-digest",
    "x-http-method-override",
    "content-range",
    "transfer-encoding",
)
WELL = (
    "1.0.0",
    "0",
    "5",
    "8",
    "6",
    "3",
    "10",
    "1",
    "?0",
    "?1",
    "application/offset+octet-stream",
    "application/partial-upload",
    "multipart/form-data; boundary=x",
    "filename eC5jc3Y=,filetype dGV4dC9jc3Y=",
    "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
    "partial",
    f"final;/uploads/{ID}",
    "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
    'inline; filename="x.csv"',
    "PATCH",
    "chunked",
)
ILL = (
    "",
    " ",
    "-1",
    "+1",
    "1e9",
    "1_0",
    "0x10",
    "9223372036854775808",
    "9" * 4_000,
    "\xb2\xb3",
    "1, 1",
    "?",
    "?2",
    '"' * 999,
    "(" * 2_000,
    "a=" * 2_000,
    ";" * 2_000,
    ":" * 2_000,
    "%" * 999,
    ",".join("k%d AA==" % i for i in range(200)),  # noqa: UP031
    "filename " + "A" * 50_000,
    "filename ../../../../etc/passwd",
    "filename Li4vLi4vZXRjL3Bhc3N3ZA==",
    "filename AAAA====",
    "final;" + " /uploads/../x" * 500,
    f"final;/uploads/{ID}/../../etc/passwd",
    "final;http://" + "a" * 9_000,
    "final; ; ;",
    "sha-256=:" + "A" * 9_999 + ":",
    "sha-256=((((",
    "sha1 " + "=" * 999,
    "attachment; filename=" + "x;filename=" * 400,
    'attachment; filename="' + "\\" * 3_000,
    "attachment; filename*=UTF-8''" + "%" * 3_000,
    "attachment; filename*=iso-8859-1''%00%0d%0aX-Evil:%201",
    "attachment; filename*=utf-16''%00",
    "multipart/form-data; boundary=" + '"' * 500,
    "text/html\r\nX-Evil: 1",
    "gzip, deflate",
    "bytes 0-1/*",
    "\0",
    "\xff\xfe\xfd",
    "x\r\nSet-Cookie: a=b",
    "{'a': 1}",
    "${jndi:ldap://x}",
    "' OR 1=1 --",
    "<svg onload=alert(1)>",
)
# Heads that are right, for one thing in them to go wrong.
RIGHT = (
    ("POST", None, {"tus-resumable": "1.0.0", "upload-length": "10", "upload-metadata": "filename eA=="}),
    ("PATCH", ID, {"tus-resumable": "1.0.0", "upload-offset": "5", "content-type": "application/offset+octet-stream"}),
    ("POST", None, {"upload-draft-interop-version": "3", "upload-incomplete": "?0"}),
    ("POST", None, {"upload-draft-interop-version": "5", "upload-complete": "?0", "upload-length": "10"}),
    ("PATCH", ID, {"upload-draft-interop-version": "5", "upload-complete": "?0", "upload-offset": "5"}),
    ("POST", None, {"upload-draft-interop-version": "6", "upload-complete": "?1", "content-length": "10"}),
    ("PATCH", ID, {"upload-complete": "?1", "upload-offset": "5", "content-type": "application/partial-upload"}),
    ("POST", None, {"content-type": "multipart/form-data; boundary=x", "content-length": "500"}),
    ("PUT", None, {"content-length": "5", "content-disposition": "inline; filename=x"}),
)
METHODS = ("POST", "PUT", "PATCH", "HEAD", "GET", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "\xff", "")
PLAIN_TEXT = re.compile(r"[ -~]*")


def hostile(seed):
    chance = random.Random(seed)
    method, upload_id, right = chance.choice(RIGHT)
    headers = [(name.encode(), value.encode()) for name, value in right.items() if chance.random() < 0.95]
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 8))):
        value = chance.choice(WELL if chance.random() < 0.6 else ILL)
        if chance.random() < 0.1:
            at = chance.randint(0, len(value))
            value = value[:at] + chr(chance.randint(0, 255)) + value[at:]
        name = chance.choice(NAMES).encode()
        headers = [*(other for other in headers if other[0] != name), (name, value.encode("latin-1"))]
    return head(
        method if chance.random() < 0.8 else chance.choice(METHODS),
        headers,
        upload_id=upload_id if chance.random() < 0.9 else chance.choice((None, ID)),
        base="/uploads",
        name=chance.choice((None, "x", "../" * 300, "a\0b", "\ud800")),
    )


def withstood(request):
    """The dialect, and whether the head was understood; every answer to it is checked."""
    dialect = spoken(request)
    command = dialect.parse(request)
    carried_no_harm(discovery(request, TERMS))
    if isinstance(command, Refuse):
        assert 400 <= command.error.status < 500
        assert carried_no_harm(dialect.refusal(command.error, None, TERMS)) < 500
        return dialect.name, False
    if isinstance(command, Create | Append):
        assert all(size is None or 0 <= size < 1 << 63 for size in (command.length, command.content_length))
    if isinstance(command, Create) and command.name is not None:
        assert len(command.name) <= 255
        assert command.name.isprintable() or not set(command.name) & set(map(chr, range(32)))
    decision = decide(UPLOAD if request.upload_id else None, command, TERMS.limits, owner="ann", now=0.0)
    if isinstance(decision, Refuse):
        carried_no_harm(dialect.refusal(decision.error, UPLOAD, TERMS))
    carried_no_harm(dialect.answer(command, UPLOAD, TERMS))
    return dialect.name, True


def carried_no_harm(answer):
    errors = () if answer.error is None else answer.error.headers.items()
    for key, value in (*answer.headers, *errors):
        assert key == key.lower()
        assert PLAIN_TEXT.fullmatch(value), value
    if answer.error is not None:
        assert answer.status == answer.error.status
        assert len(json.dumps(document(answer.error, None))) < 5_000
    return answer.status


def test_ten_thousand_hostile_heads_are_understood_or_refused():
    seen = {withstood(hostile(seed)) for seed in range(COUNT)}
    spoken_here = {"tus", "plain", "form", *(f"ietf-{number}" for number in (3, 5, 6, 8))}
    assert {name for name, _ in seen} >= spoken_here
    assert {name for name, understood in seen if understood} >= spoken_here
    assert {name for name, understood in seen if not understood} >= spoken_here


@pytest.mark.parametrize("name", NAMES)
@given(st.binary(max_size=60), st.sampled_from(["POST", "PATCH", "HEAD"]), st.sampled_from([None, ID]))
def test_no_value_of_a_header_makes_anything_fail(name, value, method, upload_id):
    context = [(b"tus-resumable", b"1.0.0"), (b"upload-length", b"5")] if value[:1] > b"\x80" else []
    withstood(head(method, [*context, (name.encode(), value)], upload_id=upload_id, base="/uploads"))
