"""Uploads that go on where they were, by real clients, through kills, two workers, and two depots on one bucket."""

import asyncio
import base64
import hashlib
import io
import os
import secrets
import signal
import socket
import subprocess
import warnings
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import aiotus
import httpx2
import pytest
from running import wait_until
from stores import s3_servers
from tusclient.client import TusClient

from depot.__main__ import main

TUS = {"tus-resumable": "1.0.0"}
PATCH = {**TUS, "content-type": "application/offset+octet-stream"}
IETF = {"upload-draft-interop-version": "8"}
HOSTILE = [
    "../../../etc/passwd",
    "..\\..\\boot.ini",
    "a/b/c.csv",
    "CON",
    ".",
    "-rf",
    "%2e%2e%2fx",
    "x" * 255,
    "Ümsätze 売上.csv",
    'quo"te; filename=evil.exe',
]


def begin(client: httpx2.Client, length: int, name: str = "x.bin", **headers: str) -> str:
    """Begin an upload by tus; its address."""
    answer = client.post("/api/uploads", headers={**TUS, "upload-length": str(length), **named(name), **headers})
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def named(name: str, filetype: str = "text/csv") -> dict[str, str]:
    pairs = (("filename", name), ("filetype", filetype))
    return {"upload-metadata": ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs)}


def append(client: httpx2.Client, location: str, offset: int, content: bytes, **headers: str) -> httpx2.Response:
    return client.patch(
        urlsplit(location).path, headers={**PATCH, "upload-offset": str(offset), **headers}, content=content
    )


def offset(client: httpx2.Client, location: str) -> int:
    answer = client.head(urlsplit(location).path, headers=TUS)
    assert answer.status_code == 200, answer.headers
    return int(answer.headers["upload-offset"])


def half_sent(depot, location: str, content: bytes, sent: int, **headers: str) -> socket.socket:
    """A connection on which `sent` bytes of an upload have gone out, and no more yet."""
    head = {**PATCH, "upload-offset": "0", **(headers or {"authorization": f"Bearer {depot.token}"})}
    return connected(depot, f"PATCH {urlsplit(location).path}", head, content, sent)


def half_posted(depot, name: str, content: bytes, sent: int) -> socket.socket:
    """As `half_sent`, for a file that is sent whole."""
    return connected(depot, f"POST /api/files?name={name}", {"authorization": f"Bearer {depot.token}"}, content, sent)


