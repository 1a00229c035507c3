"""Slow clients: who holds them for as long as they like, or lets others wait for them, is broken."""

import asyncio

import msgspec
import pytest
from proving import HOLDFAST, UVICORN, proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.ordinary import Fared, harmed
from holdfast.prove.scenarios.slow_clients import SCENARIO, SlowClients, charts, gather, judge

SHOP = '''
import asyncio, os

TURNS = asyncio.Semaphore(int(os.environ.get("SHOP_TURNS", "1000")))

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    async with TURNS:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
'''


def gathered(tmp_path, serve: str, **environment: str) -> SlowClients:
    async def run() -> SlowClients:
        async with proving(tmp_path, SHOP, serve=serve, environment=environment, **said) as stage:
            return await gather(stage)

    said = {"read": "GET /", "write": "POST /"}
    return asyncio.run(run())


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("holdfast.prove.scenarios.slow_clients._QUICK_PATIENCE_S", 3.0)


def test_who_gives_slow_heads_and_bodies_up_is_kept(tmp_path, monkeypatch):
    facts = gathered(tmp_path, HOLDFAST, HOLDFAST_HEADER_TIMEOUT_S="1")
    assert judge(facts).verdict is Verdict.KEPT, judge(facts).why
    assert facts.heads == len(facts.heads_ended_s) >= 200
    assert facts.bodies == len(facts.bodies_ended_s) >= 40
    assert charts(facts)[0].series[0].points[-1][1] == 0


def test_who_holds_slow_heads_for_as_long_as_they_like_is_broken(tmp_path, impatient):
    found = judge(gathered(tmp_path, UVICORN))
    assert found.verdict is Verdict.BROKEN
    assert "heads never end were still held" in found.why


def test_who_lets_others_wait_for_slow_bodies_is_broken(tmp_path, impatient):
    found = judge(gathered(tmp_path, UVICORN, SHOP_TURNS="10"))
    assert found.verdict is Verdict.BROKEN
    assert "had no answer" in found.why


WELL = Fared(asked=60, good=60, p50_ms=3, p90_ms=6)
SEEN = SlowClients(
    well="it was well",
    fault="they came",
    watched_s=16,
    before=WELL,
    during=WELL,
    heads=3,
    heads_ended_s=(10.0, 10.1, 10.2),
    bodies=2,
    bodies_ended_s=(0.1, 11.0),
)


@pytest.mark.parametrize(
    ("changed", "verdict_wanted", "words"),
    [
        ({}, Verdict.KEPT, "11.0 s"),
        ({"heads_ended_s": ()}, Verdict.BROKEN, "All 3 connections whose heads never end"),
        ({"bodies_ended_s": ()}, Verdict.BROKEN, "All 2 connections whose bodies never end"),
        ({"bodies": 0, "bodies_ended_s": ()}, Verdict.KEPT, ""),
        ({"heads_ended_s": (10.0,)}, Verdict.NOT_PROVEN, "2 were still held"),
        ({"during": Fared(asked=60, good=30, lost=30, p90_ms=6)}, Verdict.BROKEN, "30 had no answer"),
        ({"during": Fared(asked=60, good=30, lost=30, p90_ms=6), "limit": "busy"}, Verdict.NOT_PROVEN, "busy"),
        ({"heads": 0}, Verdict.NOT_PROVEN, "No slow client"),
        ({"fault": ""}, Verdict.NOT_PROVEN, "fault"),
    ],
)
def test_judgements(changed, verdict_wanted, words):
    found = verdict(SCENARIO, msgspec.structs.replace(SEEN, **changed))
    assert found.verdict is verdict_wanted, found.why
    assert words in found.why


@pytest.mark.parametrize(
    ("during", "words"),
    [
        (Fared(asked=60, good=60, p90_ms=400), ""),  # many times slower, and nobody feels it
        (Fared(asked=60, good=60, p90_ms=600), "took up to 600 ms, and 6 ms before"),
        (Fared(asked=60, good=55, lost=5, p90_ms=6), ""),
        (Fared(asked=60, good=50, refused=10, p90_ms=6), "10 were refused"),
        (Fared(asked=10, good=7, lost=3), ""),
        (Fared(asked=10, good=6, lost=4), "4 had no answer"),
    ],
)
def test_others_are_harmed_where_they_would_feel_it(during, words):
    assert (words in harmed(WELL, during)) if words else harmed(WELL, during) == ""


def test_who_was_slow_before_is_compared_with_itself():
    slow = Fared(asked=60, good=54, lost=6, p90_ms=400)
    assert harmed(slow, Fared(asked=60, good=54, lost=6, p90_ms=3000)) == ""
