"""Faults put into exports on their way, at random: whatever breaks, nobody takes a part for the whole."""

import collections
import concurrent.futures
import contextlib
import io
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exporting_shop import begun, rest, unchunked
from postgres import BINARIES, _as_somebody, postgres
from running import Running, serving, wait_until
from taking import taken, unpack

SHOP = """
import os, random, time

import asyncpg
import sqlalchemy as sa
from holdfast import exports

URL = os.environ["SHOP_DATABASE"]
ROWS = 1000
QUERY = f"SELECT g AS id, repeat(md5(g::text), 12) AS note FROM generate_series(1, {ROWS}) g"
SLOWLY = QUERY.replace(") g", ") g, LATERAL (SELECT pg_sleep(g * 0 + 0.0001)) p")
state = {}


def rows(until):
    def made():
        for number in range(ROWS):
            if number == until:
                raise RuntimeError("a row that cannot be read")
            yield (number, "x" * 400)
    return made


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        state["pool"] = await asyncpg.create_pool(URL, min_size=0, max_size=4, timeout=5)
        state["engine"] = sa.create_engine(URL.replace("postgresql:", "postgresql+psycopg:"), pool_pre_ping=True)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        state["pool"].terminate()
        state["engine"].dispose()
        await send({"type": "lifespan.shutdown.complete"})
        return
    _, source, form, until = scope["path"].split("/")
    columns = {"id": int, "note": str}
    how = {"form": form, "marked": True}
    match source:
        case "rows":
            export = exports.stream(rows(int(until)), columns=columns, **how)
        case "asyncpg":
            export = exports.stream(SLOWLY, bind=state["pool"], **how)
        case "psycopg":
            export = exports.stream(SLOWLY, bind=state["engine"], **how)
        case "quick":
            export = exports.stream(QUERY, bind=state["pool"], **how)
    await export(scope, receive, send)
"""
FORMS = ("csv", "ndjson", "json", "xlsx", "parquet")
CODINGS = ("identity", "gzip", "zstd")


def parquet_rows(body: bytes) -> int:
    try:
        return pq.read_table(io.BytesIO(body)).num_rows
    except (pa.ArrowException, OSError):
        return 0


class Tally:
    """What came of every fault. A part that anybody takes for the whole fails the test at once."""

    def __init__(self) -> None:
        self.found: collections.Counter[str] = collections.Counter()
        self.whole: dict[str, int] = {}
        self.guard = threading.Lock()

    def count(self, source: str, form: str, coding: str, received: bytes) -> None:
        if b"\r\n\r\n" not in received:
            self.add("no answer")
            return
        if not received.startswith(b"HTTP/1.1 200"):
            self.add("a problem document")
            return
        _, body, ended = unchunked(received)
        packed = None if coding == "identity" or form in {"xlsx", "parquet"} else coding
        size = len(unpack(body, packed) or b"")
        complete = self.is_complete(source, form, size, body)
        assert complete or not ended, (source, form, coding, size, "the connection said that this is the end")
        assert complete or not taken(form, body, packed), (source, form, coding, size, "a reader took it for the whole")
        self.add("whole" if ended else "cut")

    def is_complete(self, source: str, form: str, size: int, body: bytes) -> bool:
        if form == "parquet":  # its pages, and with them its size, depend on how many rows came at once
            return parquet_rows(body) == self.whole["rows"]
        return size > 0 and abs(size - self.whole[f"{source}/{form}"]) <= (64 if form == "xlsx" else 0)

    def add(self, what: str) -> None:
        with self.guard:
            self.found[what] += 1


