"""A crowd with more connections than descriptors, and copies for those who read nothing: who is found, and who not."""

import asyncio

import msgspec
import pytest
from proving import HOLDFAST, UVICORN, proving

from holdfast.prove.acts.slow_clients.copies import Copies, without_limit
from holdfast.prove.acts.slow_clients.crowding import Crowding, crowded_out, crowding
from holdfast.prove.props.ordinary import Fared

SHOP = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""
SPINNING = """
import selectors, socket, sys

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=512)
listener.setblocking(False)
waiting = selectors.DefaultSelector()
waiting.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in waiting.select():
        try:
            if key.fileobj is listener:
                waiting.register(listener.accept()[0], selectors.EVENT_READ)
            elif key.fileobj.recv(65536):
                key.fileobj.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
            else:
                waiting.unregister(key.fileobj)
                key.fileobj.close()
        except OSError:
            pass
"""


def crowded(tmp_path, serve: str, source: str = SHOP) -> Crowding:
    async def run() -> Crowding:
        async with proving(tmp_path, source, serve=serve, read="GET /") as stage:
            return await crowding(stage, 20)

    return asyncio.run(run())


def test_who_makes_room_for_others_is_well(tmp_path):
    found = crowded(tmp_path, HOLDFAST)
    assert found.came > found.limit > 0
    assert found.exhausted
    assert crowded_out(found) is None, found


def test_who_lets_a_crowd_keep_others_out_is_broken(tmp_path):
    found = crowded_out(crowded(tmp_path, UVICORN))
    assert found is not None
    assert "ordinary requests of others" in found.why


def test_who_spins_without_descriptors_is_broken(tmp_path):
    found = crowded(tmp_path, "python3 shop.py {port}", SPINNING)
    judged = crowded_out(msgspec.structs.replace(found, during=found.before))  # it keeps others out as well
    assert judged is not None, found
    assert "of a core" in judged.why


WELL = Fared(asked=60, good=60, p50_ms=3, p90_ms=6)
OUT = Fared(asked=60, good=4, lost=56, p90_ms=6)
HALF = Fared(asked=60, good=40, lost=20, p90_ms=6)
SEEN = Crowding(limit=150, came=230, stayed=100, before=WELL, during=WELL, exhausted=True, used_s=0.02)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, ""),
        ({"during": OUT}, "One client had 230 connections where ulimit -n is 150"),
        ({"during": HALF}, ""),  # what a busy machine does
        ({"used_s": 0.98}, "used 98% of a core, and 0% before"),
        ({"used_s": 0.98, "idle_s": 0.9}, ""),
        ({"used_s": 0.98, "exhausted": False}, ""),
        ({"limit": 0, "during": OUT, "exhausted": False}, ""),
    ],
)
def test_judgements_of_a_crowd(changed, words):
    found = crowded_out(msgspec.structs.replace(SEEN, **changed))
    assert (found is not None) is bool(words)
    assert found is None or words in found.why


@pytest.mark.parametrize("full", [True, False])
def test_that_all_descriptors_are_taken_is_nothing_that_a_busy_machine_does(full):
    assert crowded_out(msgspec.structs.replace(SEEN, during=OUT, full=full)).certain is full


MB = 1 << 20
COPIED = Copies(asked=48, answered=48, size=MB, stored=48 * MB)


@pytest.mark.parametrize(
    ("changed", "broken"),
    [
        ({}, True),
        ({"answered": 32, "statuses": (503,) * 16, "stored": 32 * MB}, True),  # that is no limit of a client's
        ({"answered": 20, "statuses": (503,) * 28, "stored": 20 * MB}, False),
        ({"answered": 16, "statuses": (429,) * 32}, False),
        ({"stored": 8 * MB}, False),  # a little is no harm
        ({"stored": 20 * MB}, False),  # and neither is less than a copy for each
        ({"asked": 0, "answered": 0}, False),
    ],
)
def test_judgements_of_copies(changed, broken):
    found = without_limit(msgspec.structs.replace(COPIED, **changed))
    assert (found is not None) is broken
    assert found is None or " MB more were on the disk for them, where one has 1.0 MB" in found.why
