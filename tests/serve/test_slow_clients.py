"""Clients that send slowly, or nothing, and more connections than are allowed. Looked at from outside."""

import contextlib
import http.client
import json
import signal
import socket
import time
from pathlib import Path

import httpx2
import pytest
from running import serving, wait_until

APP = """
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def taken(request):
        return JSONResponse({"size": len(await request.body())})

    async def quick(request):
        return JSONResponse({"ok": True})

    app = Starlette(routes=[Route("/taken", taken, methods=["POST"]), Route("/quick", quick)])
"""
HEAD = b"POST /taken HTTP/1.1\r\nhost: x\r\n"


def until_closed(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(4096):
            received += piece
    return received


def opened(running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.port), timeout=30)


@pytest.mark.parametrize(
    "sent",
    [
        b"G",
        b"GET /quick HTTP/1.1\r\n",
        b"GET /quick HTTP/1.1\r\nhost: x\r\nx-half",
        b"GET /quick HTTP/1.1\r\nhost: x\r\n",
    ],
    ids=["a letter", "a line", "half a header", "all but the end"],
)
def test_a_head_that_is_never_whole_is_answered_and_ended_in_time(tmp_path, sent):
    with serving(tmp_path, APP, HOLDFAST_HEADER_TIMEOUT_S="0.5") as running, opened(running) as connection:
        connection.sendall(sent)
        answer = until_closed(connection)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"] == "urn:holdfast:problem:request-timeout"


def test_a_head_that_trickles_is_ended_although_something_comes_all_the_time(tmp_path):
    with serving(tmp_path, APP, HOLDFAST_HEADER_TIMEOUT_S="0.5") as running, opened(running) as connection:
        connection.sendall(b"GET /quick HTTP/1.1\r\nhost: x\r\n")
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 20:
                connection.sendall(b"x: y\r\n")
                time.sleep(0.05)
        assert until_closed(connection) == b"" or time.monotonic() - began < 20


def test_a_connection_that_never_asks_for_anything_is_closed_without_a_word(tmp_path):
    with serving(tmp_path, APP, HOLDFAST_HEADER_TIMEOUT_S="0.5") as running, opened(running) as connection:
        assert until_closed(connection) == b""


def test_the_second_request_on_a_connection_has_to_come_in_time_too(tmp_path):
    with serving(tmp_path, APP, HOLDFAST_HEADER_TIMEOUT_S="0.5") as running, opened(running) as connection:
        connection.sendall(b"GET /quick HTTP/1.1\r\nhost: x\r\n\r\nGET /qui")
        answer = until_closed(connection)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 408 " in answer


def test_a_kept_connection_may_be_silent_for_longer_than_a_head_may_take(tmp_path):
    settings = {"HOLDFAST_HEADER_TIMEOUT_S": "0.3", "HOLDFAST_DOOR_KEEP_ALIVE_S": "30"}
    with serving(tmp_path, APP, **settings) as running:
        kept = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
        with contextlib.closing(kept):
            for _ in range(2):
                kept.request("GET", "/quick")
                assert kept.getresponse().read() == b'{"ok":true}'
                time.sleep(1.5)  # several times what a head may take


def test_a_body_that_trickles_is_ended_once_it_was_waited_for_long_enough(tmp_path):
    with serving(tmp_path, APP) as running, opened(running) as connection:
        connection.sendall(HEAD + b"content-length: 1000\r\n\r\nx")
        connection.settimeout(1)
        began, answer = time.monotonic(), b""
        while not answer and time.monotonic() - began < 40:
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(4096)
            if not answer:
                connection.sendall(b"x")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began > 9


def test_a_slow_body_that_is_fast_enough_is_taken(tmp_path):
    with serving(tmp_path, APP, HOLDFAST_BODY_MIN_BYTES_S="10") as running, opened(running) as connection:
        connection.sendall(HEAD + b"content-length: 480\r\n\r\n")
        for _ in range(12):
            time.sleep(1)  # 12 seconds at 40 bytes a second
            connection.sendall(b"x" * 40)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_idle_connections_make_room_for_new_ones(tmp_path):
    settings = {"HOLDFAST_CONNECTIONS_MAX": "20", "HOLDFAST_DOOR_KEEP_ALIVE_S": "600"}
    with serving(tmp_path, APP, **settings) as running, contextlib.ExitStack() as stack:
        for _ in range(60):
            connection = stack.enter_context(opened(running))
            connection.sendall(b"GET /quick HTTP/1.1\r\nhost: x\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert httpx2.get(running.url + "/quick", timeout=20).status_code == 200


def accepted_by(running) -> int:
    """Connections whose descriptors the process has. A set: the kernel's table may tell of one twice."""
    held: set[str] = set()
    for descriptor in Path(f"/proc/{running.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            held.add(str(descriptor.readlink()))
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    connected = {f"socket:[{one[9]}]" for one in lines if one[1].endswith(f":{running.port:04X}") and one[3] != "0A"}
    return len(held & connected)


@contextlib.contextmanager
def held_still(running):
    """While it is stopped: descriptors are listed in pieces, and one that went would count beside one that came."""
    state = Path(f"/proc/{running.process.pid}/stat")
    running.signal(signal.SIGSTOP)
    wait_until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", "stopped")
    try:
        yield
    finally:
        running.signal(signal.SIGCONT)


def test_a_burst_does_not_pass_the_most_connections(tmp_path):
    settings = {"HOLDFAST_CONNECTIONS_MAX": "20", "HOLDFAST_HEADER_TIMEOUT_S": "1"}
    most: list[int] = []
    with serving(tmp_path, APP, **settings) as running, contextlib.ExitStack() as stack:
        with held_still(running):  # so that all of them wait when it looks
            for _ in range(100):
                stack.enter_context(opened(running)).sendall(b"GET /quick HTTP/1.1\r\n")
        while len(most) < 200:
            with held_still(running):
                most.append(accepted_by(running))
            time.sleep(0.005)
        assert httpx2.get(running.url + "/quick", timeout=20).status_code == 200
    assert 0 < max(most) <= 20


def test_half_sent_heads_do_not_keep_an_ordinary_client_out(tmp_path):
    settings = {"HOLDFAST_CONNECTIONS_MAX": "20", "HOLDFAST_HEADER_TIMEOUT_S": "1"}
    with serving(tmp_path, APP, **settings) as running, contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(opened(running)).sendall(b"GET /quick HTTP/1.1\r\n")
        assert httpx2.get(running.url + "/quick", timeout=20).status_code == 200


def test_a_client_that_is_too_slow_is_only_told_of_where_nothing_is_refused(tmp_path):
    settings = {"HOLDFAST_HEADER_TIMEOUT_S": "0.3", "HOLDFAST_OBSERVE": "true"}
    with serving(tmp_path, APP, **settings) as running, opened(running) as connection:
        connection.sendall(b"GET /quick HTTP/1.1\r\nhost: x\r\n")
        wait_until(lambda: running.events("observed: would refuse"), "it is told")
        connection.sendall(b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
