"""Each answer's ID finds it in the log: what the scenario says of backends that do so, and of those that do not."""

import msgspec
import pytest
from proving import HOLDFAST, proving

from holdfast.decide.verdicts import Verdict
from holdfast.prove.http import Answer
from holdfast.prove.props.journey import Asked, Journey, id_of, looked_up
from holdfast.prove.scenarios.journeys import Journeys, gather, judge

pytestmark = pytest.mark.anyio

FOUND = Journey(kind="GET /", status=200, id="a1", lines=1)
KEPT = Journeys(well="200", fault="3 answers", journeys=(FOUND, FOUND), gave_ours=5, kept_ours=5)

APP = """
import itertools, logging, sys
from contextvars import ContextVar

NUMBERS = itertools.count()
logging.basicConfig(stream=sys.stdout, format="%(asctime)s %(message)s", level=logging.INFO)


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    name = f"id{next(NUMBERS):08d}" + "f" * 8
    given = dict(scope["headers"]).get(b"x-request-id", b"").decode()
    status = 200 if scope["path"] == "/" and scope["method"] == "GET" else 404
    EXTRA
    if not SILENT:
        logging.info("%s %s %s", LINE)
    await send({"type": "http.response.start", "status": status, "headers": [(b"x-request-id", name.encode())]})
    await send({"type": "http.response.body", "body": b"{}"})
"""


def backend(line: str = "name, scope['path'], f'{status} {given}'", extra: str = "pass", silent: str = "False") -> str:
    return APP.replace("LINE", line).replace("EXTRA", extra).replace("SILENT", silent)


@pytest.mark.parametrize(
    ("facts", "verdict", "why"),
    [
        (KEPT, Verdict.KEPT, "Each of 2 requests"),
        (Journeys(), Verdict.NOT_PROVEN, "Nothing was asked"),
        (
            {"journeys": (FOUND, Journey(kind="POST /", status=500))},
            Verdict.BROKEN,
            "no request ID, as that to POST / (500)",
        ),
        (
            {"journeys": (Journey(kind="GET /", status=404, id="b"),)},
            Verdict.BROKEN,
            "in no line, as that of GET / (404)",
        ),
        ({"journeys": (Journey(kind="left", id="b", given=True),)}, Verdict.BROKEN, "left (no answer)"),
        ({"shared": 2}, Verdict.BROKEN, "2 answers share"),
        ({"mixed": 1}, Verdict.BROKEN, "the path of another"),
        (
            {"journeys": (msgspec.structs.replace(FOUND, untold=("status", "time")),)},
            Verdict.BROKEN,
            "do not tell its status nor its time",
        ),
        ({"kept_ours": 0}, Verdict.BROKEN, "5 of 5 IDs that a client gave"),
    ],
)
def test_what_is_judged(facts, verdict, why):
    judgement = judge(msgspec.structs.replace(KEPT, **facts) if isinstance(facts, dict) else facts)
    assert judgement.verdict is verdict
    assert why in judgement.why
    assert judgement.certain is (verdict is Verdict.BROKEN)


def answer(status: int = 200, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"", 0.0)


def test_an_id_is_found_under_any_of_its_usual_names():
    assert id_of(answer(x_correlation_id="c")) == "c"
    assert id_of(answer(traceparent=f"00-{'a' * 32}-{'b' * 16}-01")) == "a" * 32
    assert id_of(answer(content_type="text/plain")) == ""


@pytest.mark.parametrize(
    ("lines", "untold"),
    [
        (['{"time":"2026-11-29T10:00:00Z","path":"/a/b","status":200}'], ()),
        (["10:00:00 /a/{id} 200"], ()),
        (["10:00:00 begins /a/b", "10:00:01 ends with 200"], ()),
        (["10:00:00 /a/b took 2001 ms"], ("status",)),
        (["/x 200"], ("path", "time")),
    ],
)
def test_what_lines_tell_of_a_request(lines, untold):
    asked = Asked(kind="GET", path="/a/b?c=d", answer=answer(x_request_id="i"))
    assert looked_up(asked, lines).untold == untold


def test_a_failure_has_to_be_told():
    asked = Asked(kind="GET", path="/", answer=answer(500, x_request_id="i"))
    assert looked_up(asked, ["10:00:00 / 500"]).untold == ("failure",)
    assert looked_up(asked, ["10:00:00 / 500", "Traceback (most recent call last):"]).untold == ()


@pytest.mark.parametrize("serve", [None, HOLDFAST], ids=["by itself", "under holdfast run"])
async def test_a_backend_that_logs_each_id_keeps_the_promise(tmp_path, serve):
    async with proving(tmp_path, backend(), **({"serve": serve} if serve else {})) as stage:
        facts = await gather(stage)
    assert judge(facts).verdict is Verdict.KEPT, judge(facts).why
    assert facts.well
    assert facts.fault


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (backend(silent="status == 404"), "are in no line"),
        (backend(line="name, scope['path'], given"), "do not tell its status"),
        (backend(line="name, scope['path'], status"), "IDs that a client gave are in no line"),
        (backend(extra="name = 'always-the-same-id'"), "share their ID"),
        (backend().replace('(b"x-request-id", name.encode())', ""), "have no request ID"),
        (
            backend(
                extra="import asyncio; global LAST; LAST = scope['path']; await asyncio.sleep(0.05)",
                line="name, LAST + scope['path'][:1], f'{status} {given}'",
            ),
            "",
        ),
    ],
)
async def test_a_backend_that_does_not_breaks_it(tmp_path, source, why):
    async with proving(tmp_path, source) as stage:
        judgement = judge(await gather(stage))
    assert judgement.verdict is Verdict.BROKEN
    assert why in judgement.why
