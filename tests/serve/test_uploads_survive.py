"""Uploads through kill -9, expiry and hostile input: what was acknowledged stays, what nobody wants goes."""

import contextlib
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from running import serving
from uploading import SOURCE, TUS, Shop, noise, sha256, shop, until


def upload_until_killed(served: Shop, location: str, data: bytes, acknowledged: list[int]) -> None:
    """Push pieces until the server dies, noting every offset that was acknowledged."""
    with contextlib.suppress(httpx2.HTTPError):
        offset = served.offset(location)
        assert offset >= acknowledged[-1], "an acknowledged byte is gone"
        acknowledged.append(offset)
        while offset < len(data):
            piece = data[offset : offset + random.randrange(1, 900_000)]
            answer = served.patch(location, offset, piece)
            assert answer.status_code == 204, answer.text
            offset = int(answer.headers["upload-offset"])
            acknowledged.append(offset)


def is_whole(served: Shop, place: str, data: bytes) -> None:
    assert served.offset(place) == len(data)
    head = httpx2.head(place, headers=TUS)
    assert sha256(served.content(head.headers["holdfast-file-id"])) == sha256(data)


def kill_and_resume(folder, kills: int, *arguments: str) -> None:
    """Kill the server at random moments of an upload, again and again; each that is through is followed by another."""
    chance = random.Random(20)
    data = noise(12_000_000, 20)
    upload_id, acknowledged = "", [0]
    for number in range(kills + 1):
        with shop(folder, *arguments) as served:
            if upload_id and acknowledged[-1] == len(data):
                is_whole(served, f"{served.url}/{upload_id}", data)
                upload_id = ""
            if not upload_id:
                upload_id, acknowledged = served.begin(len(data))[-32:], [0]
            place = f"{served.url}/{upload_id}"
            pushing = threading.Thread(target=upload_until_killed, args=(served, place, data, acknowledged))
            pushing.start()
            if number < kills:
                time.sleep(chance.uniform(0, 0.25))  # a random moment is what this is about
                served.running.process.kill()
            pushing.join(50)
            if number == kills:
                is_whole(served, place, data)
            served.running.process.kill()
            served.running.ended()


def test_nothing_acknowledged_is_lost_to_kill_9(tmp_path):
    kill_and_resume(tmp_path, 5)


@pytest.mark.long
def test_nothing_acknowledged_is_lost_to_a_thousand_kill_9(tmp_path):
    kill_and_resume(tmp_path, 1_000)


def test_an_end_that_was_begun_comes_to_its_end_after_kill_9(tmp_path):
    """All bytes are in and the scan is under way when the server dies: the next one finishes it, asked or not."""
    data = noise(300_000, 21)
    with shop(tmp_path, SCAN_S="30") as first:
        location = first.begin(len(data), name="slow-scan")
        path = first.half_open(location, 0, len(data), data)
        until(lambda: httpx2.head(location, headers=TUS).status_code == 423, "the end is under way")
        first.running.process.kill()
        first.running.ended()
        path.close()
    with shop(tmp_path, SCAN_S="0") as second:
        until(lambda: second.finished(), "it is finished though nobody asks")
        told = second.finished()
        assert [line[2] for line in told] == [sha256(data)]
        head = httpx2.head(f"{second.url}/{location[-32:]}", headers=TUS)
        assert second.content(head.headers["holdfast-file-id"]) == data


def test_a_client_that_leaves_stops_no_end(tmp_path):
    data = noise(300_000, 22)
    with shop(tmp_path, SCAN_S="0.5") as served:
        location = served.begin(len(data), name="slow-scan")
        served.half_open(location, 0, len(data), data).close()
        until(lambda: served.finished(), "it is finished though the client left")
        assert [line[2] for line in served.finished()] == [sha256(data)]


def test_what_expired_goes_and_what_is_in_use_stays(tmp_path):
    slow = {"HOLDFAST_UPLOADS_EXPIRES_S": "1", "HOLDFAST_UPLOADS_PACE_SWEEP_S": "0.2"}
    with shop(tmp_path, HOLDFAST_UPLOADS_PACE_IDLE_S="1", HOLDFAST_UPLOADS_PACE_CHECKPOINT_S="0.2", **slow) as served:
        left = served.begin(1_000_000)
        assert served.patch(left, 0, noise(500_000)).status_code == 204
        used = served.begin(1_000)
        with served.half_open(used, 0, 1_000, b"") as connection:
            sent = 0
            while httpx2.head(left, headers=TUS).status_code != 404:
                connection.sendall(b"x")
                sent += 1
                assert sent < 300
                time.sleep(0.1)
            connection.sendall(b"x" * (1_000 - sent))
            assert connection.recv(100).startswith(b"HTTP/1.1 204")
        assert served.kept_bytes() < 500_000


