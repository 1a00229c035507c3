"""Exports over real sockets, from `holdfast run`: formats, errors, cuts, clients who leave or hardly read, memory."""

import concurrent.futures
import gzip
import hashlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import httpx2
import pytest
from backports import zstd
from exporting_shop import SHOP, begun, rest, unchunked
from running import serving, wait_until

from holdfast import exports
from holdfast.decide.names import name_in

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    (folder / "spool").mkdir()
    with serving(folder / "shop", SHOP, HOLDFAST_EXPORTS_SPOOL=str(folder / "spool")) as running:
        yield running


def get(shop, path: str, **headers: str) -> httpx2.Response:
    sent = {"accept-encoding": "identity", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx2.get(f"{shop.url}{path}", headers=sent, timeout=20)


def state(shop) -> dict:
    return get(shop, "/state").json()


def nothing_is_left(shop, within_s: float = 2) -> None:
    def nothing() -> bool:
        now = state(shop)
        return now["opened"] == now["closed"] and not now["threads"] and not now["files"] and not now["room"]

    wait_until(nothing, "nothing is left of an export", within_s)


# -- formats --


@pytest.mark.parametrize(
    ("path", "accept", "media_type"),
    [
        ("/rows/3", None, "text/csv; charset=utf-8"),
        ("/rows/3", "application/json", "application/json"),
        ("/rows/3", "text/csv;q=0.1, application/x-ndjson;q=0.2", "application/x-ndjson"),
        ("/rows/3", "text/html,application/xhtml+xml,*/*;q=0.8", "text/csv; charset=utf-8"),
        ("/rows/3/teas.csv", "application/json", "text/csv; charset=utf-8"),
        ("/rows/3/teas.xlsx", None, XLSX),
        ("/form/jsonl/3", "text/csv", "application/x-ndjson"),
        ("/form/PARQUET/3", None, "application/vnd.apache.parquet"),
    ],
)
def test_the_argument_then_the_path_then_what_is_accepted_decides_the_format(shop, path, accept, media_type):
    answer = get(shop, path, **({"accept": accept} if accept else {"accept": ""}))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def test_a_request_that_accepts_no_format_is_told_which_there_are(shop):
    answer = get(shop, "/rows/3", accept="image/png, text/csv;q=0")
    assert answer.status_code == 406
    assert answer.json()["type"] == "urn:holdfast:problem:not-acceptable"
    assert "application/json" in answer.json()["media_types"]
    assert "content-disposition" not in answer.headers


def test_a_list_of_formats_may_be_on_several_lines(shop):
    with begun(
        shop.port, "/rows/3", headers="Accept: text/html\r\nAccept: application/json\r\nConnection: close\r\n"
    ) as it:
        head, body, whole = unchunked(rest(it))
    assert whole
    assert b"content-type: application/json" in head
    assert len(json.loads(body)) == 3


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("format", 404, "unknown-format"),
        ("columns", 500, "columns-mismatch"),
        ("lengths", 500, "columns-mismatch"),
        ("none", 500, "columns-mismatch"),
        ("twice", 500, "columns-mismatch"),
        ("dialect", 500, "columns-mismatch"),
        ("bind", 500, "source-unsuited"),
        ("rows", 500, "source-unsuited"),
        ("raises", 500, "unforeseen"),
    ],
)
def test_what_is_wrong_from_the_start_has_a_problem_document_of_its_own(shop, how, status, code):
    answer = get(shop, f"/wrong/{how}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:holdfast:problem:{code}"
    assert "content-disposition" not in answer.headers
    assert "no words" not in answer.text
    line = shop.request_line(answer.headers["x-request-id"])
    assert (line["status"], line["problem"]) == (status, code)


def test_the_name_of_the_file_is_the_exports_also_outside_ascii(shop):
    answer = get(shop, "/rows/3")
    assert answer.headers["content-disposition"].isascii()
    assert name_in(answer.headers["content-disposition"]) == "Чай 🜚.csv"


# -- codings --


@pytest.mark.parametrize("form", ["csv", "ndjson", "json"])
def test_compressed_it_is_the_same(shop, form):
    plain = get(shop, f"/form/{form}/20000")
    assert "content-encoding" not in plain.headers
    for coding, unpack in (("gzip", gzip.decompress), ("zstd", zstd.decompress)):
        with httpx2.stream("GET", f"{shop.url}/form/{form}/20000", headers={"accept-encoding": coding}) as answer:
            packed = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == coding
        assert answer.headers["vary"] == "accept-encoding"
        assert len(packed) < len(plain.content) / 4
        assert unpack(packed) == plain.content


@pytest.mark.parametrize("accepts", ["gzip;q=0", "zstd;q=0, gzip;q=0", "*;q=0", "identity", "br"])
def test_what_is_refused_is_not_used(shop, accepts):
    answer = get(shop, "/form/csv/3", accept_encoding=accepts)
    assert "content-encoding" not in answer.headers
    assert answer.text.startswith('"id","note"\n0,"x')


def test_what_is_compressed_already_and_what_is_not_to_be_stays_as_it_is(shop):
    for path in ("/form/xlsx/3", "/form/parquet/3", "/form/csv/3?compress=false"):
        answer = get(shop, path, accept_encoding="gzip, zstd")
        assert "content-encoding" not in answer.headers
        assert "vary" not in answer.headers
    assert get(shop, "/rows/3", accept_encoding="gzip").headers["vary"] == "accept, accept-encoding"


def test_head_runs_nothing_and_says_what_get_would(shop):
    before = state(shop)["opened"]
    for coding in ("identity", "gzip"):
        head = httpx2.head(f"{shop.url}/rows/1000000", headers={"accept-encoding": coding}, timeout=5)
        assert (head.status_code, head.content) == (200, b"")
        with httpx2.stream("GET", f"{shop.url}/rows/1", headers={"accept-encoding": coding}) as answer:
            names = ("content-type", "content-disposition", "vary", "content-encoding", "cache-control")
            assert {name: head.headers.get(name) for name in names} == {
                name: answer.headers.get(name) for name in names
            }
        before += 1
        assert state(shop)["opened"] == before


# -- errors in the middle --


@pytest.mark.parametrize(
    "path", ["/broken/csv/5000", "/broken/json/5000", "/broken/csv/1", "/abroken/ndjson/5000", "/broken/xlsx/90000"]
)
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_an_error_in_the_middle_cuts_the_connection_before_its_end(shop, path, coding):
    with begun(shop.port, path, headers=f"Accept-Encoding: {coding}\r\n") as client:
        received = rest(client)
    head, body, whole = unchunked(received)
    assert not whole
    assert b"0\r\n\r\n" not in received[-5:]
    assert b"no words" not in received
    assert b"200 OK" in head
    request_id = head.lower().partition(b"x-request-id: ")[2].partition(b"\r\n")[0].decode()
    line = shop.request_line(request_id)
    assert (line["status"], line["outcome"]) == (200, "cut")
    assert body or path == "/broken/xlsx/90000"
    wait_until(
        lambda: any("no words" in json.dumps(one) and one.get("request_id") == request_id for one in shop.lines),
        "logged",
    )
    nothing_is_left(shop)


def test_curl_sees_that_it_is_cut(shop, tmp_path):
    for path in ("/broken/csv/5000", "/broken/csv/1"):
        done = subprocess.run(["curl", "-s", "-o", tmp_path / "got", f"{shop.url}{path}"], check=False)
        assert done.returncode == 18
        assert (tmp_path / "got").read_bytes().startswith(b'"id","note"\n0,')
    assert subprocess.run(["curl", "-s", "-o", tmp_path / "got", f"{shop.url}/rows/5"], check=False).returncode == 0


def test_a_client_library_sees_that_it_is_cut(shop):
    with pytest.raises(httpx2.RemoteProtocolError):
        get(shop, "/broken/csv/5000")


def test_a_client_of_http_1_0_which_knows_no_chunks_sees_it_too(shop):
    """There the end of the connection is the end of the answer, so it must not end in good order."""
    with begun(shop.port, "/broken/csv/5000", version="1.0") as client, pytest.raises(ConnectionResetError):
        while client.recv(65536):
            pass
    with begun(shop.port, "/form/csv/5000", version="1.0") as client:
        assert rest(client).count(b"\n") > 5000


# -- the mark at the end --


@pytest.mark.parametrize(("form", "last"), [("csv", 65), ("ndjson", 68)])
def test_the_mark_verifies_in_python_and_in_the_shell(shop, form, last, tmp_path):
    file = tmp_path / "got"
    url = f"{shop.url}/form/{form}/3000?marked=true"
    subprocess.run(["curl", "-sS", "--compressed", "-o", file, url], check=True)
    assert exports.verify(file).rows == 3000
    sums = subprocess.run(
        ["bash", "-c", f'head -c -{last} "$0" | sha256sum | cut -c 1-64; tail -c {last} "$0" | head -c 64', file],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert len(sums) == 2
    assert sums[0] == sums[1] == hashlib.sha256(file.read_bytes()[:-last]).hexdigest()
    assert b"".join(exports.contents(file)) == get(shop, f"/form/{form}/3000").content


def test_an_export_that_failed_has_no_mark(shop):
    for form in ("csv", "ndjson"):
        with begun(shop.port, f"/broken/{form}/3000?marked=true") as client:
            _, body, whole = unchunked(rest(client))
        assert not whole
        with pytest.raises(exports.Truncated):
            exports.verify([body])


# -- clients who leave --


@pytest.mark.parametrize(
    "path", ["/form/csv/1000000000", "/form/json/1000000000?pause=0.001", "/form/xlsx/1000000000", "/rows/100000"]
)
@pytest.mark.parametrize("after", [0, 1, 200, 100_000])
def test_a_client_that_leaves_at_any_byte_leaves_nothing_behind(shop, path, after):
    before = state(shop)["opened"]
    client = begun(shop.port, path)
    got = 0
    if "xlsx" not in path:
        while got < min(after, 3000 if "pause" in path else after):
            got += len(client.recv(min(65536, after - got)))
    if not got:
        wait_until(lambda: state(shop)["opened"] > before, "it has begun")
    client.close()
    nothing_is_left(shop)


def test_a_client_that_is_reset_leaves_nothing_behind(shop):
    for _ in range(5):
        client = begun(shop.port, "/form/csv/1000000000")
        client.recv(100)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.close()
    nothing_is_left(shop)


# -- clients who hardly read --


def test_rows_are_read_and_the_source_closed_while_the_client_has_read_almost_nothing(shop):
    before = state(shop)["closed"]
    with begun(shop.port, "/form/csv/10000?size=1000", buffer=65536) as client:
        received = client.recv(200)
        wait_until(lambda: state(shop)["closed"] > before, "the source is closed")
        now = state(shop)
        assert now["threads"] == []
        assert now["room"] > 3_000_000
        assert now["files"]
        while not received.endswith(b"\r\n0\r\n\r\n"):
            piece = client.recv(1 << 20)
            assert piece, "it was cut"
            received += piece
        _, body, whole = unchunked(received)
        assert whole
        assert body == get(shop, "/form/csv/10000?size=1000").content
    nothing_is_left(shop)


def test_a_hundred_clients_who_hardly_read_keep_nobody_from_being_served(tmp_path):
    (tmp_path / "spool").mkdir()
    environ = {"HOLDFAST_EXPORTS_SPOOL": str(tmp_path / "spool")}
    with serving(tmp_path / "shop", SHOP, **environ) as shop:
        clients: list[socket.socket] = []
        try:
            for _ in range(100):  # one after the other, for a hundred at once are more than can be begun at once
                clients.append(begun(shop.port, "/form/csv/5000?size=1000", buffer=2048))
                assert clients[-1].recv(1024).startswith(b"HTTP/1.1 200 ")
            wait_until(lambda: state(shop)["closed"] == 100, "all rows are read")
            for _ in range(5):
                for client in clients:
                    client.recv(1024)
                began = time.monotonic()
                assert get(shop, "/hello").json() == {"hello": "you"}
                assert time.monotonic() - began < 2
            assert get(shop, "/form/csv/1000").text.count("\n") == 1001
            assert len(state(shop)["files"]) == 100
            assert len(state(shop)["threads"]) == 0
        finally:
            for client in clients:
                client.close()
        nothing_is_left(shop, 5)


@pytest.mark.parametrize("spool_bytes", ["0", "300000"])
def test_a_client_that_reads_nothing_is_cut_off_where_there_is_no_room(tmp_path, spool_bytes):
    environ = {"HOLDFAST_EXPORTS_SPOOL_BYTES": spool_bytes, "HOLDFAST_EXPORTS_HOLD_S": "0.5"}
    with serving(tmp_path, SHOP, **environ) as shop, begun(shop.port, "/form/csv/1000000000", buffer=4096) as client:
        head = client.recv(1000)
        request_id = head.lower().partition(b"x-request-id: ")[2].partition(b"\r\n")[0].decode()
        wait_until(lambda: state(shop)["closed"] == 1, "the source is closed")
        assert not rest(client).endswith(b"0\r\n\r\n")
        assert shop.request_line(request_id)["outcome"] == "cut"
        (told,) = [line for line in shop.events("an export was cut off") if line["request_id"] == request_id]
        assert told["problem"] == "reader-too-slow"
        nothing_is_left(shop)


def test_a_client_that_reads_nothing_for_long_is_cut_off_though_all_rows_are_there(tmp_path):
    with (
        serving(tmp_path, SHOP, HOLDFAST_EXPORTS_IDLE_S="0.5") as shop,
        begun(shop.port, "/form/csv/300000", buffer=4096) as client,
    ):
        client.recv(100)
        wait_until(lambda: state(shop)["closed"] == 1, "the source is closed")
        nothing_is_left(shop, 5)
        assert not rest(client).endswith(b"0\r\n\r\n")


# -- memory --


def test_a_hundred_times_as_many_rows_take_the_same_memory(shop):
    for form in ("csv", "ndjson", "json"):
        most = []
        for count in (10_000, 1_000_000):
            get(shop, "/forget")
            with httpx2.stream(
                "GET", f"{shop.url}/form/{form}/{count}", headers={"accept-encoding": "identity"}
            ) as answer:
                size = sum(len(piece) for piece in answer.iter_raw())
            assert size > count * 50
            most.append(state(shop)["most"])
        assert most[1] - most[0] < 16 * 1024 * 1024, (form, most)


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_rows_of_ten_megabytes_are_in_memory_one_by_one(tmp_path, form):
    (tmp_path / "spool").mkdir()
    with serving(tmp_path / "shop", SHOP, HOLDFAST_EXPORTS_SPOOL=str(tmp_path / "spool")) as shop:
        before = state(shop)["rss"]
        with httpx2.stream("GET", f"{shop.url}/huge/16?form={form}", headers={"accept-encoding": "identity"}) as answer:
            assert sum(len(piece) for piece in answer.iter_raw()) > 160_000_000
        assert state(shop)["most"] - before < 150 * 1024 * 1024


# -- the end of a process --


class Reading:
    """A client in a thread of its own, which has got something by the time this is there."""

    def __init__(self, shop, path: str) -> None:
        first = threading.Event()

        def read() -> bytes:
            with begun(shop.port, path, headers="Connection: close\r\n") as client:
                received = client.recv(1)
                first.set()
                return received + rest(client)

        pool = concurrent.futures.ThreadPoolExecutor(1)
        self.received = pool.submit(read)
        pool.shutdown(wait=False)
        assert first.wait(20)

    def ended(self) -> tuple[bytes, bool]:
        """The body, and whether it has an end."""
        return unchunked(self.received.result(20))[1:]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_export_that_ends_within_the_grace_period_is_whole_though_the_process_drains(tmp_path, workers):
    with serving(tmp_path, SHOP, "--workers", workers) as shop:
        reading = Reading(shop, "/form/csv/1000?pause=0.001")
        shop.signal(signal.SIGTERM)
        body, whole = reading.ended()
        assert whole
        assert body.count(b"\n") == 1001
        assert shop.ended() == 0


def test_an_export_that_does_not_is_cut_off_honestly(tmp_path):
    with serving(tmp_path, SHOP, HOLDFAST_DRAIN_GRACE_S="1") as shop:
        reading = Reading(shop, "/form/csv/100000?pause=0.001&marked=true")
        with begun(shop.port, "/form/json/100000?pause=0.001") as client:
            client.recv(10)
            shop.signal(signal.SIGTERM)
            body, whole = reading.ended()
            assert not whole
            assert body.startswith(b'"id"')
            with pytest.raises(exports.Truncated):
                exports.verify([body])
            assert not rest(client).endswith(b"0\r\n\r\n")
        shop.ended()


def test_a_worker_that_is_killed_leaves_nobody_with_a_whole_answer(tmp_path):
    (tmp_path / "spool").mkdir()
    with serving(tmp_path / "shop", SHOP, "--workers", "2", HOLDFAST_EXPORTS_SPOOL=str(tmp_path / "spool")) as shop:
        wait_until(lambda: len(shop.events("worker serves")) == 2, "both workers serve")
        family = Path(f"/proc/{shop.process.pid}/task/{shop.process.pid}/children")
        readings = [
            Reading(shop, f"/form/{form}/100000?pause=0.001&marked=true") for form in ("csv", "ndjson", "json") * 2
        ]
        slow = begun(shop.port, "/form/csv/200000", buffer=4096)
        slow.recv(100)
        for pid in family.read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        for reading in readings:
            body, whole = reading.ended()
            assert not whole
            with pytest.raises(exports.Truncated):
                exports.verify([body])
        assert not rest(slow).endswith(b"0\r\n\r\n")
        slow.close()
        assert list((tmp_path / "spool").iterdir()) == []
