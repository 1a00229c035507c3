"""What every store of uploads promises: one test for all of them."""

import asyncio
import secrets
import time

import pytest

from holdfast.errors import Evicted, NotFound, Unavailable, UploadGone
from holdfast.stores.blobs import Saved

pytestmark = pytest.mark.anyio

NEW = Saved(0, "")
SIZES = [(0, 0), (0, 1), (0, 1000), (1, 0), (1, 1), (4, 37_856)]
"""In parts, and bytes beyond."""


def new_id() -> str:
    return secrets.token_hex(16)


def some(size: int) -> bytes:
    return secrets.token_bytes(size)


async def written(store, upload_id: str, content: bytes, saved: Saved = NEW) -> Saved:
    """Append, and save."""
    async with store.opened(upload_id, saved) as part:
        await part.write([content])
        return await part.sync()


async def published(store, content: bytes) -> str:
    upload_id = new_id()
    saved = await written(store, upload_id, content)
    async with store.opened(upload_id, saved) as part:
        await part.publish()
    return upload_id


async def content_of(store, upload_id: str, *span) -> bytes:
    return b"".join([piece async for piece in store.read(upload_id, *span)])


@pytest.mark.parametrize(("parts", "beyond"), SIZES)
async def test_what_was_written_and_published_can_be_read(blobs, unit, parts, beyond):
    content = some(parts * unit + beyond)
    upload_id = await published(blobs, content)
    assert await content_of(blobs, upload_id) == content
    assert await blobs.size(upload_id) == len(content)


async def test_one_that_is_written_in_many_pieces_is_whole(blobs, unit):
    pieces = [some(size) for size in (1, 0, unit + 4464, 3, 2 * unit, unit)]
    upload_id = new_id()
    async with blobs.opened(upload_id, NEW) as part:
        await part.write(pieces[:3])
        assert part.offset == unit + 4465
        await part.write(pieces[3:])
        saved = await part.sync()
        assert saved.offset == part.offset == sum(map(len, pieces))
        await part.publish()
    assert await content_of(blobs, upload_id) == b"".join(pieces)


async def test_an_upload_goes_on_where_it_was_saved(blobs, unit):
    content = some(3 * unit + 2000)
    upload_id, saved, at = new_id(), NEW, 0
    for end in (1, unit + 10, unit + 10, unit + 1000, unit + 2000, 2 * unit + 9, len(content)):
        saved = await written(blobs, upload_id, content[at:end], saved)
        assert saved.offset == end
        assert len(saved.state) < 4096
        at = end
    async with blobs.opened(upload_id, saved) as part:
        assert part.offset == len(content)
        await part.publish()
    assert await content_of(blobs, upload_id) == content


async def test_many_small_saves_stay_small_in_the_ledger(blobs):
    upload_id, saved = new_id(), NEW
    async with blobs.opened(upload_id, NEW) as part:
        for number in range(40):
            await part.write([bytes([number]) * 5000])
            saved = await part.sync()
            assert saved.offset == (number + 1) * 5000
            assert len(saved.state) < 2048
        await part.publish()
    assert await content_of(blobs, upload_id) == b"".join(bytes([number]) * 5000 for number in range(40))


async def test_what_was_not_saved_is_cut_off_by_whoever_opens_it_next(blobs, unit):
    upload_id = new_id()
    async with blobs.opened(upload_id, NEW) as part:
        await part.write([b"a" * (unit + 100)])
        saved = await part.sync()
        await part.write([b"b" * (unit + 100)])
    async with blobs.opened(upload_id, saved) as part:
        assert part.offset == unit + 100
        await part.write([b"c" * 10])
        await part.sync()
        await part.publish()
    assert await content_of(blobs, upload_id) == b"a" * (unit + 100) + b"c" * 10


async def test_what_was_made_safe_but_not_kept_by_the_ledger_is_cut_off_too(blobs, unit):
    size = unit + 4000
    upload_id = new_id()
    saved = await written(blobs, upload_id, b"a" * size)
    await written(blobs, upload_id, b"b" * size, saved)
    last = await written(blobs, upload_id, b"c" * size, saved)
    async with blobs.opened(upload_id, last) as part:
        await part.publish()
    assert await content_of(blobs, upload_id) == b"a" * size + b"c" * size


