"""Slow clients: who holds them for as long as they like, or lets others wait for them, is broken."""

import asyncio

import msgspec
import pytest
from proving import HOLDFAST, UVICORN, proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.props.ordinary import Fared, harmed
from holdfast.prove.scenarios.slow_clients import SCENARIO, SlowClients, SlowKind, charts, gather, judge

SHOP = """
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
"""


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
    assert all(each.came == len(each.ended_s) >= 20 for each in facts.slow)
    assert [each.name for each in facts.slow] == ["a head", "a second head", "the body of POST /", "chunks for POST /"]
    assert charts(facts)[0].series[0].points[-1][1] == 0


def test_who_holds_slow_heads_for_as_long_as_they_like_is_broken(tmp_path, impatient):
    found = judge(gathered(tmp_path, UVICORN))
    assert found.verdict is Verdict.BROKEN
    assert "that send a head without an end were still held" in found.why


def test_who_lets_others_wait_for_slow_bodies_is_broken(tmp_path, impatient):
    found = judge(gathered(tmp_path, UVICORN, SHOP_TURNS="10"))
    assert found.verdict is Verdict.BROKEN
    assert "still held" in found.why
    assert "had no answer" in found.why


WELL = Fared(asked=60, good=60, p50_ms=3, p90_ms=6)
SEEN = SlowClients(
    well="it was well",
    fault="they came",
    watched_s=16,
    before=WELL,
    during=WELL,
    slow=(SlowKind("a head", 3, (10.0, 10.1, 10.2)), SlowKind("a body", 2, (0.1, 11.0))),
)


def kinds(heads: tuple[float, ...], bodies: tuple[float, ...]) -> dict[str, tuple[SlowKind, ...]]:
    return {"slow": (SlowKind("a head", 3, heads), SlowKind("a body", 2, bodies))}


HALF = Fared(asked=60, good=30, lost=30, p90_ms=6)


@pytest.mark.parametrize(
    ("changed", "verdict_wanted", "words"),
    [
        ({}, Verdict.KEPT, "11.0 s"),
        (kinds((), (10.0, 10.0)), Verdict.BROKEN, "All 3 that send a head without an end"),
        (kinds((1.0, 1.0, 1.0), ()), Verdict.BROKEN, "All 2 that send a body without an end"),
        ({**kinds((), ()), "limit": "busy"}, Verdict.BROKEN, "still held"),
        ({**kinds((), ()), "during": HALF}, Verdict.BROKEN, "held after 16 s, and of 60 ordinary"),
        (kinds((10.0,), (10.0, 10.0)), Verdict.NOT_PROVEN, "2 were still held"),
        (kinds((0.1,), (10.0, 10.0)), Verdict.BROKEN, "All 2 that send a head"),  # one was turned away at once
        (kinds((0.1, 0.1, 0.1), (10.0, 10.0)), Verdict.KEPT, ""),
        ({"slow": (SlowKind("a head", 3, (1.0, 1.0, 1.0)),)}, Verdict.KEPT, ""),
        ({"during": HALF}, Verdict.BROKEN, "30 had no answer"),
        ({"during": HALF, "limit": "busy"}, Verdict.NOT_PROVEN, "busy"),
        ({"slow": ()}, Verdict.NOT_PROVEN, "No slow client"),
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
