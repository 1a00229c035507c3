"""Metrics of real processes: what a scrape says, compared with what was really asked."""

import os
import signal
import socket
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from running import Running, free_port, serving, wait_until

APP = """
    import asyncio
    from prometheus_client import Counter, Gauge, Histogram
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route, WebSocketRoute

    SOLD = Counter("shop_sold", "Cups sold.", ["tea"])
    OPEN = Gauge("shop_open", "Shops that are open.", multiprocess_mode="livesum")
    WEIGHED = Histogram("shop_grams", "Grams weighed.")
    OPEN.inc()

    async def tea(request):
        SOLD.labels("assam").inc()
        WEIGHED.observe(3)
        return PlainTextResponse(request.path_params["name"])

    async def tenant(request):
        return PlainTextResponse(request.path_params["tenant"])

    async def fail(request):
        raise ValueError

    async def wait(request):
        while not await request.is_disconnected():
            await asyncio.sleep(0.01)
        return PlainTextResponse("done")

    async def talk(websocket):
        await websocket.accept()
        await websocket.receive()

    app = Starlette(routes=[
        Route("/teas/{name}", tea), Route("/fail", fail), Route("/wait/{what}", wait), WebSocketRoute("/talk", talk),
        Mount("/of/{tenant}", routes=[Route("/teas", tenant)]),
    ])
"""

Samples = dict[tuple[str, ...], float]


