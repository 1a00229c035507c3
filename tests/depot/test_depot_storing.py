"""What the depot keeps: contents as streams, leases, the database; each by itself, without a server."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from waiting import cancelled, until

from depot import contents, flat_files, records
from depot.database import Database
from depot.leases import Leases
from depot.migrations import migrate
from depot.models import READY, Account, Activity, File, Removal, now
from depot.models import records as records_table
from depot.sessions import Sessions
from depot.settings import SessionSettings
from depot.statements import records_of
from depot.uploads import Arrivals, known
from holdfast import NotFound, Unavailable, offload, uploads

pytestmark = pytest.mark.anyio


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    migrate(str(tmp_path / "depot.sqlite"), tmp_path / "lock")
    with contextlib.closing(Database(str(tmp_path / "depot.sqlite"))) as opened:
        yield opened


# -- what is in a file --

ID = "ab" + "0" * 30
CONTENT = os.urandom(3_000_000)


@pytest.fixture
async def blobs(tmp_path: Path):
    (tmp_path / "files" / "ab").mkdir(parents=True)
    (tmp_path / "files" / "ab" / ID).write_bytes(CONTENT)
    async with uploads.blobs_at(tmp_path / "files") as opened:
        yield opened


async def test_a_stored_file_is_read_in_a_thread_from_wherever_one_likes(blobs: uploads.Blobs) -> None:
    def read(stream) -> list[bytes]:
        found = [stream.read(5), stream.read(1_000_000), stream.read()]
        for start in (0, 2_500_000, 7, len(CONTENT) + 5):
            assert stream.seek(start) == start
            found.append(stream.read(100))
        return [*found, str(stream.tell()).encode()]

    async with contents.opened(blobs, ID) as stream:
        found = await offload.thread(read, stream)
    assert b"".join(found[:3]) == CONTENT
    assert found[3:6] == [CONTENT[:100], CONTENT[2_500_000:2_500_100], CONTENT[7:107]]
    assert found[6:] == [b"", str(len(CONTENT) + 5).encode()]


async def test_a_stream_ends_with_its_block_for_whoever_still_reads(blobs: uploads.Blobs) -> None:
    began, go = threading.Event(), threading.Event()

    def read(stream) -> bytes:
        first = stream.read(10)
        began.set()
        assert go.wait(10)
        return first + stream.read()

    async with contents.opened(blobs, ID) as stream:
        reading = asyncio.create_task(offload.thread(read, stream))
        await asyncio.to_thread(began.wait)
    go.set()
    found = await reading
    assert found
    assert CONTENT.startswith(found)
    assert len(found) < len(CONTENT)


async def test_a_file_that_is_gone_is_not_found(blobs: uploads.Blobs) -> None:
    async with contents.opened(blobs, "c" * 32) as stream:
        with pytest.raises(NotFound):
            await offload.thread(stream.read, 1)


# -- leases --


def test_a_lease_has_one_holder_and_leaves_nothing(tmp_path: Path) -> None:
    holders, most = 0, 0
    taken: list[int] = []

    def hammer() -> None:
        nonlocal holders, most
        leases = Leases(tmp_path)
        for _ in range(300):
            lease = leases.take(ID)
            if lease is not None:
                with lease:
                    holders += 1
                    most = max(most, holders)
                    taken.append(1)
                    time.sleep(0)
                    holders -= 1

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, holders, len(taken) > 8) == (1, 0, True)
    assert list(tmp_path.iterdir()) == []


def test_a_lease_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    source = (
        "import sys, depot.leases, pathlib\n"
        f"lease = depot.leases.Leases(pathlib.Path({str(tmp_path)!r})).take({ID!r})\n"
        "print(lease is not None, flush=True)\n"
        "sys.stdin.read()\n"
    )
    leases = Leases(tmp_path)
    with subprocess.Popen([sys.executable, "-c", source], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout.readline() == "True\n"
        assert leases.take(ID) is None
        other.kill()
        other.wait(10)
    again = leases.take(ID)
    assert again is not None
    with again:
        assert leases.take(ID) is None


async def test_who_holds_a_lease_on_the_loop_keeps_others_out_until_the_end_of_the_block(tmp_path: Path) -> None:
    leases = Leases(tmp_path)
    async with leases.held(ID) as first, leases.held(ID) as second:
        assert (first, second) == (True, False)
    async with leases.held(ID) as again, leases.held_new() as new:
        assert again
        assert {each.name for each in tmp_path.iterdir()} == {ID, new}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 20, 50, 100, 1000, 10_000])
async def test_a_lease_is_let_go_of_wherever_its_holder_is_cancelled(tmp_path: Path, turns: int) -> None:
    async def hold() -> None:
        async with Leases(tmp_path).held(ID):
            await asyncio.Event().wait()

    holding = asyncio.create_task(hold())
    for _ in range(turns):
        await asyncio.sleep(0)
    await cancelled(holding)
    await until(lambda: not any(offload.numbers()["thread"]))
    assert list(tmp_path.iterdir()) == []
    async with Leases(tmp_path).held(ID) as ours:
        assert ours


# -- files as they come in --


async def test_a_file_that_is_finished_twice_is_there_once(database: Database) -> None:
    await database.write(add_account, "ann")
    arrivals = Arrivals(database, Sessions(database, SessionSettings()), quota_mb=1)
    upload = uploads.Upload(ID, "ann", 0.0, 0.0, name="a\0b.csv")
    whole = uploads.Whole(upload, 300_000, "0" * 64, "text/csv", uploads.Verdict.NOT_SCANNED)
    assert [await arrivals.finished(whole) for _ in range(3)] == [ID] * 3
    files = await database.read(lambda session: list(session.scalars(select(File))))
    notes = await database.read(lambda session: list(session.scalars(select(Activity.action))))
    assert [(file.name, file.size, file.state) for file in files] == [("a\ufffdb.csv", 300_000, "stored")]
    assert notes == ["file.upload"]
    assert await arrivals.quota("ann") == uploads.Room(owner_bytes=(1 << 20) - 300_000)
    with pytest.raises(NotFound):
        await arrivals.finished(whole._replace(upload=uploads.Upload("cd" * 16, "nobody", 0.0, 0.0)))


async def test_files_of_the_first_version_are_moved_and_what_it_left_behind_goes(
    database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    mine, doomed, unknown, held = (letter * 32 for letter in "abcd")
    parts = [f".{letter * 32}.part" for letter in "ef"]
    folder.mkdir()
    for name in (mine, doomed, unknown, held, *parts, "notes.txt"):
        (folder / name).write_text(name)
    await database.write(add_account, "ann")
    file = File(id=mine, account_no=1, name="x.csv", size=7, sha256="", created=now(), state="ready")
    await database.write(Session.add, file)
    await database.write(Session.add, Removal(file_no=9, file_id=doomed))
    with Leases(folder).take(held) or contextlib.nullcontext():
        for _ in range(2):
            flat_files.move(folder, lambda ids: database.transact(lambda session: known(session, ids)))
            left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
            assert left == {f"aa/{mine}", f"bb/{doomed}", held, "notes.txt"}
    assert (folder / "aa" / mine).read_text() == mine


# -- the database --


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


# -- snapshots --


def fill(session: Session, rows: int = 3_000) -> None:
    """Records of a file, after and before whose numbers there are others."""
    add_account(session, "ann")
    session.flush()
    common = {"account_no": 1, "name": "x.csv", "size": 7, "sha256": "", "created": now(), "state": READY}
    session.add_all(File(no=no, id=f"{no}" * 32, **common) for no in (2, 1, 3))
    session.flush()
    for no in (2, 1, 3):
        records.insert(session, no, [(row, f'{{"n": {no}}}') for row in range(rows, 0, -1)])


async def test_a_snapshot_has_the_rows_in_their_order_and_holds_up_no_writer(database: Database) -> None:
    await database.write(fill)
    account = (await database.read(everyone))[0]
    found: list[tuple] = []
    with database.snapshot(records_of(account)) as rows:
        found += [tuple(row) for row in rows.fetchmany(10)]
        await database.write(add_account, "bob")  # with another thread's connection, which waits for no reader's
        await database.write(lambda session: session.execute(delete(records_table)))
        found += [tuple(row) for row in rows.fetchall()]
    assert found == [(f"{no}" * 32, row, f'{{"n": {no}}}') for no in (1, 2, 3) for row in range(1, 3_001)]
    with database.snapshot(records_of(account)) as rows:
        assert rows.fetchall() == []


async def test_of_a_snapshot_nothing_is_left_on_the_disk(database: Database) -> None:
    def deleted() -> int:
        found = (path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
        return sum("etilqs_" in str(path) for path in found)

    await database.write(fill, 100_000)
    account = (await database.read(everyone))[0]
    with database.snapshot(records_of(account)):
        assert deleted() == 1
    assert deleted() == 0


async def test_what_takes_too_long_to_copy_is_refused(database: Database, monkeypatch) -> None:
    await database.write(fill, 50_000)
    account = (await database.read(everyone))[0]
    monkeypatch.setattr("depot.database._SNAPSHOT_S", 0.0)
    with pytest.raises(Unavailable, match="too much to be read at once"), database.snapshot(records_of(account)):
        pass
    await database.write(add_account, "bob")


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
