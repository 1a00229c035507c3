"""Without file descriptors: who ends, floods the log, or keeps what it had half opened, is found."""

import asyncio
import sys

import msgspec
import pytest
from proving import UVICORN, proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.props.holding import Held
from holdfast.prove.props.round_trip import Trip
from holdfast.prove.scenarios.descriptors import SCENARIO, Descriptors, Exhaustion, gather

SHOP = """
import os

FAULT = os.environ.get("SHOP_FAULT", "")
kept = []

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    pipes = []
    try:
        pipes += os.pipe()
        pipes += os.pipe()
    except OSError:
        if FAULT == "left":
            kept.extend(pipes)
            raise
        if FAULT == "ends":
            os._exit(1)
        [os.close(one) for one in pipes]
        raise
    [os.close(one) for one in pipes]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""
THREADS = """
import socket, sys, threading, time

listening = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=512)

def serve(connection):
    with connection:
        try:
            if connection.recv(65536):
                connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
                time.sleep(1)
        except OSError:
            pass

while True:
    try:
        connection, _ = listening.accept()
    except OSError as error:
        print("accept:", error)
        continue
    connection.settimeout(10)
    threading.Thread(target=serve, args=[connection], daemon=True).start()
"""
GOOD = Trip(good=("GET /",))


def gathered(tmp_path, source: str = SHOP, serve: str = UVICORN, fault: str = "") -> Descriptors:
    async def run() -> Descriptors:
        said = {"serve": serve, "environment": {"SHOP_FAULT": fault}, "read": "GET /"}
        async with proving(tmp_path, source, **said) as stage:
            return await gather(stage)

    return asyncio.run(run())


def test_who_survives_and_closes_everything_is_kept(tmp_path):
    facts = gathered(tmp_path)
    found = verdict(SCENARIO, facts)
    assert found.verdict is Verdict.KEPT, found.why
    assert all(one.exhausted for one in facts.rounds)


@pytest.mark.parametrize(("fault", "word"), [("left", "pipes were left"), ("ends", "ended")])
def test_who_keeps_what_it_opened_or_ends_is_broken(tmp_path, monkeypatch, fault, word):
    monkeypatch.setattr("holdfast.prove.scenarios.descriptors._SETTLE_S", 0.5)
    monkeypatch.setattr("holdfast.prove.scenarios.descriptors._WARM_S", 0.5)
    monkeypatch.setattr("holdfast.prove.scenarios.descriptors._BACK_S", 0.5)
    found = verdict(SCENARIO, gathered(tmp_path, fault=fault))
    assert found.verdict is Verdict.BROKEN, found.why
    assert word in found.why


def test_a_flooded_log_is_broken(tmp_path, monkeypatch):
    monkeypatch.setattr("holdfast.prove.scenarios.descriptors._FLOOD", 500)  # this machine may be slow at writing
    facts = gathered(tmp_path, THREADS, f"{sys.executable} shop.py {{port}}")
    found = verdict(SCENARIO, facts)
    assert found.verdict is Verdict.BROKEN, found.why
    assert "lines a second" in found.why


def facts(*rounds: Exhaustion, **more: object) -> Descriptors:
    seen = Descriptors(well="it was well", fault="none was free", rounds=rounds, before=GOOD, after=GOOD)
    return msgspec.structs.replace(seen, **more)


def once(sockets: int = 4, **more: object) -> Exhaustion:
    seen = Exhaustion(1, exhausted=True, limit=30, came=60, seconds=2.0, held=Held(sockets=sockets))
    return msgspec.structs.replace(seen, **more)


@pytest.mark.parametrize(
    ("seen", "verdict_wanted", "words"),
    [
        (facts(once(), once()), Verdict.KEPT, "60 clients"),
        (facts(once(4), once(40), once(40)), Verdict.KEPT, "nothing left open"),
        (facts(once(4), once(14), once(24)), Verdict.BROKEN, "10 sockets"),
        (facts(once(), once(ended=1)), Verdict.BROKEN, "1 of its serving processes ended"),
        (facts(once(), once(), alive=False), Verdict.BROKEN, "ended"),
        (facts(once(), once(log_lines=40_000)), Verdict.BROKEN, "20000 lines a second into its log."),
        (facts(once(), once(log_lines=40_000, cpu_s=1.9)), Verdict.BROKEN, "kept a core busy"),
        (facts(once(), once(cpu_s=1.9)), Verdict.KEPT, ""),
        (facts(once(), once(), after=Trip(failed=("GET / said 500 after 1 ms",))), Verdict.BROKEN, "GET / said 500"),
        (facts(once(), once(), fault=""), Verdict.NOT_PROVEN, "fault"),
        (facts(refusal="not permitted"), Verdict.NOT_PROVEN, "not permitted"),
        (facts(), Verdict.NOT_PROVEN, "before"),
    ],
)
def test_judgements(seen, verdict_wanted, words):
    found = verdict(SCENARIO, seen)
    assert found.verdict is verdict_wanted, found.why
    assert words in found.why
