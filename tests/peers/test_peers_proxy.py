"""Uploads through a real reverse proxy: nothing is buffered, a newer request evicts, and refusals come back."""

import asyncio
import io
import select
import socket
import warnings

import aiotus
import httpx2
import pytest
from caddy import PREFIX, proxied
from running import free_port
from tusclient import client as tusclient
from uploading import SOURCE, TUS, Shop, noise, serving, shop, until

SPEAKS = {"X-User": "anna", "Upload-Draft-Interop-Version": "8"}
OFTEN = {"HOLDFAST_UPLOADS_PACE_CHECKPOINT_S": "0.2"}


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    """The application, and the URL of its uploads for those outside."""
    folder = tmp_path_factory.mktemp("behind")
    with shop(folder / "shop", **OFTEN) as served, proxied(folder, free_port(), served.running.port) as url:
        yield served, url


def begun(url: str, length: int) -> str:
    """Begin a tus upload through the proxy; where it is."""
    answer = httpx2.post(url, headers={**TUS, "Upload-Length": str(length)})
    assert answer.status_code == 201, answer.text
    return str(httpx2.URL(url).join(answer.headers["location"]))


def half_sent(location: str, length: int, data: bytes) -> socket.socket:
    """A PATCH through the proxy that has sent so much of its body, and is still there."""
    place = httpx2.URL(location)
    connection = socket.create_connection((place.host, place.port), timeout=20)
    head = (
        f"PATCH {place.path} HTTP/1.1\r\nHost: {place.host}:{place.port}\r\nTus-Resumable: 1.0.0\r\nX-User: anna\r\n"
        f"Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\nContent-Length: {length}\r\n\r\n"
    )
    connection.sendall(head.encode() + data)
    return connection


def test_the_address_of_an_upload_is_right_below_the_prefix(behind):
    _, url = behind
    location = begun(url, 5)
    assert location.startswith(f"{url}/")
    assert httpx2.head(location, headers=TUS).headers["upload-offset"] == "0"


def test_bytes_are_safe_while_the_client_still_sends(behind):
    served, url = behind
    data = noise(900_000, 50)
    location = begun(url, len(data))
    with half_sent(location, len(data), data[:500_000]) as sending:
        until(lambda: served.offset(direct(served, location)) == 500_000, "all that was sent is safe")
        sending.sendall(data[500_000:])
        assert sending.recv(1000).startswith(b"HTTP/1.1 204")


def test_a_newer_request_through_the_proxy_evicts_the_older_one(behind):
    served, url = behind
    data = noise(900_000, 51)
    location = begun(url, len(data))
    with half_sent(location, len(data), data[:500_000]):
        until(lambda: served.offset(direct(served, location)) > 0, "a checkpoint while more is awaited")
        offset = served.offset(location)
        done = served.patch(location, offset, data[offset:])
        assert done.status_code == 204, done.text
        until(lambda: evicted(served, location), "the older request has ended")
    assert served.content(done.headers["holdfast-file-id"]) == data


def test_the_interim_answer_that_names_an_upload_comes_through(behind):
    _, url = behind
    place = httpx2.URL(url)
    head = (
        f"POST {place.path} HTTP/1.1\r\nHost: {place.host}:{place.port}\r\nX-User: anna\r\n"
        "Upload-Draft-Interop-Version: 8\r\nUpload-Complete: ?1\r\nContent-Length: 200000\r\n\r\n"
    )
    with socket.create_connection((place.host, place.port), timeout=20) as connection:
        connection.sendall(head.encode() + b"x" * 100_000)
        told = b""
        while b"\r\n\r\n" not in told:
            told += connection.recv(65536)
    assert told.startswith(b"HTTP/1.1 104"), told
    named = told.lower().partition(b"location: ")[2].split()[0].decode()
    location = str(place.join(named))
    assert location.startswith(f"{url}/")
    until(lambda: httpx2.head(location, headers=SPEAKS).headers["upload-offset"] == "100000", "what came is kept")


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"X-User": "poor"}, 413)],
    ids=["a stranger", "too much"],
)
def test_a_refusal_comes_back_while_the_body_is_still_being_sent(behind, headers, status):
    _, url = behind
    place = httpx2.URL(url)
    told = {"Host": f"{place.host}:{place.port}", "Content-Length": str(10**9), **headers}
    lines = [f"PUT {place.path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
    sent = 0
    with socket.create_connection((place.host, place.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        while not select.select([connection], [], [], 0.001)[0]:
            sent += connection.send(bytes(10_000))
            assert sent < 10**8, "far too much of the body was wanted"
        answer = connection.recv(65536)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer


def test_tuspy_uploads_through_the_proxy(behind):
    served, url = behind
    data = noise(1_000_000, 52)
    client = tusclient.TusClient(url, headers={"X-User": "anna"})
    uploader = client.uploader(file_stream=io.BytesIO(data), chunk_size=300_000)
    uploader.upload()
    assert served.content(httpx2.head(uploader.url, headers=TUS).headers["holdfast-file-id"]) == data


def test_aiotus_uploads_through_the_proxy_where_the_application_knows_its_url(tmp_path):
    """It resolves no relative address, so the application has to tell it the whole one."""
    port = free_port()
    data = noise(1_000_000, 53)
    url = f"http://127.0.0.1:{port}{PREFIX}/api/uploads"
    source = SOURCE.replace('at="/api/uploads"', f'at="/api/uploads", url="{url}"')
    with serving(tmp_path / "shop", source) as running, proxied(tmp_path, port, running.port) as url:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sent = aiotus.upload(url, io.BytesIO(data), chunksize=300_000, headers={"X-User": "anna"})
            location = asyncio.run(sent)
        assert str(location).startswith(f"{url}/")
        file_id = httpx2.head(str(location), headers=TUS).headers["holdfast-file-id"]
        assert Shop(running, tmp_path).content(file_id) == data


def evicted(served: Shop, location: str) -> bool:
    """Whether a request for this upload was ended for a newer one. A silent client is not told by every proxy."""
    mine = [line for line in served.running.events("request") if line["path"].endswith(location[-32:])]
    return any(line.get("problem") == "evicted" for line in mine)


def direct(served: Shop, location: str) -> str:
    """The same upload, without the proxy."""
    return f"{served.url}/{location[-32:]}"
