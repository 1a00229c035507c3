"""Mistakes of every day are refused in one form: what the scenario says of backends of both kinds."""

import msgspec
import pytest
from proving import HOLDFAST, UVICORN, proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.acts.refusals.mistakes import Known, is_problem, lacks, mistakes
from holdfast.prove.http import Answer
from holdfast.prove.props.telling import gives_away
from holdfast.prove.scenarios.refusals import SCENARIO, Met, Refusals, gather, judge

pytestmark = pytest.mark.anyio

KEPT = Refusals(well="200", fault="2 made", met=(Met("a", 404, True), Met("b", 405, True)))
PLAIN = """
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/items")
    async def items(limit: int = 3) -> list[int]:
        return FOUND
"""
PROBLEMS = PLAIN.replace(
    "app = FastAPI()",
    "app = FastAPI()\n    from holdfast.contrib.fastapi import problem_details\n    problem_details(app)",
)


def plain(found: str = "[limit]", source: str = PLAIN) -> str:
    return source.replace("FOUND", found)


@pytest.mark.parametrize(
    ("facts", "kind", "why"),
    [
        ({}, Verdict.KEPT, "Of 2 mistakes 2 were refused"),
        ({"met": (Met("a", 200),)}, Verdict.NOT_PROVEN, "None of 1 mistakes"),
        ({"met": (Met("a", 404, True), Met("b", 405, False))}, Verdict.BROKEN, "b: its 405 is JSON but no problem"),
        ({"met": (Met("a", 404, False), Met("b", 405, False))}, Verdict.KEPT, "Of 2 mistakes"),
        ({"met": (Met("a", 404), Met("b", 500, wrong="answered with 500"))}, Verdict.BROKEN, "b: answered with 500"),
        ({"failures": (Met("c", 500, True, "SQL in the answer"),)}, Verdict.BROKEN, "c: SQL in the answer"),
    ],
)
def test_what_is_judged(facts, kind, why):
    judgement = judge(msgspec.structs.replace(KEPT, **facts))
    assert judgement.verdict is kind
    assert why in judgement.why


def answer(status: int, body: bytes = b"{}", **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, 0.0)


def test_what_the_standard_wants_of_a_refusal():
    assert "Allow" in lacks(answer(405))
    assert lacks(answer(405, allow="GET")) == ""
    assert "Www-Authenticate" in lacks(answer(401))
    assert lacks(answer(403)) == ""


@pytest.mark.parametrize(
    ("kind", "found"),
    [("application/problem+json", True), ("application/json; charset=utf-8", False), ("text/html", None), ("", None)],
)
def test_what_a_problem_document_is(kind, found):
    assert is_problem(answer(404, content_type=kind)) is found
    assert is_problem(answer(200, content_type=kind)) is None


def test_the_name_of_an_exception_is_of_the_inside_where_the_backend_failed():
    told = b'{"detail": "OSError: [Errno 24] Too many open files"}'
    assert gives_away(answer(500, told)) == "the name of an exception"
    assert gives_away(answer(400, told)) == ""


def test_mistakes_are_made_where_they_can_be_made():
    few = {one.name for one in mistakes(Known("/items", "/no"))}
    more = {one.name for one in mistakes(Known("/items", "/no", frozenset({"GET", "PUT"}), (("/items", "limit"),)))}
    assert "PUT where one reads" in few
    assert "DELETE where one reads" in more
    assert {"a word for the number limit", "a number beyond 64 bits in limit"} <= more - few


async def run(tmp_path, source: str, serve: str = UVICORN) -> tuple[Refusals, Verdict]:
    async with proving(tmp_path, source, serve=serve, read="GET /items", openapi="/openapi.json") as stage:
        facts = await gather(stage)
    return facts, verdict(SCENARIO, facts).verdict


@pytest.mark.parametrize(("source", "serve"), [(PLAIN, UVICORN), (PROBLEMS, HOLDFAST)], ids=["plain", "holdfast"])
async def test_a_backend_that_refuses_in_one_form_keeps_it(tmp_path, source, serve):
    facts, kind = await run(tmp_path, plain(source=source), serve)
    assert kind is Verdict.KEPT, judge(facts).why
    assert sum(400 <= one.status < 500 for one in facts.met) >= 4


async def test_a_backend_whose_framework_refuses_in_another_form_breaks_it(tmp_path):
    source = plain("problem()").replace(
        "app = FastAPI()",
        """app = FastAPI()
    from fastapi.responses import JSONResponse

    @app.exception_handler(404)
    async def none(request, error):
        return JSONResponse({"title": "none"}, 404, media_type="application/problem+json")
""",
    )
    facts, kind = await run(tmp_path, source.replace("problem()", "[]"))
    assert kind is Verdict.BROKEN
    assert "no problem document" in judge(facts).why


async def test_a_number_that_is_too_large_and_makes_it_fail_breaks_it(tmp_path):
    facts, kind = await run(tmp_path, plain("list(range(2 ** 63 // (2 ** 63 - min(limit, 2 ** 63))))"))
    assert kind is Verdict.BROKEN
    assert {one.name for one in facts.met if one.wrong} == {"a number beyond 64 bits in limit"}
