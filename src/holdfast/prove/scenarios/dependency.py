"""Isolated: a neighbour that is slow, gone or silent slows nothing else, and is used again once it is well."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import msgspec

from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.acts.dependency.silence import Silence, silences
from holdfast.prove.charts import Chart, Series
from holdfast.prove.config import Template
from holdfast.prove.neighbours import Neighbour
from holdfast.prove.props.calling import BOUND_S, back, calling, do, needs, talks
from holdfast.prove.props.canary import fair, watched_machine
from holdfast.prove.props.leaving import calls
from holdfast.prove.props.meanwhile import Pace, paced
from holdfast.prove.proxy import Cut, Fault, HalfOpen, Latency, Refuse, Reset
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.stage import Stage, Target, send

_FAULTS: Final[tuple[tuple[str, Fault], ...]] = (
    ("answered 2 s late", Latency(ms=2_000, direction="down")),
    ("cut each connection", Cut()),
    ("refused connections", Refuse()),
    ("reset each connection", Reset()),
    ("took connections and said nothing", HalfOpen()),
)
_RATE: Final = 30.0
_LATE_S: Final = 8.0
"""What has not been answered by then hangs."""
_BACK_S: Final = 8.0
_LOOK_S: Final = 0.3
_AT_ONCE: Final = 2
_LEFT_MOST: Final = 20
_TIMES: Final = 10.0
_FELT_MS: Final = 250.0
_FAILED_MOST: Final = 0.1
_BLATANT: Final = 8.0
"""So many times as long as is borne usually: no busy machine explains that."""
_MEND: Final = (
    "Give each call a deadline, bound how many wait for one neighbour at the same time, and let what does not need it "
    "go on: a circuit breaker or a pool of its own for each."
)
_MEND_WAITS: Final = (
    "Let what tells a neighbour of something wait for it, and nothing else: a queue with a bound is enough."
)
_MEND_NO_END: Final = (
    "Give each call a deadline of a few seconds, for the whole of it, after which its connection is closed and the "
    "next may go."
)
_LATE_LEAST: Final = 2
_LATE_MOST: Final = 0.25


class Needing(msgspec.Struct, frozen=True):
    """A request that may need the neighbour, while something is wrong with it."""

    what: str
    status: int
    took_s: float
    error: str = ""


class Wrong(msgspec.Struct, frozen=True):
    """What happened while something was wrong."""

    fault: str
    acted: bool
    """Whether the neighbour was called meanwhile, so that it was felt."""
    reads: Pace
    needing: tuple[Needing, ...] = ()


class OneNeighbour(msgspec.Struct, frozen=True):
    """What became of requests while one neighbour was ill, and after that."""

    name: str
    needed: bool
    """Whether every read talks to it."""
    used: bool
    """Whether anything was seen to talk to it before."""
    before: Pace
    wrong: tuple[Wrong, ...] = ()
    back_s: float | None = None
    """After it was well, until it was used and the request answered well; none: not as long as was looked."""
    reads_back: bool = True
    """Whether reads were answered well again."""
    left: int = 0
    """Connections to it at the end, beyond those before."""


class Dependency(Facts, frozen=True):
    """What became of requests while each neighbour was ill."""

    neighbours: tuple[OneNeighbour, ...] = ()
    silences: tuple[Silence, ...] = ()
    """Of those that reads do not need."""
    alive: bool = True


async def gather(stage: Stage) -> Dependency:
    """Make each neighbour ill in several ways, and well again; beside it one more app meets one that never answers."""
    async with stage.app() as app, watched_machine(app.pid) as machine, asyncio.TaskGroup() as group:
        silent = group.create_task(silences(stage))
        _, first = await send(app, stage.target.read)
        late: list[float] = []
        found = [await _one(app, stage, each, late) for each in app.neighbours.values()]
        alive = app.alive
        await silent
    felt = [f"{one.name} {wrong.fault}" for one in found for wrong in one.wrong if wrong.acted]
    facts = Dependency(
        well=f"{stage.target.read.shown} said {first.status}" if first.good else "",
        fault=f"it was felt that {', '.join(felt)}" if felt else "",
        neighbours=tuple(found),
        silences=tuple(silent.result()),
        alive=alive,
    )
    starved = f"the load generator was {max(late, default=0.0):.0f} ms late." if max(late, default=0.0) > 100 else ""
    return fair(facts, judge, starved or machine.limit(worst_s=0.5), partial(judge, patience=_BLATANT))


async def _one(app: App, stage: Stage, neighbour: Neighbour, late: list[float]) -> OneNeighbour:
    target = stage.target
    seconds = 1.0 if stage.quick else 1.3
    needed = await needs(app, target, neighbour)
    used = needed or await talks(app, target, neighbour)
    connections = len(await asyncio.to_thread(calls, app))
    before = await paced(app, [target.read], seconds, rate=_RATE, patience_s=BOUND_S)
    late.append(before.late_ms)
    wrong: list[Wrong] = []
    for name, fault in _FAULTS if not stage.quick else (_FAULTS[0], _FAULTS[2], _FAULTS[4]):
        stage.tell(f"{neighbour.variable} {name}")
        wrong.append(await _while(app, target, neighbour, name, fault, seconds, late))
    back_s = await back(app, target, neighbour, needed=needed, within_s=_BACK_S) if used else None
    _, read = await send(app, target.read)
    left = await _left(app, connections)
    return OneNeighbour(
        name=neighbour.variable,
        needed=needed,
        used=used,
        before=before.kinds[0],
        wrong=tuple(wrong),
        back_s=back_s,
        reads_back=read.good,
        left=left,
    )


async def _while(
    app: App, target: Target, neighbour: Neighbour, name: str, fault: Fault, seconds: float, late: list[float]
) -> Wrong:
    """Reads, and beside them what may need it, while something is wrong."""
    opened = sum(proxy.seen.opened for proxy in neighbour.proxies)
    needing: list[Needing] = []

    async def one(template: Template) -> None:
        answer = await do(app, target, template)
        needing.append(Needing(template.shown, answer.status, answer.took_s, answer.error))

    async def act(_: float) -> None:
        await asyncio.gather(*(one(each) for each in calling(target) for _ in range(_AT_ONCE)))

    async with AsyncExitStack() as faults:
        acts = [proxy.seen.acted(type(fault)) for proxy in neighbour.proxies]
        for proxy in neighbour.proxies:
            await faults.enter_async_context(proxy.fault(fault))
        seen = await paced(app, [target.read], seconds, act, rate=_RATE, patience_s=BOUND_S)
        acted = any(proxy.seen.acted(type(fault)) > count for proxy, count in zip(neighbour.proxies, acts, strict=True))
    late.append(seen.late_ms)
    called = sum(proxy.seen.opened for proxy in neighbour.proxies) > opened
    return Wrong(fault=name, acted=acted or called, reads=seen.kinds[0], needing=tuple(needing))


async def _left(app: App, before: int) -> int:
    """Connections that have piled up, after some patience."""
    now = before
    until = time.monotonic() + 3.0
    while time.monotonic() < until:
        now = len(await asyncio.to_thread(calls, app))
        if now - before <= _LEFT_MOST:
            break
        await asyncio.sleep(_LOOK_S)
    return max(0, now - before)


# -- the verdict --


def judge(facts: Dependency, patience: float = 1.0) -> Judgement:
    """What does not need it goes on, what needs it is told, and it is used again."""
    if not facts.alive:
        return broken("The backend ended while what it depends on was ill.", "it ended", mend=_MEND)
    for one in facts.neighbours:
        for wrong in one.wrong:
            if (found := _spread(one, wrong, patience) or _hung(one, wrong)) is not None:
                return found
        if (found := _afterwards(one)) is not None:
            return found
    for one in facts.silences:
        if (found := _after_silence(one)) is not None:
            return found
    felt = [one for one in facts.neighbours if any(wrong.acted for wrong in one.wrong)]
    if not felt:
        names = ", ".join(one.name for one in facts.neighbours)
        return not_proven(
            f"Nothing that is known calls {names}.",
            mend='Say in [tool.holdfast.prove] what does: calls-out = "POST /path".',
        )
    return _kept(felt)


def _spread(one: OneNeighbour, wrong: Wrong, patience: float) -> Judgement | None:
    """Whether requests suffered that do not need it; `patience` is how many times as long as usual is borne."""
    if one.needed:
        return None
    reads = wrong.reads
    failed = reads.failed if patience == 1 else reads.hung
    if failed > _FAILED_MOST * reads.asked + one.before.failed:
        return broken(
            f"While {one.name} {wrong.fault}, {reads.failed} of {reads.asked} requests for {reads.shown} had no good "
            f"answer, and they do not need it.",
            f"{reads.failed} of {reads.asked} failed",
            mend=_MEND,
        )
    if reads.p97_ms > max(_TIMES * one.before.p97_ms, one.before.p97_ms + _FELT_MS * patience):
        return broken(
            f"While {one.name} {wrong.fault}, {reads.shown} took {reads.p97_ms:.0f} ms "
            f"(97 of 100 within; {one.before.p97_ms:.0f} ms before), and it does not need it.",
            f"{reads.p97_ms:.0f} ms",
            mend=_MEND,
        )
    return None


def _hung(one: OneNeighbour, wrong: Wrong) -> Judgement | None:
    """Whether those that need it hung."""
    hanging = [each for each in wrong.needing if each.took_s > _LATE_S]
    if hanging:
        return broken(
            f"While {one.name} {wrong.fault}, {hanging[0].what} had no answer within {_LATE_S:g} s.",
            f"more than {_LATE_S:g} s",
            mend="Give every call to a neighbour a deadline of a few seconds, and answer 503 when it has passed.",
        )
    if one.needed and wrong.reads.hung > _FAILED_MOST * wrong.reads.asked:
        return broken(
            f"While {one.name} {wrong.fault}, {wrong.reads.hung} of {wrong.reads.asked} requests for "
            f"{wrong.reads.shown} had no answer within {BOUND_S:g} s.",
            f"{wrong.reads.hung} of {wrong.reads.asked} hung",
            mend="Give every call to a neighbour a deadline of a few seconds, and answer 503 when it has passed.",
        )
    dropped = [each for each in wrong.needing if not each.status]
    if len(dropped) > len(wrong.needing) / 2:
        return broken(
            f"While {one.name} {wrong.fault}, {dropped[0].what} got no answer at all: {dropped[0].error}.",
            "no answer",
            mend="Answer 503 or 502 when a neighbour fails: `holdfast run` answers whatever nobody answered.",
        )
    return None


def _afterwards(one: OneNeighbour) -> Judgement | None:
    if not one.reads_back:
        return broken(
            f"After {one.name} was well again, {one.before.shown} was not answered well.",
            "not well again",
            mend="Throw broken connections away, and look now and then whether a neighbour is back.",
        )
    if one.used and one.back_s is None:
        return broken(
            f"{one.name} was well again, and within {_BACK_S:g} s nothing used it.",
            "not used again",
            mend="Throw broken connections away, and try a neighbour again within seconds: a breaker half opens.",
        )
    if one.left > _LEFT_MOST:
        return broken(
            f"{one.left} connections to {one.name} more than before were open after it was well again.",
            f"{one.left} connections left",
            mend="Bound the connections to each neighbour, and close what has failed.",
        )
    return None


def _after_silence(one: Silence) -> Judgement | None:
    """Whether what does not need a silent neighbour waited for it, and whether it is called again."""
    if not one.acted:
        return None
    if one.prompt and one.late >= max(_LATE_LEAST, one.made * _LATE_MOST):
        return broken(
            f"While {one.name} took connections and said nothing, {one.prompt} of {one.made} things that {one.what} "
            f"made came to {', '.join(one.ends)} as soon as before, so they do not need it; {one.late} had not after "
            f"{one.bound_s:.0f} s ({one.well_s:.1f} s before).",
            f"{one.late} of {one.made} late",
            mend=_MEND_WAITS,
        )
    if one.back_s is None:
        open_still = f", and {one.left} of {one.stuck} connections that it never answered were open" if one.left else ""
        return broken(
            f"{one.name} said nothing to what {one.what} had it asked, and was well again for others; within "
            f"{one.within_s:g} s nothing used it{open_still}.",
            "not used again",
            mend=_MEND_NO_END,
        )
    return None


def _kept(felt: Sequence[OneNeighbour]) -> Judgement:
    worst = max((wrong.reads for one in felt for wrong in one.wrong), key=lambda reads: reads.p97_ms)
    backs = [one.back_s for one in felt if one.back_s is not None]
    names = ", ".join(one.name for one in felt)
    again = f"; it was used again {max(backs):.1f} s after it was well" if backs else ""
    if all(one.needed for one in felt):
        return kept(
            f"Every read needs {names}; what came while it was ill was answered, well or with an error{again}.",
            f"{worst.failed} of {worst.asked} failed",
        )
    return kept(
        f"While {names} was slow, gone and silent, 97 of 100 requests that do not need it were answered within "
        f"{worst.p97_ms:.0f} ms{again}.",
        f"{worst.p97_ms:.0f} ms",
    )


def charts(facts: Dependency) -> Sequence[Chart]:
    """How long reads took with each thing that was wrong."""
    found: list[Chart] = []
    for one in facts.neighbours:
        points = ((0.0, one.before.p97_ms), *((float(n), w.reads.p97_ms) for n, w in enumerate(one.wrong, 1)))
        found.append(
            Chart(
                f"Reads while {one.name} is ill",
                "97 of 100 took no longer, while it was well and with each thing that was wrong.",
                "what was wrong",
                "ms",
                (Series(one.before.shown, points, "dots"),),
                names=("well", *(wrong.fault for wrong in one.wrong)),
            )
        )
    return found


SCENARIO: Final = Scenario(
    name="dependency",
    promise="isolated",
    title="makes what it depends on slow, cut, refusing, resetting and silent, and well again",
    seconds=14,
    facts=Dependency,
    gather=gather,
    judge=judge,
    needs=("dependencies",),
    charts=charts,
)
