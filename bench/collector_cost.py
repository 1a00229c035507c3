"""What the garbage collector costs a service that is asked: how long it holds everything up, and what is left to it.

    python bench/collector_cost.py

The depot is served by uvicorn and by `holdfast run`, and asked a thousand times for its files by ten at once, each
time on a new connection, as a crowd comes. Then a full collection is timed in the process, and what it finds is
counted: what requests have left in loops, which nothing but the collector can free. It is off meanwhile, so that all is
there to be found.
"""

import gc
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

_REQUESTS: Final = 1000
_AT_ONCE: Final = 10
_PATH: Final = "/api/files"
_TOKEN: Final = "depot_" + "aB3" * 15
_TIMES: Final = 5
_PATIENCE_S: Final = 30.0
_SERVERS: Final[Mapping[str, tuple[str, ...]]] = {
    "uvicorn": ("uvicorn", "--no-access-log"),
    "holdfast run": ("holdfast", "run"),
}


def _collect() -> dict[str, float]:
    """One full collection, and several more of what is in use. Times in milliseconds."""
    found = gc.collect()
    took: list[float] = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        gc.collect()
        took.append(1000 * (time.perf_counter() - began))
    return {"found": found, "ms": statistics.median(took)}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The depot, and a path on which the collector is looked at."""
    from depot.app import app as depot

    if scope["type"] != "http" or scope["path"] != "/collected":
        await depot(scope, receive, send)
        return
    body = json.dumps(_collect()).encode()
    gc.disable()
    head = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})


def _asked(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {_TOKEN}"})
        answer = connection.getresponse()
        if answer.status != HTTPStatus.OK:
            raise OSError(f"{path} was answered {answer.status}")
        return answer.read()
    finally:
        connection.close()


def _await_ready(port: int) -> None:
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            _asked(port, _PATH)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def _crowd(port: int, requests: int) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as clients:
        for answer in [clients.submit(_asked, port, _PATH) for _ in range(requests)]:
            answer.result()


def measured(arguments: tuple[str, ...]) -> tuple[float, float]:
    """Milliseconds of a full collection, and the objects that a request leaves to it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "DEPOT_DATA": folder, "DEPOT_FIRST_TOKEN": _TOKEN}
        environ |= {"PYTHONPATH": str(Path(__file__).parent), "HOLDFAST_SHED": "off"}  # all are to be answered
        command = [sys.executable, "-m", *arguments, "collector_cost:app", "--port", str(port)]
        server = subprocess.Popen(
            command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _await_ready(port)
            _crowd(port, _AT_ONCE)
            _asked(port, "/collected")
            _crowd(port, _REQUESTS)
            found = json.loads(_asked(port, "/collected"))
        finally:
            server.terminate()
            server.wait(_PATIENCE_S)
    return found["ms"], found["found"] / _REQUESTS


def main() -> None:
    """Measure and print."""
    print("| server | a full collection takes | objects that a request leaves to it |\n|---|---|---|")
    for name, arguments in _SERVERS.items():
        took_ms, left = measured(arguments)
        print(f"| {name} | {took_ms:.1f} ms | {left:.1f} |", flush=True)


if __name__ == "__main__":
    main()
