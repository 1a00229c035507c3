"""Contents on disk: whole or not there, and nothing left behind."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from depot.background import Background
from depot.blobs import Arriving, Blobs
from depot.database import Database
from depot.intake import Intake
from depot.migrations import migrate
from depot.models import Account, File, now
from depot.sessions import Sessions
from depot.settings import SessionSettings
from depot.webhook import Silence
from holdfast import TooLarge, Unavailable

pytestmark = pytest.mark.anyio


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    (tmp_path / "files").mkdir()
    return Blobs(tmp_path / "files", limit=1_000_000)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    migrate(str(tmp_path / "depot.sqlite"), tmp_path / "lock")
    with contextlib.closing(Database(str(tmp_path / "depot.sqlite"))) as opened:
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
    await database.write(add_account, "ann")
    file = File(id=known, account_no=1, name="x.csv", size=7, sha256="", created=now(), state="ready")
    await database.write(Session.add, file)
    background = Background(database, blobs, Intake(database, blobs, Silence()), Sessions(database, SessionSettings()))
    with (folder / locked).open() as one, (folder / living_part).open() as other:
        fcntl.flock(one, fcntl.LOCK_EX)
        fcntl.flock(other, fcntl.LOCK_EX)
        await background.tidy()
        assert set(names(folder)) == {known, locked, foreign, living_part}
    await background.tidy()
    assert set(names(folder)) == {known, foreign}


def add_account(session: Session, name: str) -> None:
    session.add(Account(name=name, token_sha256=name, created=now()))


async def test_writers_wait_for_each_other_and_readers_for_none(database: Database) -> None:
    await asyncio.gather(*(database.write(add_account, f"user {number}") for number in range(50)))
    inside, go = threading.Event(), threading.Event()

    def add_slowly(session: Session) -> None:
        add_account(session, "last")
        session.flush()
        inside.set()
        assert go.wait(10)

    writing = asyncio.create_task(database.write(add_slowly))
    await asyncio.to_thread(inside.wait)
    assert await database.read(Session.get, Account, 50) is not None
    assert await database.read(Session.get, Account, 51) is None
    go.set()
    await writing
    assert await database.read(Session.get, Account, 51) is not None


async def test_a_cancelled_writer_carries_through_what_it_began_and_blocks_nobody(database: Database) -> None:
    inside, go = threading.Event(), threading.Event()

    def add_slowly(session: Session) -> None:
        add_account(session, "slow")
        session.flush()
        inside.set()
        assert go.wait(10)

    writing = asyncio.create_task(database.write(add_slowly))
    await asyncio.to_thread(inside.wait)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    go.set()
    await database.write(add_account, "next")
    assert [account.name for account in await database.read(everyone)] == ["slow", "next"]


def everyone(session: Session) -> list[Account]:
    return list(session.scalars(select(Account).order_by(Account.no)))


async def test_a_writer_that_fails_changes_nothing(database: Database) -> None:
    def add_and_fail(session: Session) -> None:
        add_account(session, "never")
        session.flush()
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(add_and_fail)
    assert await database.read(everyone) == []


async def test_a_database_that_another_process_holds_is_unavailable(
    database: Database, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("depot.database._PATIENCE_S", 0.1)
    impatient = Database(str(tmp_path / "depot.sqlite"))
    with contextlib.closing(sqlite3.connect(tmp_path / "depot.sqlite")) as other, contextlib.closing(impatient):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await impatient.write(add_account, "ann")
        other.rollback()
        await impatient.write(add_account, "ann")