def connected(depot, request: str, head: dict[str, str], content: bytes, sent: int) -> socket.socket:
    head = {**head, "host": "depot", "content-length": str(len(content))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    connection = socket.create_connection(("127.0.0.1", depot.running.port), timeout=20)
    connection.sendall(f"{request} HTTP/1.1\r\n{lines}\r\n".encode() + content[:sent])
    return connection


def listed(depot) -> list[tuple[str, str, int]]:
    items = depot.http.get("/api/files", params={"limit": 200}).json()["items"]
    return [(one["id"], one["name"], one["size"]) for one in items]


def assert_arrived(depot, answer: httpx2.Response, name: str, content: bytes) -> str:
    """Whether the file that an answer names is listed, whole, and can be fetched; its ID."""
    file_id = answer.headers["holdfast-file-id"]
    told = depot.file(file_id)
    assert (told["name"], told["size"]) == (name, len(content))
    assert told["sha256"] == hashlib.sha256(content).hexdigest()
    assert (file_id, name, len(content)) in listed(depot)
    assert depot.http.get(f"/api/files/{file_id}/content").content == content
    return file_id


# -- clients --


def test_tuspy_sends_a_file_that_is_read_into_records(depot) -> None:
    content = b"a,b\n" + b"1,some text\n" * 100_000
    headers = {"Authorization": f"Bearer {depot.token}"}
    uploader = TusClient(depot.uploads, headers=headers).uploader(
        file_stream=io.BytesIO(content), chunk_size=600_000, metadata={"filename": "people.csv", "filetype": "text/csv"}
    )
    uploader.upload()
    looked = depot.http.head(urlsplit(uploader.url).path, headers=TUS)
    file_id = assert_arrived(depot, looked, "people.csv", content)
    assert depot.read(file_id)["records"] == 100_000
    [done] = [line for line in depot.http.get("/api/reports/activity.ndjson").text.splitlines() if "upload" in line]
    assert file_id in done


def test_aiotus_sends_a_file(depot) -> None:
    content = os.urandom(1_500_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sending = aiotus.upload(
            depot.uploads,
            io.BytesIO(content),
            {"filename": "Köln.bin".encode()},
            chunksize=400_000,
            headers={"Authorization": f"Bearer {depot.token}"},
        )
        location = asyncio.run(sending)
    assert location is not None
    assert_arrived(depot, depot.http.head(urlsplit(str(location)).path, headers=TUS), "Köln.bin", content)


def test_curl_goes_on_by_the_ietf_draft(depot, tmp_path) -> None:
    content = os.urandom(900_000)
    (tmp_path / "rest").write_bytes(content[300_000:])
    answer = depot.http.post(
        "/api/uploads",
        headers={**IETF, "upload-complete": "?0", "content-disposition": "attachment; filename=draft.bin"},
        content=content[:300_000],
    )
    assert answer.status_code == 201, answer.text
    location = urlsplit(answer.headers["location"]).path
    looked = depot.http.head(location, headers=IETF)
    assert (looked.headers["upload-offset"], looked.headers["upload-complete"]) == ("300000", "?0")
    headers = [f"Authorization: Bearer {depot.token}", "Upload-Draft-Interop-Version: 8", "Upload-Complete: ?1"]
    headers += ["Upload-Offset: 300000", "Content-Type: application/partial-upload"]
    command = ["curl", "-sS", "-D", "-", "-X", "PATCH", "--data-binary", f"@{tmp_path / 'rest'}"]
    command += [part for header in headers for part in ("-H", header)]
    done = subprocess.run([*command, depot.running.url + location], capture_output=True, text=True, check=True)
    told = dict(line.lower().split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    looked = depot.http.head(location, headers=IETF)
    assert told["holdfast-file-id"] == looked.headers["holdfast-file-id"]
    assert_arrived(depot, looked, "draft.bin", content)


def test_names_are_data_also_where_uploads_go_on(depot) -> None:
    before = depot.stored()
    for name in HOSTILE:
        answer = append(depot.http, begin(depot.http, 3, name), 0, b"abc")
        assert assert_arrived(depot, answer, name, b"abc") in depot.stored()
    wild = append(depot.http, begin(depot.http, 1, "a\0b\r\nX-Evil: 1\u202e.csv"), 0, b"x")
    assert depot.file(wild.headers["holdfast-file-id"])["name"] == "a\ufffdb\ufffd\ufffdX-Evil: 1\ufffd.csv"
    nameless = depot.http.post("/api/uploads", headers={**PATCH, "upload-length": "1"}, content=b"x")
    assert depot.file(nameless.headers["holdfast-file-id"])["name"] == "unnamed"
    assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in depot.stored() - before)


def test_a_file_that_is_deleted_is_gone_wherever_it_came_in(depot) -> None:
    location = begin(depot.http, 5, "x.txt")
    done = append(depot.http, location, 0, b"hello")
    line = depot.running.request_line(done.headers["x-request-id"])
    assert (line["route"], line["action"], line["actor"]) == ("/api/uploads/{upload_id}", "file.upload", depot.name)
    file_id = done.headers["holdfast-file-id"]
    depot.read(file_id)
    assert depot.http.delete(f"/api/files/{file_id}").status_code == 204
    wait_until(lambda: file_id not in depot.stored(), "the content removed")
    assert depot.http.get(f"/api/files/{file_id}/content").status_code == 404
    assert list((depot.data / "depot-leases").iterdir()) == []


@pytest.mark.parametrize("behind", [b"", b"\r\n"])
def test_a_file_that_the_scan_refuses_is_seen_by_nobody(depot, behind: bytes) -> None:
    harmless = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!" + b"$H+H*"
    before = depot.stored()
    location = begin(depot.http, len(harmless + behind), "eicar.com")
    tus = append(depot.http, location, 0, harmless + behind)
    form = depot.http.post("/api/files", files={"file": ("eicar.com", harmless + behind)})
    for answer in (tus, form):
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:holdfast:problem:scan-refused")
    assert (listed(depot), depot.stored(), depot.arriving()) == ([], before, set())
    assert depot.send("words.txt", harmless + b" is what it looks for")["size"] > len(harmless)


# -- who may --


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic YTpi"])
def test_of_those_who_may_not_no_byte_is_kept(depot, method: str, authorization: str | None) -> None:
    location = begin(depot.http, 3_000_000)
    before = depot.stored() | depot.arriving()
    headers = {**PATCH, "upload-offset": "0", "upload-length": "3000000"}
    if authorization is not None:
        headers["authorization"] = authorization
    path = urlsplit(location).path if method == "PATCH" else "/api/uploads"
    with httpx2.Client(base_url=depot.running.url, headers=headers, timeout=20) as stranger:
        answer = stranger.request(method, path, content=b"x" * 3_000_000)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert depot.stored() | depot.arriving() == before
    assert offset(depot.http, location) == 0


def test_an_upload_of_another_account_is_not_there(depot, shared) -> None:
    location = begin(depot.http, 3)
    assert append(shared.http, location, 0, b"abc").status_code == 404
    assert shared.http.head(urlsplit(location).path, headers=TUS).status_code == 404
    assert shared.http.delete(urlsplit(location).path, headers=TUS).status_code == 404
    assert_arrived(depot, append(depot.http, location, 0, b"abc"), "x.bin", b"abc")


def test_a_cookie_alone_begins_and_changes_nothing(depot) -> None:
    browser = depot.signed_in(accept="*/*")
    token = {"x-csrf-token": browser.csrf()}
    location = begin(browser, 3, **token)
    before = depot.stored() | depot.arriving()
    for wrong in (
        {},
        {"x-csrf-token": "wrong"},
        {**token, "sec-fetch-site": "cross-site"},
        {**token, "origin": "null"},
    ):
        made = browser.post("/api/uploads", headers={**PATCH, "upload-length": "3", **wrong}, content=b"abc")
        form = browser.post("/api/uploads", files={"file": ("x", b"abc")}, headers=wrong)
        gone = browser.delete(urlsplit(location).path, headers={**TUS, **wrong})
        for answer in (made, form, append(browser, location, 0, b"abc", **wrong), gone):
            assert (answer.status_code, answer.json()["type"]) == (403, "urn:holdfast:problem:foreign-request")
    assert depot.stored() | depot.arriving() == before
    assert offset(browser, location) == 0
    assert_arrived(depot, append(browser, location, 0, b"abc", **token), "x.bin", b"abc")


def test_who_may_no_longer_at_the_end_has_sent_no_file(depot, monkeypatch, capsys) -> None:
    content = os.urandom(2_500_000)
    monkeypatch.setenv("DEPOT_DATA", str(depot.data))
    location, other = begin(depot.http, len(content), "late.bin"), begin(depot.http, len(content), "other.bin")
    before = depot.arriving()
    browser = depot.signed_in(accept="*/*")
    proof = {"cookie": f"__Host-depot={browser.cookie()}", "x-csrf-token": browser.csrf()}
    with (
        half_sent(depot, location, content, 1_500_000) as by_token,
        half_sent(depot, other, content, 1_500_000, **proof) as by_cookie,
        half_posted(depot, "plain.bin", content, 1_500_000) as plain,
    ):
        wait_until(lambda: offset(depot.http, location) > 0, "what came of the first is safe")
        wait_until(lambda: offset(depot.http, other) > 0, "what came of the second is safe")
        assert main(["accounts", "renew", depot.name]) == 0
        assert browser.fill_in("/sign-out-everywhere", "/account").status_code == 303
        for connection in (by_token, by_cookie, plain):
            connection.sendall(content[1_500_000:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 401")
    renewed = capsys.readouterr().out.strip()
    with depot.client(renewed) as client:
        assert client.get("/api/files").json()["items"] == []
        wait_until(lambda: depot.arriving() >= before and len(depot.arriving() - before) == 2, "the plain one gone")
        for place in (location, other):
            done = append(client, place, offset(client, place), content[offset(client, place) :])
            assert done.status_code == 204, done.text
        assert [one["size"] for one in client.get("/api/files").json()["items"]] == [len(content)] * 2


# -- restarts, workers, quotas --


def test_what_was_acknowledged_survives_a_kill_and_the_rest_follows(start) -> None:
    content = os.urandom(8_000_000)
    with start(HOLDFAST_UPLOADS_PACE_CHECKPOINT_S="0.2") as depot:
        location = begin(depot.http, len(content), "killed.bin")
        assert append(depot.http, location, 0, b"").status_code == 204
        with half_sent(depot, location, content, 5_000_000):
            wait_until(lambda: offset(depot.http, location) > 1_000_000, "some of it is safe")
            safe = offset(depot.http, location)
            depot.stop(signal.SIGKILL)
        [left] = depot.arriving()
    as_the_first_version_had_it = (depot.data / "files" / ("a" * 32), depot.data / "files" / f".{'b' * 32}.part")
    for path in as_the_first_version_had_it:
        path.write_bytes(b"of an upload that broke off")
    with start() as depot:
        kept = offset(depot.http, location)
        assert safe <= kept <= 5_000_000
        assert listed(depot) == []
        done = append(depot.http, location, kept, content[kept:])
        assert done.status_code == 204, done.text
        assert assert_arrived(depot, done, "killed.bin", content) == left
        assert (depot.arriving(), depot.stored()) == (set(), {left})
        again = depot.http.head(urlsplit(location).path, headers=TUS)
        assert again.headers["holdfast-file-id"] == left
        assert depot.stop() == 0


def test_a_deploy_ends_what_can_go_on_and_waits_for_what_can_not(start) -> None:
    content = os.urandom(2_000_000)
    with start() as depot:
        location = begin(depot.http, len(content), "goes-on.bin")
        with (
            half_posted(depot, "whole.bin", content, 1_500_000) as whole,
            half_sent(depot, location, content, 1_500_000) as part,
        ):
            wait_until(lambda: len(depot.arriving()) == 2, "both have begun")
            depot.running.signal(signal.SIGTERM)
            assert part.recv(65536).startswith(b"HTTP/1.1 503")
            whole.sendall(content[1_500_000:])
            assert whole.recv(65536).startswith(b"HTTP/1.1 201")
        assert depot.stop() == 0
    with start() as depot:
        assert [name for _, name, _ in listed(depot)] == ["whole.bin"]
        kept = offset(depot.http, location)
        done = append(depot.http, location, kept, content[kept:])
        assert_arrived(depot, done, "goes-on.bin", content)
        assert kept > 0


def test_two_workers_share_uploads_and_a_quota(start) -> None:
    content = os.urandom(100_000)
    with start("--workers", "2", DEPOT_QUOTA_MB="1", DEPOT_MAX_FILE_MB="1") as depot:

        def create(number: int) -> httpx2.Response:
            with depot.client(depot.token) as client:
                headers = {**TUS, "upload-length": str(len(content)), **named(f"{number}.bin")}
                return client.post("/api/uploads", headers=headers)

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(create, range(40)))
        begun = [answer.headers["location"] for answer in answers if answer.status_code == 201]
        refused = {answer.json()["type"] for answer in answers if answer.status_code != 201}
        assert (len(begun), refused) == ((1 << 20) // len(content), {"urn:holdfast:problem:quota-exceeded"})

        def send(location: str) -> str:
            for start_at in range(0, len(content), 40_000):  # each piece on a connection, so perhaps to another worker
                with depot.client(depot.token) as client:
                    done = append(client, location, start_at, content[start_at : start_at + 40_000])
                    assert done.status_code == 204, done.text
            return done.headers["holdfast-file-id"]

        with ThreadPoolExecutor(4) as pool:
            ids = list(pool.map(send, begun))
        assert {depot.file(file_id)["sha256"] for file_id in ids} == {hashlib.sha256(content).hexdigest()}
        for kind in ({"files": {"file": ("x", content)}}, {"content": content, "params": {"name": "x"}}):
            over = depot.http.post("/api/files", **kind)
            assert (over.status_code, over.json()["type"]) == (413, "urn:holdfast:problem:quota-exceeded")
        large = create_large(depot)
        assert (large.status_code, depot.arriving()) == (413, set())
        assert depot.http.delete(f"/api/files/{ids[0]}").status_code == 204
        depot.send("fits.bin", content)
        assert depot.stored() >= set(ids[1:])
        assert depot.stop() == 0


def create_large(depot) -> httpx2.Response:
    return depot.http.post("/api/uploads", headers={**TUS, "upload-length": str(2 << 20)})


def test_two_depots_share_a_bucket_and_a_database(start, seaweed, tmp_path) -> None:
    content = b"a,b\n" + b"".join(b"%d,%s\n" % (number, b"long text " * 30) for number in range(20_000))
    common = {
        **seaweed.environ(),
        "DEPOT_BLOBS": f"s3://{s3_servers.BUCKET}/{secrets.token_hex(4)}",
        "DEPOT_DATABASE_URL": f"sqlite:///{tmp_path / 'shared.sqlite'}",
    }
    with (
        start(DEPOT_DATA=str(tmp_path / "one"), **common) as one,
        start(DEPOT_DATA=str(tmp_path / "two"), **common) as two,
    ):
        location = begin(one.http, len(content), "large.csv")
        half = len(content) // 2
        assert append(one.http, location, 0, content[:half]).status_code == 204
        assert offset(two.http, location) == half
        done = append(two.http, location, half, content[half:])
        assert done.status_code == 204, done.text
        file_id = assert_arrived(one, done, "large.csv", content)
        part = two.http.get(f"/api/files/{file_id}/content", headers={"range": "bytes=1000000-1000099"})
        assert (part.status_code, part.content) == (206, content[1_000_000:1_000_100])
        beyond = two.http.get(f"/api/files/{file_id}/content", headers={"range": f"bytes={len(content)}-"})
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(content)}")
        small = two.send("small.csv", "a,b\n1,2\n")["id"]
        assert one.read(small)["records"] == 1
        assert one.read(file_id)["records"] == 20_000
        assert one.http.delete(f"/api/files/{file_id}").status_code == 204
        assert two.http.get(f"/api/files/{file_id}/content").status_code == 404
        assert not (tmp_path / "one" / "files").exists()
        assert one.stop() == 0
        assert two.stop() == 0
