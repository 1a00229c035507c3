"""Several workers, seen from outside."""

import contextlib
import os
import signal
import time
from http.client import HTTPException
from pathlib import Path

import httpx2
import pytest
from asking import ask
from running import free_port, serving, wait_until

APP = """
    import asyncio
    import os
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route

    async def pid(request):
        return JSONResponse(os.getpid())

    async def slow(request):
        async def pieces():
            yield "begun "
            await asyncio.sleep(0.5)
            yield "done"
        return StreamingResponse(pieces())

    async def leave(request):
        os._exit(int(request.path_params["code"]))

    app = Starlette(routes=[Route("/pid", pid), Route("/slow", slow), Route("/exit/{code}", leave)])
"""


def pids(running, times: int = 30) -> set[int]:
    return {ask(running.port, "/pid")[1] for _ in range(times)}


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
        with pytest.raises((OSError, HTTPException)):
            ask(running.port, "/exit/7")
        assert {ask(running.port, "/pid")[0] for _ in range(20)} == {200}
        wait_until(lambda: running.events("worker ended"), "the end is told")
        assert running.events("worker ended")[0]["reason"] == "ended with code 7"


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


FAILS_AT_IMPORT = "raise RuntimeError('no database')"
FAILS_AT_STARTUP = """
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
"""
LEAVES_AT_IMPORT = "import sys; sys.exit('no database')"
IS_NOT_THERE = "appp = None"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (FAILS_AT_IMPORT, "no database"),
        (FAILS_AT_STARTUP, "no database"),
        (LEAVES_AT_IMPORT, "no database"),
        (IS_NOT_THERE, "has no 'app'"),
    ],
)
def test_an_application_that_cannot_start_is_told_of_once_and_ends_the_whole(tmp_path, source, said):
    with serving(tmp_path, source, "--workers", "4", ready=False) as running:
        assert running.ended() == 3
    assert len([line for line in running.output + running.errors if said in line]) == 1
    (ended,) = running.events("worker ended")  # the others were never started
    assert (ended["reason"], ended["then"]) == ("could not start", "give up")


def test_a_worker_that_dies_in_the_first_start_ends_the_whole(tmp_path):
    with serving(tmp_path, "import os; os.abort()", "--workers", "2", ready=False) as running:
        assert running.ended() == 3
    assert [line["reason"] for line in running.events("worker ended")] == ["killed by SIGABRT"]


HANGS_AT_IMPORT = """
    import time

    def wait_for_the_database():
        time.sleep(60)

    wait_for_the_database()
"""
WAITS_AT_STARTUP = """
    import asyncio
    import contextlib
    from starlette.applications import Starlette

    async def wait_for_the_database():
        await asyncio.Event().wait()

    @contextlib.asynccontextmanager
    async def lifespan(app):
        await wait_for_the_database()
        yield

    app = Starlette(lifespan=lifespan)
"""


def test_a_start_that_hangs_is_told_of_with_where_it_stands_and_ends_the_whole(tmp_path):
    with serving(tmp_path, WAITS_AT_STARTUP, "--workers", "2", ready=False, HOLDFAST_START_LIMIT_S="2") as running:
        assert running.ended() == 3
    (told,) = running.events("worker does not come to serve in time and is killed")
    assert "in wait_for_the_database" in told["stack"]
    assert (told["limit_s"], told["setting"]) == (2, "HOLDFAST_START_LIMIT_S")
    (ended,) = running.events("worker ended")
    assert ended["reason"] == "killed because it did not come to serve in time: it had 2 s"
    assert ended["then"] == "give up"


def test_one_process_whose_start_hangs_says_so_and_goes_on(tmp_path):
    with serving(tmp_path, HANGS_AT_IMPORT, ready=False, HOLDFAST_START_LIMIT_S="1.5") as running:
        wait_until(lambda: running.events("the start takes long: it does not serve yet"), "it is said")
        (told,) = running.events("the start takes long: it does not serve yet")
        assert "in wait_for_the_database" in told["stack"]
        running.process.kill()