class Shop:
    """The server, and how to ask it."""

    def __init__(self, running: Running, tally: Tally) -> None:
        self.running = running
        self.tally = tally
        for source in ("rows", "quick"):
            for form in FORMS:
                answer = self.ask(source, form, "identity", self.running.port)
                _, body, ended = unchunked(answer)
                assert ended
                self.tally.whole[f"{source}/{form}"] = len(body)
        self.tally.whole["rows"] = parquet_rows(body)
        assert self.tally.whole["rows"] == 1000
        for form in FORMS:
            for source in ("asyncpg", "psycopg"):
                self.tally.whole[f"{source}/{form}"] = self.tally.whole[f"quick/{form}"]

    def ask(self, source: str, form: str, coding: str, port: int, until: int = -1) -> bytes:
        with begun(
            port, f"/{source}/{form}/{until}", headers=f"Accept-Encoding: {coding}\r\nConnection: close\r\n"
        ) as client:
            return rest(client)

    def counted(self, source: str, form: str, coding: str, port: int | None = None, until: int = -1) -> None:
        try:
            received = self.ask(source, form, coding, port or self.running.port, until)
        except ConnectionError:
            received = b""
        self.tally.count(source, form, coding, received)


@contextlib.contextmanager
def shop_of(folder: Path, url: str, *arguments: str) -> Iterator[Shop]:
    (folder / "spool").mkdir()
    environ = {"SHOP_DATABASE": url, "HOLDFAST_EXPORTS_SPOOL": str(folder / "spool")}
    with serving(folder / "shop", SHOP, *arguments, **environ) as running:
        yield Shop(running, Tally())


@pytest.fixture
def shop(tmp_path, postgres_url):
    with shop_of(tmp_path, postgres_url) as found:
        yield found


def at_once(work, turns: range, threads: int = 4) -> None:
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, turn) for turn in turns]:
            done.result()


# -- the faults --


