"""Workers that are exchanged for new ones: because of their memory, their age, or on request. Nothing is dropped."""

import contextlib
import threading
from http.client import HTTPException

import httpx2
from asking import ask
from running import serving, wait_until

APP = """
    import os
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    kept = []

    async def leak(request):
        kept.append(os.urandom(int(request.path_params["mb"]) * 1_000_000))
        return JSONResponse(os.getpid())

    app = Starlette(routes=[Route("/leak/{mb}", leak)])
"""

SOON = {
    "HOLDFAST_WORKER_LIFETIME_S": "1",
    "HOLDFAST_WORKER_JITTER": "0",
    "HOLDFAST_WORKER_HANG_S": "2",  # so that it is looked at every half second
}


@contextlib.contextmanager
def asked_all_the_time(port: int):
    """One client on a kept-alive connection and one on new connections; what they are told, and what failed."""
    stop, answered, failed = threading.Event(), [], []

    def go_on_asking(get) -> None:
        while not stop.wait(0.01):
            try:
                answered.append(get())
            except (httpx2.HTTPError, OSError, HTTPException, ValueError) as error:
                failed.append(repr(error))

    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as session:

        def kept() -> int:
            return session.get("/leak/0").json()

        def new() -> int:
            return ask(port, "/leak/0")[1]

        clients = [threading.Thread(target=go_on_asking, args=(get,)) for get in (kept, new)]
        for client in clients:
            client.start()
        try:
            yield answered, failed
        finally:
            stop.set()
            for client in clients:
                client.join()


def test_a_worker_over_its_memory_ceiling_is_replaced_and_nothing_is_dropped(tmp_path):
    with serving(
        tmp_path, APP, "--workers", "2", HOLDFAST_WORKER_MEMORY_MAX_MB="200", HOLDFAST_WORKER_JITTER="0"
    ) as running:
        wait_until(lambda: len(running.events("worker serves")) == 2, "two workers serve")
        with asked_all_the_time(running.port) as (answered, failed):
            greedy = ask(running.port, "/leak/200")[1]
            wait_until(lambda: running.events("worker ended"), "the greedy one has gone")
        assert failed == []
        assert answered
        asked = running.events("worker has more memory than it may: another is started in its place")[0]
        assert (asked["pid"], asked["level"]) == (greedy, "info")
        (ended,) = running.events("worker ended")
        new = running.events("worker serves")[2]
        assert (ended["pid"], ended["code"], ended["then"], ended["level"]) == (greedy, 0, "let go", "info")
        assert ended["reason"].startswith("replaced because of its memory: 2")
        assert ended["reason"].endswith(f"MB, at most 200 MB; process {new['pid']} serves instead")
        assert new["slot"] == 2  # it and the old one were there at the same time


def test_one_worker_past_its_lifetime_is_replaced_without_a_gap(tmp_path):
    with (
        serving(tmp_path, APP, **SOON) as running,
        asked_all_the_time(running.port) as (answered, failed),
    ):
        wait_until(lambda: len(running.events("worker ended")) == 2, "two have gone")
        ended = running.events("worker ended")[0]
        assert ended["reason"].startswith("replaced because of its age: ")
        assert "at most 1 s; process" in ended["reason"]
        assert [line["slot"] for line in running.events("worker serves")][:3] == [0, 1, 0]  # slots are used again
        assert failed == []
        assert len(set(answered)) > 1


def test_a_worker_stays_where_its_replacement_does_not_serve(tmp_path):
    with serving(tmp_path, APP, **SOON) as running:
        first = ask(running.port, "/leak/0")[1]
        (tmp_path / "shop.py").write_text("raise RuntimeError('a bad deploy')")
        wait_until(lambda: running.events("worker ended"), "it is tried")
        assert {line["then"] for line in running.events("worker ended")} == {"the one that it was to replace stays"}
        assert {line["reason"] for line in running.events("worker ended")} == {"could not start"}
        assert ask(running.port, "/leak/0")[1] == first
