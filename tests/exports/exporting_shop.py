"""The application that the tests of served exports start: exports of every kind, and what is left of them."""

import socket

SHOP = """
import asyncio, os, threading, time
from pathlib import Path

from fastapi import BackgroundTasks, FastAPI, Request
from holdfast import exports
from holdfast.parts.exports.spool import ROOM
from starlette.responses import JSONResponse

app = FastAPI()
told = {"opened": 0, "closed": 0, "background": 0}


def rows(count, size=50, pause=0.0, error=None, first=None):
    def made():
        told["opened"] += 1
        try:
            for number in range(count):
                if pause:
                    time.sleep(pause)
                yield (number, "x" * size)
            if error:
                raise RuntimeError(error)
        finally:
            told["closed"] += 1
    return made


async def arows(count, size, error):
    told["opened"] += 1
    try:
        for number in range(count):
            yield (number, "x" * size)
        if error:
            raise RuntimeError(error)
    finally:
        told["closed"] += 1


NAMES = {"id": int, "note": str}


@app.get("/rows/{count}")
@app.head("/rows/{count}")
@app.get("/rows/{count}/teas.csv")
@app.get("/rows/{count}/teas.xlsx")
@app.get("/rows/{count}/teas.unknown")
async def asked(count: int, size: int = 50, pause: float = 0):
    return exports.stream(rows(count, size, pause), columns=NAMES, name="Чай 🜚")


@app.get("/form/{form}/{count}")
async def formed(form: str, count: int, size: int = 50, marked: bool = False, pause: float = 0, compress: bool = True):
    return exports.stream(rows(count, size, pause), columns=NAMES, form=form, marked=marked, compress=compress)


@app.get("/broken/{form}/{count}")
async def broken(form: str, count: int, marked: bool = False, pause: float = 0):
    made = rows(count, 50, pause, "no words of this to anybody")
    return exports.stream(made, columns=NAMES, form=form, marked=marked)


@app.get("/abroken/{form}/{count}")
async def abroken(form: str, count: int):
    return exports.stream(arows(count, 50, "no words of this to anybody"), columns=NAMES, form=form)


@app.get("/wrong/{how}")
async def wrong(how: str):
    wrongs = {
        "format": lambda: exports.stream([], columns=["a"], form="docx"),
        "columns": lambda: exports.stream([(1, 2, 3)], columns=["a"], form="csv"),
        "lengths": lambda: exports.stream([(1,)], columns=["a", "b"], form="json"),
        "none": lambda: exports.stream([(1,)], columns=[], form="csv"),
        "twice": lambda: exports.stream([(1, 2)], columns=["a", "a"], form="ndjson"),
        "bind": lambda: exports.stream("SELECT 1", form="csv"),
        "rows": lambda: exports.stream(3, columns=["a"], form="csv"),
        "dialect": lambda: exports.stream([], columns=["a"], form="csv", csv=exports.Csv(delimiter="x")),
        "raises": lambda: exports.stream(rows(0, error="no words of this"), columns=["a"], form="csv"),
    }
    return wrongs[how]()


@app.get("/huge/{count}")
async def huge(count: int, form: str = "csv"):
    return exports.stream(rows(count, 10_000_000), columns=NAMES, form=form)


@app.get("/background")
async def background(tasks: BackgroundTasks):
    tasks.add_task(lambda: told.update(background=told["background"] + 1))
    return exports.stream(rows(3), columns=NAMES, form="csv", headers={"X-Teas": "3", "Cache-Control": "private"})


@app.get("/hello")
async def hello():
    return {"hello": "you"}


@app.get("/state")
async def state():
    spool = os.environ.get("HOLDFAST_EXPORTS_SPOOL", "/var/tmp")
    files = []
    for fd in Path("/proc/self/fd").iterdir():
        try:
            files.append(str(fd.readlink()))
        except FileNotFoundError:
            pass
    status = Path("/proc/self/status").read_text().splitlines()
    memory = dict(line.split(":") for line in status if line.startswith("Vm"))
    return JSONResponse(told | {
        "threads": [one.name for one in threading.enumerate() if one.name == "holdfast-export"],
        "files": [name for name in files if name.startswith(spool)],
        "sockets": len([name for name in files if name.startswith("socket")]),
        "room": ROOM.taken,
        "pid": os.getpid(),
        "rss": int(memory["VmRSS"].split()[0]) * 1024,
        "most": int(memory["VmHWM"].split()[0]) * 1024,
    })


@app.get("/forget")
async def forget():
    Path("/proc/self/clear_refs").write_text("5")
    return {}
"""


def begun(port: int, path: str, *, headers: str = "", version: str = "1.1", buffer: int | None = None) -> socket.socket:
    """A connection on which a request was sent; with `buffer` it takes few bytes at once."""
    client = socket.socket()
    client.settimeout(20)
    if buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET {path} HTTP/{version}\r\nHost: x\r\n{headers}\r\n".encode())
    return client


def rest(client: socket.socket) -> bytes:
    """Everything until the server closes the connection, in whatever way."""
    received = b""
    try:
        while piece := client.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def unchunked(received: bytes) -> tuple[bytes, bytes, bool]:
    """The head of an answer, its body, and whether the body has an end."""
    head, _, rest = received.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.lower(), head
    body = b""
    while True:
        line, found, after = rest.partition(b"\r\n")
        if not found or not line:
            return head, body + (after if found else b""), False
        size = int(line, 16)
        if size == 0:
            return head, body, after == b"\r\n"
        if len(after) < size + 2:
            return head, body + after[:size], False
        body, rest = body + after[:size], after[size + 2 :]
