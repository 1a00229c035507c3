"""Power cuts, kills and failing disks at random calls: no saved byte is lost, and no half file is ever visible.

Each program opens, writes, saves, publishes, joins and removes at random, on a disk that keeps as little as it may. The
ledger is taken to be durable, as it is a database; in between, a process may die before it was told.
"""

import asyncio
import errno
import random
import secrets
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from power_cut import PowerCut, SmallDisk

from holdfast.errors import HoldfastError, InsufficientStorage, NotFound, Unavailable
from holdfast.stores import disk_part
from holdfast.stores.blobs import Saved
from holdfast.stores.disk import Disk

FOLDER = Path("/blobs")
NEW = Saved(0, "")
LIVES = 6
MAKING = 262
"""So many calls it takes to make the folders."""


@pytest.fixture(autouse=True)
def early_syncs(monkeypatch) -> None:
    """Small uploads, too, are brought onto the disk before anybody asks."""
    monkeypatch.setattr(disk_part, "_FLUSH", 1500)


@dataclass
class Known:
    """What the ledger, and those who wait for answers, know of an upload."""

    saved: Saved = NEW
    content: bytes = b""
    """What was acknowledged."""
    finishing: bool = False
    """All of it was saved, and it may be published."""
    published: bool = False
    removed: bool = False


@dataclass
class World:
    """A disk, what is known, and chance."""

    chance: random.Random
    disk: SmallDisk
    known: dict[str, Known] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    failing: float = 0.0
    tally: Counter[str] = field(default_factory=Counter)
    """What happened, for a test that nothing happens in proves nothing."""

    def fault(self, name: str) -> int | None:
        """Now and then the disk fails, or is full."""
        often = 4 if name in {"write", "sync", "rename"} else 1
        if name == "make_folder" or self.chance.random() >= self.failing * often:
            return None
        self.tally[f"{name} failed"] += 1
        full = name in {"write", "open", "copy", "sync", "rename"} and self.chance.random() < 0.4
        return errno.ENOSPC if full else errno.EIO

    def some(self) -> bytes:
        return self.chance.randbytes(self.chance.choice([0, 1, 100, 511, 512, 700, 3000]))


async def receive(world: World, store: Disk, upload_id: str) -> None:
    """A request or two: bytes come, are saved now and then, and perhaps that is the end of it."""
    known = world.known[upload_id]
    got = known.content
    async with store.opened(upload_id, known.saved) as part:
        assert part.offset == known.saved.offset
        for _ in range(world.chance.randint(0, 4)):
            piece = world.some()
            got += piece
            await part.write([piece])
            if world.chance.random() < 0.5:
                saved = await part.sync()
                assert saved.offset == len(got)
                if world.chance.random() < 0.9:  # or it dies before the ledger is told
                    known.saved, known.content = saved, got
                    world.tally["saved"] += 1
                else:
                    return
        if world.chance.random() < 0.3:
            saved = await part.sync()
            known.saved, known.content, known.finishing = saved, got, True
            await part.publish()
            known.published = True
            world.tally["published"] += 1


async def finish(world: World, store: Disk, upload_id: str) -> None:
    """Somebody takes up what was to be published, looks at it, and publishes it again."""
    known = world.known[upload_id]
    async with store.opened(upload_id, known.saved) as part:
        assert b"".join([piece async for piece in part.read()]) == known.content
        await part.publish()
    known.published = True
    world.tally["published again"] += 1


async def remove(world: World, store: Disk, upload_id: str) -> None:
    known = world.known[upload_id]
    known.removed = True
    await store.remove(upload_id, known.saved)
    del world.known[upload_id]
    world.gone.add(upload_id)
    world.tally["removed"] += 1


async def join(world: World, store: Disk, upload_id: str) -> None:
    chosen = [other for other, known in world.known.items() if not known.removed and world.chance.random() < 0.5]
    contents = [world.known[other].content for other in chosen]
    saved = await store.join(upload_id, [(other, world.known[other].saved) for other in chosen])
    world.known[upload_id] = Known(saved, b"".join(contents), finishing=True)
    world.tally["joined"] += 1


