"""S3 that fails, is slow, or goes away in the middle: what was acknowledged stays, and it goes on once S3 is back."""

import asyncio
import secrets
import threading
import time
from collections import Counter

import pytest
import s3_proxy
import s3_servers
from conftest import speak_to
from s3_proxy import Call, Proxy, Trouble

from holdfast.errors import SettingsInvalid, Unavailable
from holdfast.stores.blobs import Saved
from holdfast.stores.s3 import S3
from holdfast.stores.s3_client import Times
from holdfast.stores.s3_numbers import Numbers

pytestmark = pytest.mark.anyio

UNIT = 5 << 20
NEW = Saved(0, "")
TIMES = Times(connect_s=2.0, answer_s=2.0, tries=3)


@pytest.fixture
def proxy(seaweed, monkeypatch):
    with s3_proxy.in_front_of(seaweed.url) as running:
        speak_to(seaweed, monkeypatch)
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


@pytest.fixture
def url() -> str:
    return f"s3://{s3_servers.BUCKET}/{secrets.token_hex(4)}"


async def content_of(store: S3, upload_id: str, *span) -> bytes:
    return b"".join([piece async for piece in store.read(upload_id, *span)])


async def no_leftovers(store: S3) -> bool:
    return [found async for found in store.leftovers(time.time() + 60)] == []


TROUBLES = [Trouble(status=500), Trouble(status=503), Trouble(reset=True), Trouble(lose=True)]


async def test_each_call_that_fails_once_is_made_again(proxy: Proxy):
    """Four uploads at once; each kind of call fails in two of four ways."""
    kinds = ["put", "part", "copy part", "begin", "complete", "list parts", "list", "get", "head", "delete"]
    troubles = {secrets.token_hex(4): number for number in range(4)}
    failed: Counter[tuple[str, str]] = Counter()
    guard = threading.Lock()

    def decide(call: Call) -> Trouble | None:
        with guard:
            prefix, number = next(found for found in troubles.items() if found[0] in call.target)
            if call.name not in kinds or (kinds.index(call.name) + number) % 2:
                return None
            failed[prefix, call.name] += 1
            return TROUBLES[number] if failed[prefix, call.name] == 1 else None

    proxy.decide = decide
    await asyncio.gather(*(_life_of_an_upload(f"s3://{s3_servers.BUCKET}/{prefix}") for prefix in troubles))
    assert Counter(name for _, name in failed) == dict.fromkeys(kinds, 2)
    assert min(failed.values()) >= 2


async def _life_of_an_upload(url: str) -> None:
    content = secrets.token_bytes(UNIT + 1000)
    upload_id, joined = secrets.token_hex(16), secrets.token_hex(16)
    async with S3(url, part_bytes=UNIT, times=TIMES) as store:
        async with store.opened(upload_id, NEW) as part:
            await part.write([content[:1000]])
            await part.sync()
            await part.write([content[1000:]])
            saved = await part.sync()
            await part.publish()
        assert [found.key async for found in store._bucket.listed("")] == [upload_id]
        assert await content_of(store, upload_id) == content
        saved = await store.join(joined, [(upload_id, saved)])
        async with store.opened(joined, saved) as part:
            await part.publish()
        assert await content_of(store, joined) == content
        await store.remove(joined, saved)
        assert await no_leftovers(store)


async def test_what_does_not_pass_is_unavailable_and_the_upload_goes_on_afterwards(proxy: Proxy, url):
    content = secrets.token_bytes(2 * UNIT)
    upload_id = secrets.token_hex(16)
    async with S3(url, part_bytes=UNIT, times=TIMES) as store:
        async with store.opened(upload_id, NEW) as part:
            await part.write([content[:1000]])
            saved = await part.sync()
            proxy.decide = lambda call: Trouble(status=503) if call.name in {"put", "part"} else None
            with pytest.raises(Unavailable) as refused:
                await part.write([content[1000:]])
                await part.sync()
            assert refused.value.headers["retry-after"]
            with pytest.raises(Unavailable):
                await part.write([b"more"])
            with pytest.raises(Unavailable):
                await part.publish()
        proxy.decide = lambda _: None
        async with store.opened(upload_id, saved) as part:
            await part.write([content[1000:]])
            await part.sync()
            await part.publish()
        assert await content_of(store, upload_id) == content


