"""The leak report: real files, sockets, tasks and containers that are left open."""

import asyncio
import logging
import socket
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast import leaks
from holdfast.context import layer
from holdfast.decide.leaks import Leak, frame_to_show, kind_of, left_open
from holdfast.resources import Resources

pytestmark = pytest.mark.anyio
HERE = Path(__file__).name


async def test_what_is_closed_is_no_leak(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async with leaks.watch(trace=True) as report:
        with (tmp_path / "closed.txt").open("w"), socket.socket():
            await asyncio.create_task(asyncio.sleep(0))
    assert report == []
    assert caplog.records == []


async def test_an_open_file_is_named_by_its_path_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "forgotten.txt"
    async with leaks.watch(settle=0) as report:
        file = path.open("w")
    with file:
        assert report == [Leak("file", str(path), None)]
    (line,) = caplog.records
    assert (line.name, line.levelno, line.getMessage()) == ("holdfast.leaks", logging.WARNING, "leak")
    assert (line.kind, line.what, line.made_at) == ("file", str(path), None)


async def test_the_log_of_a_flood_of_leaks_is_short(caplog: pytest.LogCaptureFixture):
    async with leaks.watch(settle=0) as report:
        pairs = [socket.socketpair() for _ in range(60)]
    for pair in pairs:
        pair[0].close()
        pair[1].close()
    assert len(report) == 120
    assert [line.getMessage() for line in caplog.records] == ["leak"] * 100 + ["more leaks than are told"]


async def test_what_was_open_before_is_no_leak_though_it_is_open_after(tmp_path: Path):
    with (tmp_path / "log.txt").open("w"):
        async with leaks.watch(settle=0) as report:
            pass
    assert report == []


async def test_with_tracing_a_leak_says_where_it_was_made(tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path)
    async with leaks.watch(trace=True, settle=0) as report:
        file = (tmp_path / "link" / "a.txt").open("w")
        threaded = await asyncio.to_thread(open_one, tmp_path / "b.txt")
        database = sqlite3.connect(tmp_path / "c.sqlite")
        database.execute("create table t (x)")
        listener = socket.create_server(("127.0.0.1", 0))
        task = asyncio.create_task(asyncio.Event().wait(), name="poll")
        await asyncio.sleep(0)
    with file, threaded, listener:
        database.close()
        task.cancel()
    made = {(leak.kind, leak.what): leak.made_at for leak in report}
    assert made[("file", str(tmp_path / "a.txt"))] == line_of('"a.txt").open')
    assert made[("file", str(tmp_path / "b.txt"))] == line_of("return path" + ".open")
    assert made[("file", str(tmp_path / "c.sqlite"))] == line_of("sqlite3.connect(tmp")
    assert made[("socket", f"listening on 127.0.0.1:{made_port(report)}")] == line_of("listener = socket")
    assert made[("task", "poll Event.wait")] == line_of('name="poll"')
    assert len(report) == 5


async def test_a_connection_is_named_by_its_two_ends():
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, leaks.watch(settle=0) as report:
        client = socket.create_connection(("127.0.0.1", port))
        unconnected = socket.socket()
        one, other = socket.socketpair()
    with client, unconnected, one, other:
        ours = client.getsockname()[1]
        assert {leak.what for leak in report if leak.kind == "socket"} >= {
            f"127.0.0.1:{ours} to 127.0.0.1:{port}",
            "0.0.0.0:0, not connected",
            "an unnamed end to an unnamed end",
        }


async def test_a_running_task_is_named_with_the_line_it_waits_at():
    async def poll() -> None:
        await asyncio.Event().wait()  # for ever

    async with leaks.watch(settle=0) as report:
        task = asyncio.create_task(poll(), name="poller")
        await asyncio.sleep(0)
    task.cancel()
    (leak,) = report
    assert leak.kind == "task"
    assert leak.what.startswith("poller test_a_running_task")
    assert leak.what.endswith(f"waiting at {line_of('# for ever')}")


async def test_what_is_being_closed_has_time_for_it(tmp_path: Path):
    file = None

    async def finish() -> None:
        await asyncio.sleep(0.02)
        assert file is not None
        file.close()

    async with leaks.watch(settle=5) as report:
        file = (tmp_path / "closing.txt").open("w")
        task = asyncio.create_task(finish())
    assert report == []
    assert task.done()


async def test_a_container_that_is_left_open_is_named_once_with_where_it_was_made():
    resources = Resources()

    @resources.request()
    async def connection() -> AsyncIterator[socket.socket]:
        yield socket.socket()

    async with leaks.watch(settle=0) as report:
        block = resources.container()  # never left
        container = await block.__aenter__()
        await container.get(socket.socket)
    containers = [leak for leak in report if leak.kind == "container"]
    assert [(leak.what.rpartition(".")[2], leak.made_at) for leak in containers] == [
        ("connection", line_of("# never left"))
    ]
    assert "task" not in {leak.kind for leak in report}
    (await container.get(socket.socket)).close()
    await block.__aexit__(None, None, None)


async def test_a_request_that_leaks_is_named_by_its_method_path_and_id():
    resources, kept = Resources(), []

    @resources.request()
    async def connection() -> AsyncIterator[str]:
        yield "open"

    async def app(scope, receive, send) -> None:
        await resources.get(str)
        record = scope["holdfast.context"]
        kept.append((record.id, list(record.late_exits)))
        record.exits.clear()  # as if nobody ran them
        record.late_exits.clear()

    async with leaks.watch(settle=0) as report:
        scope = {"type": "http", "method": "GET", "path": "/items", "query_string": b"", "headers": []}
        await layer(app)(scope, None, None)
    (leak,) = report
    request_id, late_exits = kept[0]
    assert leak.made_at == f"GET /items, request {request_id}"
    await late_exits[0]()
    async with leaks.watch(settle=0) as report:
        pass
    assert report == []


async def test_tracing_leaves_the_loop_as_it_was(tmp_path: Path):
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    async with leaks.watch(trace=True):
        assert loop.get_task_factory() is not before
    assert loop.get_task_factory() is before


def test_the_rules():
    before = {0: "/dev/pts/1", 3: "/tmp/a", 4: "socket:[1]", 5: "anon_inode:[eventpoll]"}
    after = before | {3: "/tmp/b", 4: "socket:[2]", 6: "pipe:[3]", 7: "anon_inode:[eventfd]", 8: "/dev/null"}
    assert [tuple(found) for found in left_open(before, after)] == [
        (3, "file", "/tmp/b"),
        (4, "socket", "socket:[2]"),
        (6, "pipe", "pipe:[3]"),
    ]
    assert kind_of("anon_inode:[timerfd]") is None
    stack = [
        "<frozen os>",
        "/py/lib/pathlib.py",
        "/v/site-packages/db.py",
        "/v/site-packages/holdfast/x.py",
        "/app/a.py",
    ]
    assert frame_to_show(stack, "/v/site-packages/holdfast", "/py/lib") == 4
    assert frame_to_show(stack[:4], "/v/site-packages/holdfast", "/py/lib") == 2
    assert frame_to_show(stack[:2], "/v/site-packages/holdfast", "/py/lib") is None


def open_one(path: Path):
    return path.open("w")


def line_of(text: str) -> str:
    """The place in this file of the one line that holds `text`."""
    lines = Path(__file__).read_text().splitlines()
    (number,) = [index for index, line in enumerate(lines, 1) if text in line and "line_of(" not in line]
    return f"{__file__}:{number}"


def made_port(report: list[Leak]) -> str:
    (port,) = [leak.what.rpartition(":")[2] for leak in report if leak.kind == "socket"]
    return port
