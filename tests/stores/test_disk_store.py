"""The disk store on a real disk: kills, locks, errors of the system."""

import asyncio
import errno
import resource
import secrets
import subprocess
import sys
import threading
from pathlib import Path

import disk_child
import pytest
from waiting import until

from holdfast.errors import Evicted, InsufficientStorage, Unavailable
from holdfast.stores import disk_part
from holdfast.stores.blobs import Saved
from holdfast.stores.disk import Disk
from holdfast.stores.disk_files import SYSTEM

pytestmark = pytest.mark.anyio

NEW = Saved(0, "")
CHILD = [sys.executable, str(Path(disk_child.__file__))]


class Meddling:
    """The disk of this machine, with something done before a call, in its thread."""

    def __init__(self, **before) -> None:
        self._before = before

    def __getattr__(self, name: str):
        def call(*arguments):
            self._before.get(name, lambda *_: None)(*arguments)
            return getattr(SYSTEM, name)(*arguments)

        return call


def failing_once(error: int):
    """Fail the next call."""
    left = [error]

    def fail(*_) -> None:
        if left:
            raise OSError(left.pop(), "failed")

    return fail


async def content_of(store: Disk, upload_id: str) -> bytes:
    return b"".join([piece async for piece in store.read(upload_id)])


async def test_a_file_lies_where_it_is_said_to(tmp_path):
    upload_id = secrets.token_hex(16)
    async with Disk(tmp_path / "blobs") as store:
        async with store.opened(upload_id, NEW) as part:
            await part.write([b"here"])
            await part.sync()
            assert (tmp_path / "blobs" / "incoming" / upload_id).read_bytes() == b"here"
            await part.publish()
        assert store.path(upload_id) == tmp_path / "blobs" / upload_id[:2] / upload_id
        assert store.path(upload_id).read_bytes() == b"here"
        assert store.path(upload_id).stat().st_mode & 0o777 == 0o600
        assert list((tmp_path / "blobs" / "incoming").iterdir()) == []


async def test_what_is_behind_the_saved_bytes_is_off_the_disk_once_it_is_open(tmp_path):
    upload_id = secrets.token_hex(16)
    async with Disk(tmp_path) as store:
        async with store.opened(upload_id, NEW) as part:
            await part.write([b"a" * 5000])
            await part.sync()
        async with store.opened(upload_id, Saved(100, "")):
            assert (tmp_path / "incoming" / upload_id).stat().st_size == 100


# -- processes --


def child(folder: Path, upload_id: str, offset: int, *more: str) -> subprocess.Popen:
    return subprocess.Popen([*CHILD, str(folder), upload_id, str(offset), *more], stdout=subprocess.PIPE, text=True)


async def test_a_kill_takes_nothing_that_was_acknowledged(tmp_path):
    upload_id, acknowledged = secrets.token_hex(16), 0
    async with Disk(tmp_path, wait_s=0.1) as store:
        for number in range(4):
            with child(tmp_path, upload_id, acknowledged) as process:
                for _ in range(1 + secrets.randbelow(20)):
                    acknowledged = int(process.stdout.readline())
                if number == 0:
                    with pytest.raises(Unavailable) as refused:
                        async with store.opened(upload_id, Saved(acknowledged, "")):
                            pytest.fail("two have it")
                    assert refused.value.headers["retry-after"] == "1"
                process.kill()
                lines = process.stdout.read().splitlines(keepends=True)
                acknowledged = max([acknowledged, *(int(line) for line in lines if line.endswith("\n"))])
            async with store.opened(upload_id, Saved(acknowledged, "")) as part:
                found = b"".join([piece async for piece in part.read()])
                assert found == disk_child.content(0, acknowledged)
        assert [left async for left in store.leftovers(2**40)] == [upload_id]