def test_a_keyboard_that_interrupts_all_processes_at_once_still_lets_them_drain(tmp_path):
    with serving(tmp_path, APP, "--workers", "2", HOLDFAST_DRAIN_DELAY_S="60") as running:
        wait_until(lambda: len(serving_workers(running)) == 2, "two workers serve")
        with contextlib.ExitStack() as stack:
            answers = [stack.enter_context(httpx2.stream("GET", f"{running.url}/slow", timeout=20)) for _ in range(8)]
            pieces = [answer.iter_text() for answer in answers]
            assert {next(answer) for answer in pieces} == {"begun "}
            for pid in (*serving_workers(running), running.process.pid):
                os.kill(pid, signal.SIGINT)
            assert {"".join(answer) for answer in pieces} == {"done"}
        assert running.ended() == 0
    assert [line["reason"] for line in running.events("worker ended")] == ["told to stop"] * 2


def test_what_a_worker_started_does_not_keep_it_from_being_replaced(tmp_path):
    """A process that the worker forked holds all that it inherited, and lives on."""
    source = (
        APP
        + """
    import time
    if os.fork() == 0:
        os.close(1), os.close(2)
        time.sleep(10)
        os._exit(0)
"""
    )
    with serving(tmp_path, source, HOLDFAST_WORKER_LIFETIME_S="600") as running:
        wait_until(lambda: serving_workers(running), "it serves")
        os.kill(serving_workers(running)[0], signal.SIGKILL)
        wait_until(lambda: len(serving_workers(running)) == 2, "another serves")


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


def test_the_health_address_is_answered_by_the_supervisor_and_one_missing_worker_changes_nothing(tmp_path):
    port = free_port()
    with serving(tmp_path, APP, "--workers", "2", HOLDFAST_HEALTH_ADDRESS=f"127.0.0.1:{port}") as running:

        def health() -> tuple[int, dict]:
            return ask(port, "/-/ready")

        def of(serving: int) -> tuple[int, dict]:
            return 200, {"status": "ready", "state": "serving", "workers": {"serving": serving, "wanted": 2}}

        wait_until(lambda: health() == of(2) and len(serving_workers(running)) == 2, "both serve")
        (tmp_path / "shop.py").write_text("import time; time.sleep(60)")  # no other comes soon
        os.kill(serving_workers(running)[0], signal.SIGKILL)
        wait_until(lambda: health() == of(1), "one is missing")
        assert ask(running.port, "/-/ready")[0] == 200
        os.kill(serving_workers(running)[1], signal.SIGKILL)
        wait_until(lambda: health()[0] == 503, "none serves")
        assert health()[1] == {"status": "not ready", "state": "serving", "workers": {"serving": 0, "wanted": 2}}
        assert ask(port, "/-/live")[0] == 200
        running.signal(signal.SIGTERM)
        assert running.ended() == 0


def test_with_reload_a_changed_file_is_served_anew_and_nobody_is_killed_for_standing_still(tmp_path):
    with serving(tmp_path, APP, "--reload", HOLDFAST_WORKER_HANG_S="0.2") as running:
        worker = ask(running.port, "/pid")[1]
        os.kill(worker, signal.SIGSTOP)  # as at a breakpoint
        time.sleep(0.6)
        os.kill(worker, signal.SIGCONT)
        assert ask(running.port, "/pid") == (200, worker)
        (tmp_path / "shop.py").write_text(
            (tmp_path / "shop.py").read_text().replace("JSONResponse(os.getpid())", "JSONResponse(1)")
        )
        os.utime(tmp_path / "shop.py", (time.time() + 5, time.time() + 5))
        wait_until(lambda: ask(running.port, "/pid")[1] == 1, "the new code answers")
        told = [line for line in running.lines if line["level"] in {"warning", "error"}]
        assert [line for line in told if line["logger"] != "holdfast.watchdog"] == []  # a busy machine holds loops up
