"""What is hostile is refused: what the scenario says of backends that do so, and of those that fail over it."""

import msgspec
import pytest
from proving import proving

from holdfast.decide.verdicts import Verdict
from holdfast.prove.http import Answer
from holdfast.prove.props.hostility import Aim, hostilities
from holdfast.prove.props.telling import failed, gives_away, tells_nothing
from holdfast.prove.scenarios.hostile import Hostility, Met, gather, judge

pytestmark = pytest.mark.anyio

KEPT = Hostility(well="200", fault="2 sent", met=(Met("a", 400), Met("b")), refused=1, closed=1)

GOOD = """
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    name: str


@app.get("/items")
async def items() -> list[str]:
    return []


@app.post("/items")
async def item(item: Item) -> dict[str, int]:
    return {"id": 1}
"""
BAD = """
import json
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


async def items(request):
    if request.method == "POST":
        WHAT
    return JSONResponse([])


app = Starlette(routes=[Route("/items", items, methods=["GET", "POST"])])
"""


def bad(what: str) -> str:
    return BAD.replace("WHAT", what)


@pytest.mark.parametrize(
    ("facts", "verdict", "why"),
    [
        ({}, Verdict.KEPT, "Of 2 hostile requests"),
        ({"met": (Met("a", 400), Met("b", 500, "answered with 500"))}, Verdict.BROKEN, "b: answered with 500"),
        ({"left": 3}, Verdict.NOT_PROVEN, "For 3 of 5 no time"),
        (
            {"met": (Met("a", 0, "neither", certain=False), Met("b", 500, "failed"))},
            Verdict.BROKEN,
            "b: failed; so were 1",
        ),
    ],
)
def test_what_is_judged(facts, verdict, why):
    judgement = judge(msgspec.structs.replace(KEPT, **facts))
    assert judgement.verdict is verdict
    assert why in judgement.why


def test_silence_may_be_a_busy_machine():
    assert not judge(msgspec.structs.replace(KEPT, met=(Met("a", 0, "silent", certain=False),))).certain


def answer(status: int, body: bytes, **headers: str) -> Answer:
    kept = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Answer(status, kept, body, 0.0)


@pytest.mark.parametrize(
    ("given", "nothing"),
    [
        (answer(404, b'{"detail":"Not Found"}'), ""),
        (answer(404, b"Not Found", content_type="text/plain"), ""),
        (answer(422, b'{"detail":[{"loc":["body","name"],"msg":"Field required"}]}'), ""),
        (answer(405, b"", allow="GET"), ""),
        (answer(429, b"", retry_after="1"), ""),
        (answer(404, b""), "an empty body with its 404"),
        (answer(400, b"{}"), "an empty body with its 400"),
        (answer(400, b"<h1>Bad Request</h1>", content_type="text/html"), "not what was wrong"),
        (answer(500, b"Internal Server Error", content_type="text/plain"), "nothing but 'Internal Server Error'"),
        (answer(200, b""), ""),
    ],
)
def test_what_an_error_tells(given, nothing):
    assert nothing in tells_nothing(given)
    assert bool(tells_nothing(given)) is bool(nothing)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b'{"detail":"Not Found"}', ""),
        (b'Traceback (most recent call last):\n  File "/a/b.py", line 3', "a traceback"),
        (b"(sqlite3.OperationalError) near", "words of the database"),
        (b"SELECT id, name FROM users WHERE", "SQL"),
        (b"see /srv/shop/app/main.py", "a path of the machine"),
        (b"please select one from the list", ""),
    ],
)
def test_what_of_the_inside_an_error_shows(body, what):
    assert gives_away(answer(500, body)) == what
    assert gives_away(answer(500, body), sent=body) == ""
    assert gives_away(answer(200, body)) == ""


def test_what_will_not_be_served_now_is_no_failure():
    assert [status for status in (400, 429, 500, 501, 502, 503, 505) if failed(status)] == [500, 502]


def test_each_hostile_request_has_a_name_of_its_own():
    found = hostilities(Aim({"Host": "x"}, "/items", "POST", "/items"))
    assert len({one.name for one in found}) == len(found)


async def test_a_backend_that_answers_with_problems_keeps_the_promise(tmp_path):
    mended = f"{GOOD}\n\nfrom holdfast.contrib.fastapi import problem_details\n\nproblem_details(app)\n"
    async with proving(tmp_path, mended, read="GET /items", write="POST /items") as stage:
        facts = await gather(stage)
    assert judge(facts).verdict is Verdict.KEPT, judge(facts).why
    assert facts.refused > 30


async def test_plain_fastapi_fails_over_numbers_that_are_none_and_over_nothing_else(tmp_path):
    async with proving(tmp_path, GOOD, read="GET /items", write="POST /items") as stage:
        facts = await gather(stage)
    assert {one.status for one in facts.met if one.wrong} <= {500}
    assert {one.name for one in facts.met if one.wrong} <= {
        "a number beyond all numbers",
        "numbers that are none",
        "JSON with half a character",
    }


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("json.loads(await request.body())", "answered with 500"),
        ("return Response(status_code=400)", "an empty body with its 400"),
        ("import os; os._exit(3)", "the backend ended"),
        (
            "try: json.loads(await request.body())\n"
            "        except Exception:\n"
            "            import traceback; return JSONResponse({'error': traceback.format_exc()}, 400)",
            "a traceback in the answer",
        ),
    ],
)
async def test_a_backend_that_fails_over_it_breaks_it(tmp_path, what, why):
    async with proving(tmp_path, bad(what), read="GET /items") as stage:
        judgement = judge(await gather(stage))
    assert judgement.verdict is Verdict.BROKEN
    assert why in judgement.why
    assert judgement.certain or why == "the backend ended"