@pytest.mark.parametrize("at", ["0 before", "0 after", "1 before", "1 after"])
async def test_a_kill_at_any_step_of_publishing_is_made_good(tmp_path, at):
    """The steps are the rename and the sync of the folder."""
    upload_id = secrets.token_hex(16)
    with child(tmp_path, upload_id, 0, at) as process:
        output = process.stdout.read().split()
    assert process.returncode == -9
    assert output == [str(disk_child.SIZE)]
    async with Disk(tmp_path) as store:
        assert await store.size(upload_id) == (None if at == "0 before" else disk_child.SIZE)
        async with store.opened(upload_id, Saved(disk_child.SIZE, "")) as part:
            await part.publish()
        assert await content_of(store, upload_id) == disk_child.content(0, disk_child.SIZE)
        assert [left async for left in store.leftovers(2**40)] == []


async def test_whoever_lets_go_in_time_is_waited_for(tmp_path):
    upload_id = secrets.token_hex(16)
    tries: list[int] = []
    async with Disk(tmp_path) as mine, Disk(tmp_path, wait_s=20, files=Meddling(lock=tries.append)) as other:
        async with mine.opened(upload_id, NEW) as part:
            await part.write([b"a"])
            saved = await part.sync()
            opened = other.opened(upload_id, saved)
            opening = asyncio.ensure_future(opened.__aenter__())
            await until(lambda: len(tries) >= 2)
            assert not opening.done()
        assert (await opening).offset == 1
        await opened.__aexit__(None, None, None)


async def test_whoever_waits_for_the_disk_is_not_waited_for_long(tmp_path):
    """It cannot write any more, but its file is in use until the disk has answered."""
    asked, answered = threading.Event(), threading.Event()
    upload_id = secrets.token_hex(16)

    def sync(_: int) -> None:
        asked.set()
        answered.wait(10)

    async with Disk(tmp_path, wait_s=0.1, files=Meddling(sync=sync)) as store, store.opened(upload_id, NEW) as first:
        await first.write([b"a"])
        syncing = asyncio.create_task(first.sync())
        await until(asked.is_set)
        with pytest.raises(Unavailable):
            async with store.opened(upload_id, NEW):
                pytest.fail("two have it")
        with pytest.raises(Evicted):
            await first.write([b"b"])
        answered.set()
        with pytest.raises(Evicted):
            await syncing
        async with store.opened(upload_id, NEW) as second:
            await second.write([b"b"])
            assert (await second.sync()).offset == 1


async def test_an_opening_that_is_cancelled_leaves_nothing_locked(tmp_path):
    upload_id = secrets.token_hex(16)
    async with Disk(tmp_path, wait_s=0.0) as store, Disk(tmp_path, wait_s=5) as other:
        for _ in range(20):
            opening = asyncio.ensure_future(store.opened(upload_id, NEW).__aenter__())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            opening.cancel()
            (left,) = await asyncio.gather(opening, return_exceptions=True)
            assert isinstance(left, asyncio.CancelledError)
        async with other.opened(upload_id, NEW) as part:
            await part.write([b"a"])
            await part.sync()


async def test_a_file_that_was_replaced_before_it_was_locked_is_not_written_to(tmp_path):
    """It was removed and begun anew by others, in between."""
    upload_id = secrets.token_hex(16)
    path = tmp_path / "incoming" / upload_id
    replaced: list[int] = []

    def replace(_: int) -> None:
        if not replaced:
            replaced.append(path.stat().st_ino)
            path.rename(tmp_path / "kept")
            path.touch()

    async with Disk(tmp_path, files=Meddling(lock=replace)) as store:
        async with store.opened(upload_id, NEW) as part:
            await part.write([b"mine"])
            await part.sync()
            await part.publish()
        assert store.path(upload_id).read_bytes() == b"mine"
        assert store.path(upload_id).stat().st_ino not in replaced


# -- errors of the system --