async def test_an_answer_that_does_not_come_is_not_waited_for(proxy: Proxy, url):
    waiting = threading.Event()
    slow = iter([Trouble(wait=waiting)])
    proxy.decide = lambda call: next(slow, None) if call.name == "put" else None
    upload_id = secrets.token_hex(16)
    async with S3(url, part_bytes=UNIT, times=Times(connect_s=2, answer_s=0.3, tries=2)) as store:
        async with store.opened(upload_id, NEW) as part:
            await part.write([b"here"])
            await part.sync()
            waiting.set()
            await part.publish()
        assert await content_of(store, upload_id) == b"here"


@pytest.mark.parametrize("parts", [0, 1])
async def test_a_death_at_any_step_of_publishing_is_made_good(proxy: Proxy, url, parts):
    """The answer to some call is lost, and nothing is heard after it; then somebody else publishes again."""
    once = Times(connect_s=2.0, answer_s=10.0, tries=1)
    content = secrets.token_bytes(parts * UNIT + 1000)
    steps = {secrets.token_hex(16): step for step in range(10 + 8 * parts)}
    count: Counter[str] = Counter()
    dying: set[str] = set()
    guard = threading.Lock()

    def decide(call: Call) -> Trouble | None:
        with guard:
            upload_id = next((upload_id for upload_id in dying if upload_id in call.target), None)
            if upload_id is None:
                return None
            count[upload_id] += 1
            step = count[upload_id] - 1
            if step == steps[upload_id]:
                return Trouble(lose=True)
            return Trouble(reset=True) if step > steps[upload_id] else None

    proxy.decide = decide
    async with S3(url, part_bytes=UNIT, times=once) as store, S3(url, part_bytes=UNIT, times=once) as other:

        async def dies(upload_id: str) -> bool:
            async with store.opened(upload_id, NEW) as part:
                await part.write([content])
                saved = await part.sync()
                dying.add(upload_id)
                (outcome,) = await asyncio.gather(part.publish(), return_exceptions=True)
                dying.remove(upload_id)
            assert await other.size(upload_id) in {None, len(content)}
            async with other.opened(upload_id, saved) as part:
                await part.publish()
            assert await content_of(other, upload_id) == content
            assert outcome is None or isinstance(outcome, Unavailable)
            return outcome is None

        survived = await asyncio.gather(*(dies(upload_id) for upload_id in steps))
        assert survived == sorted(survived)
        assert set(survived) == {False, True}
        assert await no_leftovers(other)


async def test_a_reader_goes_on_where_the_connection_broke(proxy: Proxy, url):
    content = secrets.token_bytes(3_000_000)
    upload_id = secrets.token_hex(16)
    async with S3(url, part_bytes=UNIT, times=TIMES) as store:
        async with store.opened(upload_id, NEW) as part:
            await part.write([content])
            await part.sync()
            await part.publish()
        broken = iter([Trouble(cut=1_100_000), Trouble(cut=1_200_000)])
        proxy.decide = lambda call: next(broken, None) if call.name == "get" else None
        assert await content_of(store, upload_id) == content
        assert next(broken, None) is None
        proxy.decide = lambda call: Trouble(cut=10) if call.name == "get" else None
        with pytest.raises(Unavailable):
            await content_of(store, upload_id, 5)