@contextlib.contextmanager
def proxy(to: int, chance: random.Random, most: int) -> Iterator[int]:
    """A port behind which connections to `to` are cut after a random number of bytes, in good order or with a reset."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket, cut: int, *, reset: bool) -> None:
        with client, socket.create_connection(("127.0.0.1", to)) as server:
            server.settimeout(20)
            server.sendall(client.recv(65536))
            left = cut
            while left and (piece := server.recv(min(left, 65536))):
                client.sendall(piece)
                left -= len(piece)
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def listen() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                cut = {"cut": int(most ** chance.random()), "reset": chance.random() < 0.5}
                threading.Thread(
                    target=serve, args=(client, cut["cut"]), kwargs={"reset": cut["reset"]}, daemon=True
                ).start()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


def cut_on_the_way(shop: Shop, turns: range, seed: int) -> None:
    chance = random.Random(seed)
    with proxy(shop.running.port, chance, 700_000) as port:
        at_once(lambda _: shop.counted("quick", chance.choice(FORMS), chance.choice(CODINGS), port), turns)


def raise_in_a_row(shop: Shop, turns: range, seed: int) -> None:
    chance = random.Random(seed)
    at_once(
        lambda _: shop.counted("rows", chance.choice(FORMS), chance.choice(CODINGS), until=chance.randrange(1000)),
        turns,
    )


def terminate_backends(shop: Shop, turns: range, seed: int, url: str) -> None:
    chance = random.Random(seed)
    over = threading.Event()

    def terminate() -> None:
        with psycopg.connect(url, autocommit=True) as admin:
            while not over.is_set():
                time.sleep(chance.uniform(0.0, 0.1))
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%'"
                    " AND pid <> pg_backend_pid() AND state <> 'idle' AND random() < 0.5"
                )

    thread = threading.Thread(target=terminate)
    thread.start()
    try:
        at_once(
            lambda turn: shop.counted(("asyncpg", "psycopg")[turn % 2], chance.choice(FORMS), chance.choice(CODINGS)),
            turns,
        )
    finally:
        over.set()
        thread.join(10)


def kill_postgres(shop: Shop, turns: range, seed: int, url: str) -> None:
    """The whole server, with SIGKILL, in the middle of exports; then it is started again."""
    chance = random.Random(seed)
    with psycopg.connect(url) as admin:
        data = Path(admin.execute("SHOW data_directory").fetchone()[0])
    started: list[subprocess.Popen] = []
    try:
        for _ in turns:
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                asking = [
                    pool.submit(
                        shop.counted,
                        chance.choice(("asyncpg", "psycopg")),
                        chance.choice(FORMS),
                        chance.choice(CODINGS),
                    )
                    for _ in range(4)
                ]
                time.sleep(chance.uniform(0.02, 0.25))
                killed(data, started)
                for one in asking:
                    one.result()
            start(data, started, url)
            wait_until(lambda: answers(shop), "exports work again")
    finally:
        if started:
            started[-1].kill()
            started[-1].wait(10)


def killed(data: Path, started: list[subprocess.Popen]) -> None:
    postmaster = int((data / "postmaster.pid").read_text().split()[0])
    family = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    for pid in (postmaster, *map(int, family)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if started:
        started[-1].wait(10)


def start(data: Path, started: list[subprocess.Popen], url: str) -> None:
    port = url.rpartition(":")[2].partition("/")[0]
    (data / "postmaster.pid").unlink()
    command = [
        BINARIES / "postgres",
        "-D",
        data,
        "-h",
        "127.0.0.1",
        "-p",
        port,
        "-k",
        data,
        "-F",
        "-c",
        "max_connections=50",
    ]
    with (data.parent / "log").open("a") as log:
        started.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=data.parent, **_as_somebody()))

    def takes() -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
            return True
        return False

    wait_until(takes, "PostgreSQL is there again")


def kill_workers(shop: Shop, turns: range, seed: int) -> None:
    chance = random.Random(seed)
    supervisor = shop.running.process.pid
    family = Path(f"/proc/{supervisor}/task/{supervisor}/children")
    for _ in turns:
        wait_until(lambda: answers(shop), "a worker answers", 90)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            asking = [
                pool.submit(shop.counted, "asyncpg", chance.choice(FORMS), chance.choice(CODINGS)) for _ in range(4)
            ]
            time.sleep(chance.uniform(0.02, 0.2))
            for pid in family.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            for one in asking:
                one.result()


def answers(shop: Shop) -> bool:
    try:
        return shop.ask("quick", "csv", "identity", shop.running.port).endswith(b"0\r\n\r\n")
    except OSError:
        return False


# -- a few of each --


def test_an_answer_that_is_cut_on_its_way_is_never_taken_for_the_whole(shop):
    cut_on_the_way(shop, range(60), 1)
    assert shop.tally.found["cut"] > 10
    assert shop.tally.found["whole"] > 0, "some were cut behind their end"


def test_a_row_that_raises_is_never_the_end(shop):
    raise_in_a_row(shop, range(40), 2)
    assert shop.tally.found["cut"] > 20
    assert shop.tally.found["whole"] == 0


def test_a_backend_that_is_terminated_is_never_the_end(shop, postgres_url):
    terminate_backends(shop, range(24), 3, postgres_url)
    assert shop.tally.found["cut"] + shop.tally.found["a problem document"] > 5


def test_a_postgresql_that_is_killed_is_never_the_end(tmp_path):
    with postgres() as url, shop_of(tmp_path, url) as shop:
        kill_postgres(shop, range(2), 4, url)
        assert shop.tally.found["cut"] + shop.tally.found["a problem document"] > 0


# -- a thousand --


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_of_a_thousand_faults_none_makes_a_part_the_whole(tmp_path, capsys):
    told: dict[str, dict[str, int]] = {}

    def noted(name: str, shop: Shop, faults, *arguments) -> None:
        shop.tally.found.clear()
        faults(shop, *arguments)
        told[name] = dict(shop.tally.found)

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with postgres() as url:
        with shop_of(tmp_path / "two", url, "--workers", "2") as shop:
            noted("workers killed", shop, kill_workers, range(15), 15)
        with shop_of(tmp_path / "one", url) as shop:
            noted("cut on the way", shop, cut_on_the_way, range(400), 11)
            noted("a row raises", shop, raise_in_a_row, range(200), 12)
            noted("backend terminated", shop, terminate_backends, range(300), 13, url)
            noted("PostgreSQL killed", shop, kill_postgres, range(20), 14, url)
    assert not list(tmp_path.glob("*/spool/*"))
    with capsys.disabled():
        print()
        for name, found in told.items():
            print(f"{name}: {found}")
    assert sum(sum(found.values()) for found in told.values()) >= 1000
    assert all(found.get("cut", 0) for found in told.values())