HOSTILE_NAMES = [
    "../../etc/passwd",
    "..\\..\\windows\\system32",
    "/etc/passwd",
    "C:\\x",
    "a\x00b",
    "a\r\nSet-Cookie: x=1",
    "\u202egnp.exe",
    "." * 300,
    "x" * 4_000,
    "CON",
    "nul.txt",
    "-rf",
    "~root",
    "$(reboot)",
    "%2e%2e%2f",
    "<script>",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "\ufeff",
    "a/b/c",
    " ",
]
HOSTILE_VALUES = [
    b"",
    b"-1",
    b"1e9",
    b"9" * 400,
    b"0x10",
    b"\xff\xfe",
    b"1, 2",
    b"?2",
    b"filename",
    b"filename ====",
    b"filename !!!,filename aGk=",
    b"final;http://x/../../etc",
    b"final;",
    b"sha1 AAAA",
    b"md5",
    b":" * 50,
    b"sha-256=:AAAA:",
    b'"' + b"x" * 3_000,
    b"multipart/form-data; boundary=" + b"b" * 300,
    b"multipart/form-data; boundary=",
    b"1.0.0",
    b"bytes 0-1/2",
    b"gzip",
    b"attachment; filename*=UTF-8''%2e%2e%2fx",
]
HEADERS = [
    "Upload-Length",
    "Upload-Offset",
    "Upload-Defer-Length",
    "Upload-Metadata",
    "Upload-Concat",
    "Upload-Checksum",
    "Upload-Complete",
    "Upload-Draft-Interop-Version",
    "Content-Type",
    "Content-Digest",
    "Repr-Digest",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Range",
    "Tus-Resumable",
    "Host",
    "X-Forwarded-Host",
    "Expect",
]