@pytest.mark.parametrize(("kind", "size"), [("part", 2 * UNIT + 5), ("put", UNIT + 5)])
async def test_what_an_evicted_request_sent_and_arrives_late_replaces_nothing(
    proxy: Proxy, seaweed, url, monkeypatch, kind, size
):
    """It is held up on its way; the newer request goes on, and only then it reaches the server."""
    ours, theirs = secrets.token_bytes(size), secrets.token_bytes(size)
    held, arrived = threading.Event(), threading.Event()

    def decide(call: Call) -> Trouble | None:
        if call.name == kind and "numbers-" not in call.target:
            arrived.set()
            return Trouble(wait=held)
        return None

    proxy.decide = decide
    upload_id = secrets.token_hex(16)
    old = S3(url, part_bytes=UNIT, times=Times(connect_s=2, answer_s=20, tries=1))
    await old.__aenter__()
    monkeypatch.setenv("AWS_ENDPOINT_URL", seaweed.url)
    async with S3(url, part_bytes=UNIT, times=TIMES) as new, old:
        async with new.opened(upload_id, NEW) as part:
            await part.write([ours[:UNIT]])
            saved = await part.sync()
        async with old.opened(upload_id, saved) as evicted:
            await evicted.write([theirs[UNIT:]])
            syncing = asyncio.create_task(evicted.sync())
            while not arrived.is_set():
                await asyncio.sleep(0.01)
            async with new.opened(upload_id, saved) as part:
                await part.write([ours[UNIT:]])
                saved = await part.sync()
                held.set()
                assert (await syncing).offset == size
            async with new.opened(upload_id, saved) as part:
                await part.publish()
        assert await content_of(new, upload_id) == ours
        assert await no_leftovers(new)


async def test_numbers_of_parts_are_told_to_one_alone(seaweed, url, monkeypatch):
    speak_to(seaweed, monkeypatch)
    async with S3(url, times=TIMES) as store:

        async def some() -> list[int]:
            numbers = Numbers(store._bucket, f"incoming/{'0' * 32}/", 0)
            told = []
            for _ in range(6):
                told.append(await numbers.next())
                numbers.take()
            assert told == sorted(told)
            return told

        found = await asyncio.gather(some(), some(), some())
        assert len({number for told in found for number in told}) == 18


async def test_a_server_that_is_not_there_is_unavailable(monkeypatch, url, seaweed):
    speak_to(seaweed, monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3_servers.free_ports(1)[0]}")
    with pytest.raises(Unavailable):
        async with S3(url, times=Times(connect_s=0.5, answer_s=0.5, tries=1)):
            pytest.fail("it was opened")


async def test_wrong_credentials_are_found_when_the_store_is_opened(monkeypatch, url, seaweed):
    speak_to(seaweed, monkeypatch)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(Unavailable) as refused:
        async with S3(url, times=Times(tries=1)):
            pytest.fail("it was opened")
    assert "another" not in str(refused.value)


@pytest.mark.parametrize(
    "address", ["", "files", "s3://", "s3://B", "s3:///x", "https://bucket/x", "s3://bucket/a b", "s3://bucket/../x\n"]
)
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(SettingsInvalid):
        S3(address)


async def test_memory_is_bounded_over_all_uploads(proxy: Proxy, url):
    """Uploads that are all short of a part: what would be too much in memory goes into side objects."""
    unit = 1 << 20
    content = secrets.token_bytes(unit - 1)
    most: list[int] = []
    async with S3(url, part_bytes=unit, memory_bytes=4 * unit, times=TIMES) as store:

        async def one(upload_id: str) -> None:
            async with store.opened(upload_id, NEW) as part:
                for start in range(0, len(content), 128 * 1024):
                    await part.write([content[start : start + 128 * 1024]])
                    most.append(store._room._used)
                    await asyncio.sleep(0)
                await part.sync()
                await part.publish()
            assert await content_of(store, upload_id) == content

        await asyncio.gather(*(one(secrets.token_hex(16)) for _ in range(20)))
        assert 3 * unit < max(most) <= 4 * unit + 20 * 384 * 1024
        assert store._room._used == 0
