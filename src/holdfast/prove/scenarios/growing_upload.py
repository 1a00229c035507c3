"""Bounded: the same upload, larger and larger; memory must not grow with it."""

import asyncio
import hashlib
import os
import random
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import repeat
from typing import Final

import msgspec

from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.acts.growing_upload.large_forms import PHASE as FORMS
from holdfast.prove.acts.growing_upload.large_forms import forms
from holdfast.prove.acts.growing_upload.long_lists import Listed, endless, lists
from holdfast.prove.acts.growing_upload.unread_log import PHASE as UNREAD
from holdfast.prove.acts.growing_upload.unread_log import Unread, unread
from holdfast.prove.charts import Chart
from holdfast.prove.config import Template
from holdfast.prove.counters import Samples, sampling
from holdfast.prove.http import Answer
from holdfast.prove.props.fetching import Fetched, fetched
from holdfast.prove.props.growth import MB, Growth, Peak, growths, missed, over_size, peak, unseen
from holdfast.prove.props.resumable import address, creation, piece
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.sending import chance_pieces, filled, found_in, fresh_names, streamed
from holdfast.prove.stage import Stage

_SIZES_MB: Final = (1, 8, 64, 192)
_QUICK_MB: Final = (1, 8, 64)
_HURRIED: Final = "sending faster than it is stored"
_HURRIED_MB: Final = (16, 144)
_BLOCK: Final = random.Random(1).randbytes(256 << 10)  # noqa: S311 - it is to be no zeros, not to be secret
_AT_ONCE: Final = 4
_COPIES: Final = 4
"""A size is left out where the machine has not so many times as much memory and disk."""
_TIMEOUT_S: Final = 30.0
_AFTER_S: Final = 0.5
"""For so long, what goes on after an answer is looked at, and a reader does not read on."""
_LEAST_MB: Final = 7.0
_MEND: Final = "Pass the bytes on as they come instead of reading the whole body: `holdfast.uploads` does."
_MEND_FORM: Final = "Refuse a form by its length, and stop reading where it has more: such forms have a few kilobytes."
_MEND_LOG: Final = "Let only so much wait to be written, drop what does not fit, and say how much: `holdfast run` does."
_MEND_BACK: Final = "Send a file in pieces, each when the one before has left: `exports.Download` and FileResponse do."


class Sent(msgspec.Struct, frozen=True):
    """One upload."""

    mb: float
    status: int
    took_s: float
    back: str = ""
    """What came of fetching it: empty where it came back byte for byte, or is not known how to be fetched."""
    changed: bool = False
    """Whether other bytes came back."""


class GrowingUpload(Facts, frozen=True):
    """Memory while larger and larger files went in, and came back."""

    sent: tuple[Sent, ...] = ()
    peaks: tuple[Peak, ...] = ()
    base_mb: float = 0.0
    """What it had before."""
    told: str = ""
    """How it refused a size, if it did."""
    left_out: str = ""
    """Which sizes were not tried, and why."""
    lists: tuple[Listed, ...] = ()
    """Lists that were asked for whole."""
    unread: Unread = Unread()
    """What became of another backend whose log was not read."""


