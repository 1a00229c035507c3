"""Uploads by real clients to real processes, one and two: what was acknowledged is there, and whole."""

import asyncio
import base64
import hashlib
import io
import os
import signal
import socket
import subprocess
import threading
import warnings

import aiotus
import httpx2
import pytest
from tusclient import client as tusclient
from uploading import CHUNK, TUS, Shop, noise, received, sha256, shop, until


@pytest.fixture(scope="module", params=["1", "2"], ids=["one worker", "two workers"])
def served(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uploads")
    with shop(folder, "--workers", request.param, HOLDFAST_UPLOADS_UNFINISHED_MAX="300") as running:
        yield running


# -- clients --


def test_tuspy_uploads_a_file_in_chunks(served: Shop):
    data = noise(3_000_000)
    uploader = tusclient.TusClient(served.url, headers={"X-User": "anna"}).uploader(
        file_stream=io.BytesIO(data), chunk_size=700_000, metadata={"filename": "räksmörgås.bin"}, upload_checksum=True
    )
    uploader.upload()
    head = httpx2.head(uploader.url, headers=TUS)
    assert served.content(head.headers["holdfast-file-id"]) == data


def test_aiotus_uploads_a_file(served: Shop):
    data = noise(2_000_000, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        location = asyncio.run(
            aiotus.upload(
                served.url, io.BytesIO(data), {"filename": b"x"}, chunksize=600_000, headers={"X-User": "anna"}
            )
        )
    assert location is not None
    head = httpx2.head(str(location), headers=TUS)
    assert served.content(head.headers["holdfast-file-id"]) == data


def test_the_ietf_draft_resumes_where_it_stopped(served: Shop):
    data = noise(1_000_000, 2)
    speaks = {"X-User": "anna", "Upload-Draft-Interop-Version": "8"}
    begun = httpx2.post(
        served.url,
        headers={**speaks, "Upload-Complete": "?0", "Upload-Length": str(len(data))},
        content=data[:400_000],
    )
    assert begun.status_code == 201, begun.text
    location = begun.headers["location"]
    looked = httpx2.head(location, headers=speaks)
    assert looked.headers["upload-offset"] == "400000"
    assert looked.headers["upload-complete"] == "?0"
    wrong = {**speaks, "Upload-Offset": "5", "Upload-Complete": "?0", "Content-Type": "application/partial-upload"}
    refused = httpx2.patch(location, headers=wrong, content=b"x")
    assert refused.status_code == 409
    assert refused.json()["expected-offset"] == 400_000
    digest = base64.b64encode(hashlib.sha256(data[400_000:]).digest()).decode()
    rest = {
        **wrong,
        "Upload-Offset": "400000",
        "Upload-Complete": "?1",
        "Content-Digest": f"sha-256=:{digest}:",
    }
    done = httpx2.patch(location, headers=rest, content=data[400_000:])
    assert done.is_success, done.text
    assert served.content(done.headers["holdfast-file-id"]) == data


def test_the_ietf_draft_names_the_upload_before_its_bytes_are_here(served: Shop):
    """The connection breaks in the middle of the creation, and the upload goes on all the same."""
    data = noise(300_000, 30)
    head = (
        f"POST /api/uploads HTTP/1.1\r\nHost: 127.0.0.1:{served.running.port}\r\nX-User: anna\r\n"
        "Upload-Draft-Interop-Version: 8\r\n"
        f"Upload-Complete: ?1\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.running.port), timeout=20) as connection:
        connection.sendall(head.encode())
        told = b""
        while b"\r\n\r\n" not in told:
            told += connection.recv(65536)
        assert told.startswith(b"HTTP/1.1 104 "), told
        connection.sendall(data[:200_000])
    path = told.partition(b"location: ")[2].split()[0].decode()
    location = str(httpx2.URL(served.url).join(path))
    speaks = {"X-User": "anna", "Upload-Draft-Interop-Version": "8"}
    until(lambda: httpx2.head(location, headers=speaks).headers["upload-offset"] != "0", "what came is kept")
    offset = int(httpx2.head(location, headers=speaks).headers["upload-offset"])
    rest = {**speaks, "Upload-Offset": str(offset), "Upload-Complete": "?1"}
    rest["Content-Type"] = "application/partial-upload"
    done = httpx2.patch(location, headers=rest, content=data[offset:])
    assert served.content(done.headers["holdfast-file-id"]) == data


def test_the_ietf_draft_hears_how_much_is_safe_while_it_sends(tmp_path):
    with shop(tmp_path, HOLDFAST_UPLOADS_PACE_CHECKPOINT_S="0.2") as served:
        head = (
            f"POST /api/uploads HTTP/1.1\r\nHost: 127.0.0.1:{served.running.port}\r\nX-User: anna\r\n"
            "Upload-Draft-Interop-Version: 8\r\nUpload-Complete: ?1\r\nContent-Length: 100000\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", served.running.port), timeout=20) as connection:
            connection.sendall(head.encode() + bytes(70_000))
            told = b""
            while b"upload-offset: 70000\r\n" not in told:
                told += connection.recv(65536)
            assert told.count(b"HTTP/1.1 104 ") >= 2
            connection.sendall(bytes(30_000))
            while b"HTTP/1.1 201 " not in told:
                told += connection.recv(65536)


def test_curl_puts_a_file(served: Shop, tmp_path):
    data = noise(2_500_000, 3)
    (tmp_path / "x.bin").write_bytes(data)
    done = subprocess.run(
        ["curl", "-sS", "-D", "-", "-T", tmp_path / "x.bin", "-H", "X-User: anna", f"{served.url}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.lower()
    assert "201 created" in done
    file_id = done.partition("holdfast-file-id: ")[2].split()[0]
    assert served.content(file_id) == data


def test_a_form_brings_several_files_with_fields_before_and_after(served: Shop):
    one, two = noise(900_000, 4), noise(70_000, 5)
    answer = httpx2.post(
        served.url,
        headers={"X-User": "anna"},
        data={"before": "1"},
        files=[("a", ("one.bin", one)), ("b", ("../../two.bin", two))],
    )
    assert answer.status_code == 201, answer.text
    told = answer.json()["files"]
    assert [served.content(file["file"]) for file in told] == [one, two]
    assert [file["sha256"] for file in told] == [sha256(one), sha256(two)]


def test_an_empty_file_is_a_file(served: Shop):
    answer = served.create(0)
    assert answer.status_code == 201
    assert served.content(answer.headers["holdfast-file-id"]) == b""


def test_parts_are_joined(served: Shop):
    data = noise(500_000, 6)
    places = []
    for piece in (data[:200_000], data[200_000:]):
        places.append(served.begin(len(piece), **{"Upload-Concat": "partial"}))
        assert served.patch(places[-1], 0, piece).status_code == 204
    joined = httpx2.post(served.url, headers={**TUS, "Upload-Concat": "final;" + " ".join(places)})
    assert joined.status_code == 201, joined.text
    assert served.content(joined.headers["holdfast-file-id"]) == data


def test_the_application_is_told_once_with_what_the_bytes_say(served: Shop):
    page = b"<!doctype html><script>alert(1)</script>"
    answer = httpx2.put(served.url, headers={"X-User": "anna", "Content-Type": "image/png"}, content=page)
    upload_id = answer.headers["holdfast-file-id"].removeprefix("file-")
    told = [line for line in served.finished() if line[0] == upload_id]
    assert told == [[upload_id, "anna", sha256(page), len(page), "text/html"]]


def test_an_infected_file_is_seen_by_nobody(served: Shop):
    before = served.finished()
    location = served.begin(10)
    answer = served.patch(location, 0, b"X5O!P%@AP[")
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:holdfast:problem:scan-refused"
    assert served.finished() == before
    assert httpx2.get(f"{served.running.url}/content/file-{location[-32:]}").status_code == 404


# -- trouble --


def test_a_cut_connection_loses_nothing_that_arrived(served: Shop):
    data = noise(3_000_000, 7)
    location = served.begin(len(data))
    with served.half_open(location, 0, len(data), data[:1_700_000]):
        pass
    until(lambda: served.offset(location) > 0, "what arrived is kept")
    offset = served.offset(location)
    done = served.patch(location, offset, data[offset:])
    assert done.status_code == 204, done.text
    assert served.content(done.headers["holdfast-file-id"]) == data


def test_after_a_silent_drop_the_newer_request_goes_on_at_once(served: Shop):
    data = noise(2_000_000, 8)
    location = served.begin(len(data))
    with served.half_open(location, 0, len(data), data[:1_500_000]) as silent:
        until(lambda: served.offset(location) > 0, "a checkpoint while more is awaited")
        offset = served.offset(location)
        done = served.patch(location, offset, data[offset:])
        assert done.status_code == 204, done.text
        answer = received(silent)
        assert answer.startswith(b"HTTP/1.1 409"), answer
        assert b"problem:evicted" in answer
    assert served.content(done.headers["holdfast-file-id"]) == data


def test_of_two_clients_on_one_upload_the_newer_wins_and_nothing_is_mixed(served: Shop):
    data = noise(4_000_000, 9)
    location = served.begin(len(data))
    outcomes = []

    def push() -> None:
        for _ in range(100):
            offset = served.offset(location)
            if offset == len(data):
                return
            answer = served.patch(location, offset, data[offset : offset + 500_000])
            outcomes.append(answer.status_code)

    pushing = [threading.Thread(target=push) for _ in range(2)]
    for one in pushing:
        one.start()
    for one in pushing:
        one.join(40)
    head = httpx2.head(location, headers=TUS)
    assert set(outcomes) <= {204, 409, 400, 423, 503}, outcomes
    assert served.content(head.headers["holdfast-file-id"]) == data


def test_a_wrong_checksum_appends_nothing(served: Shop):
    location = served.begin(10)
    right = "sha1 " + base64.b64encode(hashlib.sha1(b"01234").digest()).decode()
    assert served.patch(location, 0, b"01234", **{"Upload-Checksum": right}).status_code == 204
    wrong = served.patch(location, 5, b"5678x", **{"Upload-Checksum": right})
    assert wrong.status_code == 460
    assert served.offset(location) == 5
    done = served.patch(location, 5, b"56789")
    assert served.content(done.headers["holdfast-file-id"]) == b"0123456789"


def test_a_stranger_gets_nowhere_and_leaves_nothing(served: Shop):
    location = served.begin(10)
    before = served.kept_bytes(), served.rows()
    told = {**TUS, **CHUNK, "Upload-Offset": "0"}
    anonymous = {key: value for key, value in told.items() if key != "X-User"}
    statuses = [
        httpx2.post(served.url, headers={"Tus-Resumable": "1.0.0", "Upload-Length": "5"}).status_code,
        httpx2.post(served.url, headers={"Content-Type": "multipart/form-data; boundary=x"}, content=b"x").status_code,
        httpx2.put(served.url, content=noise(300_000)).status_code,
        httpx2.patch(location, headers=anonymous, content=b"0123456789").status_code,
        httpx2.head(location, headers=anonymous).status_code,
    ]
    assert statuses == [401] * 5
    for method in ("HEAD", "PATCH", "DELETE"):
        assert httpx2.request(method, location, headers={**told, "X-User": "eve"}).status_code == 404
    assert (served.kept_bytes(), served.rows()) == before
    assert served.offset(location) == 0


def test_no_quota_is_overshot_by_64_creations_at_once(served: Shop):
    user = f"poor-{os.urandom(4).hex()}"

    async def all_at_once() -> list[int]:
        async with httpx2.AsyncClient(timeout=30) as client:
            asked = [
                client.post(served.url, headers={**TUS, "X-User": user, "Upload-Length": "100"}) for _ in range(64)
            ]
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    assert sorted(asyncio.run(all_at_once())).count(201) == 10


def test_what_is_removed_is_gone_with_its_bytes(served: Shop):
    location = served.begin(1_000_000)
    before = served.kept_bytes()
    served.patch(location, 0, noise(600_000))
    assert served.kept_bytes() > before
    assert httpx2.delete(location, headers=TUS).status_code == 204
    until(lambda: served.kept_bytes() <= before, "the bytes are gone")
    assert httpx2.head(location, headers=TUS).status_code in {404, 410}


def test_every_refusal_is_a_problem_document(served: Shop):
    location = served.begin(10)
    refused = {
        409: served.patch(location, 7, b"x"),
        413: served.create(10**18),
        415: httpx2.patch(location, headers={**TUS, "Upload-Offset": "0", "Content-Type": "text/plain"}, content=b"x"),
        412: httpx2.post(served.url, headers={**TUS, "Tus-Resumable": "0.2.0", "Upload-Length": "1"}),
        404: httpx2.head(served.url + "/" + "0" * 32, headers=TUS),
        405: httpx2.delete(served.url, headers={"X-User": "anna"}),
    }
    assert {answer.status_code for answer in refused.values()} == set(refused)
    for status, answer in refused.items():
        assert answer.headers["content-type"] == "application/problem+json", status


def test_where_the_upload_is_is_right_behind_a_proxy(served: Shop):
    path = "/api/uploads"
    direct = served.create(1)
    assert direct.headers["location"].startswith(f"{served.running.url}{path}/")
    proxied = served.create(1, **{"X-Forwarded-For": "203.0.113.9"})
    place = httpx2.URL("https://shop.example/behind/api/uploads").join(proxied.headers["location"])
    assert str(place) == f"https://shop.example/behind{path}/{proxied.headers['location'][-32:]}"


def test_a_deploy_does_not_wait_for_a_slow_upload(tmp_path):
    data = noise(400_000, 10)
    with shop(tmp_path, HOLDFAST_UPLOADS_PACE_CHECKPOINT_S="0.2") as first:
        location = first.begin(len(data))
        with first.half_open(location, 0, len(data), data[:300_000]) as slow:
            until(lambda: first.offset(location) == 300_000, "all that is sent has arrived")
            first.running.signal(signal.SIGTERM)
            answer = received(slow)
            assert answer.startswith(b"HTTP/1.1 503"), answer
            assert b"retry-after: 1" in answer
            assert first.running.ended() == 0
    with shop(tmp_path) as second:
        place = f"{second.url}/{location[-32:]}"
        offset = second.offset(place)
        assert offset == 300_000
        done = second.patch(place, offset, data[offset:])
        assert second.content(done.headers["holdfast-file-id"]) == data


def test_who_sends_nothing_is_told_to_come_back(tmp_path):
    with shop(tmp_path, HOLDFAST_UPLOADS_PACE_IDLE_S="0.5") as served:
        location = served.begin(100_000)
        with served.half_open(location, 0, 100_000, noise(40_000)) as slow:
            answer = received(slow)
            assert answer.startswith(b"HTTP/1.1 408"), answer
            assert b"problem:too-slow" in answer
        assert served.offset(location) == 40_000
        assert served.patch(location, 40_000, noise(60_000)).status_code == 204
