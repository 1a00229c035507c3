"""Bounded: what else comes in beside uploads, against a small backend that holds it, or does not."""

import pytest
from proving import proving

from holdfast.prove.acts.growing_upload.large_forms import forms
from holdfast.prove.acts.growing_upload.long_lists import endless, lists
from holdfast.prove.acts.growing_upload.unread_log import Unread, unread
from holdfast.prove.counters import sampling
from holdfast.prove.props.growth import Peak, growths

pytestmark = pytest.mark.anyio

SHOP = """
    import json, os, queue, sys, threading
    from urllib.parse import parse_qs

    MODE = os.environ.get("SHOP_MODE", "well")
    NOTES: list[str] = []
    SAID: queue.Queue = queue.Queue(0 if MODE == "log" else 100)
    PAGE = b'<form action="/login" method="post"><input name="name"><input name="word" type="password"></form>'
    LIMIT = {"name": "limit", "in": "query", "schema": {"type": "integer", "default": 50}}
    SCHEMA = {"openapi": "3.1.0", "paths": {"/notes": {"get": {"parameters": [LIMIT]}}}}

    def write():
        while True:
            sys.stdout.write(SAID.get() + "\\n")
            sys.stdout.flush()

    def say(line: str) -> None:
        if MODE == "blocking":
            print(line, flush=True)
        elif MODE != "silent":
            try:
                SAID.put_nowait(line)
            except queue.Full:
                pass

    threading.Thread(target=write, daemon=True).start()

    async def answer(send, status: int, body: bytes, kind: bytes = b"application/json") -> None:
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def sign_in(receive, send) -> None:
        body = bytearray()
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > 16_384 and MODE != "form":
                return await answer(send, 413, b"{}")
        await answer(send, 401, b"{}")

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        say(scope["path"] + "?" + scope["query_string"].decode())
        match scope["method"], scope["path"]:
            case "GET", "/login": await answer(send, 200, PAGE, b"text/html")
            case "POST", "/login": await sign_in(receive, send)
            case "GET", "/openapi.json": await answer(send, 200, json.dumps(SCHEMA).encode())
            case "POST", "/notes":
                NOTES.append("note")
                await answer(send, 201, b"{}")
            case "GET", "/notes":
                limit = int(parse_qs(scope["query_string"].decode()).get("limit", ["50"])[0])
                most = limit if MODE == "list" else min(limit, 100)
                await answer(send, 200, json.dumps({"items": NOTES[:most]}).encode())
            case _, "/": await answer(send, 200, b"{}")
            case _: await answer(send, 404, b"{}")
"""
WRITE = {"request": "POST /notes", "json": {"text": "{name}"}}


def grows(peaks: tuple[Peak, ...]) -> bool:
    return growths(peaks)[0].grows


async def log_of(tmp_path, mode: str) -> Unread:
    async with proving(tmp_path, SHOP, environment={"SHOP_MODE": mode}) as stage:
        return await unread(stage)


async def test_lines_that_are_dropped_where_nobody_reads_them_take_no_memory(tmp_path):
    found = await log_of(tmp_path, "well")
    assert found.peaks, found.why
    assert not grows(found.peaks), found.peaks


async def test_lines_that_are_kept_for_a_reader_who_does_not_come_are_found(tmp_path):
    found = await log_of(tmp_path, "log")
    assert found.peaks, found.why
    assert grows(found.peaks), found.peaks


@pytest.mark.parametrize(("mode", "why"), [("blocking", "it stood still"), ("silent", "it had written 0 bytes")])
async def test_a_backend_that_waits_for_its_reader_or_says_nothing_is_not_looked_at(tmp_path, mode, why):
    found = await log_of(tmp_path, mode)
    assert not found.peaks
    assert why in found.why


@pytest.mark.parametrize("mode", ["well", "form"])
async def test_a_form_that_is_read_whole_is_found(tmp_path, mode):
    async with (
        proving(tmp_path, SHOP, environment={"SHOP_MODE": mode}) as stage,
        stage.app() as app,
        sampling(app.pid) as samples,
    ):
        peaks = tuple(await forms(app, stage.target, samples))
    assert "/login" in peaks[0].phase
    assert grows(peaks) is (mode == "form"), peaks


@pytest.mark.parametrize("mode", ["well", "list"])
async def test_a_list_without_an_end_is_found(tmp_path, mode):
    said = {"openapi": "/openapi.json", "write": WRITE}
    async with proving(tmp_path, SHOP, environment={"SHOP_MODE": mode}, **said) as stage, stage.app() as app:
        found = await lists(app, stage.target)
    assert found[0].asked == "GET /notes?limit=1000000"
    assert bool(endless(found)) is (mode == "list"), found
