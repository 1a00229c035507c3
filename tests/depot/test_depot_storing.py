"""Contents on disk: whole or not there, and nothing left behind."""

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from depot.background import Background
from depot.blobs import Arriving, Blobs
from depot.database import Database
from depot.intake import Intake
from depot.migrations import migrate
from depot.models import Account, File, now
from depot.webhook import Silence
from holdfast import TooLarge

pytestmark = pytest.mark.anyio


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    (tmp_path / "files").mkdir()
    return Blobs(tmp_path / "files", limit=1_000_000)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    migrate(str(tmp_path / "depot.sqlite"), tmp_path / "lock")
    async with Database.at(str(tmp_path / "depot.sqlite")) as opened:
        yield opened


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_file_is_visible_only_when_it_is_whole(blobs: Blobs, tmp_path: Path) -> None:
    content = os.urandom(700_000)
    async with blobs.arriving() as file:
        await file.write(content)
        assert [name[-5:] for name in names(tmp_path / "files")] == [".part"]
        stored = await file.finish()
        assert names(tmp_path / "files") == [stored.id]
    assert (stored.size, stored.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert blobs.path(stored.id).read_bytes() == content


async def test_an_empty_file_is_a_file(blobs: Blobs) -> None:
    async with blobs.arriving() as file:
        stored = await file.finish()
    assert blobs.path(stored.id).read_bytes() == b""


async def write_until_cancelled(blobs: Blobs, began: asyncio.Event) -> None:
    async with blobs.arriving() as file:
        while True:
            await file.write(b"x" * 300_000 if file._size < 600_000 else b"")
            began.set()


async def test_a_cancelled_upload_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    for _ in range(20):
        began = asyncio.Event()
        upload = asyncio.create_task(write_until_cancelled(blobs, began))
        await began.wait()
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload
    assert names(tmp_path / "files") == []


async def test_a_file_over_the_limit_is_refused_and_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        async with blobs.arriving() as file:
            for _ in range(4):
                await file.write(b"x" * 300_000)
    assert names(tmp_path / "files") == []


async def test_a_file_that_nothing_came_of_after_it_was_whole_is_removed(blobs: Blobs, tmp_path: Path) -> None:
    async def fail(file: Arriving) -> None:
        await file.finish()
        raise OSError("the database is gone")

    with pytest.raises(OSError, match="gone"):
        async with blobs.arriving() as file:
            await fail(file)
    assert names(tmp_path / "files") == []


async def test_the_next_start_removes_what_dead_processes_left_and_nothing_else(
    blobs: Blobs, database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    known, unknown, locked, foreign = "a" * 32, "b" * 32, "c" * 32, "notes.txt"
    dead_part, living_part = f".{'d' * 32}.part", f".{'e' * 32}.part"
    for name in (known, unknown, locked, foreign, dead_part, living_part):
        (folder / name).write_bytes(b"content")
        os.utime(folder / name, (time.time() - 3600,) * 2)
    async with database.writing() as session:
        session.add(Account(name="ann", token_sha256="x", created=now()))
        await session.flush()
        session.add(File(id=known, account_no=1, name="x.csv", size=7, sha256="", created=now(), state="ready"))
    background = Background(database, blobs, Intake(database, blobs, Silence()))
    with (folder / locked).open() as one, (folder / living_part).open() as other:
        fcntl.flock(one, fcntl.LOCK_EX)
        fcntl.flock(other, fcntl.LOCK_EX)
        await background._tidy()
        assert set(names(folder)) == {known, locked, foreign, living_part}
    await background._tidy()
    assert set(names(folder)) == {known, foreign}


async def test_writers_wait_for_each_other_and_readers_for_none(database: Database) -> None:
    async def add(number: int) -> None:
        async with database.writing() as session:
            session.add(Account(name=f"user {number}", token_sha256=str(number), created=now()))

    await asyncio.gather(*(add(number) for number in range(50)))
    async with database.writing() as session:
        session.add(Account(name="last", token_sha256="last", created=now()))
        await session.flush()
        async with database.reading() as reader:
            assert await reader.get(Account, 50) is not None
            assert await reader.get(Account, 51) is None
    async with database.reading() as reader:
        assert await reader.get(Account, 51) is not None


async def test_a_cancelled_writer_leaves_no_transaction_open(database: Database) -> None:
    async def write_and_hang(inside: asyncio.Event) -> None:
        async with database.writing() as session:
            session.add(Account(name="never", token_sha256="never", created=now()))
            await session.flush()
            inside.set()
            await asyncio.Event().wait()

    inside = asyncio.Event()
    writer = asyncio.create_task(write_and_hang(inside))
    await inside.wait()
    writer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writer
    async with asyncio.timeout(5), database.writing() as session:
        assert await session.get(Account, 1) is None
