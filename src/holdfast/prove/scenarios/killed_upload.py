"""Durable, against kill: kill -9 amid uploads and right after acknowledgements; then everything is looked up."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.acts.killed_upload.listing import listed
from holdfast.prove.acts.killed_upload.senders import Senders, Sending
from holdfast.prove.acts.killed_upload.tables import PATIENCE_S, Tables
from holdfast.prove.config import Template
from holdfast.prove.props.fetching import Fetched
from holdfast.prove.props.killing import Killing
from holdfast.prove.props.removing import GONE
from holdfast.prove.props.rows import tables
from holdfast.prove.running import App, AppFailed
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.stage import Stage, send

_WITHIN_S: Final = 10.0
_PATIENCE_S: Final = 3.0
_LOOK_S: Final = 0.2
_ROWS: Final = 3000
_MOST_ROWS: Final = 30_000
_READ_S: Final = 1.0
"""So long a table should be read that is to be killed meanwhile."""
_PASSING: Final = frozenset({408, 409, 423, 425, 429})
"""What says that it may be tried again."""
_UNSURE: Final = "had no good answer in time"
_SLACK: Final = 3.0
"""Rows may take so many times as long as the first time."""
_AT_ONCE: Final = 4
_MEND: Final = "Store and sync a file under its name, whole, before it is answered: `holdfast.uploads` does."
_MEND_ROWS: Final = (
    "Note what is to be done in the same transaction that takes the file, take it up again at the start, "
    "and write its rows in one transaction with how far it is."
)


class KilledUpload(Facts, frozen=True):
    """What became of uploads around kill -9."""

    rounds: int = 0
    acknowledged: int = 0
    """Files that were acknowledged as a whole, and looked up after the restart."""
    lost: tuple[str, ...] = ()
    """Those that were gone, and what was said for them."""
    changed: tuple[str, ...] = ()
    """Those that came back with other bytes."""
    half: tuple[str, ...] = ()
    """Files that were not acknowledged, and came back as if they were whole."""
    under_way: int = 0
    """Uploads that were cut off."""
    resumable: int = 0
    """Uploads that were to be gone on with."""
    forgotten: tuple[str, ...] = ()
    """Those of which less was there than was acknowledged."""
    resumed: int = 0
    """Those that were brought to their end."""
    spoiled: tuple[str, ...] = ()
    """Those that were refused, or whose bytes were others then."""
    unsure: tuple[str, ...] = ()
    """What was not answered well in time, so that nobody knows whether it is there."""
    rows: int = 0
    """Rows of acknowledged tables."""
    rows_missing: int = 0
    rows_doubled: int = 0
    rows_after_s: float = 0.0
    """How long after the last restart they were all there."""
    restart: str = ""
    """What happened where it did not start again."""
    unknown: str = ""
    """Why nothing could be looked up."""
    unlooked: str = ""
    """What else could not be looked up."""
    told: int = 0
    """Acknowledged files that a dependency was told of. It explains, and decides nothing."""
    left_kb: int = 0
    """What the backend's folder has beyond the acknowledged files. It explains, and decides nothing."""


