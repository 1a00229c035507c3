"""A process that is told to stop, seen from outside, with one worker and with two."""

import concurrent.futures
import http.client
import json
import signal
import socket
import time

import httpx2
import pytest
from running import serving, wait_until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

APP = """
    import asyncio
    import holdfast
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route, WebSocketRoute

    async def quick(request):
        return JSONResponse({"ok": True})

    async def slow(request):
        await asyncio.sleep(float(request.path_params["seconds"]))
        return JSONResponse({})

    async def block(request):
        import time
        time.sleep(1.0)  # holds up the loop, so that connections pile up unaccepted
        return JSONResponse({})

    async def stream(request):
        async def rows():
            for number in range(1000):
                yield f"{number}\\n"
                await asyncio.sleep(0.05)
                if holdfast.draining.is_set():
                    yield "bye\\n"
                    return
        return StreamingResponse(rows())

    async def endless(request):
        async def rows():
            while True:
                yield "row\\n"
                await asyncio.sleep(0.05)
        return StreamingResponse(rows())

    async def ws(socket):
        await socket.accept()
        while True:
            await socket.send_text(await socket.receive_text())

    app = Starlette(routes=[
        Route("/quick", quick), Route("/slow/{seconds}", slow), Route("/block", block),
        Route("/stream", stream), Route("/endless", endless), WebSocketRoute("/ws", ws),
    ])
"""

workers = pytest.mark.parametrize("workers", ["1", "2"])


def in_background(function, *arguments):
    pool = concurrent.futures.ThreadPoolExecutor(1)
    future = pool.submit(function, *arguments)
    pool.shutdown(wait=False)
    return future


def whole(client: socket.socket) -> bytes:
    """All that a connection brings until the server closes it."""
    with client:
        return b"".join(iter(lambda: client.recv(65536), b""))


def ready_status(running) -> int | None:
    try:
        return httpx2.get(f"{running.url}/-/ready", timeout=5).status_code
    except httpx2.HTTPError:
        return None


@workers
def test_an_idle_process_that_is_told_to_stop_ends_with_0(tmp_path, workers):
    with serving(tmp_path, APP, "--workers", workers) as running:
        running.signal(signal.SIGTERM)
        assert running.ended() == 0
        assert running.events("state: stopped") or workers == "2"


@workers
def test_during_the_delay_it_serves_on_but_is_not_ready(tmp_path, workers):
    with serving(tmp_path, APP, "--workers", workers, HOLDFAST_DRAIN_DELAY_S="2") as running:
        running.signal(signal.SIGTERM)
        wait_until(lambda: ready_status(running) == 503, "not ready after SIGTERM")
        assert httpx2.get(f"{running.url}/-/live").status_code == 200
        assert httpx2.get(f"{running.url}/quick").json() == {"ok": True}
        assert running.ended() == 0


@workers
def test_requests_in_flight_are_answered_and_new_connections_are_refused(tmp_path, workers):
    with serving(tmp_path, APP, "--workers", workers) as running:
        clients = [socket.create_connection(("127.0.0.1", running.port), timeout=20) for _ in range(200)]
        for client in clients:
            client.sendall(b"GET /slow/1 HTTP/1.1\r\nhost: x\r\n\r\n")
        running.signal(signal.SIGTERM)
        wait_until(lambda: ready_status(running) is None, "no new connections")
        answers = [whole(client) for client in clients]
        assert [answer[:15] for answer in answers] == [b"HTTP/1.1 200 OK"] * 200
        assert all(b"connection: close" in answer for answer in answers)
        assert running.ended() == 0


@workers
def test_a_kept_alive_connection_gets_one_more_answer_that_says_close(tmp_path, workers):
    with serving(tmp_path, APP, "--workers", workers) as running:
        kept = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        kept.request("GET", "/quick")
        kept.getresponse().read()
        running.signal(signal.SIGTERM)
        wait_until(lambda: ready_status(running) is None, "no new connections")
        kept.request("GET", "/quick")
        answer = kept.getresponse()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert json.loads(answer.read()) == {"ok": True}
        assert running.ended() == 0


def test_the_keep_alive_time_can_be_set_and_does_not_lengthen_the_drain(tmp_path):
    with serving(tmp_path, APP, HOLDFAST_DOOR_KEEP_ALIVE_S="600", HOLDFAST_DRAIN_GRACE_S="600") as running:
        kept = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        kept.request("GET", "/quick")
        kept.getresponse().read()
        running.signal(signal.SIGTERM)
        assert running.ended() == 0  # long before the ten minutes are over
        kept.close()


