"""The engine of uploads, called as a server calls it: what hooks say, what stores fail at, who wins."""

import asyncio
import base64
import dataclasses
import hashlib
import logging
import secrets
import time
from contextlib import asynccontextmanager

import pytest
from calling import Answer, scope_of
from waiting import until

from holdfast.decide.uploads.room import Room
from holdfast.decide.uploads.vocabulary import Phase, Upload
from holdfast.errors import Conflict, Forbidden, Unauthorised, Unavailable
from holdfast.parts.uploads.application import UploadsApp
from holdfast.parts.uploads.hooks import Verdict, Whole
from holdfast.parts.uploads.settings import PaceSettings, UploadSettings
from holdfast.parts.uploads.sweeping import Sweep
from holdfast.stores.blobs import Saved
from holdfast.stores.memory import Memory
from holdfast.stores.memory_ledger import MemoryLedger

pytestmark = pytest.mark.anyio
TUS = (("tus-resumable", "1.0.0"), ("x-user", "anna"))
CHUNK = ("content-type", "application/offset+octet-stream")
SETTINGS = UploadSettings(reserve_bytes=0)
PACE = PaceSettings(idle_s=5.0, checkpoint_s=0.2, sweep_s=0.1)


async def who(scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-user":
            return value.decode()
    raise Unauthorised


class Client:
    """Calls the application; what it sends can be held back piece by piece."""

    def __init__(self, app: UploadsApp) -> None:
        self.app = app

    async def ask(self, method: str, path: str, *headers, body: bytes = b"", user: str = "anna") -> Answer:
        return await self.send(method, path, *headers, pieces=[body], user=user)

    async def send(
        self, method, path, *headers, pieces, user="anna", keeps: asyncio.Event | None = None, leaves=False
    ) -> Answer:
        """Send `pieces`; before the body ends wait for `keeps`, or leave."""
        waiting = list(pieces)

        async def receive():
            if waiting:
                piece = waiting.pop(0)
                return {
                    "type": "http.request",
                    "body": piece,
                    "more_body": bool(waiting) or keeps is not None or leaves,
                }
            if keeps is not None:
                await keeps.wait()
                return {"type": "http.request", "body": b"", "more_body": False}
            return {"type": "http.disconnect"}

        answer = Answer()

        async def send(message):
            if message["type"] == "http.response.start":
                answer.status, answer.headers = message["status"], list(message["headers"])
            else:
                answer.body += message.get("body", b"")

        told = [*headers, ("x-user", user)]
        scope = scope_of(path, method, told, extensions={})
        await self.app(scope, receive, send)
        return answer

    async def create(self, length: int, *headers, user: str = "anna") -> str:
        answer = await self.ask("POST", "/up", TUS[0], ("upload-length", str(length)), *headers, user=user)
        assert answer.status == 201, answer.body
        place = answer.header("location")
        assert place is not None
        return "/up/" + place[-32:]

    async def patch(self, place: str, offset: int, body: bytes, *headers) -> Answer:
        told = (TUS[0], CHUNK, ("upload-offset", str(offset)), ("content-length", str(len(body))), *headers)
        return await self.ask("PATCH", place, *told, body=body)

    async def head(self, place: str) -> Answer:
        return await self.ask("HEAD", place, TUS[0])


@asynccontextmanager
async def serving(blobs=None, ledger=None, *, settings=SETTINGS, pace=PACE, **hooks):
    app = UploadsApp(
        blobs=blobs or Memory(1 << 30),
        ledger=ledger or MemoryLedger(),
        at="/up",
        settings=settings,
        pace=pace,
        **{"authorise": who, **hooks},
    )
    async with app.running():
        yield Client(app)


async def content(client: Client, upload_id: str) -> bytes:
    return b"".join([piece async for piece in client.app.engine.blobs.read(upload_id)])


# -- hooks --


async def test_what_finished_is_told_is_what_the_bytes_are():
    told: list[Whole] = []

    async def finished(whole: Whole) -> str:
        told.append(whole)
        return "file-7"

    async with serving(finished=finished) as client:
        place = await client.create(8, ("upload-metadata", "filename " + base64.b64encode(b"a.png").decode()))
        answer = await client.patch(place, 0, b"%PDF-1.4")
    assert answer.header("holdfast-file-id") == "file-7"
    assert [(whole.upload.name, whole.size, whole.media_type, whole.verdict) for whole in told] == [
        ("a.png", 8, "application/pdf", Verdict.NOT_SCANNED)
    ]
    assert told[0].sha256 == hashlib.sha256(b"%PDF-1.4").hexdigest()


async def test_authorisation_is_asked_again_at_the_end_and_a_no_keeps_what_was_saved():
    may = [True]

    async def authorise(scope) -> str:
        if not may[0]:
            raise Forbidden
        return "anna"

    async with serving(authorise=authorise) as client:
        place = await client.create(10)
        assert (await client.patch(place, 0, b"01234")).status == 204
        keeps = asyncio.Event()
        told = (TUS[0], CHUNK, ("upload-offset", "5"))
        ending = asyncio.create_task(client.send("PATCH", place, *told, pieces=[b"56789"], keeps=keeps))
        await until(lambda: client.app.engine._watch.held)
        may[0] = False
        keeps.set()
        assert (await ending).status == 403
        may[0] = True
        assert (await client.head(place)).header("upload-offset") == "5"
        done = await client.patch(place, 5, b"56789")
        assert done.status == 204
        assert await content(client, place[-32:]) == b"0123456789"


async def test_no_quota_is_overshot_though_files_are_finished_meanwhile():
    """What is a file already and what is reserved are counted in two places, and never fall between them."""
    booked: list[int] = []

    async def quota(owner: str) -> Room:
        left = 1_000 - sum(booked)
        await asyncio.sleep(0.001)
        return Room(owner_bytes=left)

    async def finished(whole: Whole) -> None:
        await asyncio.sleep(0.001)
        booked.append(whole.size)

    async with serving(quota=quota, finished=finished, settings=dataclasses.replace(SETTINGS, at_once=100)) as client:
        answers = await asyncio.gather(
            *(client.ask("PUT", "/up", ("content-length", "100"), body=bytes(100)) for _ in range(64))
        )
    assert sorted(answer.status for answer in answers) == [201] * 10 + [413] * 54
    assert sum(booked) == 1_000


async def test_parts_and_what_is_made_of_them_count_once():
    async def quota(owner: str) -> Room:
        return Room(owner_bytes=1_000)

    async with serving(quota=quota) as client:
        places = []
        for _ in range(2):
            places.append(await client.create(400, ("upload-concat", "partial")))
            assert (await client.patch(places[-1], 0, bytes(400))).status == 204
        full = await client.ask("POST", "/up", TUS[0], ("upload-length", "201"))
        assert full.status == 413
        joined = await client.ask("POST", "/up", TUS[0], ("upload-concat", "final;" + " ".join(places)))
        assert joined.status == 201, joined.body
        await client.create(1_000)  # in this quota, what is a file does not count


async def test_a_file_that_the_application_refuses_goes():
    async def finished(whole: Whole) -> str:
        raise Conflict("There is a file of that name.")

    async with serving(finished=finished) as client:
        place = await client.create(5)
        answer = await client.patch(place, 0, b"01234")
        assert answer.status == 409
        assert b"There is a file of that name." in answer.body
        assert await client.app.engine.blobs.size(place[-32:]) is None
        assert (await client.head(place)).status == 410


async def test_what_could_not_be_finished_is_finished_later(caplog):
    tries: list[str] = []

    async def finished(whole: Whole) -> str:
        tries.append(whole.upload.id)
        if len(tries) == 1:
            raise RuntimeError("the database is away")
        return "file"

    with caplog.at_level(logging.CRITICAL, "holdfast"):
        async with serving(finished=finished) as client:
            place = await client.create(5)
            assert (await client.patch(place, 0, b"01234")).status == 503
            await until(lambda: len(tries) == 2)
            assert (await client.head(place)).header("holdfast-file-id") == "file"
    assert tries == [place[-32:]] * 2


async def test_a_scan_sees_the_whole_file_before_anybody_else_and_is_asked_again_if_it_fails():
    verdicts = [Verdict.FAILED, Verdict.CLEAN]
    seen: list[tuple[bytes, int | None]] = []

    async def scan(upload: Upload, pieces) -> Verdict:
        data = b"".join([piece async for piece in pieces])
        seen.append((data, await blobs.size(upload.id)))
        return verdicts.pop(0)

    blobs = Memory(1 << 30)
    async with serving(blobs, scan=scan) as client:
        place = await client.create(5)
        assert (await client.patch(place, 0, b"01234")).status == 503
        await until(lambda: not verdicts)
        assert (await client.head(place)).header("holdfast-file-id") == place[-32:]
    assert seen == [(b"01234", None)] * 2


async def test_types_that_are_not_taken_are_refused_before_a_byte():
    async with serving(types=["image/*"]) as client:
        answer = await client.ask("PUT", "/up", ("content-type", "text/html"), body=b"x")
        assert answer.status == 415
        taken = await client.ask("PUT", "/up", ("content-type", "image/png"), ("content-length", "1"), body=b"x")
        assert taken.status == 201


# -- who wins --


async def test_the_newer_request_goes_on_and_the_older_saves_nothing():
    async with serving() as client:
        place = await client.create(10)
        keeps = asyncio.Event()
        told = (TUS[0], CHUNK, ("upload-offset", "0"), ("content-length", "10"))
        older = asyncio.create_task(client.send("PATCH", place, *told, pieces=[b"ab"], keeps=keeps))
        await until(lambda: client.app.engine._watch.held)
        assert (await client.patch(place, 0, b"01234")).status == 204
        answer = await older
        assert answer.status == 409
        assert b"problem:evicted" in answer.body
        done = await client.patch(place, 5, b"56789")
        assert done.status == 204
        assert await content(client, place[-32:]) == b"0123456789"


async def test_a_request_at_the_wrong_offset_evicts_nobody():
    async with serving() as client:
        place = await client.create(10)
        keeps = asyncio.Event()
        told = (TUS[0], CHUNK, ("upload-offset", "0"))
        first = asyncio.create_task(client.send("PATCH", place, *told, pieces=[b"0123456789"], keeps=keeps))
        await until(lambda: client.app.engine._watch.held)
        assert (await client.patch(place, 3, b"x")).status == 409
        keeps.set()
        assert (await first).status == 204


async def test_who_comes_while_the_end_is_under_way_takes_nothing_from_it():
    may_end = asyncio.Event()

    async def scan(upload: Upload, pieces) -> Verdict:
        await may_end.wait()
        return Verdict.CLEAN

    async with serving(scan=scan) as client:
        place = await client.create(5)
        ending = asyncio.create_task(client.patch(place, 0, b"01234"))
        await until(lambda: client.app.engine.ending.running)
        assert (await client.patch(place, 0, b"01234")).status == 409
        assert (await client.ask("DELETE", place, TUS[0])).status == 423
        again = asyncio.create_task(client.patch(place, 5, b""))
        may_end.set()
        assert (await ending).header("holdfast-file-id") == place[-32:]
        assert (await again).header("holdfast-file-id") == place[-32:]


async def test_another_process_that_took_the_turn_is_noticed():
    ledger = MemoryLedger()
    async with serving(ledger=ledger) as client:
        place = await client.create(10)
        told = (TUS[0], CHUNK, ("upload-offset", "0"))
        older = asyncio.create_task(client.send("PATCH", place, *told, pieces=[b"ab"], keeps=asyncio.Event()))
        await until(lambda: client.app.engine._watch.held)
        await ledger.claim(place[-32:], time.time() + 100, Phase.RECEIVING)
        assert (await older).status == 409


async def test_what_one_left_in_the_middle_of_its_end_another_finishes():
    ledger, blobs = MemoryLedger(), Memory(1 << 30)
    upload = Upload(secrets.token_hex(16), "anna", time.time(), time.time() + 60, length=3, turn=1)
    async with blobs:
        await ledger.create(upload, 3, Room())
        async with blobs.opened(upload.id, Saved(0, "")) as part:
            await part.write([b"abc"])
            saved = await part.sync()
        await ledger.save(upload.id, 1, saved, length=3, expires=time.time() - 1, phase=Phase.FINISHING)
        async with serving(blobs, ledger) as client:
            head = await client.head(f"/up/{upload.id}")
            assert head.header("holdfast-file-id") == upload.id
            assert await content(client, upload.id) == b"abc"


# -- digests --


async def test_the_digest_of_the_whole_is_right_across_requests_and_wrong_bodies():
    seen: list[str] = []

    async def finished(whole: Whole) -> None:
        seen.append(whole.sha256)

    data = secrets.token_bytes(100_000)
    async with serving(finished=finished) as client:
        place = await client.create(len(data))
        wrong = ("upload-checksum", "sha1 " + base64.b64encode(bytes(20)).decode())
        assert (await client.patch(place, 0, data[:40_000])).status == 204
        assert (await client.patch(place, 40_000, b"x" * 60_000, wrong)).status == 460
        assert (await client.patch(place, 40_000, data[40_000:70_000])).status == 204
        client.app.engine._hashes.clear()  # as in another process
        assert (await client.patch(place, 70_000, data[70_000:])).status == 204
    assert seen == [hashlib.sha256(data).hexdigest()]


async def test_a_wrong_digest_of_the_whole_refuses_it():
    async with serving() as client:
        digest = ("repr-digest", f"sha-256=:{base64.b64encode(bytes(32)).decode()}:")
        answer = await client.ask("PUT", "/up", digest, ("content-length", "5"), body=b"01234")
        assert answer.status == 400
        assert b"digest-mismatched-values" in answer.body


# -- what fails --


class Broken(MemoryLedger):
    """A ledger that can be away."""

    away = False

    async def save(self, *arguments, **more) -> None:
        if self.away:
            raise Unavailable
        await super().save(*arguments, **more)


async def test_what_the_ledger_did_not_keep_is_not_acknowledged():
    ledger = Broken()
    async with serving(ledger=ledger) as client:
        place = await client.create(10)
        ledger.away = True
        assert (await client.patch(place, 0, b"01234")).status == 503
        ledger.away = False
        assert (await client.head(place)).header("upload-offset") == "0"
        assert (await client.patch(place, 0, b"0123456789")).status == 204
        assert await content(client, place[-32:]) == b"0123456789"


async def test_a_store_that_is_full_says_so_and_goes_on_once_there_is_room():
    async with serving(Memory(1_000)) as client:
        first, second = await client.create(950), await client.create(900)
        assert (await client.patch(first, 0, bytes(900))).status == 204
        full = await client.patch(second, 0, b"x" * 900)
        assert full.status == 507
        assert b"problem:insufficient-storage" in full.body
        assert (await client.head(second)).header("upload-offset") == "0"
        assert (await client.ask("DELETE", first, TUS[0])).status == 204
        assert (await client.patch(second, 0, b"x" * 900)).status == 204


async def test_a_process_that_drains_keeps_what_came_and_says_come_again():
    drains = [False]
    async with serving(draining=lambda: drains[0]) as client:
        place = await client.create(10)
        told = (TUS[0], CHUNK, ("upload-offset", "0"))
        slow = asyncio.create_task(client.send("PATCH", place, *told, pieces=[b"0123"], keeps=asyncio.Event()))
        await until(lambda: client.app.engine._watch.held)
        drains[0] = True
        answer = await slow
        assert answer.status == 503
        assert answer.header("retry-after") == "1"
        assert (await client.head(place)).header("upload-offset") == "4"


async def test_a_cancelled_request_keeps_what_came():
    async with serving() as client:
        place = await client.create(10)
        told = (TUS[0], CHUNK, ("upload-offset", "0"))
        slow = asyncio.create_task(client.send("PATCH", place, *told, pieces=[b"0123"], keeps=asyncio.Event()))
        await until(lambda: client.app.engine._watch.held)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert (await client.head(place)).header("upload-offset") == "4"


async def test_whole_bodies_that_break_off_leave_nothing():
    ledger, blobs = MemoryLedger(), Memory(1 << 30)
    form = ("content-type", "multipart/form-data; boundary=x")
    begun = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nhalf'
    async with serving(blobs, ledger) as client:
        left = await client.send("PUT", "/up", ("content-length", "10"), pieces=[b"0123", b"4"], leaves=True)
        assert left.status == 0
        left = await client.send("POST", "/up", form, ("content-length", "100"), pieces=[begun], leaves=True)
        assert left.status == 0
        short = await client.send("PUT", "/up", ("content-length", "10"), pieces=[b"0123"])
        assert short.status == 400
        cut = await client.send("POST", "/up", form, pieces=[begun])
        assert cut.status == 400
        assert [found async for found in blobs.leftovers(time.time() + 10)] == []
    assert ledger._entries == {}


async def test_without_running_nothing_is_taken():
    app = UploadsApp(blobs=Memory(), ledger=MemoryLedger(), authorise=who, at="/up", settings=SETTINGS, pace=PACE)
    assert (await Client(app).ask("PUT", "/up", body=b"x")).status == 503


# -- what goes --


async def nobody(upload_id: str) -> Upload:
    raise AssertionError


async def test_a_clock_that_jumps_expires_nothing_that_is_gone_on_with():
    ledger, blobs = MemoryLedger(), Memory(1 << 30)
    upload = Upload(secrets.token_hex(16), "anna", 0, 1, turn=1)
    sweep = Sweep(blobs, ledger, grace_s=0.05, held=lambda _: False, take_up=nobody)
    async with blobs:
        await ledger.create(upload, 0, Room())
        for number in range(5):
            await sweep.expire()
            await asyncio.sleep(0.03)
            await ledger.save(upload.id, 1, Saved(number, ""), length=None, expires=1 + number)
        assert await ledger.find(upload.id) is not None

        async def gone() -> bool:
            await sweep.expire()
            return await ledger.find(upload.id) is None

        end = time.monotonic() + 10
        while not await gone():
            assert time.monotonic() < end
            await asyncio.sleep(0.01)


async def test_bytes_that_no_upload_knows_go_and_others_stay():
    ledger, blobs = MemoryLedger(), Memory(1 << 30)
    known = Upload(secrets.token_hex(16), "anna", 0, 1, turn=1)
    orphan = secrets.token_hex(16)
    sweep = Sweep(blobs, ledger, grace_s=1, held=lambda _: False, take_up=nobody)
    async with blobs:
        await ledger.create(known, 0, Room())
        for upload_id in (known.id, orphan):
            async with blobs.opened(upload_id, Saved(0, "")) as part:
                await part.write([b"x"])
                await part.sync()
        await sweep.remove_leftovers(time.time() + 10)
        assert [found async for found in blobs.leftovers(time.time() + 10)] == [known.id]