async def test_it_can_be_written_to_while_it_is_made_safe(blobs, unit):
    content = some(3 * unit + 5)
    first = unit + unit // 2
    upload_id = new_id()
    async with blobs.opened(upload_id, NEW) as part:
        await part.write([content[:first]])
        syncing = asyncio.create_task(part.sync())
        await asyncio.sleep(0)
        await part.write([content[first:]])
        saved = await syncing
        assert first <= saved.offset <= len(content)
        saved = await part.sync()
        assert saved.offset == len(content)
    async with blobs.opened(upload_id, saved) as part:
        await part.publish()
    assert await content_of(blobs, upload_id) == content


async def test_a_write_that_is_cancelled_has_taken_its_bytes(blobs):
    upload_id = new_id()
    content = some(3_000_000)
    async with blobs.opened(upload_id, NEW) as part:
        writing = asyncio.create_task(part.write([content]))
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert part.offset == len(content)
        assert (await part.sync()).offset == len(content)
        await part.publish()
    assert await content_of(blobs, upload_id) == content


# -- one at a time --


async def test_whoever_had_it_open_can_write_no_more_once_another_has_opened_it(blobs):
    upload_id = new_id()
    async with blobs.opened(upload_id, NEW) as first:
        await first.write([b"a" * 10])
        saved = await first.sync()
        async with blobs.opened(upload_id, saved) as second:
            with pytest.raises(Evicted):
                await first.write([b"x" * 100])
            with pytest.raises(Evicted):
                await first.sync()
            with pytest.raises(Evicted):
                await first.publish()
            await second.write([b"b" * 10])
            saved = await second.sync()
        with pytest.raises(Evicted):
            await first.write([b"x"])
    async with blobs.opened(upload_id, saved) as part:
        await part.publish()
    assert await content_of(blobs, upload_id) == b"a" * 10 + b"b" * 10


async def test_bytes_of_an_evicted_request_that_were_on_their_way_change_nothing(blobs, unit):
    upload_id = new_id()
    first_content, content = some(2 * unit + 77), some(2 * unit + 777)
    async with blobs.opened(upload_id, NEW) as first:
        writing = asyncio.create_task(first.write([first_content]))
        syncing = asyncio.create_task(first.sync())
        await asyncio.sleep(0)
        async with blobs.opened(upload_id, NEW) as second:
            await second.write([content])
            saved = await second.sync()
        results = await asyncio.gather(writing, syncing, return_exceptions=True)
        assert all(result is None or isinstance(result, Evicted | Saved) for result in results)
    async with blobs.opened(upload_id, saved) as part:
        await part.publish()
    assert await content_of(blobs, upload_id) == content


async def test_one_whose_turn_is_over_changes_nothing(blobs):
    """It was slow to open; others have written since, and what they saved is more than it knows of."""
    upload_id = new_id()
    old = await written(blobs, upload_id, b"a" * 10)
    saved = await written(blobs, upload_id, b"b" * 10, old)

    async def over() -> None:
        raise Evicted

    with pytest.raises(Evicted):
        async with blobs.opened(upload_id, old, over):
            pytest.fail("it was opened")
    async with blobs.opened(upload_id, saved) as newer:
        with pytest.raises(Evicted):
            async with blobs.opened(upload_id, old, over):
                pytest.fail("it was opened")
        await newer.write([b"c" * 10])
        saved = await newer.sync()
        await newer.publish()
    assert await content_of(blobs, upload_id) == b"a" * 10 + b"b" * 10 + b"c" * 10


async def test_many_who_open_it_at_once_leave_one_that_can_write(blobs):
    upload_id = new_id()
    outcomes: list[str] = []

    async def one(number: int) -> None:
        try:
            async with blobs.opened(upload_id, NEW) as part:
                for _ in range(3):
                    await part.write([bytes([number]) * 1000])
                await part.sync()
                outcomes.append("saved")
        except (Evicted, Unavailable):
            outcomes.append("evicted")

    await asyncio.gather(*(one(number) for number in range(8)))
    assert len(outcomes) == 8
    assert "saved" in outcomes
    async with blobs.opened(upload_id, Saved(0, "")) as part:
        await part.write([b"z"])
        await part.sync()
        await part.publish()
    assert await content_of(blobs, upload_id) == b"z"


async def test_another_process_goes_on_where_the_first_one_saved(blobs, others, unit):
    content = some(2 * unit + 300)
    half = unit + 200
    upload_id = new_id()
    async with blobs.opened(upload_id, NEW) as part:
        await part.write([content[:half]])
        saved = await part.sync()
        await part.write([b"x" * 1000])
    async with others.opened(upload_id, saved) as part:
        await part.write([content[half:]])
        saved = await part.sync()
        await part.publish()
    assert await content_of(blobs, upload_id) == content


