"""What counting costs: a request through all of Holdfast's layers, in one process without a socket, counted and not.

    python bench/metrics_cost.py            nine rounds of 30,000 requests for each
    python bench/metrics_cost.py --quick    three rounds of 5,000

Each round starts a process for either, one after the other. CPU time is that of the whole process, the thread that
writes the log and the flushing of the numbers included. It also says how long a scrape takes, by the number of series.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from holdfast.app import Holdfast
from holdfast.asgi import Message, Receive, Scope, Send
from holdfast.decide.metrics import Place
from holdfast.events import RequestFinished
from holdfast.parts.metrics import Metrics

AIM_US: Final = 3.0
_WAYS: Final = ("off", "app")
_ROUTES: Final = 20


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once, and name a route as a framework does."""
    del receive
    scope["path_template"] = scope["path"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Message) -> None:
    del message


async def _serve(requests: int) -> float:
    """CPU seconds for so many requests, the lines of their log written."""
    app = Holdfast(application)
    scope = {"type": "http", "method": "GET", "query_string": b"", "headers": [], "client": ("127.0.0.1", 1)}
    began = 0.0
    for number in range(-requests // 10, requests):
        if number == 0:
            began = time.process_time()
        await app({**scope, "path": f"/teas/{number % _ROUTES}"}, _receive, _send)
        if number % 100 == 0:
            await asyncio.sleep(0)
    return time.process_time() - began


def _one(where: str, requests: int) -> float:
    """Microseconds of CPU time per request, in a process of its own."""
    ran = subprocess.run(
        [sys.executable, __file__, "--serve", str(requests)],
        env={**os.environ, "HOLDFAST_METRICS_WHERE": where},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(ran.stderr.split()[-1]) / requests * 1e6


async def _scrape(routes: int) -> tuple[int, float]:
    """The lines of an answer for so many routes of four workers, and the seconds that it takes."""
    with tempfile.TemporaryDirectory() as made:
        workers = [Metrics(Place.APP, folder=Path(made), wanted=str(slot)) for slot in range(4)]
        for worker in workers:
            worker.open()
            for number in range(routes):
                worker.meter.request_finished(_fact(f"/teas/{number}"))
            worker.flush()
        times: list[float] = []
        body = b""
        for _ in range(9):
            began = time.perf_counter()
            _, body = await workers[0].answer([])
            times.append(time.perf_counter() - began)
        return body.count(b"\n"), statistics.median(times)


def _fact(route: str) -> RequestFinished:
    return RequestFinished(
        0.0, "", None, None, None, None, "http", "GET", route, "", route, 200, 1.0, 2, None, None, "ok", None
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What counting costs.")
    parser.add_argument("--quick", action="store_true", help="three rounds of 5,000 requests")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        print(asyncio.run(_serve(options.serve)), file=sys.stderr)
        return
    rounds, requests = (3, 5_000) if options.quick else (9, 30_000)
    found = [{where: _one(where, requests) for where in _WAYS} for _ in range(rounds)]
    for where in _WAYS:
        print(f"metrics {where:<4} {statistics.median(one[where] for one in found):6.2f} µs of CPU per request")
    more = sorted(one["app"] - one["off"] for one in found)
    print(f"more: {statistics.median(more):.2f} µs ({more[0]:.2f} to {more[-1]:.2f}; aim: at most {AIM_US:g})")
    for routes in (10, 100, 500):
        lines, took = asyncio.run(_scrape(routes))
        print(f"a scrape of {lines:,} lines from 4 workers: {took * 1000:.1f} ms")


if __name__ == "__main__":
    main()
