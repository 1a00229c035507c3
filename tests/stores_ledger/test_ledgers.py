"""What every ledger promises, asked of each: SQLite, PostgreSQL, memory."""

import asyncio
import contextlib
import itertools
import secrets

import apsw
import asyncpg
import pytest

from holdfast.decide.uploads.room import OutOfDate, Room
from holdfast.decide.uploads.vocabulary import Digest, Kind, Phase, Upload
from holdfast.errors import Evicted, QuotaExceeded, TooManyUploads, Unavailable
from holdfast.stores.blobs import Saved
from holdfast.stores.memory_ledger import MemoryLedger
from holdfast.stores.postgres import PostgresLedger
from holdfast.stores.sqlite import SqliteLedger

pytestmark = pytest.mark.anyio
NOW = 1_700_000_000.0
_names = itertools.count()


@pytest.fixture(params=["sqlite", "postgres", "memory"])
async def opener(request, tmp_path):
    """Makes ledgers over one and the same store, as several processes have them."""
    if request.param == "sqlite":
        yield lambda: SqliteLedger(tmp_path / "uploads.sqlite")
    elif request.param == "memory":
        known = MemoryLedger()
        yield lambda: known
    else:
        url = request.getfixturevalue("postgres_url")
        name = f"ledger_{next(_names)}"
        admin = await asyncpg.connect(url)
        await admin.execute(f"CREATE DATABASE {name}")
        await admin.close()
        yield lambda: PostgresLedger(url.removesuffix("postgres") + name)


@pytest.fixture
async def ledger(opener):
    async with opener() as opened:
        yield opened


def upload(owner: str = "anna", **more) -> Upload:
    return Upload(
        **{"id": secrets.token_hex(16), "owner": owner, "created": NOW, "expires": NOW + 60, "turn": 1, **more}
    )


async def test_an_upload_is_found_as_it_was_created(ledger):
    made = upload(
        length=10,
        name="räksmörgås\x00.txt",
        media_type="text/plain",
        metadata="filename cmFrcw==",
        kind=Kind.FINAL,
        parts=("a" * 32, "b" * 32),
        digests=(Digest("sha-256", bytes(range(32))), Digest("md5", b"\xff\x00")),
    )
    await ledger.create(made, 10, Room())
    found = await ledger.find(made.id)
    assert found is not None
    assert found.upload == made
    assert found.saved == Saved(0, "")
    assert await ledger.find("f" * 32) is None


async def test_what_is_saved_is_found_by_another_process(opener):
    async with opener() as one, opener() as other:
        made = upload()
        await one.create(made, 0, Room())
        await one.save(made.id, 1, Saved(5, "state"), length=7, expires=NOW + 99)
        found = await other.find(made.id)
        assert found is not None
        assert found.saved == Saved(5, "state")
        assert (found.upload.offset, found.upload.length, found.upload.expires) == (5, 7, NOW + 99)
        await other.save(made.id, 1, Saved(6, "more"), length=None, expires=NOW + 99)
        found = await one.find(made.id)
        assert found is not None
        assert (found.upload.offset, found.upload.length) == (6, 7)


async def test_it_is_all_there_after_it_was_closed(opener):
    made = upload()
    async with opener() as ledger:
        await ledger.create(made, 0, Room())
    async with opener() as ledger:
        assert await ledger.known([made.id, "0" * 32]) == {made.id}


async def test_with_an_old_turn_nothing_is_saved(opener):
    async with opener() as older, opener() as newer:
        made = upload()
        await older.create(made, 0, Room())
        claimed = await newer.claim(made.id, NOW + 500, Phase.RECEIVING)
        assert claimed is not None
        assert (claimed.upload.turn, claimed.upload.expires) == (2, NOW + 500)
        with pytest.raises(Evicted):
            await older.save(made.id, 1, Saved(5, ""), length=None, expires=NOW)
        with pytest.raises(Evicted):
            await older.advance(made.id, 1, Phase.FINISHED)
        with pytest.raises(Evicted):
            await older.reserve(made.id, 1, 5, Room())
        assert await older.turns([made.id, "0" * 32]) == {made.id: 2}
        await newer.save(made.id, 2, Saved(3, ""), length=None, expires=NOW)
        found = await older.find(made.id)
        assert found is not None
        assert found.saved == Saved(3, "")
        assert await newer.claim("0" * 32, NOW, Phase.RECEIVING) is None


