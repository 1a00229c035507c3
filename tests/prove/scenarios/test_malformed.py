"""What does not fit the document is refused with a reason: what the scenario says of backends of both kinds."""

import msgspec
import pytest
from proving import proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.errors import ExtraMissing
from holdfast.prove.acts.malformed import generating
from holdfast.prove.scenarios.malformed import SCENARIO, Malformed, Wrong, gather, judge

pytestmark = pytest.mark.anyio

KEPT = Malformed(well="200", fault="50 requests", cases=50, operations=3, refused=40, accepted=10)
WRONG = Wrong("POST /items", "POST /items?n=1", "answered with 500, twice", 500)

SOURCE = """
    from typing import Annotated
    from fastapi import FastAPI, Query
    from pydantic import BaseModel

    app = FastAPI()


    class Item(BaseModel):
        name: str
        count: int


    @app.get("/items")
    async def items(limit: Annotated[int, Query(ge=1, le=10)] = 3) -> list[str]:
        return []


    @app.get("/items/{item_id}")
    async def item(item_id: int) -> dict[str, int]:
        return {"id": 1}


    @app.post("/items")
    async def make(item: Item) -> dict[str, int]:
        BODY
        return {"id": 1}
"""


@pytest.mark.parametrize(
    ("facts", "kind", "why"),
    [
        ({}, Verdict.KEPT, "Of 50 requests"),
        ({"missing": "schemathesis is not installed"}, Verdict.NOT_PROVEN, "not installed"),
        ({"cases": 5}, Verdict.NOT_PROVEN, "Only 5"),
        ({"unanswered": 45}, Verdict.NOT_PROVEN, "Only 5"),
        ({"wrong": (WRONG,)}, Verdict.BROKEN, "POST /items?n=1 was answered with 500, twice; 1 of 50"),
        ({"after": "GET / said 500"}, Verdict.BROKEN, "After 50 requests, GET / said 500"),
    ],
)
def test_what_is_judged(facts, kind, why):
    judgement = judge(msgspec.structs.replace(KEPT, **facts))
    assert judgement.verdict is kind
    assert why in judgement.why


def test_a_failure_comes_before_what_only_tells_too_little():
    silent = Wrong("GET /a", "GET /a", "answered with an empty body with its 400", 400)
    assert "500" in judge(msgspec.structs.replace(KEPT, wrong=(silent, WRONG))).why


async def test_without_schemathesis_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(generating.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExtraMissing, match="schemathesis"):
        async with generating.generated({}, 1, tmp_path):
            pass


async def test_a_document_of_which_nothing_can_be_made_gives_nothing(tmp_path):
    async with generating.generated({"openapi": "3.1.0", "paths": {"/": 5}}, 1, tmp_path) as cases:
        assert [case async for case in cases] == []


async def run(tmp_path, body: str) -> tuple[Malformed, Verdict]:
    source = SOURCE.replace("BODY", body)
    async with proving(tmp_path, source, read="GET /items", openapi="/openapi.json") as stage:
        facts = await gather(stage)
    return facts, verdict(SCENARIO, facts).verdict


async def test_plain_fastapi_keeps_the_promise(tmp_path):
    facts, kind = await run(tmp_path, "pass")
    assert kind is Verdict.KEPT, judge(facts).why
    assert facts.operations == 3
    assert facts.refused > 5
    assert facts.accepted > 5


async def test_a_backend_that_fails_over_what_fits_its_document_breaks_it(tmp_path):
    facts, kind = await run(tmp_path, "1 / (item.count * 0)")
    assert kind is Verdict.BROKEN
    assert {one.operation for one in facts.wrong} == {"POST /items"}
    assert judge(facts).certain
