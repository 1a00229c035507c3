"""Rolling restarts under load: kept-alive and new connections, streams, uploads and WebSockets; nothing is dropped."""

import contextlib
import http.client
import random
import signal
import threading
from collections import Counter
from typing import Self

import httpx2
import pytest
from asking import ask
from running import Running, serving, wait_until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

APP = """
    import asyncio
    import os
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route, WebSocketRoute

    async def quick(request):
        return JSONResponse(os.getpid())

    async def slow(request):
        await asyncio.sleep(0.3)
        return JSONResponse(os.getpid())

    async def stream(request):
        async def rows():
            for number in range(40):
                yield f"{number} {'x' * 1000}\\n"
                await asyncio.sleep(0.02)
        return StreamingResponse(rows())

    async def upload(request):
        size = 0
        async for piece in request.stream():
            size += len(piece)
        return JSONResponse(size)

    async def echo(socket):
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    app = Starlette(routes=[
        Route("/quick", quick), Route("/slow", slow), Route("/stream", stream),
        Route("/upload", upload, methods=["PUT"]), WebSocketRoute("/echo", echo),
    ])
"""
WHOLE = "".join(f"{number} {'x' * 1000}\n" for number in range(40))


class Load:
    """Clients of each kind, until told to stop. What went well is counted, what failed is kept."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.websocket = f"ws://127.0.0.1:{port}/echo"
        self.stop = threading.Event()
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []
        self.chance = random.Random(7)
        kinds = (self.kept, self.kept, self.new, self.new, self.slow, self.stream, self.upload, self.talk, self.talk)
        self.threads = [threading.Thread(target=self.again_and_again, args=(kind,)) for kind in kinds]

    def again_and_again(self, kind) -> None:
        with httpx2.Client(base_url=self.url, timeout=20) as client:
            while not self.stop.is_set():
                try:
                    kind(client)
                except Exception as error:
                    self.failures.append(f"{kind.__name__}: {error!r}")
                else:
                    self.done[kind.__name__] += 1

    def kept(self, client: httpx2.Client) -> None:
        assert client.get("/quick").status_code == 200
        self.stop.wait(self.chance.random() * 0.03)

    def new(self, _: httpx2.Client) -> None:
        assert ask(self.port, "/quick")[0] == 200
        self.stop.wait(self.chance.random() * 0.03)

    def slow(self, client: httpx2.Client) -> None:
        assert client.get("/slow").status_code == 200

    def stream(self, client: httpx2.Client) -> None:
        assert client.get("/stream").text == WHOLE

    def upload(self, client: httpx2.Client) -> None:
        def pieces():
            for _ in range(20):
                yield b"y" * 50_000
                self.stop.wait(0.03)

        assert client.put("/upload", content=pieces()).json() == 1_000_000

    def talk(self, _: httpx2.Client) -> None:
        """Talk until the server restarts, which it says with 1012; whoever hears that comes again."""
        with connect(self.websocket) as socket:
            while not self.stop.wait(0.02):
                try:
                    socket.send("hello")
                    assert socket.recv(timeout=20) == "hello"
                except ConnectionClosed as closed:
                    if closed.rcvd is None or closed.rcvd.code != 1012:
                        raise
                    self.done["told to come again"] += 1
                    return

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()


@contextlib.contextmanager
def two_workers(folder):
    with serving(folder, APP, "--workers", "2", HOLDFAST_LOG_LEVEL="info") as running:
        wait_until(lambda: len(running.events("worker serves")) == 2, "two workers serve")
        yield running


def restart(running: Running, number: int) -> None:
    running.signal(signal.SIGHUP)
    wait_until(lambda: len(running.events("rolling restart done")) == number, f"restart {number} is done", 120)


def served_by(running: Running) -> set[int]:
    return {ask(running.port, "/quick")[1] for _ in range(30)}


def test_a_rolling_restart_under_load_drops_nothing(tmp_path):
    with two_workers(tmp_path) as running:
        before = served_by(running)
        with Load(running.port) as load:
            wait_until(lambda: set(load.done) >= {"kept", "new", "slow", "stream", "upload"}, "every kind is under way")
            restart(running, 1)
        assert load.failures == []
        assert load.done["told to come again"] >= 1
        assert served_by(running).isdisjoint(before)
        reasons = [line["reason"] for line in running.events("worker ended")]
        assert [reason.partition(":")[0] for reason in reasons] == ["replaced in a rolling restart"] * 2


def test_a_restart_that_is_asked_for_while_one_is_under_way_takes_up_what_was_started_before(tmp_path):
    with two_workers(tmp_path) as running:
        running.signal(signal.SIGHUP)
        wait_until(lambda: len(running.events("worker serves")) == 3, "the first of the new ones serves")
        running.signal(signal.SIGHUP)
        wait_until(lambda: running.events("rolling restart done"), "the restart is done")
        assert running.events("rolling restart asked for again: what was started before now is replaced too")
        assert served_by(running).isdisjoint(line["pid"] for line in running.events("worker serves")[:3])


def test_a_connection_whose_answer_began_before_the_drain_gets_one_more_answer(tmp_path):
    with serving(tmp_path, APP) as running:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
        connection.request("GET", "/stream")
        began = connection.getresponse()
        first = began.read(10)
        running.signal(signal.SIGTERM)
        wait_until(lambda: running.events("state: draining"), "it drains")
        assert (first + began.read()).decode() == WHOLE
        assert began.headers["connection"] is None  # when it began nobody knew that it would be the last
        connection.request("GET", "/quick")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert running.ended() == 0


@pytest.mark.long
@pytest.mark.timeout(900)
def test_ten_rolling_restarts_under_load_drop_nothing(tmp_path):
    with two_workers(tmp_path) as running:
        with Load(running.port) as load:
            for number in range(1, 11):
                before = Counter(load.done)
                restart(running, number)
                print(f"restart {number}: {dict(load.done - before)}, failures so far: {load.failures}")
        assert load.failures == []
        assert load.done["told to come again"] >= 10
        assert len(running.events("worker ended")) == 20
        assert {line["code"] for line in running.events("worker ended")} == {0}
