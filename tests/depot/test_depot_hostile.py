"""Requests that are broken, hostile or cut off: each gets a clear 4xx problem, and leaves nothing behind."""

import contextlib
import json
import socket
import threading
import time
from pathlib import Path

import pytest
from running import wait_until

BOUNDARY = "frontier"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="x.csv"\r\nContent-Type: text/csv\r\n\r\n'
).encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


def request(depot, *headers: str, path: str = "/api/files?name=x.csv", method: str = "POST") -> bytes:
    """The head of a raw request of the depot's user."""
    lines = [f"{method} {path} HTTP/1.1", "Host: depot", f"Authorization: {depot.http.headers['authorization']}"]
    return "\r\n".join([*lines, "Connection: close", *headers, "", ""]).encode("latin-1")


def problem(answer: bytes) -> tuple[int, dict]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, answer[:500]
    return int(head.split()[1]), json.loads(body)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(depot):
    """After each test: no file, no part of one, no row, no connection, no open file more than before."""
    descriptors, lines = open_files(depot), len(depot.running.lines)
    yield
    wait_until(lambda: depot.http.get("/api/files").json()["items"] == [], "no file in the list")
    wait_until(lambda: not depot.arriving(), "no part of a file")
    wait_until(lambda: open_files(depot) <= descriptors + 1, "no descriptor left open")  # the client's own connection
    assert [line for line in depot.running.lines[lines:] if line["level"] in {"error", "critical"}] == []


def open_files(depot) -> int:
    """How many contents of files and how many connections the server has open."""
    count = 0
    for descriptor in Path(f"/proc/{depot.running.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            target = str(descriptor.readlink())
            count += target.startswith("socket:") or str(depot.data / "files") in target
    return count


def test_a_body_that_is_shorter_than_it_said_is_refused(depot) -> None:
    with socket.create_connection(("127.0.0.1", depot.running.port)) as connection:
        connection.sendall(request(depot, "Content-Length: 5000000") + b"a,b\n" * 100_000)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(10)
        assert connection.recv(65536)[:12] in {b"", b"HTTP/1.1 400"}


@pytest.mark.parametrize("form", [True, False])
def test_an_upload_that_is_cut_off_leaves_nothing(depot, form: bool) -> None:
    headers = ["Content-Length: 50000000", *([f"Content-Type: {FORM}"] if form else [])]
    with socket.create_connection(("127.0.0.1", depot.running.port)) as connection:
        connection.sendall(request(depot, *headers) + (HEAD if form else b"") + b"a,b\n" * 500_000)
        wait_until(depot.arriving, "a part of a file")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset, not a clean end


def test_many_uploads_that_are_cut_off_at_once_leave_nothing(depot) -> None:
    def cut(size: int) -> None:
        with socket.create_connection(("127.0.0.1", depot.running.port)) as connection:
            connection.sendall(request(depot, "Transfer-Encoding: chunked"))
            for _ in range(size):
                connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")

    threads = [threading.Thread(target=cut, args=(size,)) for size in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"not a form at all, whatever the header says", 400),
        (HEAD + b"a,b\n1,2\n", 400),
        (HEAD.replace(b"file", b"other", 1) + b"x" + TAIL, 422),
        (HEAD.replace(b'; filename="x.csv"', b"") + b"x" + TAIL, 422),
        (HEAD.replace(b"\r\n\r\n", b"\r\nX: " + b"y" * 9_000 + b"\r\n\r\n") + b"x" + TAIL, 413),
        (HEAD.replace(b'name="file"', b'name="\xff\xfe"') + b"x" + TAIL, 400),
    ],
)
def test_a_broken_form_is_refused(depot, body: bytes, status: int) -> None:
    answer = depot.http.post("/api/files", content=body, headers={"content-type": FORM})
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "multipart/mixed; boundary=x"}, 415),
        ({"content-type": "multipart/form-data"}, 400),
        ({"content-encoding": "gzip"}, 415),
        ({"content-disposition": "attachment"}, 422),
        ({"content-disposition": 'attachment; filename=""'}, 422),
    ],
)
def test_a_body_that_cannot_be_taken_is_refused(depot, headers: dict[str, str], status: int) -> None:
    answer = depot.http.post("/api/files", content=b"a,b\n1,2\n", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_more_than_is_taken_is_refused_before_it_is_sent(depot) -> None:
    status, told = problem(depot.running.raw(request(depot, f"Content-Length: {1 << 50}")))
    assert (status, told["type"]) == (413, "urn:holdfast:problem:too-large")


@pytest.mark.parametrize(
    "bad",
    [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: -1",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, nonsense",
        "X-Big: " + "y" * 200_000,
        "Bad Header: 1",
    ],
)
def test_headers_that_contradict_themselves_or_never_end_are_refused(depot, bad: str) -> None:
    answer = depot.running.raw(request(depot, bad) + b"hello")
    assert answer[9:10] == b"4", answer[:200]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/files/..%2f..%2fetc%2fpasswd"),
        ("GET", "/api/files/%00"),
        ("GET", "/api/files/%ff%fe/content"),
        ("DELETE", "/api/files/" + "a" * 5_000),
        ("GET", "/api/files/'%20OR%201=1--"),
        ("GET", "/api/reports/records.csv?file=%00%ff"),
        ("GET", "/api/reports/secrets.csv"),
        ("PUT", "/api/files"),
    ],
)
def test_paths_that_name_nothing_are_not_found(depot, method: str, path: str) -> None:
    status, told = problem(depot.running.raw(request(depot, path=path, method=method)))
    assert status in {404, 405}
    assert told["status"] == status


@pytest.mark.parametrize(
    "query", ["after=x", "after=-1", "after=99999999999999999999", "limit=0", "limit=201", "limit=%00", "after=1e3"]
)
def test_values_that_are_not_valid_are_named(depot, query: str) -> None:
    answer = depot.http.get(f"/api/files?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["name"] == query.partition("=")[0]


def test_a_client_that_stops_reading_a_report_holds_up_nobody(depot) -> None:
    file_id = depot.send("big.csv", "a,b\n" + "some text,and some more of it\n" * 100_000)["id"]
    depot.read(file_id)
    with socket.create_connection(("127.0.0.1", depot.running.port)) as connection:
        connection.sendall(request(depot, path="/api/reports/records.csv", method="GET"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        depot.http.delete(f"/api/files/{depot.send('x.csv', 'a')['id']}")
        assert time.monotonic() - began < 5
    depot.http.delete(f"/api/files/{file_id}")