def read(text: str) -> Samples:
    """Every sample: its name and the values of its labels, in the order of their names."""
    families = list(text_string_to_metric_families(text))
    assert [family.name for family in families if not family.documentation or family.type == "unknown"] == []
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def fetched(port: int, path: str) -> tuple[int, str]:
    """The status and the body of an answer, on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        with connection.makefile("rb") as file:
            head, _, body = file.read().partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body.decode()


def scraped(port: int) -> Samples:
    status, body = fetched(port, "/-/metrics")
    assert status == 200, body
    return read(body)


def glanced(port: int, sample: str) -> float | None:
    """One sample, found without reading all: for what is asked again and again."""
    lines = fetched(port, "/-/metrics")[1].splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{sample} ")), None)


def requests(found: Samples) -> Samples:
    """By method, outcome, route and status."""
    return {key[1:]: value for key, value in found.items() if key[0] == "holdfast_http_requests_total"}


def statuses(connection: socket.socket, heads: list[str]) -> list[int]:
    """The statuses of the answers to requests that are sent at once, each with a Content-Length."""
    connection.sendall("".join(f"{head} HTTP/1.1\r\nhost: x\r\n\r\n" for head in heads).encode())
    found = []
    with connection.makefile("rb") as file:
        for _ in heads:
            found.append(int(file.readline().split()[1]))
            length = 0
            while (line := file.readline()) != b"\r\n":
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            file.read(length)
    return found


def test_one_process_tells_what_was_asked_of_it_and_hostile_paths_and_methods_make_no_series(tmp_path):
    with serving(tmp_path, APP) as running:
        for number in range(7):
            assert fetched(running.port, f"/teas/{number}")[0] == 200
        assert fetched(running.port, "/fail")[0] == 500
        made_up = ["PROPFIND", "MKCOL", "SEARCH", "M-SEARCH", "NOTIFY"]
        with socket.create_connection(("127.0.0.1", running.port), timeout=20) as connection:
            for start in range(0, 1000, 50):
                heads = [f"{made_up[number % 5]} /x{number}?y={number}" for number in range(start, start + 50)]
                assert statuses(connection, heads) == [404] * 50
            assert statuses(connection, [f"GET /of/t{number}/teas" for number in range(100)]) == [200] * 100
        assert running.raw(b"BREW /pot HTTP/1.1\r\nhost: x\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        found = scraped(running.port)
        told = requests(found)
        refused = {key: told.pop(key) for key in list(told) if key[1] == "refused"}
        assert told == {
            ("GET", "ok", "/teas/{name}", "200"): 7,
            ("GET", "ok", "/of/{tenant}/teas", "200"): 100,
            ("GET", "failed", "/fail", "500"): 1,
            ("other", "rejected", "none", "404"): 1000,
        }
        assert [(key[1:], value) for key, value in refused.items()] == [(("refused", "none", "400"), 1)]
        assert found["shop_sold_total", "assam"] == 7
        assert found["process_resident_memory_bytes",] > 0
        assert found["holdfast_http_request_duration_seconds_count", "GET", "/teas/{name}"] == 7


def test_what_is_under_way_is_in_flight_and_a_websocket_apart(tmp_path):
    with serving(tmp_path, APP) as running:
        with (
            socket.create_connection(("127.0.0.1", running.port)) as asking,
            socket.create_connection(("127.0.0.1", running.port)) as talking,
        ):
            asking.sendall(b"GET /wait/on HTTP/1.1\r\nhost: x\r\n\r\n")
            talking.sendall(
                b"GET /talk HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )

            def under_way() -> tuple[float, float]:
                found = scraped(running.port)
                return found["holdfast_http_requests_in_flight",], found["holdfast_websockets_open",]

            wait_until(lambda: under_way() == (1, 1), "one of each is under way")
        wait_until(lambda: under_way() == (0, 0), "nothing is under way")
        found = scraped(running.port)
        assert found["holdfast_websockets_total", "ok", "/talk"] == 1
        assert {key[1:3]: value for key, value in requests(found).items()} == {("client_left", "/wait/{what}"): 1}
        assert ("holdfast_http_request_duration_seconds_count", "GET", "/talk") not in found


class Asking(threading.Thread):
    """Asks on one connection after the other, and scrapes between: no counter may ever be less than it was."""

    def __init__(self, running: Running, health: int) -> None:
        super().__init__()
        self.running, self.health = running, health
        self.made = self.looks = 0
        self.failed = 0
        self.gone_back: list[str] = []
        self.enough = threading.Event()
        self._before: Samples = {}

    def run(self) -> None:
        while not self.enough.is_set():
            try:
                assert fetched(self.running.port, f"/teas/{self.made}")[0] == 200
                self.made += 1
            except (OSError, IndexError):
                self.failed += 1
            if self.made % 10 == 0:
                self.look()

    def look(self) -> None:
        found = scraped(self.health)
        self.looks += 1
        counters = [key for key in self._before if key[0].endswith(("_total", "_bucket", "_count"))]
        self.gone_back += [
            f"{key} {self._before[key]} {found.get(key)}" for key in counters if found.get(key, 0.0) < self._before[key]
        ]
        self._before = found


def test_the_numbers_of_all_workers_survive_a_kill_and_a_rolling_restart_and_never_go_back(tmp_path):
    health = free_port()
    with serving(tmp_path, APP, "--workers", "3", HOLDFAST_HEALTH_ADDRESS=f"127.0.0.1:{health}") as running:
        wait_until(lambda: len(running.events("worker serves")) == 3, "three workers serve")
        assert fetched(running.port, "/-/metrics")[0] == 404  # the application's, so the port tells nothing
        asking = Asking(running, health)
        for number in range(60):
            assert fetched(running.port, f"/teas/{number}")[0] == 200

        def told() -> float | None:
            return glanced(
                health, 'holdfast_http_requests_total{method="GET",route="/teas/{name}",status="200",outcome="ok"}'
            )

        wait_until(lambda: told() == 60, "all workers have told of all requests")
        victim = running.events("worker serves")[0]["pid"]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(running.events("worker serves")) == 4, "another worker serves in its place")
        found = scraped(health)
        assert told() == 60
        assert found["shop_sold_total", "assam"] == 60
        assert found["holdfast_worker_ends_total", "signal"] == 1
        wait_until(lambda: glanced(health, "shop_open") == 3, "the gauge of the dead has vanished")
        asking.start()
        running.signal(signal.SIGHUP)
        wait_until(lambda: running.events("rolling restart done"), "the workers are replaced", 40)
        asking.enough.set()
        asking.join(20)
        assert (asking.failed, asking.gone_back) == (0, [])
        assert asking.looks > 3
        wait_until(lambda: told() == 60 + asking.made, "every request is told of, once")
        found = scraped(health)
        assert found["shop_sold_total", "assam"] == found["shop_grams_count",] == 60 + asking.made
        assert found["holdfast_http_request_duration_seconds_count", "GET", "/teas/{name}"] == 60 + asking.made
        assert found["holdfast_worker_ends_total", "rolling_restart"] == 3
        assert (found["holdfast_workers_serving",], found["holdfast_workers_wanted",]) == (3, 3)
        assert len([key for key in found if key[0] == "holdfast_process_start_time_seconds"]) == 4
        assert found["holdfast_loop_delay_seconds_count",] > 0
        folder = shared_folder(running)
        kept = sorted({path.name.partition("-")[2].partition(".")[0] for path in folder.glob("holdfast-*")})
        assert kept == ["0", "1", "2", "3", "supervisor"]
        assert len(list(folder.glob("*.db"))) <= 3 * 4
        assert running.stop() == 0
        assert not folder.exists()


def shared_folder(running: Running) -> Path:
    opened = [path.readlink() for path in Path(f"/proc/{running.process.pid}/fd").iterdir()]
    return next(path.parent for path in opened if path.name == "holdfast-supervisor.lock")


def test_a_worker_that_answers_tells_what_only_the_supervisor_knows_and_the_operators_folder_is_used_as_it_is(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    environ = {"HOLDFAST_METRICS_WHERE": "app", "PROMETHEUS_MULTIPROC_DIR": str(own)}
    with serving(tmp_path, APP, "--workers", "2", **environ) as running:
        wait_until(lambda: len(running.events("worker serves")) == 2, "two workers serve")
        wait_until(lambda: glanced(running.port, "holdfast_workers_serving") == 2, "the supervisor has told")
        found = scraped(running.port)
        assert found["holdfast_worker_ends_total", "hung"] == 0
        processes = {key[1] for key in found if key[0] == "holdfast_process_resident_memory_bytes"}
        assert processes == {"0", "1", "supervisor"}
        assert found["shop_open",] == 2
        workers = [line["pid"] for line in running.events("worker serves")]
        assert {path.name for path in own.glob("gauge*")} == {f"gauge_livesum_{pid}.db" for pid in workers}
        os.kill(workers[0], signal.SIGKILL)
        wait_until(lambda: not (own / f"gauge_livesum_{workers[0]}.db").exists(), "the gauge of the dead has vanished")
        assert (own / f"histogram_{workers[0]}.db").exists()


OWN = """
    import os
    from holdfast import Holdfast
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def pid(request):
        return PlainTextResponse(str(os.getpid()))

    app = Holdfast(Starlette(routes=[Route("/", pid)]))
