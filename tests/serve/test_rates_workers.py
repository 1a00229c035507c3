"""Rate limits of real processes, counted together by all workers."""

import contextlib
import http.client
import os
import signal
import threading
import time

import pytest
from running import Running, serving, wait_until

APP = """
    import asyncio, os
    from fastapi import FastAPI
    from holdfast import rates

    app = FastAPI()

    @app.get("/")
    async def root() -> int:
        return os.getpid()

    @app.get("/pid")
    async def pid() -> int:
        return os.getpid()

    @app.get("/of/{name}")
    async def of(name: str) -> int:
        await rates.limit("name", name, "40/day")
        return os.getpid()
"""


def answered(port: int, path: str) -> tuple[int, bytes, str | None]:
    """The status, the body, and the header of the limit, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers={"connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("ratelimit")
    finally:
        connection.close()


def asked(port: int, path: str, times: int, clients: int) -> list[tuple[int, bytes, str | None]]:
    """What many connections at once are answered."""
    found: list[tuple[int, bytes, str | None]] = []

    def ask() -> None:
        found.extend(answered(port, path) for _ in range(times // clients))

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def pids_of(port: int, known: set[bytes]) -> set[bytes]:
    """Which workers have answered, with those that are known already."""
    known |= {body for _, body, _ in asked(port, "/pid", 8, 8)}
    return known


@pytest.fixture
def workers(tmp_path):
    with serving(
        tmp_path, APP, "--workers", "2", HOLDFAST_RATE="100/day", HOLDFAST_RATE_ROUTES="/of/*=1000/s,/pid=1000/s"
    ) as it:
        wait_until(lambda: len(it.events("worker serves")) == 2, "both workers serve")
        yield it


def test_workers_count_together_to_the_last_one(workers: Running):
    pids: set[bytes] = set()
    wait_until(lambda: len(pids_of(workers.port, pids)) == 2, "both workers answer")
    found = asked(workers.port, "/", 400, 8)
    assert sorted(status for status, _, _ in found) == [200] * 100 + [429] * 300
    left = sorted(int((limit or "").split(";r=")[1].split(";")[0]) for status, _, limit in found if status == 200)
    assert left == list(range(100))


def test_what_an_application_names_is_counted_together_too(workers: Running):
    statuses = [status for status, _, _ in asked(workers.port, "/of/ann", 200, 8)]
    assert sorted(statuses) == [200] * 40 + [429] * 160


def test_a_worker_that_is_killed_leaves_the_count_as_it_is_and_nobody_waiting(workers: Running):
    before = [status for status, _, _ in asked(workers.port, "/", 60, 6)]
    assert before == [200] * 60
    stop = threading.Event()
    statuses: list[int] = []

    def go_on() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                statuses.append(answered(workers.port, "/of/ben")[0])

    threads = [threading.Thread(target=go_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(statuses) > 20, "requests are answered")
    victim = workers.events("worker serves")[0]["pid"]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(workers.events("worker serves")) == 3, "another worker serves")
    stop.set()
    for thread in threads:
        thread.join()
    began = time.monotonic()
    after = [status for status, _, _ in asked(workers.port, "/", 80, 4)]
    assert sorted(after) == [200] * 40 + [429] * 40  # the new worker goes on from the same count
    assert time.monotonic() - began < 15
    assert sum(status == 200 for status in statuses) <= 40


def test_probes_and_scrapes_are_answered_however_often(workers: Running):
    asked(workers.port, "/", 104, 4)
    assert {status for status, _, _ in asked(workers.port, "/", 4, 1)} == {429}
    for path in ("/-/live", "/-/ready", "/-/metrics"):
        assert {status for status, _, _ in asked(workers.port, path, 8, 2)} == {200}


def test_refusals_are_told_together_and_observe_refuses_nobody(tmp_path):
    with serving(tmp_path / "a", APP, HOLDFAST_RATE="1/day") as running:
        assert [status for status, _, _ in asked(running.port, "/", 50, 1)] == [200] + [429] * 49
        told = "requests are refused, for their senders have sent too many"
        wait_until(lambda: running.events(told), "a line")
        line = running.events(told)[0]
        assert (line["policy"], line["client"]) == ("default", "127.0.0.1")
        assert len(running.events(told)) < 10
        assert not [line for line in running.events("request") if line["status"] == 429]
    with serving(tmp_path / "c", APP, HOLDFAST_RATE="1/day", HOLDFAST_LOG_LEVEL="debug") as running:
        assert [status for status, _, _ in asked(running.port, "/", 2, 1)] == [200, 429]
        wait_until(lambda: [line for line in running.events("request") if line["status"] == 429], "its own line")
        line = next(line for line in running.events("request") if line["status"] == 429)
        assert (line["level"], line["outcome"], line["problem"]) == ("debug", "refused", "too-many")
    with serving(tmp_path / "b", APP, "--observe", HOLDFAST_RATE="1/day") as running:
        assert {status for status, _, _ in asked(running.port, "/", 20, 1)} == {200}
        wait_until(lambda: [line for line in running.lines if line["event"].startswith("observed")], "a line")
