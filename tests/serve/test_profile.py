"""`holdfast profile` on services that run: what it finds, what it says, and what it keeps to itself."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Self

import httpx2
import pytest
from running import Running, serving, wait_until

from holdfast.profile.asking import ask, there
from holdfast.serve import control
from holdfast.serve.control import Question, Refusal, Who

APP = """
    import asyncio
    import time
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route

    def calculate():
        end = time.monotonic() + 0.02
        while time.monotonic() < end:
            sum(range(1000))

    async def calculates(request):
        calculate()
        return JSONResponse(1)

    async def blocks(request):
        time.sleep(0.02)
        return JSONResponse(1)

    async def pool():
        await asyncio.sleep(0.2)

    async def waits(request):
        await asyncio.create_task(pool())
        return JSONResponse(1)

    async def rows():
        for _ in range(4):
            await pool()
            yield b"x"

    async def streams(request):
        return StreamingResponse(rows())

    async def stuck(request):
        time.sleep(3)
        return JSONResponse(1)

    app = Starlette(routes=[
        Route("/calculates/{secret}", calculates), Route("/blocks", blocks), Route("/waits", waits),
        Route("/streams", streams), Route("/stuck", stuck),
    ])
"""
SECRET = "hunter2"


def profile(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "holdfast", "profile", *arguments],
        env={**os.environ, "HOLDFAST_CONTROL": str(folder)},
        capture_output=True,
        text=True,
        timeout=55,
    )


class Load:
    """Requests of all kinds, one after another on each of some threads, until it is left."""

    def __init__(self, running: Running) -> None:
        self.over = threading.Event()
        paths = [
            f"/calculates/{SECRET}?token={SECRET}",
            "/blocks",
            "/waits",
            "/waits",
            "/streams",
            f"/missing/{SECRET}",
        ]
        self.threads = [threading.Thread(target=self._ask, args=(f"{running.url}{path}",)) for path in paths]

    def _ask(self, url: str) -> None:
        with httpx2.Client(timeout=30) as client:
            while not self.over.is_set():
                client.get(url)
                self.over.wait(0.02)

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(30)


@pytest.mark.parametrize("workers", [1, 2])
def test_it_says_where_the_time_goes_by_route_and_line_and_tells_running_from_waiting(tmp_path, workers):
    sockets = tmp_path / "control"
    with serving(tmp_path, APP, "--workers", str(workers), HOLDFAST_CONTROL=str(sockets)) as running:
        wait_until(lambda: len(list(sockets.glob("*.sock"))) == workers, "all listen")
        with Load(running):
            page, report = tmp_path / "page.html", tmp_path / "report.json"
            ran = profile(sockets, "--seconds", "2", "--html", str(page), "--json", str(report))
            one = profile(sockets, "--seconds", "0.1", "--worker", "0", "--pid", str(running.process.pid))
    assert (ran.returncode, ran.stderr, one.returncode) == (0, "", 0)
    assert ("2 event loops" in ran.stdout, "1 event loop" in one.stdout) == (workers == 2, False)
    assert "shop:app: event loop" in one.stdout
    ran_lines, waited = ran.stdout.split("Running:")[1].split("Waiting:")
    assert "GET /calculates/{secret}" in ran.stdout
    assert "shop.py:10 calculate" in ran_lines or "shop.py:11 calculate" in ran_lines
    assert "shop.py:18 blocks" in ran_lines
    assert "shop.py:18" not in waited
    assert "shop.py:22 pool" in waited
    assert "sleep" in waited
    told = json.loads(report.read_text())["processes"]
    assert len(told) == workers
    for one in told:
        assert one["seconds"] >= 1.9
        ran_s = sum(amount for _, _, amount in one["running"])
        assert ran_s + one["idle_s"] == pytest.approx(one["seconds"], rel=0.2)
    streaming = [lines for one in told for route, lines, _ in one["waiting"] if route == "GET /streams"]
    assert any(function == "rows" for lines in streaming for _, _, function, _ in lines)
    for text in (ran.stdout, page.read_text(), report.read_text()):
        assert SECRET not in text


def test_the_service_is_as_before_when_it_is_over_and_one_that_leaves_ends_it(tmp_path):
    sockets = tmp_path / "control"
    with serving(tmp_path, APP, HOLDFAST_CONTROL=str(sockets)) as running:
        (place,) = sockets.glob("*.sock")
        asking: list[socket.socket] = []

        def is_taken() -> bool:
            """Ask for a long one, until that one is the first to be there."""
            asking.append(socket.socket(socket.AF_UNIX))
            asking[-1].connect(str(place))
            asking[-1].sendall(b'{"do": "profile", "seconds": 600}\n')
            refused = asked(place, 0.01)
            return isinstance(refused, Refusal) and "Another profile" in refused.error

        wait_until(is_taken, "it is being taken")
        for connection in asking:
            connection.close()
        wait_until(lambda: not isinstance(asked(place, 0.01), Refusal), "it has ended")
        assert httpx2.get(f"{running.url}/blocks", timeout=20).status_code == 200
        assert running.events("an exception left the application") == []
    assert list(sockets.iterdir()) == []


def asked(place: Path, seconds: float):
    from holdfast.profile.report import Process

    return ask(place, Question("profile", seconds), Process, 20)


def test_who_a_process_is_can_be_asked_while_its_event_loop_is_held_up(tmp_path):
    sockets = tmp_path / "control"
    with serving(tmp_path, APP, HOLDFAST_CONTROL=str(sockets)) as running:
        stuck = threading.Thread(target=httpx2.get, args=(f"{running.url}/stuck",), kwargs={"timeout": 20})
        stuck.start()
        wait_until(lambda: running.events("the event loop is held up"), "it is held up")
        ((_, who),) = there(sockets)
        assert stuck.is_alive()
        stuck.join()
        assert who == Who(running.process.pid, running.process.pid, 0, "shop:app", [running.url])


def test_the_socket_is_its_users_alone(tmp_path):
    sockets = tmp_path / "control"
    with serving(tmp_path, APP, HOLDFAST_CONTROL=str(sockets)):
        (place,) = sockets.glob("*.sock")
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert stat.S_IMODE(place.stat().st_mode) == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_somebody_else_gets_no_answer_even_where_the_socket_can_be_reached(tmp_path):
    sockets = tmp_path / "control"
    with serving(tmp_path, APP, HOLDFAST_CONTROL=str(sockets)) as running:
        (place,) = sockets.glob("*.sock")
        for part in (*tmp_path.parents[:3], tmp_path, sockets):
            part.chmod(part.stat().st_mode | 0o011)
        place.chmod(0o666)
        code = (
            "import os, socket, sys; s = socket.socket(socket.AF_UNIX); os.setuid(int(sys.argv[2]));"
            "s.connect(sys.argv[1]);"
            's.sendall(b\'{"do": "who"}\\n\'); print(s.recv(100))'
        )
        said = {}
        for user in ("0", "65534"):
            command = [sys.executable, "-c", code, str(place), user]
            said[user] = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
        assert '"pid"' in said["0"]
        assert '"pid"' not in said["65534"]
        assert httpx2.get(f"{running.url}/blocks", timeout=20).status_code == 200


def test_a_folder_that_others_may_write_to_is_not_used_and_the_service_serves_all_the_same(tmp_path):
    sockets = tmp_path / "control"
    sockets.mkdir(mode=0o755)
    with serving(tmp_path, APP, HOLDFAST_CONTROL=str(sockets)) as running:
        assert list(sockets.iterdir()) == []
        (line,) = [line for line in running.lines if line["event"].startswith("there is no control socket")]
        assert line["level"] == "warning"
        assert "is not a folder that belongs to this user alone" in line["event"]


def test_sockets_of_services_that_were_killed_are_cleared_away(tmp_path):
    sockets = tmp_path / "control"
    with serving(tmp_path, APP, HOLDFAST_CONTROL=str(sockets)) as running:
        os.kill(running.process.pid, signal.SIGKILL)
        running.ended()
    assert len(list(sockets.glob("*.sock"))) == 1
    assert there(sockets) == []
    with serving(tmp_path, APP, HOLDFAST_CONTROL=str(sockets)) as running:
        assert [path.stem for path in sockets.glob("*.sock")] == [str(running.process.pid)]


def test_without_a_service_it_says_what_to_do(tmp_path):
    ran = profile(tmp_path / "control")
    assert ran.returncode == 2
    assert ran.stderr == (
        "holdfast: There is no running service to be profiled.\n"
        "Start one with `holdfast run`, as this user, with the same HOLDFAST_CONTROL, in the same container.\n"
    )


def test_of_several_services_one_has_to_be_named(tmp_path):
    sockets = tmp_path / "control"
    with (
        serving(tmp_path / "one", APP, HOLDFAST_CONTROL=str(sockets)) as one,
        serving(tmp_path / "two", APP, HOLDFAST_CONTROL=str(sockets)) as two,
    ):
        ran = profile(sockets, "--seconds", "0.1")
        assert ran.returncode == 2
        assert "There are several services" in ran.stderr
        for running in (one, two):
            assert f"shop:app at {running.url} (--pid {running.process.pid})" in ran.stderr
        assert "Say which with --pid." in ran.stderr
        assert "shop:app: event loop" in profile(sockets, "--seconds", "0.1", "--pid", str(two.process.pid)).stdout
        ran = profile(sockets, "--seconds", "0.1", "--pid", "1")
        assert "There is no running service to be profiled. There is shop:app" in ran.stderr


def test_a_question_that_is_not_known_is_answered_with_what_to_do(tmp_path):
    sockets = tmp_path / "control"
    with serving(tmp_path, APP, HOLDFAST_CONTROL=str(sockets)):
        (place,) = sockets.glob("*.sock")
        for question in (
            b"nonsense\n",
            b'{"do": "everything"}\n',
            b'{"do": "profile", "seconds": 1e9}\n',
            b"x" * 10_000,
        ):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(20)
                connection.connect(str(place))
                connection.sendall(question)
                answer = b""
                try:
                    while piece := connection.recv(4096):
                        answer += piece
                except ConnectionResetError:
                    pass  # it was not read whole
            assert b"The question is not one that is known." in answer
        assert len(there(sockets)) == 1


def test_without_the_extra_it_says_which_one(tmp_path):
    sockets = tmp_path / "control"
    hidden = 'import sys\nsys.modules["pyinstrument"] = None\n'
    with serving(tmp_path, hidden + textwrap.dedent(APP), HOLDFAST_CONTROL=str(sockets)):
        ran = profile(sockets, "--seconds", "0.1")
    assert ran.returncode == 2
    assert "pip install 'holdfast[profile]'" in ran.stderr


def test_off_there_is_no_socket(tmp_path):
    with serving(tmp_path, APP, HOLDFAST_CONTROL="off"):
        assert not (tmp_path / "off").exists()


def test_by_default_the_folder_is_among_what_the_user_has_at_run_time(monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert control.folder("") == Path("/run/user/1000/holdfast")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert control.folder("").name == f"holdfast-{os.getuid()}"
    assert control.folder("/srv/control") == Path("/srv/control")
