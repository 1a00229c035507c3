"""Clients that vanish: what they leave behind is found, and what a pool opens once is not taken for it."""

import asyncio
import tempfile

import msgspec
import pytest
from proving import proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.props.holding import Held, grown, in_words
from holdfast.prove.props.round_trip import Trip
from holdfast.prove.scenarios.vanishing import SCENARIO, Round, Vanishing, gather, judge

SHOP = """
import asyncio, os, tempfile

FAULT = os.environ.get("SHOP_FAULT", "")
kept = []
turns = asyncio.Semaphore(20)

async def answer(send, status, body=b"done"):
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})

async def take(receive, send):
    if FAULT == "turn":
        if turns.locked():
            return await answer(send, 503)
        await turns.acquire()
    where = os.environ["SHOP_ELSEWHERE"] if FAULT == "elsewhere" else None
    file = tempfile.NamedTemporaryFile(dir=where, delete=FAULT not in {"stored", "elsewhere"})
    if FAULT == "file":
        kept.append(file)
    if FAULT == "memory":
        kept.append(bytearray(os.urandom(400_000)))
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return file.close() if FAULT != "file" else None
        file.write(message.get("body", b""))
        more = message.get("more_body", False)
    file.close()
    os.unlink(file.name) if FAULT in {"stored", "elsewhere"} else None
    turns.release() if FAULT == "turn" else None
    await answer(send, 201)

async def give(send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(100):
        await send({"type": "http.response.body", "body": b"row" * 5000, "more_body": True})
    await send({"type": "http.response.body", "body": b""})

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/files":
        await take(receive, send)
    elif scope["path"] == "/export":
        await give(send)
    else:
        await answer(send, 200)
"""
SAID = {"read": "GET /", "upload": "POST /files", "export": "GET /export"}


def gathered(tmp_path, fault: str = "") -> Vanishing:
    async def run(elsewhere: str) -> Vanishing:
        environment = {"SHOP_FAULT": fault, "SHOP_ELSEWHERE": elsewhere}
        async with proving(tmp_path, SHOP, environment=environment, **SAID) as stage:
            return await gather(stage)

    with tempfile.TemporaryDirectory(dir="/var/tmp") as elsewhere:
        return asyncio.run(run(elsewhere))


def test_what_closes_everything_is_kept(tmp_path):
    facts = gathered(tmp_path)
    found = verdict(SCENARIO, facts)
    assert found.verdict is Verdict.KEPT, found.why
    assert set(facts.rounds[0].middle) == {
        "half a head",
        "a request",
        "half of POST /files",
        "half a form",
        "an export",
        "an export that waits for its reader",
    }
    assert all(sum(one.middle[name] for one in facts.rounds) for name in facts.rounds[0].middle)


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("file", "open files"),
        ("stored", "files left in its folders"),
        ("elsewhere", "files left in its folders"),
        ("memory", "MB of memory"),
    ],
)
def test_what_is_left_each_time_is_found(tmp_path, monkeypatch, fault, word):
    monkeypatch.setattr("holdfast.prove.scenarios.vanishing._SETTLE_S", 0.5)
    monkeypatch.setattr("holdfast.prove.scenarios.vanishing._WARM_S", 0.5)
    found = verdict(SCENARIO, gathered(tmp_path, fault))
    assert found.verdict is Verdict.BROKEN, found.why
    assert word in found.why


def test_turns_that_are_never_given_back_are_found_by_who_comes_after(tmp_path, monkeypatch):
    monkeypatch.setattr("holdfast.prove.scenarios.vanishing._BACK_S", 0.5)
    found = verdict(SCENARIO, gathered(tmp_path, "turn"))
    assert found.verdict is Verdict.BROKEN, found.why
    assert "did not serve as before: POST /files said 503" in found.why


GOOD = Trip(good=("GET /", "POST /files"))


def facts(*sockets: int, **more: object) -> Vanishing:
    rounds = tuple(Round(Held(sockets=count, files=3), {"a request": 20}) for count in sockets)
    plain = Vanishing(well="it was well", fault="20 x a request", rounds=rounds, before=GOOD, after=GOOD)
    return msgspec.structs.replace(plain, **more)


@pytest.mark.parametrize(
    ("seen", "verdict_wanted", "words"),
    [
        (facts(5, 5), Verdict.KEPT, "nothing open"),
        (facts(5, 25, 25), Verdict.KEPT, "nothing open"),
        (facts(5, 6, 7, 8), Verdict.KEPT, "nothing open"),
        (facts(5, 15, 25, 35), Verdict.BROKEN, "at least 10 sockets were left"),
        (facts(5, 5, alive=False), Verdict.BROKEN, "ended"),
        (facts(5), Verdict.NOT_PROVEN, "twice"),
        (facts(5, 5, fault=""), Verdict.NOT_PROVEN, "fault"),
        (facts(5, 5, after=Trip(failed=("GET / said 503 after 2 ms",))), Verdict.BROKEN, "GET / said 503"),
        (facts(5, 5, after=Trip(failed=("GET /other said 404 after 2 ms",))), Verdict.KEPT, ""),
    ],
)
def test_judgements(seen, verdict_wanted, words):
    found = verdict(SCENARIO, seen)
    assert found.verdict is verdict_wanted, found.why
    assert words in found.why


def test_files_of_uploads_that_can_be_gone_on_with_are_no_leak_and_sockets_are():
    stored = tuple(Round(Held(stored=count), {"a resumable upload": 20}) for count in (1, 21, 41))
    assert judge(facts(5, 5, resumed=stored)).verdict is Verdict.KEPT
    sockets = tuple(Round(Held(sockets=count), {"a resumable upload": 20}) for count in (1, 21, 41))
    assert judge(facts(5, 5, resumed=sockets)).verdict is Verdict.BROKEN


def test_memory_has_grown_only_by_much_of_what_came():
    after = [Held(memory=count << 20) for count in (50, 70, 90)]
    assert grown(after, received=30 << 20) == {"memory": 20 << 20}
    assert grown(after, received=60 << 20) == {}
    assert grown(after[:1]) == {}
    assert in_words({"sockets": 3, "memory": 20 << 20}) == "3 sockets, 20 MB of memory"
