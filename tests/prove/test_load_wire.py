"""Requests as bytes, answers in pieces, and a job as JSON."""

import pytest

from holdfast.prove.load import Job, Phase, Template
from holdfast.prove.load.job import decoded, encoded
from holdfast.prove.load.wire import Malformed, Prepared, Reader

ANSWERS = {
    "a length": (b"HTTP/1.1 200 OK\r\nContent-Length:5\r\n\r\nhello", 200, b"hello", False),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", False),
    "chunks": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        200,
        b"hello",
        False,
    ),
    "trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n",
        200,
        b"hello",
        False,
    ),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
        b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\nConnection:Close\r\n\r\nhello",
        201,
        b"hello",
        True,
    ),
    "1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", True),
    "1.0, kept": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
        200,
        b"hello",
        False,
    ),
    "the number in a body looks like an end": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n0\r\n\r\nhi\r\n0\r\n\r\n",
        200,
        b"0\r\n\r\nhi",
        False,
    ),
}


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read_in_whatever_pieces_it_comes(name, step):
    data, status, body, closes = ANSWERS[name]
    reader = Reader()
    pieces = [data[begin : begin + step] for begin in range(0, len(data), step)]
    assert [reader.feed(piece) for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert reader.began == (len(pieces) > 1)
    assert reader.feed(pieces[-1]) == (status, body, closes)


def test_without_a_length_an_answer_ends_with_its_connection():
    reader = Reader()
    assert reader.feed(b"HTTP/1.1 200 OK\r\n\r\nhel") is None
    assert reader.feed(b"lo") is None
    assert reader.feed(b"") == (200, b"hello", True)


@pytest.mark.parametrize(
    "data", [b"", b"HTTP/1.1 200 OK\r\nContent-Len", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"]
)
def test_half_an_answer_is_none(data):
    reader = Reader()
    assert (reader.feed(data) if data else None) is None
    assert reader.feed(b"") is None


@pytest.mark.parametrize(
    "data",
    [
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50_000,
    ],
)
def test_what_is_no_http_is_told_as_such(data):
    with pytest.raises(Malformed):
        Reader().feed(data)


def test_the_answer_to_a_head_has_no_body():
    assert Reader(head_only=True).feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") == (200, b"", False)


def test_what_nobody_asked_for_makes_a_connection_useless():
    assert Reader().feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK").closes


def test_a_body_that_nobody_wants_is_not_kept():
    assert Reader(keeps=False).feed(ANSWERS["chunks"][0]) == (200, b"", False)


def test_a_request_has_what_its_template_says_and_a_length_where_it_needs_one():
    plain = Prepared(Template("/a"), "here:80")
    assert plain.request(b"7", b"id") == b"GET /a HTTP/1.1\r\nHost: here:80\r\n\r\n"
    empty = Prepared(Template("/a", method="POST", headers=[("Host", "there")]), "here:80")
    assert empty.request(b"7", b"id") == b"POST /a HTTP/1.1\r\nHost: there\r\nContent-Length: 0\r\n\r\n"
    full = Prepared(Template("/a/{n}", method="PUT", body=b"{n}{n} {request_id} {other}", request_id=True), "h")
    assert full.request(b"12", b"abc") == (
        b"PUT /a/12 HTTP/1.1\r\nHost: h\r\nX-Request-ID: abc\r\nContent-Length: 16\r\n\r\n1212 abc {other}"
    )


def test_a_body_is_right_if_it_is_what_was_expected_or_contains_it():
    exactly = Prepared(Template(exactly=b"done {n}"), "h")
    assert exactly.is_right(b"done 7", b"7", b"")
    assert not exactly.is_right(b"done 77", b"7", b"")
    containing = Prepared(Template(containing=b'"id": {n}'), "h")
    assert containing.is_right(b'{"id": 7}', b"7", b"")
    assert not containing.is_right(b'{"id": 8}', b"7", b"")
    assert not Prepared(Template(), "h").judges_bodies


# -- jobs --


def test_a_job_is_the_same_after_a_journey_as_json():
    templates = (
        Template("/a", method="POST", headers=(("A", "b"),), body=bytes(range(256)), exactly=b"\xff", critical=True),
        Template("/b", containing=b"x", weight=2.5, request_id=True),
    )
    job = Job(80, templates, (Phase(1.0, 2.0),), "kept", host="::1", pids=(1, 2), core=0, first=7)
    text = encoded(job)
    assert "\n" not in text
    assert decoded(text) == job
    assert decoded('{"port": 80, "closed": 1, "closed_s": 1}').templates == (Template(),)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Template("no slash"),
        lambda: Template("/a b"),
        lambda: Template("/a\r\nEvil:yes"),
        lambda: Template(headers=[("A", "b\r\nEvil: yes")]),
        lambda: Template(weight=-1),
        lambda: Job(80),
        lambda: Job(80, phases=[Phase(1, 1)], closed=1),
        lambda: Job(80, phases=[Phase(1, 1)], kind="other"),
        lambda: Job(80, [Template(weight=0)], [Phase(1, 1)]),
        lambda: Job(80, [], [Phase(1, 1)]),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(wrong):
    with pytest.raises(ValueError, match=r"."):
        wrong()
