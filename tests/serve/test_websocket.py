"""WebSockets through `holdfast run`."""

import json

import pytest
from running import serving
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

APP = """
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute

    async def echo(socket):
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    async def denies(socket):
        await socket.close()

    async def breaks(socket):
        await socket.accept()
        raise RuntimeError("after the handshake")

    async def breaks_early(socket):
        raise RuntimeError("before the handshake")

    app = Starlette(routes=[WebSocketRoute(f"/{f.__name__}", f) for f in (echo, denies, breaks, breaks_early)])
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("websocket"), APP) as running:
        yield running


def url(running, name: str) -> str:
    return f"ws://127.0.0.1:{running.port}/{name}"


def test_a_handshake_is_answered_with_an_id_and_the_connection_has_one_line(running):
    with connect(url(running, "echo")) as websocket:
        websocket.send("hello")
        assert websocket.recv() == "hello"
        request_id = websocket.response.headers["x-request-id"]
    line = running.request_line(request_id)
    assert (line["kind"], line["status"], line["outcome"], line["route"]) == ("websocket", 101, "ok", "/echo")


def test_a_connection_that_the_application_denies_is_answered_403_with_an_id(running):
    with pytest.raises(InvalidStatus) as denied:
        connect(url(running, "denies"))
    assert denied.value.response.status_code == 403
    assert running.request_line(denied.value.response.headers["x-request-id"])["outcome"] == "rejected"


def test_an_exception_after_the_handshake_closes_with_1011_and_is_in_the_log_once(running):
    with connect(url(running, "breaks")) as websocket:
        request_id = websocket.response.headers["x-request-id"]
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011
    assert running.request_line(request_id)["outcome"] == "failed"
    assert len([line for line in running.lines if "after the handshake" in json.dumps(line)]) == 1


def test_an_exception_before_the_handshake_is_a_500_problem(running):
    with pytest.raises(InvalidStatus) as failed:
        connect(url(running, "breaks_early"))
    assert failed.value.response.status_code == 500
    problem = json.loads(failed.value.response.body)
    assert problem["request_id"] == failed.value.response.headers["x-request-id"]