@pytest.mark.parametrize("call", ["write", "sync", "sync_folder", "rename", "cut"])
@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, InsufficientStorage), (errno.EDQUOT, InsufficientStorage), (errno.EIO, Unavailable)],
)
async def test_an_error_is_explained_and_what_was_saved_stays(tmp_path, call, number, kind):
    upload_id = secrets.token_hex(16)
    files = Meddling()
    async with Disk(tmp_path, files=files) as store:
        async with store.opened(upload_id, NEW) as part:
            await part.write([b"a" * 1000])
            saved = await part.sync()
            await part.write([b"c" * 1000])
            await part.sync()  # and the ledger never heard of it
        files._before[call] = failing_once(number)
        with pytest.raises(kind) as refused:
            async with store.opened(upload_id, saved) as part:
                await part.write([b"b" * 1000])
                saved = await part.sync()
                await part.publish()
        assert isinstance(refused.value.__cause__, OSError)
        async with store.opened(upload_id, saved) as part:
            if part.offset < 2000:
                await part.write([b"b" * (2000 - part.offset)])
                await part.sync()
            await part.publish()
        assert await content_of(store, upload_id) == b"a" * 1000 + b"b" * 1000


async def test_a_file_whose_sync_has_failed_is_not_synced_again(tmp_path):
    synced: list[int] = []

    def sync(file: int) -> None:
        synced.append(file)
        if len(synced) == 1:
            raise OSError(errno.EIO, "failed")

    upload_id = secrets.token_hex(16)
    async with Disk(tmp_path, files=Meddling(sync=sync)) as store:
        async with store.opened(upload_id, NEW) as part:
            await part.write([b"a" * 1000])
            outcomes = await asyncio.gather(part.sync(), part.sync(), part.sync(), return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
            for again in (part.sync(), part.write([b"b"]), part.publish()):
                with pytest.raises(Unavailable):
                    await again
        assert len(synced) == 1


async def test_much_is_brought_onto_the_disk_before_anybody_asks_and_a_failure_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_part, "_FLUSH", 50_000)
    left: list[int] = []

    def sync(_: int) -> None:
        left.append(1)
        if len(left) == 3:
            raise OSError(errno.EIO, "failed")

    async with Disk(tmp_path, files=Meddling(sync=sync)) as store, store.opened(secrets.token_hex(16), NEW) as part:
        with pytest.raises(Unavailable):
            for _ in range(10_000):
                await part.write([b"a" * 10_000])
                await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await part.sync()
    assert len(left) == 3


async def test_of_many_that_are_synced_at_once_only_the_one_that_fails_is_told(tmp_path):
    bad: set[int] = set()

    def sync(file: int) -> None:
        if SYSTEM.look(file).inode in bad:
            raise OSError(errno.EIO, "failed")

    async with Disk(tmp_path, files=Meddling(sync=sync)) as store:
        ids = [secrets.token_hex(16) for _ in range(100)]

        async def one(upload_id: str) -> object:
            async with store.opened(upload_id, NEW) as part:
                await part.write([upload_id.encode()])
                if upload_id == ids[40]:
                    bad.add((tmp_path / "incoming" / upload_id).stat().st_ino)
                return await part.sync()

        outcomes = await asyncio.gather(*(one(upload_id) for upload_id in ids), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable if n == 40 else Saved for n in range(100)]


def test_a_real_limit_of_the_system_is_no_room(tmp_path):
    code = (
        "import asyncio, resource, sys; from pathlib import Path\n"
        "from holdfast.stores.disk import Disk; from holdfast.stores.blobs import Saved\n"
        "from holdfast.errors import Evicted, InsufficientStorage\n"
        "async def main():\n"
        "    async with Disk(Path(sys.argv[1])) as store:\n"
        "        async with store.opened('a' * 32, Saved(0, '')) as part:\n"
        "            await part.write([b'a' * 500_000]); saved = await part.sync()\n"
        "            try: await part.write([b'b' * 1_000_000]); await part.sync()\n"
        "            except InsufficientStorage: print('no room')\n"
        "        async with store.opened('a' * 32, saved) as part:\n"
        "            await part.publish()\n"
        "        print(await store.size('a' * 32))\n"
        "asyncio.run(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
    )
    assert done.stdout.split("\n") == ["no room", "500000", ""]


async def test_a_store_that_is_left_ends_what_is_open(tmp_path):
    store = Disk(tmp_path)
    async with store:
        opened = store.opened(secrets.token_hex(16), NEW)
        part = await opened.__aenter__()
        await part.write([b"a"])
    with pytest.raises(Unavailable):
        await part.sync()
    await opened.__aexit__(None, None, None)