async def test_another_process_that_does_not_let_go_can_not_harm(kind, blobs, others, unit):
    """On disk it is waited for, and then said to be in the way; in S3 what it does lies elsewhere."""
    content = some(3 * unit + 300)
    first, second = 100, unit + 5000
    upload_id = new_id()
    async with others.opened(upload_id, NEW) as stuck:
        await stuck.write([content[:first]])
        saved = await stuck.sync()
        if kind.name == "disk":
            with pytest.raises(Unavailable):
                async with blobs.opened(upload_id, saved):
                    pytest.fail("two have it")
        else:
            async with blobs.opened(upload_id, saved) as part:
                await stuck.write([b"x" * (unit + 100)])
                await part.write([content[first:second]])
                await asyncio.gather(stuck.sync(), part.sync())
                await stuck.write([b"y" * (unit + 100)])
                await part.write([content[second:]])
                saved = await part.sync()
                await stuck.sync()
    if kind.name == "disk":
        saved = await written(blobs, upload_id, content[first:], saved)
    async with blobs.opened(upload_id, saved) as part:
        await part.publish()
    assert await content_of(others, upload_id) == content


# -- publishing --


async def test_nothing_is_visible_before_it_is_published(blobs):
    upload_id = new_id()
    saved = await written(blobs, upload_id, some(100_000))
    assert await blobs.size(upload_id) is None
    with pytest.raises(NotFound):
        await content_of(blobs, upload_id)
    async with blobs.opened(upload_id, saved) as part:
        await part.publish()
    assert await blobs.size(upload_id) == 100_000


@pytest.mark.parametrize(("parts", "beyond"), [(0, 0), (0, 10), (1, 0), (1, 10)])
async def test_publishing_twice_does_no_harm(blobs, unit, parts, beyond):
    content = some(parts * unit + beyond)
    upload_id = new_id()
    saved = await written(blobs, upload_id, content)
    for _ in range(3):
        async with blobs.opened(upload_id, saved) as part:
            await part.publish()
            await part.publish()
    assert await content_of(blobs, upload_id) == content


async def test_what_is_published_takes_no_more(blobs):
    upload_id = new_id()
    saved = await written(blobs, upload_id, b"a" * 1000)
    async with blobs.opened(upload_id, saved) as part:
        await part.publish()
        with pytest.raises(UploadGone):
            await part.write([b"b"])
    async with blobs.opened(upload_id, saved) as part:
        with pytest.raises(UploadGone):
            await part.write([b"b"])
    assert await content_of(blobs, upload_id) == b"a" * 1000


async def test_a_part_that_is_not_open_any_more_can_not_be_used(blobs):
    async with blobs.opened(new_id(), NEW) as part:
        await part.write([b"a"])
    with pytest.raises((RuntimeError, Evicted)):
        await part.write([b"b"])
    with pytest.raises((RuntimeError, Evicted)):
        await part.sync()


# -- reading --


async def test_any_span_of_a_file_can_be_read(blobs):
    content = some(200_000)
    upload_id = await published(blobs, content)
    spans = [(0, 0), (0, 1), (5, 5), (1, 70_000), (65_536, None), (199_999, None), (200_000, None), (150_000, 900_000)]
    for start, end in spans:
        assert await content_of(blobs, upload_id, start, end) == content[start:end]


async def test_a_reader_can_leave(blobs):
    upload_id = await published(blobs, some(3_000_000))
    reading = blobs.read(upload_id)
    assert await anext(reading)
    await reading.aclose()


async def test_what_was_saved_can_be_read_before_it_is_published_where_the_store_can(kind, blobs):
    content = some(1_500_000)
    upload_id = new_id()
    async with blobs.opened(upload_id, NEW) as part:
        await part.write([content])
        await part.sync()
        if kind.reads_unpublished:
            assert b"".join([piece async for piece in part.read()]) == content
        else:
            with pytest.raises(NotImplementedError):
                await anext(part.read())
        await part.publish()
        assert b"".join([piece async for piece in part.read()]) == content


async def test_what_is_not_there_is_not_found(blobs):
    assert await blobs.size(new_id()) is None
    with pytest.raises(NotFound):
        await content_of(blobs, new_id())
    with pytest.raises(NotFound):
        await content_of(blobs, new_id(), 5, 10)


async def test_an_upload_whose_bytes_are_gone_is_gone(blobs):
    upload_id = new_id()
    saved = await written(blobs, upload_id, some(100_000))
    await blobs.remove(upload_id)
    with pytest.raises(UploadGone):
        async with blobs.opened(upload_id, saved):
            pytest.fail("it was opened")


