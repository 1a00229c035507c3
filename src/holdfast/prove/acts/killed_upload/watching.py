"""A backend that is killed while files are sent to it, and looked up once it is there again: what became of each."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from holdfast.prove.acts.killed_upload.listing import listed
from holdfast.prove.acts.killed_upload.senders import Senders, Sending
from holdfast.prove.acts.killed_upload.tables import Tables
from holdfast.prove.config import Template
from holdfast.prove.props.fetching import Fetched
from holdfast.prove.props.killing import Killing
from holdfast.prove.props.removing import GONE
from holdfast.prove.props.rows import tables
from holdfast.prove.running import App, AppFailed
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


class Watch:
    """What is found in the course of all rounds."""

    def __init__(self, stage: Stage, app: App, upload: Template) -> None:
        """Nothing was found yet."""
        self.app: App = app
        self.kept: list[Sending] = []
        """Files that were acknowledged as a whole."""
        self.lost: list[str] = []
        self.changed: list[str] = []
        self.half: list[str] = []
        self.forgotten: list[str] = []
        self.spoiled: list[str] = []
        self.unsure: list[str] = []
        self.under_way: int = 0
        self.resumable: int = 0
        self.resumed: int = 0
        self.rounds: int = 0
        """How often it was killed."""
        self.restart: str = ""
        """Why it did not start again."""
        self.tables: Tables | None = None
        self.unlooked: list[str] = []
        """What could not be looked up, and why."""
        self._stage = stage
        self._upload = upload
        self._reading_s = 0.0
        self._gradual = False

    def _senders(self, killing: Killing | None) -> Senders:
        return Senders(self.app, self._upload, killing, self._stage.chance.getrandbits(32))

    # -- before --

    async def well(self) -> tuple[str, str]:
        """How it was seen that uploads come back; or why it cannot be seen."""
        senders = self._senders(None)
        first = senders.begin(50_000)
        answer = await senders.whole(first)
        if not answer.good:
            return "", f"an upload was answered with {answer.shown}"
        if not self._upload.content:
            return "", "it is not known how a file is fetched: say content in upload, as in /files/{id}/content"
        came = await self._content(senders, first, time.monotonic() + _PATIENCE_S)
        if not first.is_in(came):
            return "", f"an upload did not come back even before anything was killed: {came.shown}"
        if self._upload.resumable:
            await self._try_resumable(senders)
        await self._try_rows()
        return f"{self._upload.shown} said {answer.shown}, and the file came back", ""

    async def _try_resumable(self, senders: Senders) -> None:
        sending = senders.begin(50_000)
        answer = await senders.create(sending)
        if sending.path:
            answer = await senders.go_on(sending, len(sending.content))
        until = time.monotonic() + _PATIENCE_S
        if not sending.acknowledged or not sending.is_in(await self._content(senders, sending, until)):
            self.unlooked.append(f"{self._upload.resumable} said {answer.shown}, and no file was found for it")
            self._upload = self._upload._replace(resumable="")

    async def _try_rows(self) -> None:
        """Whether the rows of a table can be found again, and how long that takes."""
        export = self._stage.target.export
        if export is None or not tables(export.fill):
            return
        found = Tables(self.app, export, self._stage.chance, self._stage.tell)
        if await found.add(_ROWS) and await found.look():
            self.tables = found
        else:
            self.unlooked.append(f"the rows of a table were not found in {export.shown}")
        self._reading_s, self._gradual = found.after_s, found.gradual

    async def _add_rows(self, found: Tables, killing: Killing, *, amid: bool) -> None:
        """Send a table; `amid` its rows being read it is to be killed, as far as one can tell when that is."""
        longer = _READ_S / max(self._reading_s, 0.02) if amid else 1.0
        rows = min(_MOST_ROWS, int(_ROWS * max(1.0, longer)))
        if await found.add(rows) and amid:
            expected_s = self._reading_s * rows / _ROWS
            share = _SLACK if self._gradual else self._stage.chance.uniform(0.15, 0.75)
            await found.amid(min(_WITHIN_S / 2, share * expected_s))
            killing.strike()

    # -- one round --

    async def round(self, number: int) -> bool:
        """Kill it, start it again, look everything up; whether there can be another round."""
        chance = self._stage.chance
        amid_rows = number % 3 == 1 and self.tables is not None
        killing = Killing(
            self.app,
            after=10_000 if amid_rows else chance.randrange(4, 16),
            delay_s=0.0 if number % 3 == 0 else chance.uniform(0.0, 0.05),
        )
        senders = self._senders(killing)
        clients = [senders.plain(), senders.plain(), senders.plain(slowly=True)]
        if self._upload.resumable:
            clients += [senders.resumable(), senders.resumable(at_length=True)]
        if self.tables is not None:
            clients.append(self._add_rows(self.tables, killing, amid=amid_rows))
        self.rounds += await killing.amid(clients, _WITHIN_S)
        self.under_way += sum(not sending.acknowledged for sending in senders.sent)
        self._stage.tell(f"killed; starting it again ({number + 1})")
        try:
            await self.app.again()
        except AppFailed as failure:
            self.restart = str(failure).splitlines()[0]
            return False
        await self._look_up(self._senders(None), senders.sent)
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
        _, answer = await send(self.app, self._stage.target.read)
        key = self._upload.id.rpartition(".")[2]
        for sending in cut:
            called = listed(answer.json(), sending.name, key) if key else ""
            if called or "{id}" not in self._upload.content:
                came = await senders.content_of(sending.name, called)
                if came.good and not sending.is_in(came):
                    self.half.append(f"{came.length} of {len(sending.content)} bytes")
