"""What is left to the garbage collector, which holds up every request while it looks: next to nothing."""

import contextlib
import socket

import httpx2
import pytest
from running import Running, serving, wait_until

APP = """
    import asyncio
    import gc
    from pathlib import Path

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        body = b""
        match scope["path"]:
            case "/frozen":
                body = str(gc.get_freeze_count()).encode()
            case "/rest":
                gc.disable()
                gc.collect()
            case "/left":
                body = str(gc.collect()).encode()
            case "/hold":
                Path("hold.begun").touch()
                while not Path("go").exists():
                    await asyncio.sleep(0.005)
            case "/fails":
                raise RuntimeError("on purpose")
            case "/stream":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                while (await receive())["type"] != "http.disconnect":
                    pass
                return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""
MANY = 60


def got(running: Running, path: str) -> int:
    return int(httpx2.get(running.url + path, timeout=20).text)


def on_new_connections(running: Running) -> None:
    for _ in range(MANY):
        assert httpx2.get(running.url + "/served", timeout=20).status_code == 200


def on_one_connection(running: Running) -> None:
    with httpx2.Client(base_url=running.url, timeout=20) as client:
        for _ in range(MANY):
            assert client.post("/served", content=b"body").status_code == 200


def that_fail(running: Running) -> None:
    for _ in range(MANY):
        assert httpx2.get(running.url + "/fails", timeout=20).status_code == 500


def whose_clients_leave(running: Running) -> None:
    for _ in range(MANY):
        with socket.create_connection(("127.0.0.1", running.port), timeout=20) as connection:
            connection.sendall(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("requests", [on_new_connections, on_one_connection, that_fail, whose_clients_leave])
def test_requests_leave_next_to_nothing_behind(tmp_path, requests):
    with serving(tmp_path, APP) as running:
        requests(running)
        httpx2.get(running.url + "/rest", timeout=20)
        requests(running)
        wait_until(lambda: len(running.events("request")) > 2 * MANY, "all are over")
        assert got(running, "/left") < MANY


def test_refused_requests_leave_next_to_nothing_behind(tmp_path):
    with serving(tmp_path, APP, HOLDFAST_SHED_AT_ONCE_MAX="1", HOLDFAST_SHED_WAIT_MS="1") as running:
        httpx2.get(running.url + "/rest", timeout=20)
        with contextlib.ExitStack() as stack:
            held = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=20))
            held.sendall(b"GET /hold HTTP/1.1\r\nhost: x\r\n\r\n")
            wait_until((tmp_path / "hold.begun").exists, "the slot is taken")
            for _ in range(MANY):
                assert httpx2.get(running.url + "/other", timeout=20).status_code == 503
            (tmp_path / "go").touch()
            assert held.recv(100).startswith(b"HTTP/1.1 200")
        assert got(running, "/left") < MANY


def test_what_stays_for_as_long_as_the_process_is_not_looked_through_again(tmp_path):
    with serving(tmp_path, APP) as running:
        assert got(running, "/frozen") > 10_000
