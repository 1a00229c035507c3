import asyncio
import base64
import errno
import hashlib
import html
import json
import logging
import re

import pytest
from calling import answering, call, scope_of
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from holdfast import context, problems
from holdfast.errors import BadRequest, HoldfastError, NotFound, TooMany, Unauthorised, Unavailable
from holdfast.problems import Refusal

pytestmark = pytest.mark.anyio
BROWSER = [("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")]


def layered(app):
    return context.layer(problems.layer(app))


def raising(error: BaseException, *, after: bytes | None = None):
    async def app(scope, receive, send):
        if after is not None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": after, "more_body": True})
        raise error

    return app


async def test_an_error_of_ours_is_answered_as_a_problem_document():
    answer = await call(layered(raising(NotFound("No file 7."))))
    assert answer.status == 404
    assert answer.header("content-type") == "application/problem+json"
    assert json.loads(answer.body) == {
        "type": "urn:holdfast:problem:not-found",
        "title": "Not Found",
        "status": 404,
        "detail": "No file 7.",
        "advice": "Check the address; what it named may be gone, or may not be yours.",
        "request_id": answer.header("x-request-id"),
    }


async def test_members_and_headers_of_an_error_are_answered():
    answer = await call(layered(raising(TooMany(headers={"Retry-After": "7"}, limit=100))))
    assert answer.header("retry-after") == "7"
    assert json.loads(answer.body)["limit"] == 100


async def test_a_401_says_which_credentials_are_wanted():
    answer = await call(layered(raising(Unauthorised())))
    assert (answer.status, answer.header("www-authenticate")) == (401, "Bearer")


async def test_the_unforeseen_is_a_500_without_internals_and_its_traceback_is_in_the_log(caplog):
    with caplog.at_level(logging.ERROR):
        answer = await call(layered(raising(RuntimeError("password=hunter2 at 10.0.0.1"))))
    assert answer.status == 500
    assert b"hunter2" not in answer.body
    assert b"RuntimeError" not in answer.body
    assert [record.exc_info[1].args for record in caplog.records] == [("password=hunter2 at 10.0.0.1",)]


async def test_where_too_many_files_are_open_the_caller_is_told_to_come_again_and_no_path(caplog):
    with caplog.at_level(logging.ERROR):
        answer = await call(layered(raising(OSError(errno.EMFILE, "Too many open files", "/srv/private.db"))))
    assert (answer.status, answer.header("retry-after")) == (503, "5")
    assert b"private" not in answer.body
    assert len(caplog.records) == 1


async def test_an_error_below_500_leaves_no_traceback_in_the_log(caplog):
    with caplog.at_level(logging.ERROR):
        await call(layered(raising(BadRequest())))
    assert caplog.records == []


async def test_an_error_of_ours_from_500_on_is_logged(caplog):
    with caplog.at_level(logging.ERROR):
        await call(layered(raising(Unavailable())))
    assert len(caplog.records) == 1


async def test_after_the_answer_has_begun_an_exception_goes_on_so_that_the_connection_is_cut():
    with pytest.raises(Exception) as raised:  # noqa: PT011 - the kind is ours alone
        await call(layered(raising(RuntimeError(), after=b"half")))
    assert problems.is_logged(raised.value)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (404, b'{"detail":"Not Found"}', "not-found"),
        (404, b"Not Found", "not-found"),
        (405, b'{"detail":"Method Not Allowed"}', "method-not-allowed"),
        (500, b"Internal Server Error", "unforeseen"),
    ],
)
async def test_a_frameworks_default_body_becomes_a_problem_and_its_headers_stay(status, body, code):
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"allow", b"GET")]
    answer = await call(layered(answering(status, body, headers)))
    assert (answer.status, json.loads(answer.body)["type"]) == (status, f"urn:holdfast:problem:{code}")
    assert answer.header("allow") == "GET"
    assert int(answer.header("content-length")) == len(answer.body)


@pytest.mark.parametrize("body", [b'{"detail":"No such order"}', b"<h1>Lost?</h1>", b"x" * 5000])
async def test_a_body_that_the_application_wrote_is_never_rewritten(body):
    answer = await call(layered(answering(404, body, [(b"content-type", b"text/html")])))
    assert (answer.status, answer.body) == (404, body)


def in_pieces(status, *pieces, ends=True):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": [(b"Content-Length", b"22")]})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if ends:
            await send({"type": "http.response.body", "body": b""})

    return app


@pytest.mark.parametrize("status", [404, 500])
async def test_a_default_that_a_middleware_passes_on_in_pieces_becomes_a_problem(status):
    body = {404: b"Not Found", 500: b"Internal Server Error"}[status]
    answer = await call(layered(in_pieces(status, body)))
    assert (answer.status, json.loads(answer.body)["status"], answer.ended) == (status, status, True)
    assert int(answer.header("content-length")) == len(answer.body)


async def test_a_body_that_only_begins_like_a_default_is_passed_on_as_it_is():
    answer = await call(layered(in_pieces(404, b"Not Found", b", but look here")))
    assert (answer.body, answer.ended) == (b"Not Found, but look here", True)


async def test_a_default_that_never_ends_is_passed_on_and_does_not_look_whole():
    answer = await call(layered(in_pieces(404, b"Not Found", ends=False)))
    assert (answer.body, answer.ended) == (b"Not Found", False)


@pytest.mark.parametrize("name", [b"Content-Length", b"CONTENT-TYPE"])
async def test_headers_are_replaced_however_they_are_written(name):
    answer = await call(layered(answering(404, b"Not Found", [(name, b"9"), (b"Vary", b"cookie")])))
    assert [value for key, value in answer.headers if key.lower() == name.lower()] != [b"9"]
    assert len([key for key, _ in answer.headers if key.lower() == name.lower()]) == 1
    assert (b"Vary", b"cookie") in answer.headers


