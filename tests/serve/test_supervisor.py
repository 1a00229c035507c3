"""Several workers, seen from outside."""

import os
import signal
import threading
import time
from pathlib import Path

import httpx2
import pytest
from running import serving, wait_until

APP = """
    import os
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def pid(request):
        return JSONResponse(os.getpid())

    async def leave(request):
        os._exit(int(request.path_params["code"]))

    app = Starlette(routes=[Route("/pid", pid), Route("/exit/{code}", leave)])
"""


def pids(running, times: int = 30) -> set[int]:
    return {httpx2.get(f"{running.url}/pid").json() for _ in range(times)}


def serving_workers(running) -> list[int]:
    return [line["pid"] for line in running.events("worker serves")]


def test_a_worker_that_is_killed_is_replaced_and_the_log_says_why(tmp_path):
    with serving(tmp_path, APP, "--workers", "2") as running:
        wait_until(lambda: len(serving_workers(running)) == 2, "two workers serve")
        victim = serving_workers(running)[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(serving_workers(running)) == 3, "a third worker serves")
        ended = running.events("worker ended")[0]
        assert (ended["pid"], ended["code"], ended["then"]) == (victim, -9, "replace")
        assert "SIGKILL" in ended["reason"]
        assert victim not in pids(running)


def test_while_one_worker_is_gone_the_other_serves(tmp_path):
    with serving(tmp_path, APP, "--workers", "2") as running:
        wait_until(lambda: len(serving_workers(running)) == 2, "two workers serve")
        with pytest.raises(httpx2.HTTPError):
            httpx2.get(f"{running.url}/exit/7")
        assert [httpx2.get(f"{running.url}/pid").status_code for _ in range(20)] == [200] * 20
        wait_until(lambda: running.events("worker ended"), "the end is told")
        assert running.events("worker ended")[0]["reason"] == "ended with code 7"


def test_sighup_replaces_the_workers_one_by_one_and_loses_nothing(tmp_path):
    with serving(tmp_path, APP, "--workers", "2") as running:
        wait_until(lambda: len(serving_workers(running)) == 2, "two workers serve")
        before = set(serving_workers(running))
        stop, failures, answered = threading.Event(), [], []

        def load(kept: bool) -> None:
            with httpx2.Client(timeout=20) as client:
                while not stop.is_set():
                    try:
                        get = client.get if kept else httpx2.get
                        answered.append(get(f"{running.url}/pid").status_code)
                    except httpx2.HTTPError as error:
                        failures.append(repr(error))

        clients = [threading.Thread(target=load, args=(kept,)) for kept in (True, True, False, False)]
        for client in clients:
            client.start()
        running.signal(signal.SIGHUP)
        wait_until(lambda: running.events("rolling restart done"), "the restart is done", 40)
        stop.set()
        for client in clients:
            client.join()
        assert failures == []
        assert set(answered) == {200}
        assert pids(running).isdisjoint(before)


def test_a_rolling_restart_whose_new_worker_fails_leaves_the_old_ones_serving(tmp_path):
    with serving(tmp_path, APP, "--workers", "2") as running:
        wait_until(lambda: len(serving_workers(running)) == 2, "two workers serve")
        before = set(serving_workers(running))
        (tmp_path / "shop.py").write_text("raise RuntimeError('a bad deploy')")
        running.signal(signal.SIGHUP)
        wait_until(
            lambda: running.events("rolling restart given up: the new worker does not serve; the old ones stay"),
            "the restart is given up",
        )
        assert pids(running) <= before


def test_an_application_that_cannot_start_is_told_of_once_and_ends_the_whole(tmp_path):
    with serving(tmp_path, "raise RuntimeError('no database')", "--workers", "2", ready=False) as running:
        assert running.ended() == 3
        assert any("no database" in str(line) for line in running.lines)


def test_workers_do_not_outlive_a_supervisor_that_is_killed(tmp_path):
    with serving(tmp_path, APP, "--workers", "2") as running:
        wait_until(lambda: len(serving_workers(running)) == 2, "two workers serve")
        workers = serving_workers(running)
        running.process.kill()
        running.ended()

        def gone(pid: int) -> bool:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "Z"

        wait_until(lambda: all(gone(pid) for pid in workers), "the workers are gone")


def test_the_health_address_is_answered_by_the_supervisor(tmp_path):
    from running import free_port

    port = free_port()
    with serving(tmp_path, APP, "--workers", "2", HOLDFAST_HEALTH_ADDRESS=f"127.0.0.1:{port}") as running:
        answer = httpx2.get(f"http://127.0.0.1:{port}/-/ready")
        assert (answer.status_code, answer.json()["status"]) == (200, "ready")
        running.signal(signal.SIGTERM)
        assert running.ended() == 0


def test_with_reload_a_changed_file_is_served_anew(tmp_path):
    with serving(tmp_path, APP, "--reload") as running:
        (tmp_path / "shop.py").write_text(
            (tmp_path / "shop.py").read_text().replace("JSONResponse(os.getpid())", "JSONResponse(1)")
        )
        os.utime(tmp_path / "shop.py", (time.time() + 5, time.time() + 5))
        wait_until(lambda: httpx2.get(f"{running.url}/pid").json() == 1, "the new code answers")
