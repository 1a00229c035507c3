"""More comes than can be served: who is served, who is refused, and how it is told. Looked at from outside."""

import contextlib
import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from running import Running, serving, wait_until
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

APP = """
    import asyncio
    from pathlib import Path

    begun = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"].endswith("shutdown"):
                    return
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": message["text"]})
            return
        begun.append(scope["path"])
        name = scope["path"].strip("/")
        body = name.encode()
        if name.startswith("hold"):
            Path(name + ".begun").touch()
            while not Path("go").exists():
                await asyncio.sleep(0.005)
        if name == "begun":
            body = " ".join(begun).encode()
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
        await send(start)
        if name == "stream":
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            while not Path("go").exists():
                await asyncio.sleep(0.005)
        await send({"type": "http.response.body", "body": body})
"""


READS = """
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def size(request):
        return PlainTextResponse(str(len(await request.body())))

    app = Starlette(routes=[Route("/", size, methods=["POST"])])
"""


class Full:
    """A service that serves one at a time, and is busy with one."""

    def __init__(self, running: Running, folder, open_until_the_end: contextlib.ExitStack) -> None:
        self.running = running
        self.folder = folder
        self._open = open_until_the_end
        self._held = self.sent("/hold")
        wait_until((folder / "hold.begun").exists, "the first has begun")

    def sent(self, path: str, *headers: str, method: str = "GET", body: bytes = b"") -> socket.socket:
        """A connection on which a request was sent, and its answer not read."""
        connection = connected(self.running, self._open)
        lines = [f"{method} {path} HTTP/1.1", "host: x", *headers]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        return connection

    def free(self) -> None:
        """Let the first come to its end."""
        (self.folder / "go").touch()
        assert answer(self._held)[0] == 200


@contextlib.contextmanager
def full(folder, **environ: str):
    with serving(folder, APP, HOLDFAST_SHED_AT_ONCE_MAX="1", **environ) as running, contextlib.ExitStack() as stack:
        yield Full(running, folder, stack)


def connected(running: Running, open_until_the_end: contextlib.ExitStack) -> socket.socket:
    return open_until_the_end.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=20))


def answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """The next answer on a connection, which stays open."""
    with contextlib.closing(http.client.HTTPResponse(connection)) as response:
        response.begin()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


def get(running: Running, path: str) -> httpx2.Response:
    return httpx2.get(running.url + path, timeout=20)


def shed_lines(running: Running) -> list[dict]:
    return [line for line in running.lines if line["logger"] == "holdfast.shedding"]


# -- how it is told --


def test_who_cannot_be_served_is_told_to_come_again_and_that_nothing_was_begun(tmp_path):
    with full(tmp_path) as service:
        status, headers, body = answer(service.sent("/other"))
        problem = json.loads(body)
        assert (status, problem["type"], problem["status"]) == (503, "urn:holdfast:problem:overloaded", 503)
        assert headers["holdfast-not-executed"] == "1"
        assert headers["retry-after"] in {"1", "2", "3"}
        assert headers["x-request-id"] == problem["request_id"]
        assert headers["content-type"] == "application/problem+json"
        service.free()
        assert "/other" not in get(service.running, "/begun").text.split()


def test_a_refused_client_may_ask_again_on_the_same_connection(tmp_path):
    with full(tmp_path) as service:
        connection = service.sent("/other")
        assert answer(connection)[0] == 503
        service.free()
        connection.sendall(b"GET /other HTTP/1.1\r\nhost: x\r\n\r\n")
        assert answer(connection)[0] == 200


def test_a_client_that_sends_a_large_body_still_reads_that_it_is_refused(tmp_path):
    with full(tmp_path) as service:
        size = 20_000_000
        connection = service.sent("/other", f"content-length: {size}", method="POST", body=b"x" * 1000)
        status, headers, _ = answer(connection)
        assert (status, headers["connection"]) == (503, "close")


def test_a_small_body_is_read_past_and_the_connection_closes_in_order(tmp_path):
    with full(tmp_path) as service:
        connection = service.sent("/other", "content-length: 5", method="POST", body=b"hello")
        assert answer(connection)[0] == 503