class _Watch:
    """What is found in the course of all rounds."""

    def __init__(self, stage: Stage, app: App, upload: Template) -> None:
        self.stage = stage
        self.app = app
        self.upload = upload
        self.kept: list[Sending] = []
        self.lost: list[str] = []
        self.changed: list[str] = []
        self.half: list[str] = []
        self.forgotten: list[str] = []
        self.spoiled: list[str] = []
        self.unsure: list[str] = []
        self.under_way = self.resumable = self.resumed = self.rounds = 0
        self.restart = ""
        self.tables: Tables | None = None
        self.reading_s = 0.0
        self.gradual = False
        self.unlooked: list[str] = []

    def senders(self, killing: Killing | None) -> Senders:
        return Senders(self.app, self.upload, killing, self.stage.chance.getrandbits(32))

    # -- before --

    async def well(self) -> tuple[str, str]:
        """How it was seen that uploads come back; or why it cannot be seen."""
        senders = self.senders(None)
        first = senders.begin(50_000)
        answer = await senders.whole(first)
        if not answer.good:
            return "", f"an upload was answered with {answer.shown}"
        if not self.upload.content:
            return "", "it is not known how a file is fetched: say content in upload, as in /files/{id}/content"
        came = await self._content(senders, first, time.monotonic() + _PATIENCE_S)
        if not first.is_in(came):
            return "", f"an upload did not come back even before anything was killed: {came.shown}"
        if self.upload.resumable:
            await self._try_resumable(senders)
        await self._try_rows()
        return f"{self.upload.shown} said {answer.shown}, and the file came back", ""

    async def _try_resumable(self, senders: Senders) -> None:
        sending = senders.begin(50_000)
        answer = await senders.create(sending)
        if sending.path:
            answer = await senders.go_on(sending, len(sending.content))
        until = time.monotonic() + _PATIENCE_S
        if not sending.acknowledged or not sending.is_in(await self._content(senders, sending, until)):
            self.unlooked.append(f"{self.upload.resumable} said {answer.shown}, and no file was found for it")
            self.upload = self.upload._replace(resumable="")

    async def _try_rows(self) -> None:
        """Whether the rows of a table can be found again, and how long that takes."""
        export = self.stage.target.export
        if export is None or not tables(export.fill):
            return
        found = Tables(self.app, export, self.stage.chance, self.stage.tell)
        if await found.add(_ROWS) and await found.look():
            self.tables = found
        else:
            self.unlooked.append(f"the rows of a table were not found in {export.shown}")
        self.reading_s, self.gradual = found.after_s, found.gradual

    async def _add_rows(self, found: Tables, killing: Killing, *, amid: bool) -> None:
        """Send a table; `amid` its rows being read it is to be killed, as far as one can tell when that is."""
        longer = _READ_S / max(self.reading_s, 0.02) if amid else 1.0
        rows = min(_MOST_ROWS, int(_ROWS * max(1.0, longer)))
        if await found.add(rows) and amid:
            expected_s = self.reading_s * rows / _ROWS
            share = _SLACK if self.gradual else self.stage.chance.uniform(0.15, 0.75)
            await found.amid(min(_WITHIN_S / 2, share * expected_s))
            killing.strike()

    # -- one round --

    async def round(self, number: int) -> bool:
        """Kill it, start it again, look everything up; whether there can be another round."""
        chance = self.stage.chance
        amid_rows = number % 3 == 1 and self.tables is not None
        killing = Killing(
            self.app,
            after=10_000 if amid_rows else chance.randrange(4, 16),
            delay_s=0.0 if number % 3 == 0 else chance.uniform(0.0, 0.05),
        )
        senders = self.senders(killing)
        clients = [senders.plain(), senders.plain(), senders.plain(slowly=True)]
        if self.upload.resumable:
            clients += [senders.resumable(), senders.resumable(at_length=True)]
        if self.tables is not None:
            clients.append(self._add_rows(self.tables, killing, amid=amid_rows))
        self.rounds += await killing.amid(clients, _WITHIN_S)
        self.under_way += sum(not sending.acknowledged for sending in senders.sent)
        self.stage.tell(f"killed; starting it again ({number + 1})")
        try:
            await self.app.again()
        except AppFailed as failure:
            self.restart = str(failure).splitlines()[0]
            return False
        await self._look_up(self.senders(None), senders.sent)
        return True

    async def _look_up(self, senders: Senders, sent: Sequence[Sending]) -> None:
        turn = asyncio.Semaphore(_AT_ONCE)
        until = time.monotonic() + _PATIENCE_S

        async def one(sending: Sending) -> None:
            async with turn:
                if sending.acknowledged:
                    await self._look_at(senders, sending, until)
                elif sending.path:
                    await self._go_on(senders, sending)

        await asyncio.gather(*map(one, sent))
        await self._look_for_halves(senders, [each for each in sent if not each.acknowledged and not each.path])

    async def _content(self, senders: Senders, sending: Sending, until: float) -> Fetched:
        """What the backend gives back for a file; it may take until then to find it."""
        came = await senders.content(sending)
        while not came.good and time.monotonic() < until:
            await asyncio.sleep(_LOOK_S)
            came = await senders.content(sending)
        return came

    async def _look_at(self, senders: Senders, sending: Sending, until: float) -> None:
        """An acknowledged file: is it there, with the same bytes?"""
        self.kept.append(sending)
        came = await self._content(senders, sending, until)
        if not came.good:
            answered = came.status and not came.error and came.status < 500
            (self.lost if answered else self.unsure).append(f"{len(sending.content)} bytes: {came.shown}")
        elif not sending.is_in(came):
            self.changed.append(f"{came.length} bytes came back for {len(sending.content)} that were sent")

    async def _go_on(self, senders: Senders, sending: Sending) -> None:
        """An upload that was cut off: is as much there as was acknowledged, and can it be brought to its end?"""
        self.resumable += 1
        offset, answer = await senders.offset_of(sending)
        until = time.monotonic() + _PATIENCE_S
        while offset is None and answer.status not in {404, 410} and time.monotonic() < until:
            await asyncio.sleep(_LOOK_S)
            offset, answer = await senders.offset_of(sending)
        size = len(sending.content)
        sending.ids = [sending.path.rstrip("/").rpartition("/")[2]]
        if offset is None and sending.is_in(await senders.content(sending)):
            self.resumed += 1  # it was whole already, and only its answer was lost
            return
        if offset is None and (answer.error or answer.status in _PASSING or answer.status >= 500):
            self.unsure.append(f"{answer.shown} for how far it is, {sending.offset} of {size} were acknowledged")
            return
        if offset is None or offset < sending.offset or offset > size:
            there = f"{offset} bytes are there" if offset is not None else answer.shown
            self.forgotten.append(f"{there}, {sending.offset} of {size} were acknowledged")
            return
        said = await self._brought_to_its_end(senders, sending, offset)
        came = await self._content(senders, sending, time.monotonic() + _PATIENCE_S)
        if sending.is_in(came):
            self.resumed += 1
            return
        what = f"it went on at {offset} of {size} bytes, {said}, and in the end: {came.shown}"
        sure = came.good or (came.status in GONE and not said.startswith(_UNSURE))
        (self.spoiled if sure else self.unsure).append(what)

    async def _brought_to_its_end(self, senders: Senders, sending: Sending, offset: int) -> str:
        """Go on from an offset as tus has it, asking again how far it is where no good answer came; what was said."""
        size = len(sending.content)
        until = time.monotonic() + 2 * _PATIENCE_S
        sending.offset = offset
        while sending.offset < size and not sending.acknowledged:
            answer = await senders.go_on(sending, size)
            if answer.good and time.monotonic() < until:
                continue
            if 400 <= answer.status < 500 and answer.status not in _PASSING:
                return f"was refused with {answer.status}"
            if time.monotonic() > until:
                return f"{_UNSURE}: {answer.shown}"
            there, _ = await senders.offset_of(sending)  # some of it may have been taken
            sending.offset = there if there is not None else sending.offset
        return "was taken"

    async def _look_for_halves(self, senders: Senders, cut: Sequence[Sending]) -> None:
        """Files that were cut off: whatever is given out under their names has to be whole."""
        _, answer = await send(self.app, self.stage.target.read)
        key = self.upload.id.rpartition(".")[2]
        for sending in cut:
            called = listed(answer.json(), sending.name, key) if key else ""
            if called or "{id}" not in self.upload.content:
                came = await senders.content_of(sending.name, called)
                if came.good and not sending.is_in(came):
                    self.half.append(f"{came.length} of {len(sending.content)} bytes")


