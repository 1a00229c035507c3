"""Guarded, against slow clients: heads and bodies without an end, and clients that read nothing, take nothing away."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from holdfast.decide.latencies import Result
from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.canary import fair, watched_machine
from holdfast.prove.charts import Chart, Mark, Series
from holdfast.prove.filling import filled
from holdfast.prove.http import Wire
from holdfast.prove.ordinary import Fared, fared, harmed, load
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.sending import filled as filled_in
from holdfast.prove.sending import request
from holdfast.prove.stage import Stage, send

HEADS: Final = 240
BODIES: Final = 48
READERS: Final = 48
"""So many that what is usually there runs out: 15 connections of a database, 40 threads."""
_PATIENCE_S: Final = 16.0
_QUICK_PATIENCE_S: Final = 13.0
_BEFORE_S: Final = 1.5
_STEP_S: Final = 3.0
_BYTE_EVERY_S: Final = 0.5
_ANNOUNCED: Final = 1 << 20
_ROWS: Final = 20_000
_RECEIVE: Final = 4096
_AT_ONCE: Final = 8
_APART_S: Final = 0.03
_PIPELINED: Final = 100
_MEND: Final = (
    "Give heads and bodies a time to come in: `holdfast run` does (HOLDFAST_HEADER_TIMEOUT_S, "
    "HOLDFAST_BODY_MIN_BYTES_S), and so does a proxy in front that takes requests in whole."
)
_MEND_OTHERS: Final = (
    "Hold nothing for a client that is slow: no thread, worker or database connection while a body comes in or an "
    "answer goes out; `holdfast run` and `holdfast.exports` do so."
)


class SlowClients(Facts, frozen=True, kw_only=True):
    """What became of slow clients, and of others meanwhile."""

    watched_s: float
    """How long the slow ones were watched, at most."""
    before: Fared
    during: Fared
    heads: int
    """Connections that sent a head a byte at a time, without an end."""
    heads_ended_s: tuple[float, ...] = ()
    """After how many seconds the backend ended each of those that it ended."""
    bodies: int = 0
    """Requests whose bodies came a byte at a time."""
    bodies_ended_s: tuple[float, ...] = ()
    """After how many seconds each of those was answered or ended."""
    readers: int = 0
    """Clients that asked for something and read nothing."""
    readers_ended: int = 0
    unconnected: int = 0
    """Slow clients that could not connect."""


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

    def __init__(self) -> None:
        self.all: list[_Slow] = []
        self.unconnected: int = 0

    @property
    def ended_s(self) -> tuple[float, ...]:
        """When those ended that have."""
        return tuple(sorted(round(one.ended_s, 2) for one in self.all if one.ended_s is not None))

    @property
    def there(self) -> list[_Slow]:
        """Those that have not."""
        return [one for one in self.all if one.ended_s is None]

    async def come(self, stack: AsyncExitStack, app: App, count: int, first: Callable[[], bytes], **kind: bool) -> None:
        """So many of them connect and send `first`, some at a time, for what comes at once is another trouble.

        Those that `read` nothing have a small buffer, too.
        """
        for _ in range(0, count, _AT_ONCE):
            group = (self._one(stack, app, first(), **kind) for _ in range(_AT_ONCE))
            await asyncio.gather(*group, asyncio.sleep(_APART_S))

    async def _one(self, stack: AsyncExitStack, app: App, first: bytes, *, heard: bool, reads: bool = True) -> None:
        try:
            wire = await stack.enter_async_context(app.client.wire(receive_bytes=0 if reads else _RECEIVE))
            await wire.send(first, timeout_s=5.0)
        except (OSError, TimeoutError):
            self.unconnected += 1
            return
        stack.callback(_leave, wire)
        one = _Slow(wire, heard=heard)
        self.all.append(one)
        if reads:
            watching = asyncio.create_task(one.watch())
            stack.callback(watching.cancel)


async def gather(stage: Stage) -> SlowClients:
    """Ask for ordinary things, let slow clients come, go on asking, and see when the slow ones are gone."""
    patience_s = _QUICK_PATIENCE_S if stage.quick else _PATIENCE_S
    target = stage.target
    heads, bodies, readers = _Crowd(), _Crowd(), _Crowd()
    async with stage.app() as app:
        await filled(app, target, _ROWS)
        _, first = await send(app, target.read)
        async with watched_machine(app.pid) as machine:
            before = fared([await load(app, target, _BEFORE_S)])
            parts: list[Result] = []
            async with _slow_ones(stage, app, heads, bodies, readers):
                until = time.monotonic() + patience_s
                while not parts or ((heads.there or bodies.there) and time.monotonic() < until):
                    stage.tell(f"{len(heads.there)} slow heads and {len(bodies.there)} slow bodies are still there")
                    left_s = max(1.0, until - time.monotonic())
                    parts.append(await load(app, target, min(_STEP_S, left_s)))
        facts = SlowClients(
            well=f"{target.read.shown} said {first.shown}; {before.shown}" if first.good and before.good else "",
            fault=_fault(heads, bodies, readers),
            watched_s=patience_s,
            before=before,
            during=fared(parts),
            heads=len(heads.all),
            heads_ended_s=heads.ended_s,
            bodies=len(bodies.all),
            bodies_ended_s=bodies.ended_s,
            readers=len(readers.all),
            unconnected=heads.unconnected + bodies.unconnected + readers.unconnected,
        )
    return fair(facts, judge, machine.limit())


def _fault(heads: _Crowd, bodies: _Crowd, readers: _Crowd) -> str:
    if len(heads.all) < HEADS // 2:
        return ""
    return (
        f"{len(heads.all)} connections sent a head a byte at a time, {len(bodies.all)} a body, "
        f"and {len(readers.all)} read nothing"
    )


@asynccontextmanager
async def _slow_ones(stage: Stage, app: App, heads: _Crowd, bodies: _Crowd, readers: _Crowd) -> AsyncGenerator[None]:
    """They come, and send a byte now and then until the end of the block."""
    async with AsyncExitStack() as stack:
        await asyncio.gather(
            readers.come(stack, app, READERS, lambda: _asking(stage, app), heard=True, reads=False),
            bodies.come(stack, app, BODIES, lambda: _body(stage, app), heard=True),
            heads.come(stack, app, HEADS, lambda: _head(stage, app), heard=False),
        )
        dripping = asyncio.create_task(_drip(heads, bodies))
        stack.callback(dripping.cancel)
        yield


def _leave(wire: Wire) -> None:
    with contextlib.suppress(OSError):  # it has ended already
        wire.reset()


async def _drip(*crowds: _Crowd) -> None:
    while True:
        await asyncio.sleep(_BYTE_EVERY_S)
        for one in (each for crowd in crowds for each in crowd.there):
            with contextlib.suppress(OSError, TimeoutError):
                await one.wire.send(b"a", timeout_s=0.1)


def _head(stage: Stage, app: App) -> bytes:
    sent = request(stage.target.read, app.names)
    return app.client.head(sent.method, sent.path, sent.headers)[:-2] + b"X-Slow: "


def _body(stage: Stage, app: App) -> bytes:
    """The head of a request that announces a body, as the backend takes one where it is known; and its first bytes."""
    template = stage.target.upload or stage.target.write
    if template is None:
        return app.client.head("POST", filled_in(stage.target.read.path, app.names), length=_ANNOUNCED)
    sent = request(template, app.names, b"")
    first = (sent.body or b"").partition(b"\r\n\r\n")
    begun = first[0] + first[1] if template.file else b""
    return app.client.head(sent.method, sent.path, sent.headers, length=_ANNOUNCED) + begun


def _asking(stage: Stage, app: App) -> bytes:
    """Much that nobody will read: an export, or many answers."""
    template = stage.target.export or stage.target.read
    sent = request(template, app.names)
    one = app.client.head(sent.method, sent.path, sent.headers)
    return one if stage.target.export else one * _PIPELINED


def judge(facts: SlowClients) -> Judgement:
    """Others are served as before, and heads and bodies that do not come are given up."""
    if facts.heads == 0 or facts.before.good == 0:
        return not_proven("No slow client came about, or nobody was served before.")
    crowd = f"{facts.heads} slow heads, {facts.bodies} slow bodies and {facts.readers} that read nothing"
    if harm := harmed(facts.before, facts.during):
        return broken(
            f"Beside {crowd}, {harm}.", f"{facts.during.good} of {facts.during.asked} served", mend=_MEND_OTHERS
        )
    longer = "One that gives up later than that would be called broken here, too."
    for name, there, ended in (
        ("heads", facts.heads, facts.heads_ended_s),
        ("bodies", facts.bodies, facts.bodies_ended_s),
    ):
        if there and not ended:
            why = (
                f"All {there} connections whose {name} never end were still held after {facts.watched_s:g} s. {longer}"
            )
            return broken(why, f"{there} {name} held for {facts.watched_s:g} s", mend=_MEND)
        if len(ended) < there:
            return not_proven(
                f"Of {there} connections whose {name} never end {there - len(ended)} were still held after "
                f"{facts.watched_s:g} s, and the others were not.",
                mend=_MEND,
                number=f"{there - len(ended)} {name} still held",
            )
    last_s = max((*facts.heads_ended_s, *facts.bodies_ended_s))
    return kept(
        f"Beside {crowd} others had {facts.during.shown} ({facts.before.p90_ms:.0f} ms before), "
        f"and the last slow one was given up after {last_s:.1f} s.",
        f"given up after {last_s:.1f} s",
    )


def charts(facts: SlowClients) -> tuple[Chart, ...]:
    """How many of the slow ones are still there."""
    series = tuple(
        Series(name, _there(count, ended, facts.watched_s))
        for name, count, ended in (
            ("heads", facts.heads, facts.heads_ended_s),
            ("bodies", facts.bodies, facts.bodies_ended_s),
        )
        if count
    )
    says = "A line that does not fall: the backend holds those for as long as they like."
    marks = (Mark(facts.watched_s, "watched until here"),)
    return (Chart("Slow clients that are still there", says, "seconds", "connections", series, marks),)


def _there(count: int, ended: tuple[float, ...], watched_s: float) -> tuple[tuple[float, float], ...]:
    steps = [(0.0, float(count))]
    for number, at in enumerate(ended, 1):
        steps += [(at, float(count - number + 1)), (at, float(count - number))]
    return (*steps, (max(watched_s, steps[-1][0]), steps[-1][1]))


SCENARIO: Final = Scenario(
    name="slow-clients",
    promise="guarded",
    part="against slow clients",
    title="hundreds send a head or a body a byte at a time, or read nothing, while others ask for ordinary things",
    seconds=17,
    facts=SlowClients,
    gather=gather,
    judge=judge,
    charts=charts,
)
