import json
import logging
import re
import sys

import pytest
from calling import answering, call, scope_of

from holdfast import context, logs, problems
from holdfast.context import current, set_action, set_actor
from holdfast.decide.redaction import Redactor
from holdfast.logs.canonical import outcome_of
from holdfast.logs.lines import encode, fields_of, timestamp

pytestmark = pytest.mark.anyio
REDACTOR = Redactor()


def record_of(message: str, *arguments, error: BaseException | None = None, **extra) -> logging.LogRecord:
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.LogRecord("shop.orders", logging.INFO, "/srv/shop/orders.py", 7, message, arguments, exc_info)
    vars(record).update(extra)
    return record


def line_of(record: logging.LogRecord, redactor: Redactor = REDACTOR, **options) -> dict:
    return json.loads(encode(fields_of(record, redactor, **options)))


def caught(function) -> BaseException:
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError


def test_a_line_says_when_how_grave_what_and_where():
    line = line_of(record_of("order %s placed", 7, total=12))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["time"])
    assert (line["level"], line["event"], line["logger"]) == ("info", "order 7 placed", "shop.orders")
    assert (line["source"], line["total"]) == ("orders.py:7", 12)


def test_time_is_utc():
    assert timestamp(0.25) == "1970-01-01T00:00:00.250000Z"


def test_a_line_break_from_outside_does_not_make_a_second_line():
    data = encode(fields_of(record_of("name\n{}", extra_name="a\nb"), REDACTOR))
    assert data.count(b"\n") == 1


def test_an_extra_cannot_take_the_place_of_time_level_or_request_id():
    line = line_of(record_of("x", time="never", level="none", request_id="forged"))
    assert (line["extra_time"], line["extra_level"], line["extra_request_id"]) == ("never", "none", "forged")
    assert line["level"] == "info"


@pytest.mark.parametrize("value", [b"\xff", {1, 2}, object(), float("nan"), "\ud800", 10**400, {"a": {"b": [1]}}])
def test_any_value_can_be_logged(value):
    assert line_of(record_of("x", value=value))["event"] == "x"


def test_a_secret_in_an_exception_its_traceback_and_its_locals_is_redacted():
    def fails():
        password = "hunter2-in-a-local"
        raise RuntimeError(f"cannot sign in with password={password}")

    line = line_of(record_of("failed", error=caught(fails)), show_locals=True)
    assert line["exception"]["type"] == "builtins.RuntimeError"
    assert "fails" in line["exception"]["traceback"]
    assert "hunter2" not in json.dumps(line)


def test_the_source_of_an_exception_is_where_it_was_raised():
    def fails():
        raise RuntimeError

    assert line_of(record_of("failed", error=caught(fails)))["source"].startswith("test_lines.py:")


def test_what_cannot_be_redacted_is_left_out_but_the_line_is_there():
    class Broken(Redactor):
        def text(self, value):
            raise RuntimeError("secret")

    line = line_of(record_of("password is hunter2"), Broken())
    assert line["event"] == "a log line could not be redacted and was left out"
    assert "hunter2" not in json.dumps(line)
    assert "secret" not in json.dumps(line)


async def test_a_line_within_a_request_carries_its_id_actor_and_action():
    kept: list = []

    async def app(scope, receive, send):
        set_actor("alice")
        set_action("order.place")
        kept.append((current().id, line_of(record_of("placed"))))
        await answering()(scope, receive, send)

    await call(context.layer(app))
    request_id, line = kept[0]
    assert (line["request_id"], line["actor"], line["action"]) == (request_id, "alice", "order.place")


async def test_an_actor_that_is_an_address_is_redacted_on_every_line():
    kept: list = []

    async def app(scope, receive, send):
        set_actor("alice@example.com")
        kept.append(line_of(record_of("placed")))
        await answering()(scope, receive, send)

    await call(context.layer(app))
    assert "alice@example.com" not in json.dumps(kept)


# -- the canonical line --


async def finished(app, scope=None, **options):
    """The fact that is told of one request."""
    told: list = []
    layered = context.layer(logs.layer(problems.layer(app), told.append))
    try:
        await call(layered, scope, **options)
    except Exception:
        assert told
    assert len(told) == 1
    return told[0]


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "ok"), (304, "ok"), (401, "rejected"), (422, "rejected"), (503, "failed")]
)
async def test_the_outcome_of_an_answer(status, outcome):
    assert (await finished(answering(status))).outcome == outcome


async def test_a_request_that_fails_is_told_of():
    async def app(scope, receive, send):
        raise RuntimeError

    fact = await finished(app)
    assert (fact.status, fact.outcome, fact.problem) == (500, "failed", "unforeseen")


@pytest.mark.parametrize(
    ("route", "status", "level"),
    [("/-/ready", 503, "debug"), ("/-/other", 500, "error"), ("/-/other", 200, "info"), (None, 200, "info")],
)
async def test_only_the_probes_are_quiet(route, status, level):
    from holdfast.logs.canonical import line_of

    scope = scope_of("/-/ready") | {"path_template": route}
    assert line_of(await finished(answering(status, b"own words"), scope), REDACTOR).level == level


async def test_a_request_that_stops_in_the_middle_is_cut():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    assert (await finished(app)).outcome == "cut"


async def test_a_client_that_leaves_is_told_of():
    async def app(scope, receive, send):
        assert (await receive())["type"] == "http.disconnect"

    assert (await finished(app, gone=True)).outcome == "client_left"


async def test_a_request_that_is_cancelled_is_told_of():
    import asyncio

    told: list = []
    waiting = asyncio.Event()

    async def app(scope, receive, send):
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(call(context.layer(logs.layer(app, told.append))))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [fact.outcome for fact in told] == ["cancelled"]


async def test_a_refusal_is_told_as_one():
    kept: list = []

    async def app(scope, receive, send):
        current().refused = True
        kept.append(current())
        await answering(503)(scope, receive, send)

    assert (await finished(app)).outcome == "refused"
    assert outcome_of(kept[0]) == "refused"


async def test_secrets_in_path_and_query_do_not_reach_the_canonical_line():
    from holdfast.logs.canonical import encode_line, line_of

    scope = scope_of("/reset/alice@example.com", query_string=b"token=abcdef123456&page=2")
    line = encode_line(line_of(await finished(answering(), scope), REDACTOR))
    assert b"alice@example.com" not in line
    assert b"abcdef123456" not in line
    assert b"page=2" in line


def test_the_canonical_line_goes_to_the_standard_tree_where_nothing_was_configured(caplog):
    import asyncio

    assert logs.installed() is None
    with caplog.at_level(logging.INFO):
        asyncio.run(call(context.layer(logs.layer(answering(), logs.tell))))
    assert [record.message for record in caplog.records if record.name == "holdfast.request"] == ["request"]


def test_the_current_span_of_opentelemetry_is_joined():
    from opentelemetry.sdk.trace import TracerProvider

    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("work") as span:
        line = line_of(record_of("inside"))
    assert line["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert "trace_id" not in line_of(record_of("outside"))
    assert "opentelemetry.trace" in sys.modules
