"""An application that a proxy shows below a path: the proxy takes the path away, and the server puts it back."""

import asyncio
import contextlib
import re
import threading

import httpx2
import pytest
from running import free_port, serving, wait_until
from websockets.sync.client import connect

APP = """
    from fastapi import FastAPI, Request, WebSocket
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    def seen(request):
        return {name: str(request.scope[name]) for name in ("path", "root_path", "raw_path")}

    async def plain(request):
        return JSONResponse(seen(request))

    app = FastAPI()

    @app.get("/items/{number}")
    async def item(request: Request, number: int):
        return seen(request) | {"url": str(request.url_for("item", number=number).path)}

    @app.websocket("/ws")
    async def ws(socket: WebSocket):
        await socket.accept()
        await socket.send_json(seen(socket))
        await socket.close()

    app.mount("/inner", Starlette(routes=[Route("/things/{name}", plain)]))
"""


class Proxy:
    """Shows what listens on `target` below `prefix`, and takes `prefix` away, as a proxy does."""

    def __init__(self, prefix: str, target: int) -> None:
        self.prefix = prefix.encode()
        self.target = target
        self.port = free_port()
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self.serve(),))

    async def serve(self) -> None:
        self.stop = asyncio.Event()
        async with await asyncio.start_server(self.pass_on, "127.0.0.1", self.port):
            self.ready.set()
            await self.stop.wait()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, rest = head.split(b" ", 2)
        assert path.startswith(self.prefix)
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self.target)
        rest = re.sub(rb"\r\n\r\n$", b"\r\nconnection: close\r\n\r\n", rest)
        upstream.write(b" ".join([method, path.removeprefix(self.prefix), rest]))
        while piece := await upstream_reader.read(65536):
            writer.write(piece)
        upstream.close()
        writer.close()

    @contextlib.contextmanager
    def running(self):
        self.thread.start()
        assert self.ready.wait(10)
        try:
            yield f"http://127.0.0.1:{self.port}"
        finally:
            self.loop.call_soon_threadsafe(self.stop.set)
            self.thread.join()
            self.loop.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("shop"), APP, "--root-path", "/shop", HOLDFAST_LOG_LEVEL="debug") as running:
        yield running


@pytest.fixture(scope="module")
def outside(shop):
    """The address by which the world knows the shop."""
    with Proxy("/shop", shop.port).running() as url:
        yield f"{url}/shop"


def test_the_application_sees_the_whole_path_and_makes_addresses_that_lead_through_the_proxy(shop, outside):
    answer = httpx2.get(f"{outside}/items/7?a=b")
    assert answer.json() == {
        "path": "/shop/items/7",
        "root_path": "/shop",
        "raw_path": "b'/shop/items/7'",
        "url": "/shop/items/7",
    }
    line = shop.request_line(answer.headers["x-request-id"])
    assert (line["path"], line["route"], line["query"], line["status"]) == (
        "/shop/items/7",
        "/items/{number}",
        "a=b",
        200,
    )
    assert httpx2.get(answer.url.copy_with(path=answer.json()["url"])).status_code == 200


def test_the_route_of_a_mounted_application_has_its_mount_and_not_the_root(shop, outside):
    answer = httpx2.get(f"{outside}/inner/things/a%20b")
    assert answer.json() == {
        "path": "/shop/inner/things/a b",
        "root_path": "/shop/inner",
        "raw_path": "b'/shop/inner/things/a%20b'",
    }
    assert shop.request_line(answer.headers["x-request-id"])["route"] == "/inner/things/{name}"


def test_what_the_framework_says_of_itself_leads_through_the_proxy(outside):
    assert httpx2.get(f"{outside}/openapi.json").json()["servers"] == [{"url": "/shop"}]
    assert "/shop/openapi.json" in httpx2.get(f"{outside}/docs").text


def test_the_probes_are_answered_directly_and_through_the_proxy_and_stay_quiet(shop, outside):
    for url in (f"{shop.url}/-/ready", f"{outside}/-/ready"):
        answer = httpx2.get(url)
        assert (answer.status_code, answer.json()["status"]) == (200, "ready")
        line = shop.request_line(answer.headers["x-request-id"])
        assert (line["level"], line["path"], line["route"]) == ("debug", "/shop/-/ready", "/-/ready")


def test_nothing_else_passes_for_a_probe(shop):
    for path in ("/items/-/ready", "/shop/shop/-/ready", "/x/-/live"):
        answer = httpx2.get(f"{shop.url}{path}")
        assert answer.status_code == 404
        assert shop.request_line(answer.headers["x-request-id"])["level"] == "info"


def test_a_websocket_sees_the_same(shop):
    with connect(f"ws://127.0.0.1:{shop.port}/ws") as socket:
        assert '"path":"/shop/ws","root_path":"/shop"' in socket.recv()
    wait_until(lambda: [line for line in shop.events("request") if line["path"] == "/shop/ws"], "its line")


def test_what_is_refused_at_the_door_is_logged_with_the_whole_path(shop):
    answer = httpx2.get(f"{shop.url}/items/1", headers={"x-long": "y" * 70_000})
    assert answer.status_code == 431
    assert shop.request_line(answer.headers["x-request-id"])["path"] == "/shop/items/1"


def test_a_bad_root_path_is_refused_at_once(tmp_path):
    with serving(tmp_path, APP, "--root-path", "shop/", ready=False) as running:
        assert running.ended() == 2
        assert any('--root-path: found "shop/", allowed: a text that matches / and a name' in x for x in running.errors)
    with serving(tmp_path, APP, ready=False, HOLDFAST_ROOT_PATH="/shop/") as running:
        assert running.ended() == 2
        assert any('HOLDFAST_ROOT_PATH: found "/shop/"' in line for line in running.errors)
