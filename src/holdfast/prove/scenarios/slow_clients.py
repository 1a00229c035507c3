"""Guarded, against slow clients: heads and bodies without an end, and clients that read nothing, take nothing away."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import msgspec

from holdfast.decide.latencies import Result
from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.acts.slow_clients.copies import Copies, statuses, stored, without_limit
from holdfast.prove.acts.slow_clients.crowding import Crowding, crowded_out, crowding
from holdfast.prove.charts import Chart, Mark, Series
from holdfast.prove.config import Template
from holdfast.prove.counters import counted
from holdfast.prove.http import Wire
from holdfast.prove.props.canary import fair, watched_machine
from holdfast.prove.props.filling import filled
from holdfast.prove.props.ordinary import Fared, excuse, fared, harmed, load
from holdfast.prove.props.resumable import address, creation, piece
from holdfast.prove.props.shortage import serving
from holdfast.prove.props.signing_in import SigningIn, signing_in
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.sending import request
from holdfast.prove.stage import Stage, send

HEADS: Final = 240
BODIES: Final = 48
READERS: Final = 48
OTHERS: Final = 24
"""So many that what is usually there runs out: 15 connections of a database, 40 threads."""
_PATIENCE_S: Final = 16.0
_QUICK_PATIENCE_S: Final = 13.0
_BEFORE_S: Final = 1.5
_STEP_S: Final = 3.0
_BYTE_EVERY_S: Final = 0.5
_ANNOUNCED: Final = 1 << 20
_ROWS: Final = 20_000
_RECEIVE: Final = 4096
_GROUPS: Final = 24
_SEGMENT: Final = 1400
_APART_S: Final = 0.06
_ONE_BY_ONE_S: Final = 0.12
_AT_ONCE_S: Final = 0.5
_PIPELINED: Final = 100
_MEND: Final = (
    "Give heads and bodies a time to come in: `holdfast run` does (HOLDFAST_HEADER_TIMEOUT_S, "
    "HOLDFAST_BODY_MIN_BYTES_S), and so does a proxy in front that takes requests in whole."
)
_MEND_OTHERS: Final = (
    "Hold nothing for a client that is slow: no thread, worker or database connection while a body comes in or an "
    "answer goes out; `holdfast run` and `holdfast.exports` do so."
)


class SlowKind(msgspec.Struct, frozen=True):
    """Slow clients of one kind."""

    name: str
    """What they send a byte at a time, without an end."""
    came: int
    ended_s: tuple[float, ...] = ()
    """After how many seconds the backend ended, or answered, each of those that it did."""

    @property
    def let_in(self) -> int:
        """Those that were not turned away at once, as for being too many."""
        return self.came - sum(at < _AT_ONCE_S for at in self.ended_s)

    @property
    def held(self) -> int:
        """Those that were there to the end."""
        return self.came - len(self.ended_s)


class SlowClients(Facts, frozen=True, kw_only=True):
    """What became of slow clients, and of others meanwhile."""

    watched_s: float
    """How long the slow ones were watched, at most."""
    before: Fared
    during: Fared
    slow: tuple[SlowKind, ...] = ()
    readers: int = 0
    """Clients that asked for something and read nothing."""
    unconnected: int = 0
    """Slow clients that could not connect."""
    copies: Copies = Copies()
    """What was kept for those that read nothing."""
    crowded: Crowding = Crowding()
    """What came of more connections than there are descriptors."""


class _Slow:
    """A slow client: from when it began until the backend had enough of it."""

    def __init__(self, wire: Wire, *, heard: bool) -> None:
        """`heard`: an answer is its end, too."""
        self.wire: Wire = wire
        self.ended_s: float | None = None
        self._heard = heard
        self._began = time.monotonic()

    async def watch(self) -> None:
        """Read what comes, until it is over."""
        with contextlib.suppress(OSError):
            while await self.wire.receive(timeout_s=3600):
                if self._heard:
                    break
        self.ended_s = time.monotonic() - self._began


class _Crowd:
    """Slow clients of one kind."""

    def __init__(self, name: str, count: int, first: Callable[[], bytes], *, heard: bool, reads: bool = True) -> None:
        """So many come and send `first`; those that `read` nothing have a small buffer, too."""
        self.name: str = name
        self.all: list[_Slow] = []
        self.unconnected: int = 0
        self.drips: bytes = b"" if not reads else b"1\r\na\r\n" if name.startswith("chunks") else b"a"
        """What each sends now and then."""
        self._count = count
        self._first = first
        self._heard = heard
        self._reads = reads

    @property
    def ended_s(self) -> tuple[float, ...]:
        """When those ended that have."""
        return tuple(sorted(round(one.ended_s, 2) for one in self.all if one.ended_s is not None))

    @property
    def there(self) -> list[_Slow]:
        """Those that have not."""
        return [one for one in self.all if one.ended_s is None]

    @property
    def seen(self) -> SlowKind:
        """As a fact."""
        return SlowKind(self.name, len(self.all), self.ended_s)

    async def come(self, stack: AsyncExitStack, app: App) -> None:
        """They come, some at a time, for what comes at once is another trouble; those that read nothing one by one."""
        size = -(-self._count // _GROUPS) if self._reads else 1
        for begin in range(0, self._count, size):
            group = (self._one(stack, app) for _ in range(min(size, self._count - begin)))
            await asyncio.gather(*group, asyncio.sleep(_APART_S if self._reads else _ONE_BY_ONE_S))

    async def _one(self, stack: AsyncExitStack, app: App) -> None:
        small = {} if self._reads else {"receive_bytes": _RECEIVE, "segment_bytes": _SEGMENT}
        try:
            wire = await stack.enter_async_context(app.client.wire(**small))
            await wire.send(self._first(), timeout_s=5.0)
        except (OSError, TimeoutError):
            self.unconnected += 1
            return
        stack.callback(_leave, wire)
        one = _Slow(wire, heard=self._heard)
        self.all.append(one)
        if self._reads:
            watching = asyncio.create_task(one.watch())
            stack.callback(watching.cancel)


async def gather(stage: Stage) -> SlowClients:
    """Ask for ordinary things, let slow clients come, go on asking, and see when the slow ones are gone."""
    patience_s = _QUICK_PATIENCE_S if stage.quick else _PATIENCE_S
    target = stage.target
    async with stage.app() as app:
        exported = await filled(app, target, _ROWS)
        _, first = await send(app, target.read)
        slow, readers = await _crowds(stage, app)
        most_open = await asyncio.to_thread(_most_open, app)
        empty = await asyncio.to_thread(stored, app)
        async with watched_machine(app.pid) as machine:
            before = fared([await load(app, target, _BEFORE_S)])
            parts: list[Result] = []
            async with _present(slow, readers, app), asyncio.TaskGroup() as beside:
                crowd = beside.create_task(crowding(stage, most_open))
                until = time.monotonic() + patience_s
                while not parts or (any(each.there for each in slow) and time.monotonic() < until):
                    stage.tell(", ".join(f"{len(each.there)} with {each.name}" for each in slow) + " are there")
                    parts.append(await load(app, target, min(_STEP_S, max(1.0, until - time.monotonic()))))
                crowded = await crowd
                copies = await _copies(app, readers, exported.length if exported is not None else 0, empty)
        facts = SlowClients(
            well=f"{target.read.shown} said {first.shown}; {before.shown}" if first.good and before.good else "",
            fault=_fault(slow, readers),
            watched_s=patience_s,
            before=before,
            during=fared(parts),
            slow=tuple(each.seen for each in slow),
            readers=len(readers.all),
            unconnected=sum(each.unconnected for each in (*slow, readers)),
            copies=copies if target.export is not None else Copies(),
            crowded=crowded,
        )
    return fair(facts, judge, excuse(machine, facts.before, facts.during))


def _most_open(app: App) -> int:
    """The most descriptors that a process has open which serves."""
    counts = counted(app.pid)
    pids = serving(counts, app.port)
    return max((len(one.open or ()) for one in counts.processes if one.pid in pids), default=0)


async def _copies(app: App, readers: _Crowd, size: int, empty: int) -> Copies:
    more = await asyncio.to_thread(stored, app) - empty
    found = await statuses([one.wire for one in readers.all])
    good = [status for status in found if 200 <= status < 300]
    others = tuple(sorted(status for status in found if status not in good))
    return Copies(len(readers.all), len(good), others, size, max(0, more))


def _fault(slow: Sequence[_Crowd], readers: _Crowd) -> str:
    if len(slow[0].all) < HEADS // 2:
        return ""
    return ", ".join(f"{len(each.all)} sent {each.name}" for each in slow) + f", {len(readers.all)} read nothing"


async def _crowds(stage: Stage, app: App) -> tuple[list[_Crowd], _Crowd]:
    """Who is slow with what, and those who read nothing."""
    target, client = stage.target, app.client
    sent = request(target.read, app.names)
    read = client.head(sent.method, sent.path, sent.headers)
    slow = [
        _Crowd("a head", HEADS, lambda: read[:-2] + b"X-Slow: ", heard=False),
        _Crowd("a second head", OTHERS, lambda: read + read[:-2] + b"X-Slow: ", heard=False),
    ]
    takes = [one for one in (target.upload, target.write) if one is not None]
    slow += [
        _Crowd(f"the body of {one.shown}", BODIES, partial(_body, app, one, _ANNOUNCED), heard=True)
        for one in takes or [Template("POST", target.read.path)]
    ]
    slow += [_Crowd(f"chunks for {one.shown}", OTHERS, partial(_body, app, one, -1), heard=True) for one in takes[:1]]
    if (door := await signing_in(app, target)) is not None:
        slow.append(_Crowd(f"the form of {door.shown}", OTHERS, partial(_form, app, door), heard=True))
    if target.upload is not None and (where := target.upload.resumable):
        begun = [await _begun(app, where) for _ in range(OTHERS)]
        paths = [path for path in begun if path]
        if paths:
            slow.append(_Crowd("the body of a resumable upload", len(paths), partial(_resumed, app, paths), heard=True))
    asked = read * _PIPELINED
    if target.export is not None:
        sent = request(target.export, app.names)
        asked = client.head(sent.method, sent.path, sent.headers)
    return slow, _Crowd("nothing", READERS, lambda: asked, heard=True, reads=False)


@asynccontextmanager
async def _present(slow: Sequence[_Crowd], readers: _Crowd, app: App) -> AsyncGenerator[None]:
    """They come, the readers while the block runs, and send a byte now and then until its end."""
    async with AsyncExitStack() as stack:
        await asyncio.gather(*(each.come(stack, app) for each in slow))
        coming = asyncio.create_task(readers.come(stack, app))
        stack.callback(coming.cancel)
        dripping = asyncio.create_task(_drip(slow))
        stack.callback(dripping.cancel)
        yield


def _leave(wire: Wire) -> None:
    with contextlib.suppress(OSError):  # it has ended already
        wire.reset()


async def _drip(crowds: Sequence[_Crowd]) -> None:
    while True:
        await asyncio.sleep(_BYTE_EVERY_S)
        for crowd in crowds:
            for one in crowd.there if crowd.drips else ():
                with contextlib.suppress(OSError, TimeoutError):
                    await one.wire.send(crowd.drips, timeout_s=0.1)


def _body(app: App, template: Template, length: int) -> bytes:
    """The head of a request that announces a body, or chunks of one; and how it begins, as this template has it."""
    sent = request(template, app.names, b"" if template.file else None)
    begun = b"".join((sent.body or b"").partition(b"\r\n\r\n")[:2]) if template.file else (sent.body or b"a")[:1]
    if length < 0:
        begun = b"%x\r\n%b\r\n" % (len(begun), begun)
    return app.client.head(sent.method, sent.path, sent.headers, length=length) + begun


def _form(app: App, door: SigningIn) -> bytes:
    """The head of a sign-in that announces a long body, and how that begins."""
    sent = door.with_password("wrong")
    return app.stranger.head(sent.method, sent.path, sent.headers, length=_ANNOUNCED) + (sent.body or b"a")[:1]


async def _begun(app: App, where: str) -> str:
    """The path of an upload that can be gone on with; empty where none came about."""
    first = creation(where, _ANNOUNCED, "slow.csv")
    return address(await app.client.ask(first.method, first.path, headers=first.headers, body=first.body))


def _resumed(app: App, paths: list[str]) -> bytes:
    sent = piece(paths.pop(), 0, b"")
    return app.client.head(sent.method, sent.path, sent.headers, length=_ANNOUNCED)


def judge(facts: SlowClients) -> Judgement:
    """Others are served as before, and heads and bodies that do not come are given up."""
    if not any(each.came for each in facts.slow) or facts.before.good == 0:
        return not_proven("No slow client came about, or nobody was served before.")
    crowd = f"{sum(each.came for each in facts.slow)} slow clients and {facts.readers} that read nothing"
    harm = harmed(facts.before, facts.during)
    for each in facts.slow:
        if each.held and each.held == each.let_in:
            why = f"All {each.held} that send {each.name} without an end were still held after {facts.watched_s:g} s"
            why += f", and {harm}." if harm else ". A backend that gives up later would be called broken here, too."
            return broken(why, f"{each.held} held for {facts.watched_s:g} s", mend=_MEND, certain=True)
    if found := without_limit(facts.copies) or crowded_out(facts.crowded):
        return found
    if harm:
        number = f"{facts.during.good} of {facts.during.asked} served"
        return broken(f"Beside {crowd}, {harm}.", number, mend=_MEND_OTHERS)
    for each in facts.slow:
        if each.held:
            why = f"Of {each.let_in} that were let in and send {each.name} without an end {each.held} were still held"
            why += f" after {facts.watched_s:g} s, and the others were not."
            return not_proven(why, mend=_MEND, number=f"{each.held} still held")
    last_s = max(max(each.ended_s, default=0.0) for each in facts.slow)
    return kept(
        f"Beside {crowd} others had {facts.during.shown} ({facts.before.p90_ms:.0f} ms before), "
        f"and the last slow one was given up after {last_s:.1f} s.",
        f"given up after {last_s:.1f} s",
    )


def charts(facts: SlowClients) -> tuple[Chart, ...]:
    """How many of the slow ones are still there."""
    series = tuple(Series(each.name, _steps(each, facts.watched_s)) for each in facts.slow if each.came)
    says = "A line that does not fall: the backend holds those for as long as they like."
    marks = (Mark(facts.watched_s, "watched until here"),)
    return (Chart("Slow clients that are still there", says, "seconds", "connections", series, marks),)


def _steps(kind: SlowKind, watched_s: float) -> tuple[tuple[float, float], ...]:
    steps = [(0.0, float(kind.came))]
    for number, at in enumerate(kind.ended_s, 1):
        steps += [(at, float(kind.came - number + 1)), (at, float(kind.came - number))]
    return (*steps, (max(watched_s, steps[-1][0]), steps[-1][1]))


SCENARIO: Final = Scenario(
    name="slow-clients",
    promise="guarded",
    part="against slow clients",
    title="hundreds send a head or a body a byte at a time, or read nothing, while others ask for ordinary things",
    seconds=19,
    facts=SlowClients,
    gather=gather,
    judge=judge,
    charts=charts,
)