async def gather(stage: Stage) -> KilledUpload:
    """Upload, kill, start again, look it all up; several times."""
    upload = stage.target.upload
    if upload is None:
        return KilledUpload(unknown="no upload is known")
    async with stage.app() as app:
        watch = _Watch(stage, app, upload)
        stage.tell("sending and fetching before anything is killed")
        well, unknown = await watch.well()
        if unknown:
            return KilledUpload(unknown=unknown)
        for number in range(2 if stage.quick else 3):
            stage.tell(f"sending, to be killed ({number + 1})")
            if not await watch.round(number):
                break
        if watch.tables is not None and not watch.restart:
            await watch.tables.look()
        size = await asyncio.to_thread(_size, app)
        return _facts(watch, well, size - sum(len(each.content) for each in watch.kept))


def _size(app: App) -> int:
    return sum(path.stat().st_size for path in app.folder.rglob("*") if path.is_file() and path != app.log)


def _told(watch: _Watch) -> int:
    """How many acknowledged files are named in what stand-ins of dependencies received."""
    said = b" ".join(
        one.body for each in watch.app.neighbours.values() if each.stand_in for one in each.stand_in.received
    )
    return sum(any(name and name.encode() in said for name in sending.ids) for sending in watch.kept)


def _facts(watch: _Watch, well: str, left: int) -> KilledUpload:
    rows = watch.tables
    return KilledUpload(
        well=well,
        fault=f"{watch.rounds} times it ended by SIGKILL, with {watch.under_way} uploads under way"
        if watch.rounds
        else "",
        rounds=watch.rounds,
        acknowledged=len(watch.kept),
        lost=tuple(watch.lost),
        changed=tuple(watch.changed),
        half=tuple(watch.half),
        under_way=watch.under_way,
        resumable=watch.resumable,
        forgotten=tuple(watch.forgotten),
        resumed=watch.resumed,
        spoiled=tuple(watch.spoiled),
        unsure=tuple(watch.unsure),
        rows=rows.rows if rows else 0,
        rows_missing=rows.missing if rows else 0,
        rows_doubled=rows.doubled if rows else 0,
        rows_after_s=rows.after_s if rows else 0.0,
        told=_told(watch),
        restart=watch.restart,
        unlooked="; ".join(watch.unlooked),
        left_kb=max(0, left) >> 10,
    )


