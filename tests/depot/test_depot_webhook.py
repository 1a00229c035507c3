"""The webhook: told when a file is done, swapped for another object, slow, broken, gone; and the upload never minds."""

import asyncio
import contextlib
import json
import logging
import queue
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest
from running import free_port

from depot.answers import FileOut
from depot.app import create_app
from depot.resources import resources
from depot.webhook import Herald, Webhook
from holdfast import Holdfast

FILE = FileOut(
    id="a" * 32, name="x.csv", size=1, sha256="0", created="", state="ready", records=1, problems=[], problems_total=0
)


class Recorder:
    """A herald that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[FileOut] = []

    def tell(self, file: FileOut) -> None:
        self.told.append(file)


@contextlib.asynccontextmanager
async def depot_here(folder, monkeypatch, **environ: str) -> AsyncIterator[httpx2.AsyncClient]:
    """The depot in this process, and a client of it."""
    for name, value in {"DEPOT_DATA": str(folder), "DEPOT_FIRST_TOKEN": "token", **environ}.items():
        monkeypatch.setenv(name, value)
    async with resources:
        transport = httpx2.ASGITransport(Holdfast(create_app(), own_logs=False))
        headers = {"authorization": "Bearer token"}
        async with httpx2.AsyncClient(transport=transport, base_url="http://depot", headers=headers) as client:
            yield client


async def send_good_and_bad(client: httpx2.AsyncClient) -> None:
    for name, content in (("good.csv", b"a,b\n1,2\n3\n"), ("bad.csv", bytes(100))):
        assert (await client.post("/api/files", params={"name": name}, content=content)).status_code == 201


@pytest.mark.anyio
async def test_another_object_can_take_the_webhooks_place(tmp_path, monkeypatch) -> None:
    recorder = Recorder()
    with resources.override(Herald, recorder):
        async with depot_here(tmp_path, monkeypatch) as client:
            await send_good_and_bad(client)
            await told(recorder, 2)
    assert {(file.name, file.state, file.records, file.problems_total) for file in recorder.told} == {
        ("good.csv", "ready", 1, 1),
        ("bad.csv", "failed", 0, 1),
    }


async def told(recorder: Recorder, count: int) -> None:
    async with asyncio.timeout(10):
        while len(recorder.told) < count:
            await asyncio.sleep(0.01)


@contextlib.contextmanager
def service(status: int = 204) -> Iterator[tuple[str, "queue.Queue[dict]"]]:
    """An outside service that answers with `status` and keeps what it got."""
    got: queue.Queue[dict] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/hook?key=s3cr3t-of-the-hook", got
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """A service that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.mark.anyio
async def test_a_real_service_is_told_and_its_address_is_not_logged(tmp_path, monkeypatch, caplog) -> None:
    caplog.set_level(logging.INFO)
    with service() as (url, got):
        async with depot_here(tmp_path, monkeypatch, DEPOT_WEBHOOK_URL=url) as client:
            await send_good_and_bad(client)
            notices = [await asyncio.to_thread(got.get, timeout=10) for _ in range(2)]
            files = (await client.get("/api/files")).json()["items"]
    assert sorted(notice["event"] for notice in notices) == ["file.failed", "file.ready"]
    assert sorted((notice["file"] for notice in notices), key=lambda file: file["name"]) == files
    assert [record.message for record in caplog.records].count("webhook answered") == 2
    assert "s3cr3t-of-the-hook" not in caplog.text


def test_a_service_that_is_cut_off_neither_fails_an_upload_nor_holds_one_up(start) -> None:
    with silent() as url, start(DEPOT_WEBHOOK_URL=url) as depot:
        began = time.monotonic()
        for number in range(10):
            sent = depot.send(f"{number}.csv", "a,b\n1,2\n")
            assert depot.read(sent["id"])["state"] == "ready"
        assert time.monotonic() - began < 8
        assert depot.stop() == 0
        lost = depot.running.events("webhook notices lost at the end")
        assert [line["level"] for line in lost] == ["warning"]


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["refused", "silent", "error"])
async def test_a_notice_that_cannot_be_delivered_is_logged_and_given_up(how: str, caplog) -> None:
    with contextlib.ExitStack() as stack:
        url = {
            "refused": lambda: f"http://127.0.0.1:{free_port()}/",
            "silent": lambda: stack.enter_context(silent()),
            "error": lambda: stack.enter_context(service(500))[0],
        }[how]()
        async with httpx2.AsyncClient() as client:
            webhook = Webhook(client, url, deadline_s=0.3)
            async with webhook.sending():
                webhook.tell(FILE)
    logged = [(record.levelname, record.message) for record in caplog.records if record.name == "depot.webhook"]
    assert logged == [("WARNING", "webhook answered" if how == "error" else "webhook failed")]


@pytest.mark.anyio
async def test_a_line_of_notices_that_is_too_long_drops_some_and_says_so(caplog) -> None:
    async with httpx2.AsyncClient() as client:
        webhook = Webhook(client, "http://127.0.0.1:9/")
        for _ in range(1_003):
            webhook.tell(FILE)
    assert [record.message for record in caplog.records] == ["webhook notice dropped"] * 3