async def test_of_many_claims_at_once_each_has_a_turn_of_its_own(opener):
    async with opener() as one, opener() as other:
        made = upload()
        await one.create(made, 0, Room())
        claimed = await asyncio.gather(*(ledger.claim(made.id, NOW, Phase.RECEIVING) for ledger in (one, other) * 16))
        assert sorted(found.upload.turn for found in claimed if found) == list(range(2, 34))


async def test_an_end_is_taken_up_only_once_its_time_is_over_and_by_one(opener):
    async with opener() as one, opener() as other:
        made = upload()
        await one.create(made, 0, Room())
        assert await one.claim(made.id, NOW, Phase.FINISHING) is None
        await one.save(made.id, 1, Saved(0, ""), length=0, expires=NOW + 3, phase=Phase.FINISHING)
        assert await other.claim(made.id, NOW + 99, Phase.RECEIVING) is None
        assert await other.claim(made.id, NOW + 5, Phase.FINISHING, over_at=NOW + 2) is None
        tries = [ledger.claim(made.id, NOW + 9, Phase.FINISHING, over_at=NOW + 4) for ledger in (one, other) * 4]
        taken = [found.upload for found in await asyncio.gather(*tries) if found is not None]
        assert [(found.turn, found.expires) for found in taken] == [(2, NOW + 9)]


async def test_no_quota_is_overshot_by_parallel_creations(opener):
    """64 at the same time, over two processes' ledgers, of which exactly ten have room."""
    async with opener() as one, opener() as other:
        room = Room(owner_bytes=1_000, all_bytes=5_000)

        async def create(ledger) -> bool:
            with contextlib.suppress(QuotaExceeded):
                await ledger.create(upload(), 100, room)
                return True
            return False

        made = await asyncio.gather(*(create(ledger) for ledger in (one, other) * 32))
        assert sum(made) == 10
        await one.create(upload("berta"), 1_000, room)
        with pytest.raises(QuotaExceeded):
            await one.create(upload("carla"), 3_001, Room(all_bytes=5_000))
        await one.create(upload("carla"), 3_000, Room(all_bytes=5_000))


async def test_an_owner_has_so_many_unfinished_uploads_and_no_more(ledger):
    room = Room(owner_uploads=2)
    first = upload()
    await ledger.create(first, 0, room)
    await ledger.create(upload(), 0, room)
    with pytest.raises(TooManyUploads):
        await ledger.create(upload(), 0, room)
    await ledger.create(upload("berta"), 0, room)
    await ledger.advance(first.id, 1, Phase.FINISHED)
    await ledger.create(upload(), 0, room)


async def test_what_is_reserved_can_grow_within_the_quota(ledger):
    made = upload()
    await ledger.create(made, 10, Room())
    await ledger.reserve(made.id, 1, 90, Room(owner_bytes=100))
    with pytest.raises(QuotaExceeded):
        await ledger.reserve(made.id, 1, 101, Room(owner_bytes=100))
    with pytest.raises(QuotaExceeded):
        await ledger.create(upload(), 11, Room(owner_bytes=100))
    await ledger.create(upload(), 10, Room(owner_bytes=100))


@pytest.mark.parametrize("phase", [Phase.FINISHED, Phase.REFUSED])
async def test_what_ended_has_nothing_reserved_unless_it_holds_it(ledger, phase):
    ended, held = upload(), upload()
    await ledger.create(ended, 60, Room())
    await ledger.create(held, 40, Room())
    await ledger.advance(ended.id, 1, phase)
    await ledger.advance(held.id, 1, phase, holds=True)
    with pytest.raises(QuotaExceeded):
        await ledger.create(upload(), 61, Room(owner_bytes=100))
    await ledger.create(upload(), 60, Room(owner_bytes=100))


async def test_a_quota_that_was_read_before_a_file_was_finished_is_read_again(ledger):
    made = upload()
    await ledger.create(made, 60, Room())
    before = await ledger.released("anna")
    await ledger.advance(made.id, 1, Phase.FINISHED)
    with pytest.raises(OutOfDate):
        await ledger.create(upload(), 60, Room(owner_bytes=100, as_of=before))
    assert await ledger.released("anna") == before + 1
    await ledger.create(upload(), 60, Room(owner_bytes=100, as_of=before + 1))
    assert await ledger.released("berta") == 0


