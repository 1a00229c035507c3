"""A loud client: who takes what has no measure, or lets others wait, is broken."""

import asyncio

import msgspec
import pytest
from proving import UVICORN, proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.acts.loud_client.guessing import Guessing
from holdfast.prove.props.ordinary import Fared
from holdfast.prove.scenarios.loud_client import SCENARIO, Greed, LoudClient, gather, judge

SHOP = """
import os, time

FAULT = os.environ.get("SHOP_FAULT", "")

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if FAULT == "slow":
        time.sleep(0.04)
    body, more = b"", FAULT == "gathers" or scope["method"] == "GET" and FAULT == "all"
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""
STRICT = f"{UVICORN} --http h11"


def gathered(tmp_path, serve: str = STRICT, fault: str = "") -> LoudClient:
    async def run() -> LoudClient:
        said = {"serve": serve, "environment": {"SHOP_FAULT": fault}, "read": "GET /"}
        async with proving(tmp_path, SHOP, **said) as stage:
            return await gather(stage)

    return asyncio.run(run())


def test_who_refuses_what_has_no_measure_and_serves_others_is_kept(tmp_path):
    facts = gathered(tmp_path)
    found = judge(facts)
    assert found.verdict is Verdict.KEPT, found.why
    assert facts.head.status == 400 or facts.head.cut
    assert facts.sent > 100


def test_who_takes_a_head_of_two_megabytes_is_broken(tmp_path):
    found = verdict(SCENARIO, gathered(tmp_path, f"{UVICORN} --http httptools"))
    assert found.verdict is Verdict.BROKEN, found.why
    assert "a head of 2 MB was answered 200" in found.why


def test_who_gathers_a_body_that_has_no_end_is_broken(tmp_path, monkeypatch):
    monkeypatch.setattr("holdfast.prove.scenarios.loud_client._PATIENCE_S", 4.0)
    found = verdict(SCENARIO, gathered(tmp_path, fault="gathers"))
    assert found.verdict is Verdict.BROKEN, found.why
    assert "memory grew by" in found.why


def test_who_lets_others_wait_is_broken(tmp_path):
    found = judge(gathered(tmp_path, fault="slow"))
    assert found.verdict is Verdict.BROKEN, found.why
    assert "ordinary requests of others" in found.why


WELL = Fared(asked=60, good=60, p50_ms=3, p90_ms=6)
BODY = Greed("POST / with chunks", sent=4 << 20, status=413)
SEEN = LoudClient(
    well="it was well",
    fault="it was loud",
    head=Greed("a head of 2 MB", sent=2 << 20, status=431),
    bodies=(BODY,),
    grew=1 << 20,
    before=WELL,
    during=WELL,
    seconds=4,
    sent=4000,
    answered=400,
    refused=3600,
)
TAKEN = Greed("POST / with chunks", sent=32 << 20, took_s=8)


@pytest.mark.parametrize(
    ("changed", "verdict_wanted", "words"),
    [
        ({}, Verdict.KEPT, "1000 requests a second"),
        ({"head": Greed("a head of 2 MB", cut=True)}, Verdict.KEPT, ""),
        ({"head": Greed("a head of 2 MB", status=200)}, Verdict.BROKEN, "answered 200"),
        ({"head": Greed("a head of 2 MB")}, Verdict.NOT_PROVEN, "had no answer"),
        ({"bodies": (BODY, TAKEN), "grew": 33 << 20}, Verdict.BROKEN, "grew by 33 MB"),
        ({"bodies": (BODY, TAKEN), "grew": None}, Verdict.BROKEN, "neither refused nor cut"),
        ({"grew": 33 << 20}, Verdict.KEPT, ""),  # so little came that it cannot be of that
        ({"during": Fared(asked=60, good=30, refused=30)}, Verdict.BROKEN, "30 were refused"),
        ({"during": Fared(asked=60, good=30, refused=30), "limit": "busy"}, Verdict.NOT_PROVEN, "busy"),
        ({"alive": False, "limit": "busy"}, Verdict.BROKEN, "ended"),
        ({"largest": 1000, "larger": 413}, Verdict.KEPT, ""),
        ({"largest": 1000, "larger": 201}, Verdict.BROKEN, "an upload of one more was answered 201"),
        ({"guesses": Guessing("POST /login", tried=101, said=401)}, Verdict.BROKEN, "none was told to wait"),
        ({"guesses": Guessing("POST /login", tried=6, said=401, stopped=429)}, Verdict.KEPT, "stopped with 429"),
        ({"sent": 0}, Verdict.NOT_PROVEN, "not heard"),
    ],
)
def test_judgements(changed, verdict_wanted, words):
    found = verdict(SCENARIO, msgspec.structs.replace(SEEN, **changed))
    assert found.verdict is verdict_wanted, found.why
    assert words in found.why