def hostile(served: Shop, number: int) -> None:
    """One request out of hostile parts. It may be refused, or taken, but never fails."""
    chance = random.Random(number)
    method = chance.choice(["POST", "PUT", "PATCH", "HEAD", "DELETE", "GET", "OPTIONS", "QUERY"])
    tail = chance.choice(
        ["", "/", "/" + "0" * 32, "/" + "G" * 32, "/../x", "/%2e%2e", "//", "/" + "a" * 32 + "/", "?name=%00..%2f"]
    )
    lines = [f"{method} /api/uploads{tail} HTTP/1.1".encode(), b"X-User: mallory", b"Connection: close"]
    lines.append(b"Content-Length: 3")
    if chance.random() < 0.7:
        lines.append(b"Tus-Resumable: 1.0.0")
    for name in chance.sample(HEADERS, chance.randrange(1, 6)):
        lines.append(name.encode() + b": " + chance.choice(HOSTILE_VALUES))
    answer = served.running.raw(b"\r\n".join(lines) + b"\r\n\r\nabc")
    statuses = [int(line.split()[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert statuses, (lines, answer)
    assert max(statuses) < 500, (lines, answer)


def be_hostile(tmp_path, requests: int) -> None:
    folder = tmp_path / "shop"
    before = {path for path in tmp_path.rglob("*") if folder not in path.parents}
    with shop(folder, HOLDFAST_UPLOADS_UNFINISHED_MAX="100000") as served:
        for name in HOSTILE_NAMES:
            answer = served.create(3, name=name)
            assert answer.status_code in {201, 400}, (name, answer.text)
            form = httpx2.post(served.url, headers={"X-User": "mallory"}, files={"f": (name or "x", b"abc")})
            assert form.status_code in {201, 400}, (name, form.text)
        with ThreadPoolExecutor(8) as threads:
            for _ in threads.map(lambda number: hostile(served, number), range(requests)):
                pass
        assert [line for line in served.running.lines if line["level"] in {"error", "critical"}] == []
        kept = {path.name for path in (folder / "files").rglob("*") if path.is_file()}
    assert {path for path in tmp_path.rglob("*") if folder not in path.parents} - {folder} == before - {folder}
    assert all(set(name.partition(".")[0]) <= set("0123456789abcdef-_") for name in kept), kept


def test_hostile_names_and_headers_neither_fail_nor_escape(tmp_path):
    be_hostile(tmp_path, 1_000)


@pytest.mark.long
def test_ten_thousand_hostile_requests_neither_fail_nor_escape(tmp_path):
    be_hostile(tmp_path, 10_000)


def test_the_disk_keeps_its_reserve(tmp_path):
    with shop(tmp_path, HOLDFAST_UPLOADS_RESERVE_BYTES=str(10**15)) as served:
        answer = served.create(10)
        assert answer.status_code == 507
        assert answer.json()["type"] == "urn:holdfast:problem:insufficient-storage"


def test_one_owner_has_a_bounded_number_of_requests(tmp_path):
    with shop(tmp_path, HOLDFAST_UPLOADS_AT_ONCE="2") as served:
        locations = [served.begin(1_000) for _ in range(3)]
        held = [served.half_open(location, 0, 1_000, b"x" * 10) for location in locations[:2]]
        until(lambda: served.patch(locations[2], 0, b"x").status_code == 429, "the third waits")
        for connection in held:
            connection.close()
        until(lambda: served.patch(locations[2], served.offset(locations[2]), b"y").status_code == 204, "then it may")


OWN_HANDLER = SOURCE.replace(
    """    found = scope["path"]""",
    """    if scope["path"] == "/report":
        async with files.receive(scope, receive, owner="anna", max_bytes=1_000_000) as received:
            if ("fail", "1") in received.fields:
                raise NotFound
            told = [[file.upload.id, file.upload.name, file.sha256, file.size] for file in received.files]
            body = json.dumps([told, received.fields]).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
        return
    found = scope["path"]""",
)


def test_a_handler_of_ones_own_receives_files(tmp_path):
    data = noise(700_000, 23)
    with serving(tmp_path, OWN_HANDLER) as running:
        served = Shop(running, tmp_path)
        url = f"{running.url}/report"
        form = httpx2.post(url, data={"note": "hej"}, files=[("a", ("one", data)), ("b", ("two", b"2"))])
        files, fields = form.json()
        assert fields == [["note", "hej"]]
        assert [file[1:] for file in files] == [["one", sha256(data), 700_000], ["two", sha256(b"2"), 1]]
        assert served.content("file-" + files[0][0]) == data
        plain = httpx2.post(url, content=data)
        assert [file[2:] for file in plain.json()[0]] == [[sha256(data), 700_000]]
        kept = served.kept_bytes()
        assert httpx2.post(url, data={"fail": "1"}, files={"a": ("one", data)}).status_code == 404
        assert httpx2.post(url, content=noise(1_000_001)).status_code == 413
        assert httpx2.post(url, files={"a": ("big", noise(1_000_001))}).status_code == 413
        assert served.kept_bytes() == kept
        assert served.finished() == []


def test_a_body_that_is_too_long_is_refused_whatever_it_said(tmp_path):
    with shop(tmp_path, HOLDFAST_UPLOADS_MAX_BYTES="1000") as served:
        assert served.create(1_001).status_code == 413
        assert httpx2.put(served.url, headers={"X-User": "anna"}, content=b"x" * 1_001).status_code == 413

        def pieces():
            for _ in range(50):
                yield b"x" * 100

        assert httpx2.put(served.url, headers={"X-User": "anna"}, content=pieces()).status_code == 413
        location = served.begin(None)
        assert served.patch(location, 0, pieces()).status_code == 413
        assert served.kept_bytes() <= 1_000


def test_many_connections_that_only_trickle_do_not_hold_up_one_that_works(tmp_path):
    with shop(tmp_path, HOLDFAST_UPLOADS_AT_ONCE="1000", HOLDFAST_UPLOADS_UNFINISHED_MAX="1000") as served:
        trickling: list[socket.socket] = []
        for _ in range(50):
            trickling.append(served.half_open(served.begin(1_000), 0, 1_000, b"x"))
        location = served.begin(2_000_000)
        assert served.patch(location, 0, noise(2_000_000)).status_code == 204
        for connection in trickling:
            connection.close()
