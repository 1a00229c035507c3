"""The event loop of a served application: held up and told of, and kept free by threads and processes."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest
from running import free_port, serving, wait_until

APP = """
    import logging
    import os
    import threading
    import time
    from pathlib import Path
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    import work
    from holdfast import offload

    async def hold(request):
        time.sleep(0.3)
        return JSONResponse(1)

    async def fast(request):
        return JSONResponse(1)

    def blocking(request):
        while not Path("may end").exists():
            time.sleep(0.005)
        return JSONResponse(1)

    async def elsewhere(request):
        return JSONResponse(await offload.process(work.work))

    async def too_long(request):
        await offload.process(work.for_ever)
        return JSONResponse(1)

    app = Starlette(routes=[
        Route("/hold/{what}", hold), Route("/fast", fast), Route("/blocking", blocking),
        Route("/elsewhere", elsewhere), Route("/too-long", too_long),
    ])
"""
WORK = """
import logging
import os
import time
from pathlib import Path

def work():
    logging.getLogger("work").info("at work")
    return os.getpid()

def for_ever():
    Path("calculates").write_text(str(os.getpid()))
    while True:
        sum(range(1_000_000))
"""
HELD = "the event loop was held up"


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "work.py").write_text(WORK)
    return tmp_path


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_handler_that_blocks_is_named_with_file_line_and_request_and_the_process_serves_on(folder, workers):
    with serving(folder, APP, "--workers", workers) as running:
        answer = httpx2.get(f"{running.url}/hold/tea", timeout=20)
        wait_until(lambda: running.events(HELD), "it is told")
        (line,) = running.events(HELD)
        assert line["request_id"] == answer.headers["x-request-id"]
        assert line["route"] == "/hold/{what}"
        assert line["level"] == "warning"
        number = next(
            n for n, text in enumerate((folder / "shop.py").read_text().splitlines(), 1) if "sleep(0.3)" in text
        )
        assert line["at"] == f"{folder / 'shop.py'}:{number} in hold"
        assert line["how"] == "waits"
        assert line["held_ms"] >= 250
        assert httpx2.get(f"{running.url}/fast", timeout=20).status_code == 200


def test_holdfast_around_an_application_watches_under_another_server_too(folder):
    (folder / "wrapped.py").write_text("import shop\nfrom holdfast import Holdfast\napp = Holdfast(shop.app)\n")
    port = free_port()
    with serving(folder, APP) as other:  # only so that the source is written
        assert other.port != port
    command = [sys.executable, "-m", "uvicorn", "wrapped:app", "--port", str(port), "--log-level", "warning"]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:

        def answers() -> bool:
            try:
                return httpx2.get(f"http://127.0.0.1:{port}/-/ready", timeout=5).status_code == 200
            except httpx2.HTTPError:
                return False

        wait_until(answers, "it serves")
        httpx2.get(f"http://127.0.0.1:{port}/hold/tea", timeout=20)
        httpx2.get(f"http://127.0.0.1:{port}/fast", timeout=20)
    finally:
        server.send_signal(signal.SIGINT)
        said = server.communicate(timeout=30)[0]
    assert HELD in said


def gauge(url: str, name: str) -> dict[str, float]:
    text = httpx2.get(f"{url}/-/metrics", timeout=20).text
    rows = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
    return {row.split('"')[1]: float(row.rsplit(" ", 1)[1]) for row in rows}


def test_the_frameworks_own_threads_are_bounded_and_it_is_told_when_they_are_too_few(folder):
    with serving(folder, APP, HOLDFAST_OFFLOAD_SYNC_THREADS="2") as running:
        asking = [threading.Thread(target=httpx2.get, args=(f"{running.url}/blocking",)) for _ in range(3)]
        for thread in asking:
            thread.start()
        try:
            wait_until(lambda: gauge(running.url, "holdfast_offload_waiting")["sync"] == 1, "one waits")
            assert gauge(running.url, "holdfast_offload_running")["sync"] == 2
            wait_until(lambda: running.events("synchronous handlers wait for a thread"), "it is told")
        finally:
            (folder / "may end").touch()
            for thread in asking:
                thread.join(20)
        (line,) = running.events("synchronous handlers wait for a thread")
        assert (line["waiting"], line["threads"]) == (1, 2)
        wait_until(lambda: gauge(running.url, "holdfast_offload_running")["sync"] == 0, "all are answered")


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_what_is_logged_in_a_process_of_offloads_is_found_under_the_request_and_nothing_is_left_at_the_end(folder):
    with serving(folder, APP) as running:
        answer = httpx2.get(f"{running.url}/elsewhere", timeout=30)
        wait_until(lambda: running.events("at work"), "the line is written")
        (line,) = running.events("at work")
        assert line["request_id"] == answer.headers["x-request-id"]
        assert (line["route"], line["source"]) == ("/elsewhere", "work.py:8")
        child = answer.json()
        assert child != running.process.pid
        running.signal(signal.SIGTERM)
        assert running.ended() == 0
        assert gone(child)
        assert running.events("leak") == []


def test_a_calculation_does_not_outlive_a_server_that_is_killed(folder):
    def ask_and_be_left() -> None:
        with pytest.raises(httpx2.HTTPError):
            httpx2.get(f"{running.url}/too-long", timeout=30)

    with serving(folder, APP) as running:
        asking = threading.Thread(target=ask_and_be_left)
        asking.start()
        there = folder / "calculates"
        wait_until(lambda: there.exists() and there.read_text(), "it calculates")
        os.kill(running.process.pid, signal.SIGKILL)
        running.ended()
        wait_until(lambda: gone(int(there.read_text())), "the calculation has ended")
        asking.join(30)
