"""What waits between the rows and their reader: in order, bounded, on disk without a name, and gone afterwards."""

import asyncio
import contextlib
import errno
import os
import random
import subprocess
import threading
import time
from pathlib import Path

import pytest
from exporting import Client, asked
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import until

from holdfast import exports
from holdfast.decide.exports.errors import ReaderTooSlow
from holdfast.exports import ExportSettings
from holdfast.parts.exports.outlet import Outlet, ReaderLeft
from holdfast.parts.exports.spool import ROOM, Room, Spool

pytestmark = pytest.mark.anyio
MIB = 1024 * 1024


def files_in(folder: Path) -> list[str]:
    """Files without a name that this process has open in `folder`."""
    found = []
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(fd.readlink()))
    return [name for name in found if name.startswith(str(folder))]


def threads_of_exports() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "holdfast-export"]


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def spool(tmp_path, room) -> Spool:
    return Spool(tmp_path, 40 * MIB, 40 * MIB, room)


# -- the spool --


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.binary(min_size=1, max_size=50), st.integers(1, 60)), max_size=40))
def test_what_is_put_comes_out_in_the_same_order(tmp_path_factory, steps):
    room = Room()
    spool = Spool(tmp_path_factory.mktemp("spool"), 10_000, 10_000, room)
    put, taken = b"", b""
    for step in steps:
        if isinstance(step, bytes):
            assert spool.put(step)
            put += step
        else:
            taken += spool.take(step)
        assert room.taken == spool.waiting == len(put) - len(taken)
    while piece := spool.take(7):
        taken += piece
    assert taken == put
    assert room.taken == 0
    spool.close()


def test_many_mebibytes_go_through_several_files_and_each_is_gone_once_it_is_read(spool, room, tmp_path):
    blocks = [bytes([number]) * MIB for number in range(38)]
    for block in blocks:
        assert spool.put(block)
    assert len(files_in(tmp_path)) == 3
    assert list(tmp_path.iterdir()) == []
    for block in blocks[:17]:
        assert b"".join(pieces(spool, MIB)) == block
    assert len(files_in(tmp_path)) == 2
    for block in blocks[17:]:
        assert b"".join(pieces(spool, MIB)) == block
    assert files_in(tmp_path) == []
    assert room.taken == 0


def pieces(spool: Spool, size: int):
    while size:
        piece = spool.take(size)
        assert piece
        size -= len(piece)
        yield piece


def test_a_spool_takes_no_more_than_it_may(tmp_path, room):
    spool = Spool(tmp_path, 10, 100, room)
    assert spool.put(b"x" * 6)
    assert not spool.put(b"x" * 5)
    assert spool.put(b"x" * 4)
    assert not spool.put(b"x")
    assert spool.take(3) == b"xxx"
    assert spool.put(b"yyy")
    spool.close()
    assert room.taken == 0
    assert not spool.put(b"x")


def test_all_spools_of_a_process_share_one_room(tmp_path, room):
    first, second = (Spool(tmp_path, 100, 100, room) for _ in range(2))
    assert first.put(b"x" * 60)
    assert not second.put(b"x" * 41)
    assert second.put(b"x" * 40)
    first.close()
    assert second.put(b"x" * 60)
    second.close()
    second.close()
    assert room.taken == 0


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE])
def test_a_write_that_fails_in_its_middle_leaves_nothing_of_the_block(spool, room, monkeypatch, code):
    real = os.pwrite
    assert spool.put(b"before")

    def half(fd, data, offset):
        if len(data) > 3:
            return real(fd, data[:3], offset)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "pwrite", half)
    assert not spool.put(b"lost..")
    monkeypatch.setattr(os, "pwrite", real)
    assert room.taken == len(b"before")
    assert spool.take(100) == b"before"
    assert spool.take(100) == b""
    assert room.taken == 0


def test_a_spool_whose_folder_is_gone_is_full_and_says_so_once(tmp_path, room, caplog):
    spool = Spool(tmp_path / "nowhere", 100, 100, room)
    assert not spool.put(b"x")
    assert not spool.put(b"x")
    assert [record.message for record in caplog.records] == ["the spool of exports failed"]
    assert room.taken == 0


# -- the outlet --


def outlet_in(folder: Path, *, most: int = 8 * MIB, hold_s: float = 20.0, room: Room | None = None) -> Outlet:
    return Outlet(Spool(folder, most, most, room or Room()), hold_s)


async def read(outlet: Outlet) -> bytes:
    blocks = []
    while (block := await outlet.get()) is not None:
        blocks.append(block)
    return b"".join(blocks)


