"""An application that takes uploads, served by real processes, and clients of it that see every byte."""

import base64
import contextlib
import hashlib
import json
import random
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw
import httpx2
from running import Running, serving, wait_until

SOURCE = """
import asyncio
import json
import os

from holdfast import NotFound, Unauthorised, uploads

blobs = uploads.blobs_at(os.environ.get("BLOBS", "files"))
ledger = uploads.ledger_at(os.environ.get("LEDGER", "uploads.sqlite"))


async def who(scope):
    for name, value in scope["headers"]:
        if name == b"x-user":
            return value.decode("latin-1")
    raise Unauthorised


async def quota(owner):
    return uploads.Room(owner_bytes=1000 if owner.startswith("poor") else None)


async def scan(upload, content):
    start = b""
    async for piece in content:
        start = start or piece[:6]
    if (upload.name or "").startswith("slow-scan"):
        await asyncio.sleep(float(os.environ.get("SCAN_S", "3")))
    return uploads.Verdict.INFECTED if start == b"X5O!P%" else uploads.Verdict.CLEAN


async def finished(whole):
    with open("finished.jsonl", "a") as out:
        out.write(json.dumps([whole.upload.id, whole.upload.owner, whole.sha256, whole.size, whole.media_type]) + "\\n")
    return "file-" + whole.upload.id


files = uploads.Uploads(
    blobs=blobs, ledger=ledger, authorise=who, quota=quota, scan=scan, finished=finished, at="/api/uploads"
)


async def inner(scope, receive, send):
    assert scope["type"] == "http"
    found = scope["path"].removeprefix("/content/file-")
    if len(found) != 32:
        raise NotFound
    pieces = [piece async for piece in blobs.read(found)]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


app = files.around(inner)
"""

TUS = {"Tus-Resumable": "1.0.0", "X-User": "anna"}
CHUNK = {"Content-Type": "application/offset+octet-stream"}


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


@dataclass
class Shop:
    """The application, where it runs, and what it keeps."""

    running: Running
    folder: Path

    @property
    def url(self) -> str:
        return f"{self.running.url}/api/uploads"

    def create(self, length: int | None, *, user: str = "anna", name: str | None = None, **headers: str):
        """Begin a tus upload; the answer."""
        sized = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
        named = {"Upload-Metadata": "filename " + base64.b64encode(name.encode()).decode()} if name is not None else {}
        return httpx2.post(self.url, headers={**TUS, "X-User": user, **sized, **named, **headers}, timeout=20)

    def begin(self, length: int | None, **more) -> str:
        """Begin a tus upload; where it is."""
        answer = self.create(length, **more)
        assert answer.status_code == 201, answer.text
        return answer.headers["location"]

    def patch(self, location: str, offset: int, data, **headers: str):
        """Append to a tus upload; the answer."""
        told = {**TUS, **CHUNK, "Upload-Offset": str(offset), **headers}
        return httpx2.patch(location, headers=told, content=data, timeout=30)

    def offset(self, location: str, user: str = "anna") -> int:
        end = time.monotonic() + 20
        answer = httpx2.head(location, headers={**TUS, "X-User": user}, timeout=20)
        while answer.status_code == 423 and time.monotonic() < end:  # it is being finished; clients ask again
            answer = httpx2.head(location, headers={**TUS, "X-User": user}, timeout=20)
        assert answer.status_code == 200, (answer.status_code, answer.headers)
        return int(answer.headers["upload-offset"])

    def content(self, file_id: str) -> bytes:
        answer = httpx2.get(f"{self.running.url}/content/{file_id}", timeout=30)
        assert answer.status_code == 200
        return answer.content

    def finished(self) -> list[list]:
        """What the application was told of: id, owner, sha256, size, media type."""
        try:
            return [json.loads(line) for line in (self.folder / "finished.jsonl").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def kept_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.folder / "files").rglob("*") if path.is_file())

    def rows(self) -> int:
        """How many uploads are known."""
        db = apsw.Connection(str(self.folder / "uploads.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return db.execute("SELECT count(*) FROM uploads").fetchone()[0]
        finally:
            db.close()

    def half_open(self, location: str, offset: int, length: int, data: bytes, user: str = "anna") -> socket.socket:
        """A PATCH whose body breaks off in the middle, on a connection that stays open."""
        path = location[location.index("/api/") :]
        head = (
            f"PATCH {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nTus-Resumable: 1.0.0\r\nX-User: {user}\r\n"
            f"Content-Type: application/offset+octet-stream\r\nUpload-Offset: {offset}\r\n"
            f"Content-Length: {length}\r\n\r\n"
        )
        connection = socket.create_connection(("127.0.0.1", self.running.port), timeout=30)
        connection.sendall(head.encode() + data)
        return connection


@contextlib.contextmanager
def shop(folder: Path, *arguments: str, **environ: str) -> Iterator[Shop]:
    """The application, served."""
    with serving(folder, SOURCE, *arguments, **environ) as running:
        yield Shop(running, folder)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def received(connection: socket.socket, timeout_s: float = 20) -> bytes:
    """What the server answers until it closes, or until an answer without a body is whole."""
    connection.settimeout(timeout_s)
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            found += piece
    return found


def until(holds, what: str, timeout_s: float = 20) -> None:
    wait_until(holds, what, timeout_s)