async def test_it_goes_from_phase_to_phase_and_never_back(ledger):
    made = upload()
    await ledger.create(made, 0, Room())
    await ledger.save(made.id, 1, Saved(5, ""), length=5, expires=NOW, phase=Phase.FINISHING)
    await ledger.advance(made.id, 1, Phase.FINISHED, sha256="aa", result="file 1", expires=NOW + 7)
    found = await ledger.find(made.id)
    assert found is not None
    told = found.upload
    assert (told.phase, told.sha256, told.result, told.expires) == (Phase.FINISHED, "aa", "file 1", NOW + 7)
    with pytest.raises(Evicted):
        await ledger.advance(made.id, 1, Phase.REFUSED, problem="scan-refused")
    with pytest.raises(Evicted):
        await ledger.save(made.id, 1, Saved(6, ""), length=None, expires=NOW)


async def test_of_many_who_end_an_upload_one_does(opener):
    async with opener() as one, opener() as other:
        made = upload()
        await one.create(made, 0, Room())
        tries = [ledger.advance(made.id, 1, Phase.FINISHED) for ledger in (one, other) * 8]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        assert sorted(map(repr, outcomes)).count("None") == 1
        assert sum(isinstance(outcome, Evicted) for outcome in outcomes) == 15
        assert await one.released("anna") == 1


async def test_what_expired_is_told_the_oldest_first_and_never_what_is_being_finished(ledger):
    late, early, alive, ending = upload(), upload(expires=NOW + 1), upload(expires=NOW + 1_000), upload()
    for made in (late, early, alive, ending):
        await ledger.create(made, 0, Room())
    await ledger.save(ending.id, 1, Saved(0, ""), length=0, expires=NOW, phase=Phase.FINISHING)
    assert [entry.upload.id for entry in await ledger.expired(NOW + 100, 10)] == [early.id, late.id]
    assert [entry.upload.id for entry in await ledger.expired(NOW + 100, 1)] == [early.id]
    assert [entry.upload.id for entry in await ledger.finishing(NOW + 100, 10)] == [ending.id]
    assert await ledger.finishing(NOW - 1, 10) == []


async def test_what_is_gone_on_with_in_the_last_moment_is_not_removed(ledger):
    made = upload()
    await ledger.create(made, 50, Room())
    assert [entry.upload.id for entry in await ledger.expired(NOW + 100, 10)] == [made.id]
    await ledger.save(made.id, 1, Saved(1, ""), length=None, expires=NOW + 500)
    assert await ledger.remove(made.id, expired_at=NOW + 100) is False
    assert await ledger.remove(made.id, expired_at=NOW + 500) is True
    assert await ledger.remove(made.id) is False
    assert await ledger.find(made.id) is None
    await ledger.create(upload(), 100, Room(owner_bytes=100))


async def test_many_saves_at_once_are_all_kept(ledger):
    many = [upload(str(number)) for number in range(200)]
    await asyncio.gather(*(ledger.create(made, 0, Room()) for made in many))
    await asyncio.gather(
        *(ledger.save(made.id, 1, Saved(n, ""), length=None, expires=NOW) for n, made in enumerate(many))
    )
    found = [await ledger.find(made.id) for made in many]
    assert [entry.saved.offset for entry in found if entry] == list(range(200))


# -- one kind only --


async def test_a_file_of_another_version_is_not_touched(tmp_path):
    db = apsw.Connection(str(tmp_path / "x"))
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Unavailable, match="99"):
        async with SqliteLedger(tmp_path / "x"):
            pass


async def test_a_file_that_another_process_keeps_locked_is_unavailable_and_then_well(tmp_path):
    async with SqliteLedger(tmp_path / "x", patience_s=0.1) as ledger:
        other = apsw.Connection(str(tmp_path / "x"))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await ledger.create(upload(), 0, Room())
        other.execute("ROLLBACK")
        other.close()
        await ledger.create(upload(), 0, Room())


async def test_two_that_make_the_file_at_the_same_time_share_it(tmp_path):
    ledgers = [SqliteLedger(tmp_path / "x") for _ in range(8)]
    async with contextlib.AsyncExitStack() as stack:
        await asyncio.gather(*(stack.enter_async_context(ledger) for ledger in ledgers))
        await asyncio.gather(*(ledger.create(upload(), 1, Room()) for ledger in ledgers))
        assert len(await ledgers[0].expired(NOW + 100, 100)) == 8


async def test_a_database_that_does_not_answer_is_unavailable():
    with pytest.raises(Unavailable):
        async with PostgresLedger("postgresql://nobody@127.0.0.1:1/none", patience_s=1):
            pass


async def test_a_ledger_that_is_not_open_says_so(tmp_path):
    for ledger in (SqliteLedger(tmp_path / "x"), PostgresLedger("postgresql://127.0.0.1:1/x")):
        with pytest.raises(Unavailable, match="not open"):
            await ledger.find("0" * 32)