@pytest.mark.parametrize("most", [0, 100_000, 8 * MIB])
@pytest.mark.parametrize("seed", range(3))
async def test_blocks_from_a_thread_arrive_in_order_however_the_reader_dawdles(tmp_path, most, seed):
    chance = random.Random(seed)
    outlet = outlet_in(tmp_path, most=most)
    blocks = [chance.randbytes(chance.choice([1, 1000, 50_000, 130_000, 700_000])) for _ in range(40)]

    def source():
        try:
            for block in blocks:
                outlet.put(block)
        except Exception as error:  # told to the reader, which would wait for ever otherwise
            outlet.end(error)
        else:
            outlet.end()

    thread = threading.Thread(target=source)
    thread.start()
    found = []
    while (block := await outlet.get()) is not None:
        found.append(block)
        if chance.random() < 0.3:
            await asyncio.sleep(0.002)
    thread.join(5)
    assert b"".join(found) == b"".join(blocks)
    outlet.leave()


@pytest.mark.parametrize("most", [0, 100_000, 8 * MIB])
async def test_blocks_from_the_loop_arrive_in_order(tmp_path, most):
    outlet = outlet_in(tmp_path, most=most)
    blocks = [bytes([number]) * 90_000 for number in range(60)]

    async def source():
        for block in blocks:
            await outlet.put_from_loop(block)
        outlet.end()

    putting = asyncio.create_task(source())
    assert await read(outlet) == b"".join(blocks)
    await putting
    outlet.leave()


async def test_a_source_may_be_through_long_before_its_reader_begins(tmp_path):
    room = Room()
    outlet = outlet_in(tmp_path, room=room)
    for number in range(50):
        await asyncio.to_thread(outlet.put, bytes([number]) * 100_000)
    outlet.end()
    assert outlet.spooled == room.taken == 4_500_000
    assert await read(outlet) == b"".join(bytes([number]) * 100_000 for number in range(50))
    assert room.taken == 0
    assert files_in(tmp_path) == []


async def test_an_error_comes_after_everything_that_was_before_it(tmp_path):
    outlet = outlet_in(tmp_path)
    for _ in range(10):
        await asyncio.to_thread(outlet.put, b"x" * 100_000)
    outlet.end(ValueError("broken"))
    got = 0
    with pytest.raises(ValueError, match="broken"):
        while (block := await outlet.get()) is not None:
            got += len(block)
    assert got == 1_000_000


@pytest.mark.parametrize("from_loop", [True, False])
async def test_a_source_that_waits_for_room_too_long_is_told_that_its_reader_is_too_slow(tmp_path, from_loop):
    outlet = outlet_in(tmp_path, most=0, hold_s=0.2)
    began = time.monotonic()
    with pytest.raises(ReaderTooSlow):
        for _ in range(20):
            await (outlet.put_from_loop(b"x" * 100_000) if from_loop else asyncio.to_thread(outlet.put, b"x" * 100_000))
    assert time.monotonic() - began >= 0.2


async def test_the_time_that_rows_wait_is_counted_in_all(tmp_path):
    outlet = outlet_in(tmp_path, most=0, hold_s=0.4)

    async def source():
        while True:
            await outlet.put_from_loop(b"x" * 500_000)

    putting = asyncio.create_task(source())
    while not putting.done():
        await asyncio.sleep(0.03)
        if not putting.done():
            await outlet.get()
    assert isinstance(putting.exception(), ReaderTooSlow)


@pytest.mark.parametrize("from_loop", [True, False])
async def test_a_source_that_waits_for_room_is_told_at_once_that_its_reader_has_left(tmp_path, from_loop):
    outlet = outlet_in(tmp_path, most=300_000, hold_s=20)
    waits = threading.Event()

    async def on_loop():
        while True:
            await outlet.put_from_loop(b"x" * 100_000)

    def in_thread():
        while True:
            outlet.put(b"x" * 100_000)

    source = asyncio.create_task(on_loop() if from_loop else asyncio.to_thread(in_thread))
    await until(lambda: outlet.spooled >= 300_000)
    waits.set()
    began = time.monotonic()
    outlet.leave()
    with pytest.raises(ReaderLeft):
        await source
    assert time.monotonic() - began < 1
    assert files_in(tmp_path) == []


# -- exports through it --


def rows(count: int, done: threading.Event | None = None):
    def made():
        try:
            for number in range(count):
                yield (f"{number:08d}" + "x" * 992,)
        finally:
            (done or threading.Event()).set()

    return made


async def nothing_is_left(folder: Path, threads: int = 0) -> None:
    await until(lambda: len(threads_of_exports()) == threads)
    assert files_in(folder) == []
    assert ROOM.taken == 0
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("form", ["csv", "ndjson", "json"])
async def test_a_slow_reader_gets_everything_and_nothing_is_left(tmp_path, form):
    settings = ExportSettings(spool=tmp_path)
    quick = await asked(exports.stream(rows(20_000), columns=["n"], form=form, settings=settings))
    done = threading.Event()
    client = Client()
    client.reading.clear()
    app = exports.stream(rows(20_000, done), columns=["n"], form=form, settings=settings)
    asking = asyncio.create_task(client.ask(app))
    await until(done.is_set)
    assert ROOM.taken > 15_000_000
    assert files_in(tmp_path)
    client.reading.set()
    assert (await asking).body == quick.body
    await nothing_is_left(tmp_path)


