import json
import logging

import pytest
from calling import answering, call, scope_of

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


async def test_a_body_in_pieces_is_never_rewritten():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"Not Found", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    answer = await call(layered(app))
    assert (answer.body, answer.ended) == (b"Not Found", True)


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