def test_an_idle_connection_is_closed_when_the_keep_alive_time_is_over(tmp_path):
    with serving(tmp_path, APP, HOLDFAST_DOOR_KEEP_ALIVE_S="1") as running:
        with socket.create_connection(("127.0.0.1", running.port), timeout=4) as kept:
            kept.sendall(b"GET /quick HTTP/1.1\r\nhost: x\r\n\r\n")
            received = b""
            while piece := kept.recv(4096):
                received += piece
        assert received.endswith(b'{"ok":true}')


@workers
def test_a_connection_that_waits_in_the_queue_of_the_kernel_is_served(tmp_path, workers):
    with serving(tmp_path, APP, "--workers", workers) as running:
        blocked = [in_background(lambda: httpx2.get(f"{running.url}/block", timeout=20)) for _ in range(int(workers))]
        time.sleep(0.3)  # so that the loop is held up
        waiting = [socket.create_connection(("127.0.0.1", running.port), timeout=10) for _ in range(20)]
        running.signal(signal.SIGTERM)
        for connection in waiting:
            connection.sendall(b"GET /quick HTTP/1.1\r\nhost: x\r\n\r\n")
        for connection in waiting:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
            connection.close()
        assert all(answer.result(20).status_code == 200 for answer in blocked)
        assert running.ended() == 0


@workers
def test_a_stream_that_watches_draining_ends_by_itself(tmp_path, workers):
    with serving(tmp_path, APP, "--workers", workers) as running:
        answer = in_background(lambda: httpx2.get(f"{running.url}/stream", timeout=20))
        wait_until(answer.running, "the stream is under way")
        time.sleep(0.3)  # as above
        running.signal(signal.SIGTERM)
        assert answer.result(20).text.endswith("bye\n")
        assert running.ended() == 0


@workers
def test_a_stream_without_end_is_cut_when_the_grace_is_over(tmp_path, workers):
    with serving(tmp_path, APP, "--workers", workers, HOLDFAST_DRAIN_GRACE_S="1") as running:
        answer = in_background(lambda: httpx2.get(f"{running.url}/endless", timeout=20))
        wait_until(answer.running, "the stream is under way")
        time.sleep(0.3)  # as above
        running.signal(signal.SIGTERM)
        assert running.ended() == 0
        with pytest.raises(httpx2.RemoteProtocolError):
            answer.result(20)
        assert [line["outcome"] for line in running.events("request") if line["path"] == "/endless"] == ["cancelled"]


@workers
def test_a_request_that_outlives_the_grace_is_told_to_come_again(tmp_path, workers):
    with serving(tmp_path, APP, "--workers", workers, HOLDFAST_DRAIN_GRACE_S="0.5") as running:
        answer = in_background(lambda: httpx2.get(f"{running.url}/slow/30", timeout=20))
        wait_until(answer.running, "the request is under way")
        time.sleep(0.3)  # as above
        running.signal(signal.SIGTERM)
        assert answer.result(20).status_code == 503
        assert answer.result().json()["type"] == "urn:holdfast:problem:stopping"
        assert running.ended() == 0
        assert running.request_line(answer.result().headers["x-request-id"])["outcome"] == "cancelled"


@workers
def test_a_websocket_is_closed_with_1012(tmp_path, workers):
    with (
        serving(tmp_path, APP, "--workers", workers) as running,
        connect(f"ws://127.0.0.1:{running.port}/ws") as websocket,
    ):
        websocket.send("hello")
        assert websocket.recv() == "hello"
        running.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert running.ended() == 0


@workers
def test_a_second_signal_hurries(tmp_path, workers):
    with serving(tmp_path, APP, "--workers", workers, HOLDFAST_DRAIN_DELAY_S="60") as running:
        running.signal(signal.SIGTERM)
        wait_until(lambda: ready_status(running) == 503, "not ready after SIGTERM")
        running.signal(signal.SIGTERM)
        assert running.ended(15) == 0


@workers
def test_an_interrupt_from_the_keyboard_waits_for_no_delay(tmp_path, workers):
    with serving(tmp_path, APP, "--workers", workers, HOLDFAST_DRAIN_DELAY_S="60") as running:
        running.signal(signal.SIGINT)
        assert running.ended(15) == 0