# -- joining --


@pytest.mark.parametrize(
    "sizes", [[], [(0, 0)], [(0, 10), (0, 20)], [(1, 9), (0, 5), (0, 0), (2, 50), (1, 0)], [(1, 0)] * 3]
)
async def test_uploads_are_joined_in_order_and_stay(blobs, unit, sizes):
    contents = [some(parts * unit + beyond) for parts, beyond in sizes]
    parts = []
    for content in contents:
        upload_id = new_id()
        parts.append((upload_id, await written(blobs, upload_id, content)))
    joined = new_id()
    await blobs.join(joined, parts)  # whoever did it first died before it was noted
    saved = await blobs.join(joined, parts)
    assert saved.offset == sum(map(len, contents))
    async with blobs.opened(joined, saved) as part:
        await part.publish()
    assert await content_of(blobs, joined) == b"".join(contents)
    for (upload_id, old), content in zip(parts, contents, strict=True):
        async with blobs.opened(upload_id, old) as part:
            await part.publish()
        assert await content_of(blobs, upload_id) == content


async def test_what_is_gone_can_not_be_joined(blobs):
    upload_id = new_id()
    saved = await written(blobs, upload_id, some(1000))
    await blobs.remove(upload_id)
    with pytest.raises(UploadGone):
        await blobs.join(new_id(), [(upload_id, saved)])


# -- removing, and what is left over --


@pytest.mark.parametrize(("parts", "beyond"), [(0, 0), (0, 10), (1, 10)])
async def test_removing_leaves_nothing(blobs, unit, parts, beyond):
    for finish in (False, True):
        upload_id = new_id()
        saved = await written(blobs, upload_id, some(parts * unit + beyond))
        if finish:
            async with blobs.opened(upload_id, saved) as part:
                await part.publish()
        await blobs.remove(upload_id, saved)
        await blobs.remove(upload_id, saved)
        await blobs.remove(upload_id)
        assert await blobs.size(upload_id) is None
    assert [found async for found in blobs.leftovers(time.time() + 60)] == []


async def test_whoever_has_a_removed_upload_open_can_write_no_more(blobs):
    upload_id = new_id()
    async with blobs.opened(upload_id, NEW) as part:
        await part.write([b"a" * 1000])
        saved = await part.sync()
        await blobs.remove(upload_id, saved)
        with pytest.raises(Evicted):
            await part.write([b"b"])


async def test_what_nobody_has_touched_is_left_over(blobs, unit):
    before = time.time() - 5
    small, large, empty, whole, used = (new_id() for _ in range(5))
    await written(blobs, small, some(10))
    await written(blobs, large, some(unit + 10))
    async with blobs.opened(empty, NEW) as part:
        await part.sync()
    saved = await written(blobs, whole, some(unit + 10))
    async with blobs.opened(whole, saved) as part:
        await part.publish()
    async with blobs.opened(used, NEW) as part:
        await part.write([some(unit + 10)])
        await part.sync()
        assert [found async for found in blobs.leftovers(before)] == []
        found = {found async for found in blobs.leftovers(time.time() + 60)}
    assert {small, large} <= found <= {small, large, empty}
    assert whole not in found
    assert used not in found
    for upload_id in (*found, used):
        await blobs.remove(upload_id)
    assert [found async for found in blobs.leftovers(time.time() + 60)] == []


async def test_free_room_is_told_where_there_is_a_bound(kind, blobs):
    free = await blobs.free()
    assert (free is None) == kind.name.startswith("s3")
    assert free is None or free > 0


# -- what comes from outside --

HOSTILE = [
    "",
    "..",
    "../" * 8 + "etc/passwd",
    "a" * 31,
    "a" * 33,
    "A" * 32,
    "g" * 32,
    "a" * 31 + "\n",
    "a" * 31 + "/",
    "é" * 32,
]


async def test_a_name_that_was_not_made_here_reaches_no_store(blobs):
    for upload_id in HOSTILE:
        with pytest.raises(AssertionError):
            async with blobs.opened(upload_id, NEW):
                pass
        for call in (
            blobs.join(new_id(), [(upload_id, Saved(1, ""))]),
            blobs.join(upload_id, []),
            anext(blobs.read(upload_id)),
            blobs.size(upload_id),
            blobs.remove(upload_id),
        ):
            with pytest.raises(AssertionError):
                await call