class _Uploads:
    """Uploads under way, and what is seen of them."""

    def __init__(self, stage: Stage, app: App, upload: Template, samples: Samples) -> None:
        self.stage = stage
        self.app = app
        self.upload = upload
        self.samples = samples
        self.sent: list[Sent] = []
        self.peaks: list[Peak] = []

    async def one(self, mb: int) -> tuple[Answer, str, str]:
        """Send so many MB; the answer, the SHA-256 of what was sent, and the path that gives it back."""
        digest = hashlib.sha256()

        def told() -> Iterator[bytes]:
            for each in chance_pieces(mb * MB, self.stage.chance.getrandbits(32)):
                digest.update(each)
                yield each

        sent = streamed(self.upload, told(), mb * MB, self.app.names)
        answer = await self.app.client.ask(
            sent.method, sent.path, headers=sent.headers, body=sent.pieces, length=sent.length, timeout_s=_TIMEOUT_S
        )
        called = found_in(answer, self.upload.id) if self.upload.id else ""
        known = self.upload.content and ("{id}" not in self.upload.content or called)
        path = filled(self.upload.content, {**sent.names, "id": called}, quoted=True) if known else ""
        return answer, digest.hexdigest(), path

    async def warm(self) -> Answer:
        """Several small ones at once, so that what a backend makes once is made; the worst answer."""
        came = await asyncio.gather(*(self.one(_SIZES_MB[0]) for _ in range(_AT_ONCE)))
        await asyncio.gather(*(self.back(digest, path) for _, digest, path in came))
        return next((answer for answer, _, _ in came if not answer.good), came[0][0])

    async def back(self, digest: str, path: str) -> tuple[Fetched, bool]:
        """Fetch what was sent; whether it is the same."""
        if not path:
            return Fetched(), True
        came = await fetched(self.app.client, path, timeout_s=_TIMEOUT_S, pause=self._dawdle)
        return came, came.sha256 == digest

    async def _dawdle(self) -> None:
        """Read on a while later: what is not held back is in memory by then."""
        await asyncio.sleep(_AFTER_S)

    async def measured(self, mb: int) -> Answer:
        """Send so many MB and fetch them, and note what memory that took."""
        began = time.monotonic()
        answer, digest, path = await self.one(mb)
        await asyncio.sleep(_AFTER_S)
        between = time.monotonic()
        if answer.good:
            came, same = await self.back(digest, path)
            back = "" if not path or (came.good and same) else came.shown
            self.sent.append(Sent(mb, answer.status, answer.took_s, back, changed=came.good and not same))
            await asyncio.to_thread(self.samples.look)
            self._note("sending", mb, (began, between))
            if path:
                self._note("fetching", mb, (between, time.monotonic()))
        return answer

    async def in_a_piece(self, mb: int) -> None:
        """The same by tus, in one piece, where that is known. It is noted if it is taken."""
        if not self.upload.resumable:
            return
        began = time.monotonic()
        name = fresh_names()["name"]
        made = creation(self.upload.resumable, mb * MB, f"{name}.csv")
        answer = await self.app.client.ask(made.method, made.path, headers=made.headers, body=made.body)
        if answer.good and (path := address(answer)):
            sent = piece(path, 0, b"")
            pieces = _slices(mb, self.stage.chance.getrandbits(32))
            answer = await self.app.client.ask(
                sent.method, sent.path, headers=sent.headers, body=pieces, length=mb * MB, timeout_s=_TIMEOUT_S
            )
            await asyncio.sleep(_AFTER_S)
            if answer.good:
                self._note("sending by tus", mb, (began, time.monotonic()))

    async def hurried(self, mb: int) -> None:
        """Send the same bytes again and again, as fast as they are taken. It is noted if they are."""
        began = time.monotonic()
        sent = streamed(self.upload, repeat(_BLOCK, mb * MB // len(_BLOCK)), mb * MB, self.app.names)
        answer = await self.app.client.ask(
            sent.method, sent.path, headers=sent.headers, body=sent.pieces, length=sent.length, timeout_s=_TIMEOUT_S
        )
        if answer.good:
            self._note(_HURRIED, mb, (began, time.monotonic()))

    def _note(self, phase: str, mb: int, span: tuple[float, float]) -> None:
        self.peaks.append(peak(self.samples.series, phase, mb * MB, span))


async def _slices(mb: int, seed: int) -> AsyncIterator[bytes]:
    for each in chance_pieces(mb * MB, seed):
        yield each


async def gather(stage: Stage) -> GrowingUpload:
    """Send larger and larger files, and watch the memory of all processes; beside it, one whose log is not read."""
    upload = stage.target.upload
    if upload is None:
        return GrowingUpload()
    async with asyncio.TaskGroup() as group:
        gathered, unread_log = group.create_task(_gathered(stage, upload)), group.create_task(unread(stage))
    facts, of_log = gathered.result(), unread_log.result()
    return msgspec.structs.replace(facts, unread=of_log, peaks=facts.peaks + of_log.peaks)


async def _gathered(stage: Stage, upload: Template) -> GrowingUpload:
    async with stage.app() as app:
        async with sampling(app.pid) as warming:
            answer = await _Uploads(stage, app, upload, warming).warm()
        if not answer.good:
            return GrowingUpload(told=f"{_SIZES_MB[0]} MB: {answer.shown}")
        async with sampling(app.pid) as samples:
            uploads = _Uploads(stage, app, upload, samples)
            told = left_out = ""
            for mb in _QUICK_MB if stage.quick else _SIZES_MB:
                stage.tell(f"sending {mb} MB")
                if left_out := _no_room(mb, app):
                    break
                answer = await uploads.measured(mb)
                if not answer.good:
                    told = f"{mb} MB: {answer.shown}"
                    break
                await uploads.in_a_piece(mb)
            if not (told or left_out):
                for mb in _HURRIED_MB:
                    stage.tell(f"sending {mb} MB as fast as they are taken")
                    await uploads.hurried(mb)
            stage.tell("sending large forms")
            uploads.peaks += await forms(app, stage.target, samples)
        stage.tell("asking for whole lists")
        listed = await lists(app, stage.target)
        return GrowingUpload(
            well=f"{_AT_ONCE} uploads of {_SIZES_MB[0]} MB at once were taken",
            fault=f"memory was looked at {len(samples.series)} times" if uploads.sent else "",
            limit=unseen(samples),
            sent=tuple(uploads.sent),
            peaks=tuple(uploads.peaks),
            base_mb=samples.series[0].anonymous / MB,
            told=told,
            left_out=left_out,
            lists=tuple(listed),
        )


def _no_room(mb: int, app: App) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    disk = shutil.disk_usage(app.folder).free
    if min(memory, disk) < _COPIES * mb * MB:
        return f"{mb} MB were not tried: too little {'memory' if memory < disk else 'room on the disk'} is free"
    return ""


def judge(facts: GrowingUpload) -> Judgement:
    """From the smallest to the largest, memory stays flat, and what was sent comes back."""
    changed = [one for one in facts.sent if one.changed]
    if changed:
        why = f"{changed[0].mb:g} MB that were sent came back with other bytes."
        return broken(why, f"{len(changed)} of {len(facts.sent)} changed", mend=_MEND_BACK, certain=True)
    if found := endless(facts.lists):
        return found
    refused = f"; it refuses more, and says so ({facts.told})" if facts.told else ""
    if len(facts.sent) < 2 or facts.sent[-1].mb < _LEAST_MB:
        said = facts.told or facts.left_out or "nothing was sent"
        return not_proven(f"No upload was taken that is large enough to show anything: {said}.")
    worst, *_ = growths(facts.peaks)
    number = worst.number
    if worst.grows:
        return broken(f"{worst.sentence}: all of it is held at once.", number, mend=_mend(worst))
    if not worst.flat:
        return not_proven(f"{worst.sentence}: more than noise, less than clear growth.", number=number)
    if why := missed(facts.peaks):
        return not_proven(f"It seems flat, but {why}, and a peak may have been missed.", number=number)
    failed = next((one for one in facts.sent if one.back), None)
    if failed is not None:
        return not_proven(f"{failed.mb:g} MB that were sent did not come back: {failed.back}.", number=number)
    return kept(f"{worst.sentence}{refused}.", number)


def _mend(growth: Growth) -> str:
    if growth.phase.startswith(FORMS):
        return _MEND_FORM
    return {"fetching": _MEND_BACK, UNREAD: _MEND_LOG}.get(growth.phase, _MEND)


def charts(facts: GrowingUpload) -> Sequence[Chart]:
    """Memory over size."""
    return [over_size(facts.peaks, "Memory over the size of an upload", "MB of an upload")] if facts.peaks else ()


SCENARIO: Final = Scenario(
    name="growing-upload",
    promise="bounded",
    title="sends and fetches larger and larger files, and watches the memory",
    seconds=10,
    facts=GrowingUpload,
    gather=gather,
    judge=judge,
    needs=("upload",),
    charts=charts,
)
