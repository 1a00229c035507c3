"""Each answer's ID finds it in the log: what the scenario says of backends that do so, and of those that do not."""

import msgspec
import pytest
from proving import HOLDFAST, proving

from holdfast.decide.verdicts import Verdict
from holdfast.prove.acts.journeys import provoking
from holdfast.prove.acts.journeys.journey import Asked, Journey, id_of, looked_up
from holdfast.prove.acts.journeys.setting_off import SetOff, set_off
from holdfast.prove.http import Answer
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
        ({"journeys": (FOUND, Journey(kind="no HTTP", status=400, door=True))}, Verdict.KEPT, "Each of 2 requests"),
        (
            {"journeys": (Journey(kind="no HTTP", status=400, id="c", door=True),)},
            Verdict.BROKEN,
            "in no line, as that of no HTTP (400)",
        ),
        (
            {"set_off": (SetOff("the upload", 2, 0, "file 7 read"),)},
            Verdict.BROKEN,
            "has the request's ID: file 7 read",
        ),
        ({"set_off": (SetOff("the upload", 2, 1, "file 7 read"),)}, Verdict.KEPT, "1 more lines with the ID"),
        ({"set_off": (SetOff("the upload"),)}, Verdict.KEPT, "Each of 2 requests"),
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


def test_what_is_no_request_has_no_path():
    asked = Asked(kind="no HTTP", path="", answer=answer(400, x_request_id="i"), door=True)
    assert looked_up(asked, ["10:00:00 400"]).untold == ()
    assert looked_up(asked, ["10:00:00"]).untold == ("status",)


def test_a_refusal_for_want_of_room_is_no_failure_to_be_looked_up():
    assert provoking._failed(answer(504))
    assert provoking._failed(answer(503))
    assert not provoking._failed(answer(503, retry_after="1"))
    assert not provoking._failed(answer(404))


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


LATER = """
import asyncio, json, logging, os, secrets, sqlite3, sys

logging.basicConfig(stream=sys.stdout, format="%(asctime)s %(message)s", level=logging.INFO)
PATH = os.path.join(os.environ["SHOP_DATA"], "shop.sqlite")
with sqlite3.connect(PATH) as once:
    once.execute("CREATE TABLE IF NOT EXISTS items (id TEXT)")
TASKS = set()


async def later(name, made):
    await asyncio.sleep(0.1)
    logging.info("%s item %s is ready", LATER, made)


def kept(made):
    with sqlite3.connect(PATH, timeout=0.5) as db:
        db.execute("INSERT INTO items VALUES (?)", (made,))


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    name, made, status = secrets.token_hex(12), secrets.token_hex(8), 200
    if scope["method"] == "POST":
        try:
            await asyncio.to_thread(kept, made)
            TASKS.add(asyncio.create_task(later(name, made)))
        except (sqlite3.Error, OSError):
            logging.exception("%s", name)
            status = 500
    given = dict(scope["headers"]).get(b"x-request-id", b"").decode()
    logging.info("%s %s %s %s", name, scope["path"], status, given)
    headers = [(b"x-request-id", name.encode())] if status == 200 or FAILED else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"id": made}).encode()})
"""
WRITE = {"request": "POST /items", "json": {"name": "{name}"}, "id": "id"}


@pytest.mark.parametrize(
    ("later", "failed", "why"),
    [("name", "True", ""), ("'-'", "True", "none has the request's ID"), ("name", "False", "have no request ID")],
    ids=["all", "later lines have no ID", "failures have no ID"],
)
async def test_what_goes_on_afterwards_and_what_fails_has_the_id_too(tmp_path, later, failed, why):
    source = LATER.replace("LATER", later).replace("FAILED", failed)
    async with proving(tmp_path, source, write=WRITE) as stage:
        facts = await gather(stage)
    judgement = judge(facts)
    assert judgement.verdict is (Verdict.BROKEN if why else Verdict.KEPT), judgement.why
    assert why in judgement.why
    assert facts.set_off[0].lines == 1
    assert any(one.status == 500 for one in facts.journeys)


async def test_a_locked_database_makes_a_failure_and_is_well_again(tmp_path):
    source = LATER.replace("LATER", "name").replace("FAILED", "True")
    async with proving(tmp_path, source, write=WRITE) as stage, stage.app() as app:
        asked = await provoking._locked(app, stage)
        assert [one.answer.status for one in asked] == [200, 500]
        [(after, found)] = await set_off(app, stage.target)
    assert after.answer.good
    assert found.found == 1


async def test_a_lack_of_descriptors_makes_a_failure_and_is_over_again(tmp_path):
    source = LATER.replace("LATER", "name").replace("FAILED", "True")
    async with proving(tmp_path, source, write=WRITE) as stage, stage.app() as app:
        asked = await provoking._without_descriptors(app, stage)
        assert [one.answer.status for one in asked] == [200, 500]
        [(after, _)] = await set_off(app, stage.target)
    assert after.answer.good
