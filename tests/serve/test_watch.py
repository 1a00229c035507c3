"""A worker that hangs, one that is busy, one that is stopped: each is told apart, with real workers."""

import os
import signal
import threading
import time

import httpx2
import pytest
from asking import ask
from running import free_port, serving, wait_until

APP = """
    import asyncio
    import os
    import re
    import threading
    import time
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def pid(request):
        return JSONResponse(os.getpid())

    async def hold(request):
        how = request.path_params["how"]
        if how == "sleeps":
            time.sleep(60)
        elif how == "locks":
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
        elif how == "calculates":
            end = time.monotonic() + 1.2
            while time.monotonic() < end:
                pass
        elif how == "turns":
            end = time.monotonic() + 1.2
            while time.monotonic() < end:
                sum(range(10_000))
                await asyncio.sleep(0)
        elif how == "in-c":
            began, steps = time.monotonic(), 10_000_000
            while time.monotonic() < began + 1.2:  # one call that lets nothing else run, as long as it takes here
                steps *= 2
                sum(range(steps))
        elif how == "for-ever":
            while True:
                pass
        return JSONResponse(os.getpid())

    app = Starlette(routes=[Route("/pid", pid), Route("/hold/{how}", hold)])
"""
BUSY = "worker is busy: its event loop does not turn, but something in it works"
HUNG = "worker hangs: its event loop does not turn and nothing in it works; it is killed and replaced"
GOES_ON = "worker goes on: its event loop turns again"
STOPPED = "worker is stopped, by a signal or a debugger: it is let be"
TOO_LONG = "worker was busy with one thing for too long: it is killed and replaced"


def ready(port: int) -> tuple[int, dict]:
    return ask(port, "/-/ready")


@pytest.fixture(scope="module")
def health_port():
    return free_port()


@pytest.fixture(scope="module")
def watched(tmp_path_factory, health_port):
    with serving(
        tmp_path_factory.mktemp("watched"),
        APP,
        "--workers",
        "2",
        HOLDFAST_WORKER_HANG_S="0.6",
        HOLDFAST_HEALTH_ADDRESS=f"127.0.0.1:{health_port}",
    ) as running:
        yield running


def alive(running) -> list[int]:
    ended = {line["pid"] for line in running.events("worker ended")}
    return [line["pid"] for line in running.events("worker serves") if line["pid"] not in ended]


@pytest.fixture
def whole(watched, health_port):
    """The server, when both of its workers serve."""
    both = {"serving": 2, "wanted": 2}
    wait_until(lambda: ready(health_port)[1]["workers"] == both and len(alive(watched)) == 2, "both workers serve")
    return watched


def of_request(running, event: str, request_id: str) -> list[dict]:
    return [line for line in running.events(event) if line.get("request_id") == request_id]


@pytest.mark.parametrize("how", ["calculates", "in-c"])
def test_a_busy_worker_is_told_of_and_let_be_and_goes_on(whole, how):
    answer = httpx2.get(f"{whole.url}/hold/{how}", timeout=50)
    assert answer.status_code == 200
    busy = [line for line in whole.events(BUSY) if line["pid"] == answer.json() and "in hold" in line["stack"]]
    assert busy[-1]["cpu_share"] > 0.05
    assert busy[-1]["then"] == "let be"
    if how == "calculates":  # in one call into C, nothing of Python can say whose request it is
        assert busy[-1]["request_id"] == answer.headers["x-request-id"]
    wait_until(lambda: [line for line in whole.events(GOES_ON) if line["pid"] == answer.json()], "it goes on")
    assert answer.json() not in [line["pid"] for line in whole.events("worker ended")]


def test_a_loop_that_is_kept_busy_but_turns_is_told_nothing_of(whole):
    answer = httpx2.get(f"{whole.url}/hold/turns", timeout=50)
    assert answer.status_code == 200
    assert of_request(whole, BUSY, answer.headers["x-request-id"]) == []


@pytest.mark.parametrize("how", ["sleeps", "locks"])
def test_a_worker_that_hangs_is_told_of_with_its_stack_killed_and_replaced(whole, how):
    before = len(whole.events("worker ended"))
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(f"{whole.url}/hold/{how}", timeout=50)
    wait_until(lambda: len(whole.events("worker ended")) > before, "its end is told")
    ended, hung = whole.events("worker ended")[-1], whole.events(HUNG)[-1]
    assert (hung["pid"], hung["level"]) == (ended["pid"], "error")
    assert hung["cpu_share"] < 0.05
    assert "in hold" in hung["stack"]
    assert hung["request_id"]
    assert ended["reason"].startswith("killed because it hung: nothing was heard of its event loop for ")
    assert ended["then"] == "replace"


def test_stopped_workers_are_never_killed_but_nobody_is_ready_meanwhile(whole, health_port):
    ends = len(whole.events("worker ended"))
    first, second = alive(whole)
    os.kill(first, signal.SIGSTOP)
    wait_until(lambda: [line for line in whole.events(STOPPED) if line["pid"] == first], "the first is told of")
    assert ready(health_port) == (
        200,
        {"status": "ready", "state": "serving", "workers": {"serving": 1, "wanted": 2}},
    )
    os.kill(second, signal.SIGSTOP)
    wait_until(lambda: ready(health_port)[0] == 503, "none serves")
    time.sleep(1.2)  # twice as long as a worker may be silent that is not stopped
    for pid in (first, second):
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: ready(health_port)[1]["workers"]["serving"] == 2, "both serve again")
    assert len(whole.events("worker ended")) == ends
    assert [line["pid"] for line in whole.events(STOPPED)] == [first, second]  # told once each
    wait_until(lambda: {line["pid"] for line in whole.events(GOES_ON)} >= {first, second}, "the log says so")


def test_a_machine_that_stood_still_condemns_nobody(whole):
    lines = {event: len(whole.events(event)) for event in (HUNG, BUSY, "worker ended")}
    everybody = [whole.process.pid, *alive(whole)]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(1.0)  # as suspended
    for pid in everybody:
        os.kill(pid, signal.SIGCONT)
    assert ask(whole.port, "/pid")[0] == 200
    time.sleep(0.5)  # so that it is looked at
    assert {event: len(whole.events(event)) for event in lines} == lines


def test_a_worker_that_is_busy_for_too_long_is_killed_and_with_one_worker_nobody_is_ready_meanwhile(tmp_path):
    port = free_port()
    with serving(
        tmp_path,
        APP,
        HOLDFAST_WORKER_LIFETIME_S="600",  # one worker has a supervisor only if it may be replaced
        HOLDFAST_WORKER_HANG_S="0.4",
        HOLDFAST_WORKER_BUSY_S="1.2",
        HOLDFAST_HEALTH_ADDRESS=f"127.0.0.1:{port}",
    ) as running:
        held = threading.Thread(target=lambda: running.raw(b"GET /hold/for-ever HTTP/1.1\r\nhost: x\r\n\r\n"))
        held.start()
        wait_until(lambda: ready(port)[0] == 503, "not ready while its only worker is busy")
        wait_until(lambda: running.events("worker ended"), "it is killed")
        held.join()
        assert running.events(BUSY)[0]["killed_after_s"] == 1.2
        assert "in hold" in running.events(TOO_LONG)[0]["stack"]
        assert running.events("worker ended")[0]["reason"].startswith("killed because it was busy for too long")
        wait_until(lambda: ready(port)[0] == 200, "ready again")
        assert ask(running.port, "/pid")[0] == 200