async def test_a_reader_that_leaves_while_the_rest_waits_on_disk_leaves_nothing(tmp_path):
    settings = ExportSettings(spool=tmp_path)
    done = threading.Event()
    client = Client()
    client.reading.clear()
    app = exports.stream(rows(20_000, done), columns=["n"], form="csv", settings=settings)
    asking = asyncio.create_task(client.ask(app))
    await until(done.is_set)
    assert ROOM.taken
    client.left.set()
    await asking
    await nothing_is_left(tmp_path)


async def test_an_answer_that_is_cancelled_leaves_nothing(tmp_path):
    settings = ExportSettings(spool=tmp_path)
    for wait in (0.0, 0.001, 0.02):
        client = Client()
        client.reading.clear()
        app = exports.stream(rows(10**7), columns=["n"], form="csv", settings=settings)
        asking = asyncio.create_task(client.ask(app))
        await asyncio.sleep(wait)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await nothing_is_left(tmp_path)


@pytest.mark.parametrize("spool_bytes", [0, 1, 200_000])
async def test_with_little_room_rows_wait_and_the_reader_gets_all_the_same(tmp_path, spool_bytes):
    settings = ExportSettings(spool=tmp_path, spool_bytes=spool_bytes)
    answer = await asked(exports.stream(rows(5000), columns=["n"], form="csv", settings=settings))
    assert answer.body.count(b"\n") == 5001
    await nothing_is_left(tmp_path)


@pytest.mark.parametrize("spool_bytes", [0, 300_000])
async def test_a_reader_that_reads_nothing_is_cut_off_as_too_slow(tmp_path, spool_bytes):
    settings = ExportSettings(spool=tmp_path, spool_bytes=spool_bytes, hold_s=0.2)
    done = threading.Event()
    client = Client()
    client.reading.clear()
    app = exports.stream(rows(10**9, done), columns=["n"], form="csv", settings=settings)
    asking = asyncio.create_task(client.ask(app))
    await until(done.is_set)
    client.reading.set()
    with pytest.raises(ReaderTooSlow):
        await asking
    assert not client.answer.ended
    await nothing_is_left(tmp_path)


async def test_a_client_that_takes_nothing_for_long_is_cut_off_though_all_rows_are_read(tmp_path):
    settings = ExportSettings(spool=tmp_path, idle_s=0.2)
    client = Client()
    client.reading.clear()
    with pytest.raises(ReaderTooSlow) as caught:
        await client.ask(exports.stream(rows(10), columns=["n"], form="csv", settings=settings))
    assert (caught.value.status, caught.value.code) == (408, "reader-too-slow")
    await nothing_is_left(tmp_path)


@pytest.mark.parametrize("folder", ["gone", "file"])
async def test_where_the_spool_cannot_be_written_rows_wait_for_their_reader(tmp_path, folder, caplog):
    (tmp_path / "file").write_text("not a folder")
    settings = ExportSettings(spool=tmp_path / folder)
    client = Client()
    client.reading.clear()
    app = exports.stream(rows(5000), columns=["n"], form="csv", settings=settings)
    asking = asyncio.create_task(client.ask(app))
    await until(lambda: "the spool of exports failed" in caplog.messages)
    client.reading.set()
    assert (await asking).body.count(b"\n") == 5001
    assert caplog.messages.count("the spool of exports failed") == 1
    assert ROOM.taken == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
async def test_on_a_disk_that_is_full_rows_wait_for_their_reader(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "holdfast-test", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        settings = ExportSettings(spool=folder)
        client = Client()
        client.reading.clear()
        app = exports.stream(rows(5000), columns=["n"], form="csv", settings=settings)
        asking = asyncio.create_task(client.ask(app))
        await until(lambda: os.statvfs(folder).f_bavail == 0 or ROOM.taken > 900_000)
        client.reading.set()
        answer = await asking
        assert [int(line[1:9]) for line in answer.body.splitlines()[1:]] == list(range(5000))
        await nothing_is_left(folder)
    finally:
        subprocess.run(["umount", folder], check=True)


async def test_a_hundred_exports_at_once_leave_nothing(tmp_path):
    settings = ExportSettings(spool=tmp_path)
    bodies = await asyncio.gather(
        *(asked(exports.stream(rows(300), columns=["n"], form="csv", settings=settings)) for _ in range(100))
    )
    assert {body.body.count(b"\n") for body in bodies} == {301}
    await nothing_is_left(tmp_path)