def test_refusals_are_told_once_a_second_and_not_one_by_one(tmp_path):
    with full(tmp_path) as service:
        sent = [service.sent(f"/other/{number}") for number in range(50)]
        assert {answer(connection)[0] for connection in sent} == {503}
        wait_until(lambda: shed_lines(service.running), "a line")
        line = shed_lines(service.running)[0]
        assert (line["level"], line["limit"], line["in_flight"]) == ("warning", 1, 1)
        assert line["path"].startswith("/other/")
        assert len(shed_lines(service.running)) < 10
        assert not [line for line in service.running.events("request") if line["path"].startswith("/other/")]


def test_refusals_are_counted(tmp_path):
    with full(tmp_path) as service:
        for connection in [service.sent("/other") for _ in range(10)]:
            assert answer(connection)[0] == 503
        numbers = get(service.running, "/-/metrics").text
        counted = [line for line in numbers.splitlines() if line.startswith("holdfast_requests_shed_total{")]
        assert sum(float(line.rsplit(" ", 1)[1]) for line in counted) == 10
        assert "holdfast_requests_limit 1.0" in numbers


@pytest.mark.parametrize("header", [(), ("connection: close",)], ids=["kept", "closed"])
def test_under_lasting_pressure_new_connections_are_answered_before_anything_is_made_for_them(tmp_path, header):
    with full(tmp_path) as service:
        enough = threading.Event()

        def flood() -> int:
            asked = 0
            while not enough.is_set():
                for connection in [service.sent("/other", *header) for _ in range(40)]:
                    status, headers, body = answer(connection)
                    connection.close()
                    assert (status, headers["holdfast-not-executed"]) == (503, "1")
                    assert json.loads(body)["request_id"] == headers["x-request-id"]
                    assert headers.get("connection") == ("close" if header else None)
                    asked += 1
            return asked

        with ThreadPoolExecutor(4) as pool:
            floods = [pool.submit(flood) for _ in range(4)]
            try:
                wait_until(lambda: shed_at_the_door(service.running) >= 20, "some are refused at the door")
            finally:
                enough.set()
        assert sum(done.result() for done in floods) >= 20


def shed_at_the_door(running: Running) -> int:
    numbers = get(running, "/-/metrics").text
    found = [line for line in numbers.splitlines() if 'reason="shed"' in line and "shed_total" in line]
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in found))


# -- who is served --


def test_probes_are_never_refused(tmp_path):
    with full(tmp_path) as service:
        flood = [service.sent("/other") for _ in range(30)]
        assert [get(service.running, path).status_code for path in ("/-/live", "/-/ready", "/-/metrics")] == [200] * 3
        assert {answer(connection)[0] for connection in flood} == {503}


@pytest.mark.parametrize(
    ("trusted", "first"), [("127.0.0.1", "/important"), ("", "/plain")], ids=["trusted", "untrusted"]
)
def test_a_trusted_peer_may_say_that_a_request_is_critical(tmp_path, trusted, first):
    wait = {"HOLDFAST_SHED_WAIT_MS": "10000", "HOLDFAST_TRUSTED_PROXIES": trusted}
    with full(tmp_path, **wait) as service:
        plain = service.sent("/plain")
        time.sleep(0.01)  # it is the first in any case; this only makes it likely that it is seen so
        important = service.sent("/important", "holdfast-priority: critical")
        wait_until(lambda: waiting(service.running) == 2, "both wait")
        service.free()
        assert (answer(plain)[0], answer(important)[0]) == (200, 200)
        begun = get(service.running, "/begun").text.split()
        assert begun[1] == first


def waiting(running: Running) -> int:
    numbers = get(running, "/-/metrics").text
    return int(float(numbers.split("\nholdfast_requests_waiting ")[1].split()[0]))


def test_a_path_that_is_said_to_be_background_makes_room_for_the_rest(tmp_path):
    settings = {"HOLDFAST_SHED_WAIT_MS": "10000", "HOLDFAST_PRIORITY_ROUTES": "/reports/*=background"}
    with full(tmp_path, **settings) as service:
        report = service.sent("/reports/all")
        wait_until(lambda: waiting(service.running) == 1, "the report waits")
        plain = service.sent("/plain")
        wait_until(lambda: waiting(service.running) == 2, "both wait")
        service.free()
        assert (answer(report)[0], answer(plain)[0]) == (200, 200)
        assert get(service.running, "/begun").text.split()[1:] == ["/plain", "/reports/all", "/begun"]