def waiting_receive():
    """A client that has sent all and stays."""
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    return receive


async def half():
    yield b"half"
    raise RuntimeError("in the middle")


@pytest.mark.parametrize("middlewares", [1, 4])
async def test_a_stream_that_fails_is_cut_also_where_middlewares_end_it_as_if_it_were_whole(middlewares):
    app = FastAPI()

    async def passes_on(request, call_next):
        return await call_next(request)

    for _ in range(middlewares):
        app.middleware("http")(passes_on)
    app.get("/")(lambda: StreamingResponse(half()))
    sent = []

    async def send(message):
        sent.append(message)

    with pytest.raises(Exception) as raised:  # noqa: PT011 - the kind is ours alone
        await layered(app)(scope_of(asgi={"spec_version": "2.3"}), waiting_receive(), send)
    assert problems.is_logged(raised.value)
    assert [message.get("more_body") for message in sent] == [None, True]


async def test_a_stream_ends_before_the_work_that_comes_after_it():
    sent, ended = [], asyncio.Event()

    async def send(message):
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            ended.set()

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"all", "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        await ended.wait()

    await asyncio.wait_for(layered(app)(scope_of(), waiting_receive(), send), 10)
    assert len(sent) == 3


async def test_what_is_raised_after_the_client_has_left_is_no_error(caplog):
    async def app(scope, receive, send):
        assert (await receive())["type"] == "http.disconnect"
        raise RuntimeError("whoever it was for is gone")

    with caplog.at_level(logging.INFO):
        answer = await call(layered(app), gone=True)
    assert (answer.status, answer.headers) == (0, [])
    assert [record.levelname for record in caplog.records if record.name == "holdfast.problems"] == ["WARNING"]


async def test_what_a_websocket_raises_once_its_client_has_left_is_no_error(caplog):
    async def app(scope, receive, send):
        await receive()
        raise RuntimeError("whoever it was for is gone")

    sent = []

    async def receive():
        return {"type": "websocket.disconnect", "code": 1001}

    async def send(message):
        sent.append(message)

    with caplog.at_level(logging.INFO):
        await layered(app)({**scope_of(), "type": "websocket"}, receive, send)
    assert sent == []
    assert [record.levelname for record in caplog.records if record.name == "holdfast.problems"] == ["WARNING"]


async def test_a_framework_that_answers_500_and_raises_again_is_answered_by_what_it_raised():
    async def app(scope, receive, send):
        await answering(500, b"Internal Server Error")(scope, receive, send)
        raise NotFound

    answer = await call(layered(app))
    assert (answer.status, json.loads(answer.body)["status"]) == (404, 404)


async def test_a_browser_that_asks_for_a_page_gets_one_with_the_request_id():
    answer = await call(layered(raising(NotFound("<script>alert(1)</script>"))), scope_of(headers=BROWSER))
    assert answer.header("content-type") == "text/html; charset=utf-8"
    assert answer.header("x-request-id").encode() in answer.body
    assert b"<script>" not in answer.body
    assert b"&lt;script&gt;alert(1)&lt;/script&gt;" in answer.body


async def test_the_page_says_what_the_document_says():
    app = layered(raising(TooMany("Seven at once are taken.", headers={"Retry-After": "7"})))
    answer = await call(app, scope_of(headers=BROWSER))
    assert (answer.status, answer.header("retry-after")) == (429, "7")
    for said in ("429", TooMany.title(), "Seven at once are taken.", TooMany.advice):
        assert html.escape(said) in answer.body.decode()


async def test_the_page_allows_its_own_style_and_nothing_else():
    answer = await call(layered(raising(NotFound())), scope_of(headers=BROWSER))
    (style,) = re.findall(rb"<style>(.*?)</style>", answer.body, re.DOTALL)
    allowed = dict(part.strip().split(" ", 1) for part in answer.header("content-security-policy").split(";"))
    assert allowed == {
        "default-src": "'none'",
        "style-src": f"'sha256-{base64.b64encode(hashlib.sha256(style).digest()).decode()}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert re.findall(rb"""\s(?:style|src|href|on\w+)=""", answer.body) == []


def test_a_page_outside_of_a_request_speaks_of_no_id():
    made = problems.problem(NotFound(), {"type": "http", "headers": [(b"accept", b"text/html")]})
    assert b"Request ID" not in made.body


@pytest.mark.parametrize("accept", ["application/json", "*/*", "application/problem+json, text/html", ""])
async def test_others_get_the_document(accept):
    answer = await call(layered(raising(NotFound())), scope_of(headers=[("accept", accept)]))
    assert answer.header("content-type") == "application/problem+json"


async def test_a_refusal_differs_in_the_id_alone_and_has_the_right_length():
    refusal = Refusal(TooMany())

    async def app(scope, receive, send):
        await refusal.answer(context.current(), send)

    first, second = [await call(context.layer(app)) for _ in range(2)]
    for answer in (first, second):
        assert json.loads(answer.body)["request_id"] == answer.header("x-request-id")
        assert int(answer.header("content-length")) == len(answer.body)
    assert first.header("x-request-id") != second.header("x-request-id")


def test_an_errors_message_is_its_docstring():
    class NoSuchOrder(HoldfastError):
        """There is no such order."""

        code = "no-such-order"
        status = 404

    assert str(NoSuchOrder()) == "There is no such order."
    assert str(NoSuchOrder("Order 7 was cancelled.")) == "Order 7 was cancelled."
