"""Bounded: an export of more and more rows, to one who hurries and one who dawdles; memory must not grow with it."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.charts import Chart, Series
from holdfast.prove.config import Template
from holdfast.prove.counters import Samples, sampling
from holdfast.prove.props.fetching import Fetched, fetched
from holdfast.prove.props.growth import MB, Peak, growths, missed, over_size, peak, unseen
from holdfast.prove.props.rows import Counting, long_filling, tables
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.sending import filled, request
from holdfast.prove.stage import Stage

_FEWEST: Final = 1000
_ROWS: Final = (_FEWEST, 12_000, 40_000)
_QUICK: Final = (_FEWEST, 3000, 20_000)
_WIDE: Final = 2000
"""Bytes in a row: what has to be told from noise is bytes, and what takes time is rows."""
_TIMEOUT_S: Final = 40.0
_READY_WITHIN_S: Final = 60.0
_STALLED_S: Final = 8.0
_SLACK: Final = 5.0
"""Rows may come so many times as slowly as those before, for some backends show them when they have all."""
_LONGEST_S: Final = 7.0
"""No more rows are filled in than seem to take so long."""
_LOOK_S: Final = 0.1
_DAWDLE_S: Final = 1.0
_MAIN: Final = "exporting"
_FLAT_MB: Final = 20.0
"""Less than this of output shows nothing."""
_MEND: Final = "Read the rows in batches and send each when the one before has left: `holdfast.exports` does."
_MEND_FILLING: Final = "Read what comes in batches, and let go of each before the next."


class Exported(msgspec.Struct, frozen=True):
    """One size."""

    rows: int
    """Expected; 0 where it is not known."""
    bytes: int
    first_s: float
    """Until the first byte, for who hurries."""
    took_s: float
    counted: tuple[int, ...] = ()
    """Rows that came whole, for each reader that got a whole answer."""
    doubled: int = 0
    failed: str = ""
    """What came instead of a whole answer for who dawdles. It explains, and decides nothing."""


class GrowingExport(Facts, frozen=True):
    """Memory while more and more rows went out."""

    exported: tuple[Exported, ...] = ()
    peaks: tuple[Peak, ...] = ()
    base_mb: float = 0.0
    filled: bool = True
    """Whether it is known how to fill it."""
    stopped: str = ""
    """Why larger ones were not tried."""


class _Exports:
    """Exports under way, and what is seen of them."""

    def __init__(self, stage: Stage, app: App, export: Template, samples: Samples) -> None:
        self.stage = stage
        self.app = app
        self.export = export
        self.samples = samples
        self.tags: dict[str, int] = {}
        self.row_s = 0.0
        """How long each row took last to be there."""
        self.exported: list[Exported] = []
        self.peaks: list[Peak] = []

    # -- filling --

    async def fill(self, fill: Template, rows: int) -> str:
        """Send so many rows more, and wait until they are there; why they are not, if they are not."""
        self.stage.tell(f"filling in {rows} rows")
        if not tables(fill):
            sent = request(fill, {**self.app.names, "rows": str(rows)})
            answer = await self.app.client.ask(sent.method, sent.path, headers=sent.headers, body=sent.body)
            return await self._until_still() if answer.good else f"{fill.shown} said {answer.shown}"
        tag = f"{self.stage.chance.getrandbits(48):012x}"
        began = time.monotonic()
        long = long_filling(fill, rows, tag, _WIDE, self.app.names)
        answer = await self.app.client.ask(
            long.method, long.path, headers=long.headers, body=long.pieces, length=long.length, timeout_s=_TIMEOUT_S
        )
        if not answer.good:
            return f"{rows} rows: {fill.shown} said {answer.shown}"
        self.tags[tag] = rows
        why = await self._until_there(rows)
        self.row_s = (time.monotonic() - began) / rows
        return why

    async def _until_there(self, rows: int) -> str:
        began = moved = time.monotonic()
        most = -1
        stalled_s = max(_STALLED_S, _SLACK * self.row_s * rows)
        while time.monotonic() - began < _READY_WITHIN_S and time.monotonic() - moved < stalled_s:
            asked = time.monotonic()
            counting = Counting()
            await self._get(counting)
            there = sum(counting.once(tag) for tag in self.tags)
            if there >= sum(self.tags.values()):
                return ""
            if there > most:
                most, moved = there, time.monotonic()
            self.stage.tell(f"filling in {rows} rows: {there} of {sum(self.tags.values())} are there")
            await asyncio.sleep(max(_LOOK_S, 3 * (time.monotonic() - asked)))
        return f"of {sum(self.tags.values())} rows {max(0, most)} came within {time.monotonic() - began:.0f} s"

    async def _until_still(self) -> str:
        """Where rows cannot be told apart: until two exports in turn are of one length."""
        length = -1
        until = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < until:
            came = await self._get(None)
            if came.length == length:
                return ""
            length = came.length
            await asyncio.sleep(_STALLED_S / 8)
        return f"the export still grew after {_READY_WITHIN_S:g} s"

    def more(self, rows: int) -> int:
        """How many are to be filled in for so many in all, as far as there is time."""
        before = sum(self.tags.values())
        soon = int(_LONGEST_S / self.row_s) if self.row_s else rows
        return max(1, min(rows - before, soon) if before else rows)

    # -- exporting --

    async def _get(self, look: Counting | None, hurry: "asyncio.Future[Fetched] | None" = None) -> Fetched:
        async def dawdle() -> None:
            """Until the other one is done, and a while longer: what is not held back is in memory by then."""
            if hurry is not None:
                await asyncio.wait([hurry], timeout=_TIMEOUT_S)
                await asyncio.sleep(_DAWDLE_S)

        path = filled(self.export.path, self.app.names, quoted=True)
        return await fetched(
            self.app.client,
            path,
            method=self.export.method,
            headers=self.export.headers,
            timeout_s=_TIMEOUT_S,
            pause=dawdle if hurry is not None else None,
            look=look,
        )

    async def measured(self) -> str:
        """Export what is there, and note what memory that took; why it could not be, if it could not."""
        rows = sum(self.tags.values())
        self.stage.tell(f"exporting {rows or 'what is there'}")
        countings = (Counting(), Counting())
        began = time.monotonic()
        hurry = asyncio.ensure_future(self._get(countings[0]))
        slow, quick = await asyncio.gather(self._get(countings[1], hurry), hurry)
        await asyncio.to_thread(self.samples.look)
        if not quick.good:
            return f"{self.export.shown} said {quick.shown}"
        whole = [each for each, came in zip(countings, (quick, slow), strict=True) if came.good and rows]
        counted = tuple(sum(each.once(tag) for tag in self.tags) for each in whole)
        doubled = max((sum(each.doubled(tag) for tag in self.tags) for each in whole), default=0)
        failed = "" if slow.good else slow.shown
        if self.exported and self.exported[-1].bytes == quick.length:  # the same once more
            before = self.exported.pop()
            counted, doubled = before.counted + counted, max(before.doubled, doubled)
        self.exported.append(Exported(rows, quick.length, quick.first_s, quick.took_s, counted, doubled, failed))
        self.note(_MAIN, quick.length, began)
        return ""

    def note(self, phase: str, size: int, began: float) -> None:
        """Note what memory was taken since."""
        self.peaks.append(peak(self.samples.series, phase, size, (began, time.monotonic())))


async def gather(stage: Stage) -> GrowingExport:
    """Fill in more and more rows, export them, and watch the memory of all processes."""
    export = stage.target.export
    if export is None:
        return GrowingExport()
    async with stage.app() as app:
        async with sampling(app.pid) as warming:
            exports = _Exports(stage, app, export, warming)
            stopped = await _warm(exports, export.fill)
        if stopped:
            return GrowingExport(stopped=stopped, filled=export.fill is not None)
        async with sampling(app.pid) as samples:
            exports.samples = samples
            exports.exported, exports.peaks = [], []
            stopped = await _grow(exports, export.fill, _QUICK if stage.quick else _ROWS)
        return GrowingExport(
            well=f"{export.shown} gave a whole answer",
            fault=f"memory was looked at {len(samples.series)} times" if exports.exported else "",
            limit=unseen(samples),
            exported=tuple(exports.exported),
            peaks=tuple(exports.peaks),
            base_mb=samples.series[0].anonymous / MB,
            filled=export.fill is not None,
            stopped=stopped,
        )


async def _warm(exports: _Exports, fill: Template | None) -> str:
    """Once all of it with a few rows, so that what a backend makes once is made."""
    stopped = await exports.fill(fill, _FEWEST) if fill is not None else ""
    return stopped or await exports.measured()


async def _grow(exports: _Exports, fill: Template | None, sizes: Sequence[int]) -> str:
    if fill is None:
        return await exports.measured()
    for number, rows in enumerate(sizes):
        began = time.monotonic()
        stopped = await exports.fill(fill, exports.more(rows)) if number or not tables(fill) else ""
        filled_at = time.monotonic()
        for _ in range(2 if 0 < number < len(sizes) - 1 else 1):  # twice, for what fills up to be full
            stopped = stopped or await exports.measured()
        if stopped:
            return stopped
        span = (began, filled_at)
        exports.peaks.append(peak(exports.samples.series, "filling in", exports.exported[-1].bytes, span))
    return ""


def judge(facts: GrowingExport) -> Judgement:
    """From the fewest to the most rows, memory stays flat, and each row comes once."""
    wrong = next((one for one in facts.exported if one.doubled or any(each != one.rows for each in one.counted)), None)
    if wrong is not None:
        came = f"{wrong.doubled} came twice or more" if wrong.doubled else f"{min(wrong.counted)} came"
        return broken(f"Of {wrong.rows} rows {came}, in an answer that looked whole.", came, mend=_MEND, certain=True)
    if not facts.filled:
        return not_proven(
            "Whether memory grows with the rows cannot be shown: it is not known how more of them are filled in.",
            mend='Say it: export = { request = "GET /items.csv", fill = { request = "POST /import", body = "csv" } }',
        )
    more_mb = (facts.exported[-1].bytes - facts.exported[0].bytes) / MB if facts.exported else 0.0
    if len(facts.exported) < 2 or more_mb < _FLAT_MB:
        said = facts.stopped or f"the largest export had only {more_mb:.1f} MB more than the smallest"
        return not_proven(f"There were not enough rows to show anything: {said}.")
    worst, *_ = growths(facts.peaks)
    number, sentence = worst.number, f"With {facts.exported[-1].rows or 'more'} rows: {worst.sentence}"
    if worst.grows:
        mend = _MEND if worst.phase == _MAIN else _MEND_FILLING
        return broken(f"{sentence}: all of them are held at once.", number, mend=mend)
    if not worst.flat:
        return not_proven(f"{sentence}: more than noise, less than clear growth.", number=number)
    if why := missed([one for one in facts.peaks if one.phase == _MAIN]):
        return not_proven(f"It seems flat, but {why}, and a peak may have been missed.", number=number)
    return kept(f"{sentence}; the first byte came after {facts.exported[-1].first_s * 1000:.0f} ms.", number)


def charts(facts: GrowingExport) -> Sequence[Chart]:
    """Memory over the size of the export, and the time to its first byte."""
    if not facts.exported:
        return ()
    first = Series("first byte", tuple((one.bytes / MB, one.first_s) for one in facts.exported))
    whole = Series("whole", tuple((one.bytes / MB, one.took_s) for one in facts.exported))
    says = "The first byte should not wait for the last row."
    return (
        over_size(facts.peaks, "Memory over the size of an export", "MB of an export"),
        Chart("Time over the size of an export", says, "MB of an export", "s", (first, whole)),
    )


SCENARIO: Final = Scenario(
    name="growing-export",
    promise="bounded",
    title="exports more and more rows to quick and slow readers, and watches the memory",
    seconds=15,
    facts=GrowingExport,
    gather=gather,
    judge=judge,
    needs=("export",),
    charts=charts,
)