def test_a_client_that_leaves_while_it_waits_is_never_begun(tmp_path):
    with full(tmp_path, HOLDFAST_SHED_WAIT_MS="10000") as service:
        service.sent("/gone").close()
        stays = service.sent("/stays")
        wait_until(lambda: waiting(service.running) >= 1, "one waits")
        service.free()
        assert answer(stays)[0] == 200
        assert "/gone" not in get(service.running, "/begun").text.split()


def test_a_stream_gives_its_slot_back_with_its_first_piece(tmp_path):
    with (
        serving(tmp_path, APP, HOLDFAST_SHED_AT_ONCE_MAX="1") as running,
        httpx2.stream("GET", running.url + "/stream", timeout=20) as stream,
    ):
        assert next(stream.iter_raw()) == b"first"
        assert get(running, "/other").status_code == 200
        (tmp_path / "go").touch()


def test_a_body_that_is_waited_for_holds_no_slot(tmp_path):
    with serving(tmp_path, READS, HOLDFAST_SHED_AT_ONCE_MAX="1") as running, contextlib.ExitStack() as stack:
        slow = [connected(running, stack) for _ in range(5)]
        for connection in slow:
            connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhello")
        for _ in range(5):
            assert httpx2.post(running.url, content=b"quick", timeout=20).text == "5"
        for connection in slow:
            connection.sendall(b"world")
        assert [answer(connection)[::2] for connection in slow] == [(200, b"10")] * 5


def test_a_websocket_holds_no_slot_while_it_waits_for_its_client(tmp_path):
    with (
        serving(tmp_path, APP, HOLDFAST_SHED_AT_ONCE_MAX="1") as running,
        connect(f"ws://127.0.0.1:{running.port}/") as websocket,
    ):
        assert get(running, "/other").status_code == 200
        websocket.send("hello")
        assert websocket.recv(timeout=10) == "hello"
        assert get(running, "/other").status_code == 200


def test_a_websocket_that_cannot_be_served_is_refused_as_any_other(tmp_path):
    with full(tmp_path) as service:
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{service.running.port}/", open_timeout=20)
        response = refused.value.response
        assert (response.status_code, response.headers["holdfast-not-executed"]) == (503, "1")


def test_two_hundred_who_only_wait_are_all_served_by_an_idle_process(tmp_path):
    with serving(tmp_path, APP) as running, contextlib.ExitStack() as stack:
        sent = [connected(running, stack) for _ in range(200)]
        for connection in sent:
            connection.sendall(b"GET /hold HTTP/1.1\r\nhost: x\r\n\r\n")
        wait_until(lambda: get(running, "/begun").text.count("/hold") == 200, "all are begun")
        (tmp_path / "go").touch()
        assert {answer(connection)[0] for connection in sent} == {200}
        assert shed_lines(running) == []


# -- only looking --


def test_what_is_only_observed_is_served_and_told(tmp_path):
    with full(tmp_path, HOLDFAST_SHED="observe") as service:
        sent = [service.sent("/other") for _ in range(20)]
        assert {answer(connection)[0] for connection in sent} == {200}
        wait_until(lambda: shed_lines(service.running), "a line")
        assert shed_lines(service.running)[0]["event"].endswith("requests would be refused")


def test_observing_everything_observes_this_too(tmp_path):
    with full(tmp_path, HOLDFAST_OBSERVE="true") as service:
        sent = [service.sent("/other") for _ in range(20)]
        assert {answer(connection)[0] for connection in sent} == {200}


def test_it_can_be_turned_off(tmp_path):
    with full(tmp_path, HOLDFAST_SHED="off") as service:
        sent = [service.sent("/other") for _ in range(20)]
        assert {answer(connection)[0] for connection in sent} == {200}
        assert shed_lines(service.running) == []