async def step(world: World, store: Disk) -> None:
    upload_id = world.chance.choice([*world.known, "new"])
    if upload_id == "new":
        upload_id = secrets.token_hex(16)
        if world.chance.random() < 0.2:
            await join(world, store, upload_id)
            return
        world.known[upload_id] = Known()
    known = world.known[upload_id]
    if known.removed or world.chance.random() < 0.05:
        await remove(world, store, upload_id)
    elif known.finishing:
        await finish(world, store, upload_id)
    else:
        await receive(world, store, upload_id)


async def life(world: World) -> None:
    """One process, until it ends or the power does."""
    store = Disk(FOLDER, wait_s=0.0, threads=2, files=world.disk)
    world.disk.faults = world.fault
    try:
        for _ in range(world.chance.randint(2, 12)):
            with suppress(Unavailable, InsufficientStorage):
                await step(world, store)
    except PowerCut:
        world.tally["cut"] += 1
    with suppress(PowerCut, HoldfastError):
        await store.__aexit__(None, None, None)


async def look(world: World) -> None:
    """Nothing that was acknowledged is missing, nothing that was not finished is visible."""
    async with Disk(FOLDER, wait_s=0.0, threads=2, files=world.disk) as store:
        for upload_id, known in list(world.known.items()):
            size = await store.size(upload_id)
            if known.removed:
                continue
            assert not (known.published and size is None), "a published file is gone"
            assert size is None or known.finishing, "a file is visible that nobody finished"
            if size is not None:
                content = b"".join([piece async for piece in store.read(upload_id)])
                assert content == known.content, "a file is not what was saved"
            async with store.opened(upload_id, known.saved) as part:
                assert part.offset == len(known.content)
                assert b"".join([piece async for piece in part.read()]) == known.content, "saved bytes are gone"
        for upload_id in world.gone:
            assert await store.size(upload_id) is None, "a file that was removed is there again"
        left = [upload_id async for upload_id in store.leftovers(world.disk.now + 1)]
        for upload_id in left:
            known = world.known.get(upload_id)
            assert known is None or known.removed or not known.published
            if known is None:
                await store.remove(upload_id)
        for upload_id in left:
            if upload_id not in world.known:
                with pytest.raises(NotFound):
                    await anext(store.read(upload_id))


def run(seed: int, *, power: bool, failing: float = 0.0) -> Counter[str]:
    """A program of several lives on one disk; what happened in them."""
    chance = random.Random(seed)
    world = World(chance, SmallDisk(chance), failing=failing)
    for _ in range(LIVES):
        world.disk.cut_at = MAKING + chance.randint(0, 100) if chance.random() < 0.8 else None
        asyncio.run(life(world))
        world.disk = world.disk.after_power_cut() if power else world.disk.after_kill()
        asyncio.run(look(world))
        world.disk = world.disk.after_power_cut() if power else world.disk.after_kill()
    return world.tally


def test_a_power_cut_takes_nothing_that_was_saved():
    tally = sum((run(seed, power=True) for seed in range(14)), Counter())
    assert all(tally[word] >= 5 for word in ("saved", "published", "published again", "removed", "joined", "cut"))


def test_a_kill_takes_nothing_that_was_saved():
    tally = sum((run(seed, power=False) for seed in range(5)), Counter())
    assert all(tally[word] >= 1 for word in ("saved", "published", "removed", "cut"))


def test_a_disk_that_fails_and_loses_its_power_takes_nothing_that_was_saved():
    tally = sum((run(seed, power=True, failing=0.04) for seed in range(14)), Counter())
    assert all(tally[word] >= 5 for word in ("saved", "published", "cut"))
    assert tally["sync failed"] + tally["write failed"] + tally["rename failed"] >= 10
    assert tally["sync_folder failed"] + tally["open failed"] + tally["close failed"] >= 10


@pytest.mark.long
@pytest.mark.parametrize("first", range(1000, 2000, 100))
def test_many_power_cuts_take_nothing_that_was_saved(first):
    for seed in range(first, first + 100):
        run(seed, power=True)
        run(seed, power=False)


@pytest.mark.long
@pytest.mark.parametrize("first", range(2000, 3000, 100))
def test_many_failing_disks_take_nothing_that_was_saved(first):
    for seed in range(first, first + 100):
        run(seed, power=True, failing=0.02)
        run(seed, power=True, failing=0.10)