def judge(facts: KilledUpload) -> Judgement:
    """What was acknowledged is there, as it was; and nothing else pretends to be whole."""
    if facts.unknown:
        return not_proven(f"It could not be looked up what an upload became: {facts.unknown}.")
    if facts.restart:
        return broken(f"After kill -9 it did not start again: {facts.restart}", "no restart", mend=_MEND)
    found = _bytes_lost(facts) or _rows_wrong(facts)
    if found is not None:
        return found
    if not facts.acknowledged and not facts.resumable:
        return not_proven("No upload was acknowledged before the kills, so there was nothing to be lost.")
    rows = f", and {facts.rows} rows each once" if facts.rows else ""
    resumed = f", {facts.resumed} uploads that were cut off went on to their end" if facts.resumed else ""
    return kept(
        f"After {facts.rounds} kills all {facts.acknowledged} acknowledged files were there as sent{resumed}{rows}.",
        f"0 of {facts.acknowledged + facts.resumed} lost",
    )


def _bytes_lost(facts: KilledUpload) -> Judgement | None:
    """What is wrong with the files: certain, for no chance takes bytes away, but where only an answer was missing."""
    table: Mapping[str, tuple[Sequence[str], int, str]] = {
        "acknowledged files were gone after kill -9": (facts.lost, facts.acknowledged, "lost"),
        "acknowledged files came back with other bytes after kill -9": (facts.changed, facts.acknowledged, "changed"),
        "files that were cut off were given out as if they were whole": (facts.half, facts.under_way, "half"),
        "uploads had less than was acknowledged after kill -9": (facts.forgotten, facts.resumable, "forgotten"),
        "uploads that went on after kill -9 did not become what was sent": (facts.spoiled, facts.resumable, "spoiled"),
    }
    for what, (bad, of, word) in table.items():
        if bad:
            number = f"{len(bad)} of {of} {word}"
            return broken(f"{len(bad)} of {of} {what}; one of them: {bad[0]}.", number, mend=_MEND, certain=True)
    if facts.unsure:
        of = facts.acknowledged + facts.resumable
        why = f"{len(facts.unsure)} of {of} uploads could not be had after kill -9; one of them: {facts.unsure[0]}."
        return broken(why, f"{len(facts.unsure)} of {of} not there", mend=_MEND)
    return None


def _rows_wrong(facts: KilledUpload) -> Judgement | None:
    if facts.rows_doubled:
        why = (
            f"{facts.rows_doubled} of {facts.rows} rows of acknowledged tables were there twice or more after kill -9."
        )
        return broken(why, f"{facts.rows_doubled} rows doubled", mend=_MEND_ROWS, certain=True)
    if facts.rows_missing:
        why = (
            f"{facts.rows_missing} of {facts.rows} rows of acknowledged tables never came after kill -9: "
            f"nothing more had come for {PATIENCE_S:g} s."
        )
        return broken(why, f"{facts.rows_missing} rows lost", mend=_MEND_ROWS)
    return None


SCENARIO: Final = Scenario(
    name="killed-upload",
    promise="durable",
    title="kills it with -9 amid uploads and right after acknowledgements, and looks everything up",
    seconds=14,
    facts=KilledUpload,
    gather=gather,
    judge=judge,
    needs=("upload",),
    part="against kill",
)