"""


def test_processes_of_another_server_are_told_together_where_the_operator_names_a_folder(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shop.py").write_text(textwrap.dedent(OWN))
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "shop:app", "--port", str(port), "--workers", "2"]
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "shared")}
    running = Running(command, tmp_path, env, port)
    try:
        running.wait_ready()
        made: list[str] = []

        def ask() -> bool:
            made.append(fetched(port, "/")[1])
            return len(set(made)) == 2

        wait_until(ask, "both processes have answered")
        wait_until(lambda: sum(requests(scraped(running.port)).values()) == len(made), "both have told")
    finally:
        running.stop()


ABSENT = """
import importlib.machinery

find = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = classmethod(
    lambda cls, name, path=None, target=None: None if name.startswith("prometheus_client") else find(name, path, target)
)
"""


@pytest.mark.parametrize("where", ["app", "auto"])
def test_without_the_extra_a_start_that_asks_for_metrics_says_which_one_and_any_other_goes_on(tmp_path, where):
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "sitecustomize.py").write_text(ABSENT)
    environ = {"PYTHONPATH": str(tmp_path / "absent"), "HOLDFAST_METRICS_WHERE": where}
    bare = "from starlette.applications import Starlette\napp = Starlette()"
    with serving(tmp_path, bare, ready=where == "auto", **environ) as running:
        if where == "auto":
            assert fetched(running.port, "/-/metrics")[0] == 404
            return
        assert running.ended() == 2
        assert "pip install 'holdfast[prometheus]'" in "".join(running.errors)
