"""Graceful: SIGTERM under load. No request is lost, the process ends by itself, and another goes on at once."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from holdfast.decide.verdicts import Judgement, broken, kept
from holdfast.prove.acts.drain.acknowledged import (
    MEND_WORK,
    ROWS,
    WORD,
    Acknowledged,
    acknowledged,
    again,
    exported,
    filled,
    missing,
    takes_tables,
)
from holdfast.prove.acts.drain.far import AWAY_S, far
from holdfast.prove.acts.drain.readiness import readiness
from holdfast.prove.charts import Chart, Mark, Series
from holdfast.prove.config import Template
from holdfast.prove.props.steady import Asked, Fate, Load, steady
from holdfast.prove.props.underway import UNANSWERED, Going, Underway, download, is_set, plain, socket, upload
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.sending import request
from holdfast.prove.stage import Stage, send

_BEFORE_S: Final = 0.8
_GOES_ON_S: Final = 0.5
_CLOSED_S: Final = 10.0
"""How long it may take connections before what is under way goes on all the same."""
_BEGIN_S: Final = 5.0
_BOUND_S: Final = 30.0
_LEFT_S: Final = 2.0
_BURST: Final = 8
_MOST_SLOW: Final = 3
_STEP_S: Final = 0.1
_WELL: Final = 0.7
"""The share that must be answered before; a machine that is busy makes some backends refuse a few."""
_EXITS: Final = {0, -signal.SIGTERM, 128 + signal.SIGTERM}
_MEND: Final = (
    "On SIGTERM serve what came, close kept connections with `Connection: close`, stop accepting, end: "
    "`holdfast run` does."
)
_NOTICE_S: Final = 0.5
"""Who balances loads asks hardly more often."""
_MEND_NOTICE: Final = (
    "On SIGTERM say on the readiness path that it is not ready, serve on for some seconds, and only then stop "
    "accepting: `holdfast run` does, with HOLDFAST_DRAIN_DELAY_S."
)


class Moment(msgspec.Struct, frozen=True):
    """A tenth of a second, and what became of what was sent in it."""

    at: float
    """Seconds from SIGTERM."""
    answered: int = 0
    refused: int = 0
    lost: int = 0


class Drain(Facts, frozen=True):
    """What became of the requests around a SIGTERM."""

    moments: tuple[Moment, ...] = ()
    answered: int = 0
    """After SIGTERM."""
    refused: int = 0
    lost: tuple[str, ...] = ()
    """Some of them, in words."""
    lost_number: int = 0
    certain: bool = False
    """Whether one of them was lost in a way that no slow machine brings about."""
    underway: tuple[str, ...] = ()
    """What was under way."""
    closed_s: float = -1.0
    """When a connection was first refused, from SIGTERM; -1: none was."""
    ended_s: float = -1.0
    """When the process had ended; -1: it did not."""
    exit_code: int | None = None
    left: int = 0
    """Processes of its group that were there after it had ended."""
    again: str = ""
    """Why it did not start again; empty where it did."""
    changed: str = ""
    """What of an upload is not as it was sent."""
    ready: str = ""
    """The path that said that it is ready, if one is configured."""
    unready_s: float = -1.0
    """When it first said that it is not, from SIGTERM; -1: it never did."""
    far: int = 0
    """Kept connections of clients that are far away."""
    far_cut: int = 0
    """Requests on their way on one of these, that got no answer because it was closed."""
    kept_back: Acknowledged = Acknowledged()
    """What another instance had taken when it was stopped, and still had after it."""


async def gather(stage: Stage) -> Drain:
    """Load it, send SIGTERM, watch, start it again; and meanwhile end another that has just acknowledged something."""
    closed = asyncio.Event()
    acknowledging = asyncio.create_task(acknowledged(stage, closed))
    try:
        async with stage.app() as app:
            stage.tell("filling")
            lines = await _filled(app, stage)
            read = request(stage.target.read, app.names)
            async with steady(app, read) as load, far(app, read) as away, readiness(app) as told:
                await asyncio.sleep(_BEFORE_S)
                stage.tell("SIGTERM under load")
                at, ended_s, flights = await _terminated(app, stage, load, lines, closed)
            left = await _left(app.pid)
            exit_code = app.exit_code
            await app.kill()
            stage.tell("starting again")
            failed = await again(app)
            changed = "" if failed else await _changed(app, stage, flights)
        kept_back = await acknowledging
    finally:
        acknowledging.cancel()
        await asyncio.wait([acknowledging])
    before = Counter(one.fate for one in load.asked if one.ended < at)
    answered, busy = before[Fate.ANSWERED], before[Fate.REFUSED]
    well = answered and not before[Fate.LOST] and not before[Fate.FAILED] and answered >= _WELL * before.total()
    lost, certain = _lost(load.asked, flights, at)
    after = Counter(one.fate for one in load.asked if one.ended >= at)
    return Drain(
        well=f"{answered} of {before.total()} requests before were answered" if well else "",
        limit=f"{busy} requests were refused before SIGTERM already" if busy else "",
        fault=f"SIGTERM was sent with {len(flights)} requests under way",
        moments=tuple(_moments(load.asked, at)),
        answered=after[Fate.ANSWERED],
        refused=after[Fate.REFUSED],
        lost=tuple(lost[:5]),
        lost_number=len(lost),
        certain=certain,
        underway=tuple(Counter(one.kind for one in flights)),
        closed_s=load.refused_at - at if load.refused_at else -1.0,
        ended_s=ended_s,
        exit_code=exit_code,
        left=left,
        again=failed or kept_back.again,
        changed=changed,
        ready=app.config.ready if told.ready else "",
        unready_s=next((when - at for when in told.unready if when >= at), -1.0),
        far=away.kept,
        far_cut=sum(when >= at for when in away.cut),
        kept_back=kept_back,
    )


# -- before --


async def _filled(app: App, stage: Stage) -> int:
    """Fill in something to export, and how many lines that has."""
    export = stage.target.export
    if export is None:
        return 0
    if export.fill is None or not takes_tables(export.fill):
        _, answer = await send(app, export)
        return answer.body.count(b"\n") if answer.good else 0
    rows = ROWS // 4 if stage.quick else ROWS
    await filled(app, export.fill, WORD, rows)
    _, whole = await exported(app, export, WORD, rows)
    return whole.body.count(b"\n") if whole.good else 0


# -- while --


async def _terminated(
    app: App, stage: Stage, load: Load, lines: int, closed: asyncio.Event
) -> tuple[float, float, list[Underway]]:
    """Begin what takes long, send SIGTERM, wait for the end: when it was sent, how long the end took, what became."""
    goes_on = asyncio.Event()
    tasks = [await _begun(going, goes_on) for going in _goings(app, stage, lines)]
    burst = plain(app, stage.target.read, "a request sent just before SIGTERM")
    tasks += [await _begun(burst, goes_on) for _ in range(_BURST)]
    at = time.monotonic()
    app.signal(signal.SIGTERM)
    letting = asyncio.create_task(_let_go(load, goes_on, closed))
    ended = await app.ended(_BOUND_S)
    ended_s = time.monotonic() - at if ended else -1.0
    await load.end()
    letting.cancel()
    closed.set()
    goes_on.set()
    return at, ended_s, [one for one in await asyncio.gather(*tasks) if one.kind]


async def _let_go(load: Load, goes_on: asyncio.Event, closed: asyncio.Event) -> None:
    """What is under way goes on once connections are refused, and some time after that, or after some time."""
    await is_set(load.refused, _CLOSED_S)
    closed.set()
    await asyncio.sleep(_GOES_ON_S)
    goes_on.set()


def _goings(app: App, stage: Stage, lines: int) -> list[Going]:
    target = stage.target
    found = [plain(app, one, f"{one.shown}, which takes long") for one in target.slow[:_MOST_SLOW]]
    if target.export and lines:
        found.append(download(app, target.export, lines))
    if target.upload:
        found.append(upload(app, target.upload))
    if target.socket:
        found.append(socket(app, target.socket))
    return found


async def _begun(going: Going, goes_on: asyncio.Event) -> asyncio.Task[Underway]:
    begun = asyncio.Event()

    async def go() -> Underway:
        return await going(begun.set, goes_on)

    task = asyncio.create_task(go())
    async with asyncio.timeout(_BEGIN_S):
        await begun.wait()
    return task


# -- after --


async def _left(group: int) -> int:
    """Processes of a group that are there still, after a little patience."""
    until = time.monotonic() + _LEFT_S
    while True:
        left = _members(group)
        if not left or time.monotonic() > until:
            return left
        await asyncio.sleep(0.05)


def _members(group: int) -> int:
    found = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except (OSError, ValueError):
                continue
            found += int(its_group) == group and state not in "ZX"
    return found


async def _changed(app: App, stage: Stage, flights: Sequence[Underway]) -> str:
    """What is wrong with an upload that was under way and acknowledged; empty where nothing is known to be."""
    template = stage.target.upload
    for one in flights:
        if one.id and template and template.content:
            there = Template("GET", template.content)
            _, answer = await send(app, there, {"id": one.id})
            if not answer.good:
                return f"{one.kind} was answered, and after the restart {there.path} says {answer.shown}"
            if answer.body != one.body:
                return f"{one.kind} was answered, and after the restart it has {answer.length} of {len(one.body)} bytes"
    return ""


def _lost(asked: Sequence[Asked], flights: Sequence[Underway], at: float) -> tuple[list[str], bool]:
    """What was lost, the certain first, and whether any of it is certain."""
    found: list[tuple[bool, str]] = [(one.certain, f"{one.kind}: {one.wrong}") for one in flights if one.wrong]
    for one in asked:
        if one.ended < at:
            continue
        when = f"{one.kind}, {one.at - at:+.2f} s from SIGTERM"
        if one.fate is Fate.LOST:
            found.append((not one.why.startswith(UNANSWERED), f"a request {when}: {one.why}"))
        elif one.fate is Fate.FAILED:
            found.append((one.status == 500, f"a request {when}: {one.why}"))
        elif one.fate is Fate.REFUSED and one.status and one.at < at:
            found.append((False, f"a request {when}: answered with {one.status}"))
    found.sort(key=lambda one: not one[0])
    return [text for _, text in found], any(certain for certain, _ in found)


def _moments(asked: Sequence[Asked], at: float) -> list[Moment]:
    steps: dict[int, Counter[Fate]] = {}
    for one in asked:
        steps.setdefault(int((one.at - at) // _STEP_S), Counter())[one.fate] += 1
    return [
        Moment(
            round(step * _STEP_S, 1),
            each[Fate.ANSWERED],
            each[Fate.REFUSED],
            each[Fate.LOST] + each[Fate.FAILED],
        )
        for step, each in sorted(steps.items())
    ]


# -- what it amounts to --


def judge(facts: Drain) -> Judgement:
    """Nothing is lost, it ends in time and as asked for, and starts again with all that was acknowledged."""
    if facts.lost:
        more = f"; so were {facts.lost_number - 1} more" if facts.lost_number > 1 else ""
        number = f"{facts.lost_number} requests lost"
        return broken(f"Lost: {facts.lost[0]}{more}.", number, mend=_MEND, certain=facts.certain)
    if facts.ended_s < 0:
        return broken(f"It still ran {_BOUND_S:g} s after SIGTERM.", f"over {_BOUND_S:g} s", mend=_MEND)
    number = f"0 lost, ended after {facts.ended_s:.1f} s"
    if facts.exit_code not in _EXITS:
        why = f"It ended with exit code {facts.exit_code}, which says that it crashed."
        return broken(why, f"exit code {facts.exit_code}", mend=_MEND)
    if facts.left:
        return broken(f"{facts.left} of its processes were there after it had ended.", f"{facts.left} left", mend=_MEND)
    if facts.again:
        return broken(f"It did not start again with the same data: {facts.again}", number, mend=_MEND)
    if facts.changed:
        return broken(f"{facts.changed}.", number, mend=MEND_WORK, certain=True)
    return missing(facts.kept_back, number) or _unannounced(facts) or _kept(facts, number)


def _kept(facts: Drain, number: str) -> Judgement:
    closed = f"refused connections after {facts.closed_s:.1f} s and " if facts.closed_s >= 0 else ""
    return kept(
        f"After SIGTERM {facts.answered} requests were answered, {facts.refused} were refused and none was lost, with "
        f"{len(facts.underway)} kinds of requests under way; it {closed}ended after "
        f"{facts.ended_s:.1f} s with exit code {facts.exit_code}.",
        number,
    )


def _unannounced(facts: Drain) -> Judgement | None:
    """Whether those who send to it could not know in time that it leaves; None where they could, or nobody asked."""
    if facts.far_cut > 1:
        why = (
            f"{facts.far_cut} requests of clients that are {AWAY_S:g} s away got no answer: their kept connections "
            "were closed as they were on their way, and no answer before had said `Connection: close`."
        )
        return broken(why, f"{facts.far_cut} on their way cut", mend=_MEND)
    if not facts.ready or facts.closed_s < 0 or 0 <= facts.unready_s <= facts.closed_s - _NOTICE_S:
        return None
    before_s = max(0.0, facts.closed_s - facts.unready_s)
    said = f"had said so {before_s:.1f} s before" if facts.unready_s >= 0 else "had not said so"
    why = (
        f"It refused connections {facts.closed_s:.1f} s after SIGTERM, and {facts.ready}, asked ten times a second, "
        f"{said}: whoever balances the load still sends to it then."
    )
    return broken(why, f"refused after {facts.closed_s:.1f} s", mend=_MEND_NOTICE)


def charts(facts: Drain) -> Sequence[Chart]:
    """Requests around SIGTERM."""
    series = tuple(
        Series(name, tuple((one.at, getattr(one, name)) for one in facts.moments))
        for name in ("answered", "refused", "lost")
    )
    marks = [Mark(0.0, "SIGTERM")]
    marks += [Mark(facts.closed_s, "connections refused")] if facts.closed_s >= 0 else []
    marks += [Mark(facts.ended_s, "process ended")] if facts.ended_s >= 0 else []
    says = "What became of requests, by when they were sent. None may be lost."
    return (Chart("Requests around SIGTERM", says, "seconds", "requests in 100 ms", series, tuple(marks)),)


SCENARIO: Final = Scenario(
    name="drain",
    promise="graceful",
    title="SIGTERM under load, with uploads and downloads under way; then it is started again",
    seconds=13,
    facts=Drain,
    gather=gather,
    judge=judge,
    charts=charts,
)
