"""Fields behind an answer, for clients that say they take them."""

import socket

import pytest
from running import serving

APP = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    offered = "http.response.trailers" in scope.get("extensions", {})
    await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": offered})
    await send({"type": "http.response.body", "body": b"rows", "more_body": True})
    await send({"type": "http.response.body", "body": b""})
    if offered:
        await send({"type": "http.response.trailers", "headers": [(b"x-rows", b"1")], "more_trailers": True})
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"2")]})
"""


def ask(port: int, *headers: str, version: str = "1.1") -> bytes:
    head = "".join(f"{line}\r\n" for line in ("Host: here", "Connection: close", *headers))
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"GET / HTTP/{version}\r\n{head}\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer.partition(b"\r\n\r\n")[2]


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("trailers"), APP) as served:
        yield served.port


def test_who_takes_trailers_gets_them_behind_the_last_chunk(port):
    assert ask(port, "TE: trailers, deflate") == b"4\r\nrows\r\n0\r\nx-rows: 1\r\nx-sum: 2\r\n\r\n"


def test_who_does_not_say_so_gets_none(port):
    assert ask(port) == b"4\r\nrows\r\n0\r\n\r\n"


def test_a_client_of_http_1_0_gets_none(port):
    assert ask(port, "TE: trailers", version="1.0") == b"rows"


def test_a_connection_goes_on_behind_trailers(port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for _ in range(2):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nTE: trailers\r\n\r\n")
            answer = b""
            while not answer.endswith(b"x-sum: 2\r\n\r\n"):
                answer += connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
