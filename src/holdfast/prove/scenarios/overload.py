"""Selective: past its capacity a backend serves what it can, and tells the rest at once."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Final

import msgspec

from holdfast.decide.goodput import Capacity, bound
from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.acts.overload.crowd import Crowd, crowd, left_alone
from holdfast.prove.acts.overload.importance import Share, believed, claimed, classes, shares, trusts, unimportant
from holdfast.prove.acts.overload.levels import BEYOND, REST_S, Level, back, lateness, levels_of, rates, spans
from holdfast.prove.acts.overload.refusals import Refusals, amiss, marks_others, watching
from holdfast.prove.charts import Chart, Mark, Series
from holdfast.prove.config import Template
from holdfast.prove.counters import tree
from holdfast.prove.load import Job, measured_capacity, offered
from holdfast.prove.props.canary import fair, watched_machine
from holdfast.prove.props.meanwhile import asking
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.stage import Stage, Target, send

_PATIENCE_S: Final = 1.0
_CLIENTS: Final = (4, 16)
_CALIBRATION_S: Final = 1.0
_HEAVY_S: Final = 0.06
"""A read that takes longer is asked for too seldom to be counted."""
_TRIES: Final = 4
_BACK_S: Final = 2.0
_REFUSING_MOST: Final = 0.25
"""What a refusal may cost of what serving costs before it is a fault of the backend."""
_ROOM: Final = 0.35
"""A level whose bound is below this share of the capacity says nothing."""
_KEPT: Final = 0.55
_COLLAPSED: Final = 0.45
_TOLD: Final = 0.5
_TOLD_MS: Final = 500.0
_EARLY: Final = 0.1
_MEND: Final = (
    "Begin only what can be finished, and refuse the rest at once with 503 and Retry-After: `holdfast run` sheds by "
    "itself, and a limit of the server (`--limit-concurrency`) is better than none."
)


_HEAVIER: Final = 'Name a route that costs more: read = "GET /path" in [tool.holdfast.prove].'


class Overload(Facts, frozen=True):
    """What became of requests at multiples of what the backend can do."""

    route: str = ""
    capacity: float = 0.0
    """Right answers a second from clients that each wait for their answer."""
    serve_ms: float = 0.0
    """CPU time of one."""
    levels: tuple[Level, ...] = ()
    """The rates in the order in which they were offered, the first below the capacity."""
    back_s: float | None = None
    """After the load, until nearly all of half the capacity was served again; none: not as long as was looked."""
    alive: bool = True
    """Whether the process was still there, and answered."""
    refusals: Refusals = Refusals()
    shares: tuple[Share, ...] = ()
    """What was served past the capacity, by how important who asked called itself."""
    trusts: bool = False
    """Whether the backend believes us, as it would a proxy."""
    crowd: Crowd = Crowd()


async def gather(stage: Stage) -> Overload:
    """Measure what the backend can do, offer multiples of it, then half of it again; then have a crowd sign in."""
    async with stage.app() as app, watched_machine(app.pid) as machine:
        route = await _route(app, stage.target)
        job = Job(
            app.port,
            [asking(app, route)],
            closed=1,
            closed_s=1.0,
            timeout_s=_PATIENCE_S,
            pids=tree(app.pid).pids,
            seed=stage.seed,
        )
        stage.tell(f"measuring how many {route.shown} a second it can serve")
        found = await measured_capacity(job, _CALIBRATION_S, _CLIENTS)
        facts, away = await _overloaded(stage, app, job, found, route)
        if facts.levels:
            stage.tell("having a crowd sign in")
            facts = msgspec.structs.replace(facts, crowd=await crowd(app, stage.seed))
    return fair(facts, judge, away or machine.limit(worst_s=0.5, starved=0.6), _hopeless)


async def _overloaded(stage: Stage, app: App, job: Job, found: Capacity, route: Template) -> tuple[Overload, str]:
    """What becomes of multiples of what it can do; and what kept the answers from being taken."""
    phases = rates(found.rate, quick=stage.quick)
    facts = Overload(
        limit="it has one core alone." if len(os.sched_getaffinity(0)) < 2 else "",
        route=route.shown,
        capacity=found.rate,
        serve_ms=found.serve_s * 1000,
    )
    if not found.rate or len(phases) <= 2:
        return facts, ""
    path = job.templates[0].path
    marks = await marks_others(app, path)
    await claimed(app, path)
    stage.tell(f"offering up to {phases[-2].rate:.0f} a second; it can serve {found.rate:.0f}")
    async with watching(app, path, stage.target.config.ready) as seen:
        run = await offered(
            dataclasses.replace(job, templates=classes(job.templates[0]), phases=phases, kind="anew", closed=0)
        )
    capacity, levels = levels_of(run, phases, found.rate)
    late, away = lateness(run)
    beyond = [span for one, span in zip(levels, spans(phases), strict=True) if one.times >= BEYOND]
    facts = msgspec.structs.replace(
        facts,
        well=_well(levels),
        fault=_seen(levels),
        limit=late or facts.limit,
        capacity=capacity,
        levels=tuple(levels),
        back_s=back(run, phases),
        refusals=seen.found(marks=marks),
        shares=tuple(shares(run, beyond)),
        trusts=trusts(app),
        alive=app.alive and (await send(app, route, timeout_s=10.0))[1].status != 0,
    )
    return facts, away


async def _route(app: App, target: Target) -> Template:
    """The read that takes longest, among those that can be asked for often enough to be counted."""
    times: list[tuple[float, int]] = []
    reads = target.reads or (target.read,)
    for number, each in enumerate(reads):
        took = sorted([(await send(app, each))[1].took_s for _ in range(_TRIES)])
        times.append((took[_TRIES // 2], number))
    quick = [one for one in times if one[0] <= _HEAVY_S]
    return reads[(max(quick) if quick else min(times))[1]]


def _well(levels: Sequence[Level]) -> str:
    if not levels or not levels[0].asked:
        return ""
    first = levels[0]
    served = first.good >= 0.9 * first.asked
    return (
        f"of {first.asked} requests at half of its capacity {first.good} were served" if served or first.refused else ""
    )


def _seen(levels: Sequence[Level]) -> str:
    """How it was seen that more came than could be served."""
    beyond = [one for one in levels if one.times >= BEYOND and (one.good < 0.9 * one.asked)]
    if not beyond:
        return ""
    return f"{beyond[-1].asked / beyond[-1].seconds:.0f} came a second, and {beyond[-1].goodput:.0f} were served"


# -- the verdict --


def refusing(facts: Overload) -> float:
    """What a refusal costs of what serving costs, from the CPU time at the highest level; no more than it may."""
    last = facts.levels[-1] if facts.levels else None
    serve_s = facts.serve_ms / 1000
    if last is None or not last.refused or not serve_s or not last.cpu_s:
        return 0.0
    cost = (last.cpu_s - last.good * serve_s) / last.refused / serve_s
    return min(_REFUSING_MOST, max(0.0, cost))


def possible(facts: Overload, level: Level) -> float:
    """The share of the capacity that can be served at a level, with what refusing the rest costs."""
    return bound(level.times, refusing(facts))


def judge(facts: Overload) -> Judgement:
    """It serves about as much as it can, tells the others soon, refuses nobody without need, and comes back."""
    if not facts.capacity:
        return not_proven(f"{facts.route} was not answered well within a second, so no capacity could be measured.")
    over = [one for one in facts.levels if one.times >= BEYOND]
    if not over:
        return not_proven(
            f"{facts.route} is served {facts.capacity:.0f} times a second: twice as much cannot be offered here.",
            mend=_HEAVIER,
        )
    if not facts.alive:
        return broken(f"After {over[-1].times:.0f} times its capacity it did not answer any more.", mend=_MEND)
    found = amiss(facts.refusals) or _unfair(facts)  # no chance is in these, so they come first
    found = (
        found
        or left_alone(facts.crowd)
        or _early(facts)
        or _collapsed(facts, over)
        or _untold(over)
        or _not_back(facts, over)
    )
    return found or _costly(facts, over) or _kept(facts, over)


def _unfair(facts: Overload) -> Judgement | None:
    """Whether those were served first who should not be. What is unimportant is known to who marks its refusals."""
    found = None if facts.trusts else believed(facts.shares)
    return found or (unimportant(facts.shares) if facts.refusals.marks else None)


def _hopeless(facts: Overload) -> Judgement:
    """Broken where nobody was served, told, or served again: no busy machine explains that of a backend that sheds."""
    over = [one for one in facts.levels if one.times >= BEYOND]
    lost = all(one.lost > 0.9 * one.asked for one in over) and facts.back_s is None
    return judge(facts) if lost else not_proven("It may have been the machine.")


def _early(facts: Overload) -> Judgement | None:
    first = facts.levels[0]
    if first.times < 0.8 and first.refused > max(3, _EARLY * first.asked):
        return broken(
            f"At half of its capacity it refused {first.refused} of {first.asked} requests.",
            f"{first.refused} of {first.asked} refused",
            mend="Its limit is lower than what it can serve: raise it, or let `holdfast run` find it.",
        )
    return None


def _share(facts: Overload, level: Level) -> float:
    """What was served of what could be served."""
    return level.goodput / (facts.capacity * max(_ROOM, possible(facts, level)))


def _collapsed(facts: Overload, over: Sequence[Level]) -> Judgement | None:
    counted = _counted(facts, over)
    if not counted:
        return None
    worst = min(counted, key=lambda one: _share(facts, one))
    if _share(facts, worst) >= _KEPT:
        return None
    why = (
        f"At {worst.times:.1f} times its capacity it served {worst.goodput:.0f} a second in time, "
        f"and {facts.capacity:.0f} without the load."
    )
    number = f"{worst.goodput / facts.capacity:.0%} of its capacity"
    if _share(facts, worst) >= _COLLAPSED:
        return not_proven(f"{why} That is neither a collapse nor what it could do.", number=number)
    return broken(why, number, mend=_MEND)


def _counted(facts: Overload, over: Sequence[Level]) -> list[Level]:
    """The levels at which not all could be served, and refusing the rest left room for something."""
    return [one for one in over if one.surplus > 0.1 * one.asked and possible(facts, one) >= _ROOM]


def _costly(facts: Overload, over: Sequence[Level]) -> Judgement | None:
    if not facts.fault or _counted(facts, over):
        return None
    return not_proven(
        f"A refusal costs {refusing(facts):.0%} of what serving {facts.route} does: at {over[0].times:.1f} times its "
        f"capacity hardly any could be served.",
        mend=_HEAVIER,
    )


def _untold(over: Sequence[Level]) -> Judgement | None:
    for one in over:
        if one.surplus <= max(5, 0.1 * one.asked):
            continue
        if one.told < _TOLD:
            return broken(
                f"At {one.times:.1f} times its capacity {one.surplus} of {one.asked} were not served, "
                f"and {one.lost} of these learned nothing within a second.",
                f"{one.told:.0%} told",
                mend=_MEND,
            )
        if one.refusal_ms > _TOLD_MS:
            return broken(
                f"At {one.times:.1f} times its capacity half of the refusals took more than {one.refusal_ms:.0f} ms.",
                f"{one.refusal_ms:.0f} ms",
                mend=_MEND,
            )
    return None


def _not_back(facts: Overload, over: Sequence[Level]) -> Judgement | None:
    if facts.back_s is not None and facts.back_s <= _BACK_S:
        return None
    when = f"only after {facts.back_s:.1f} s" if facts.back_s is not None else f"not within {REST_S:g} s"
    return broken(
        f"After {over[-1].times:.1f} times its capacity it served half of it again {when}.",
        when,
        mend="Do nothing for clients that have left, and begin no more than can be finished: `holdfast run` does both.",
    )


def _kept(facts: Overload, over: Sequence[Level]) -> Judgement:
    if not facts.fault:
        return not_proven(
            f"At {over[-1].times:.1f} times what clients that wait get of {facts.route}, all was served: "
            f"that was no overload.",
            mend=_HEAVIER,
        )
    last = over[-1]
    told = f"{last.told:.0%} of the others were told, half of them within {last.refusal_ms:.0f} ms"
    return kept(
        f"At {last.times:.1f} times its capacity of {facts.capacity:.0f} a second it served {last.goodput:.0f}, and "
        f"{told}; it was back after {facts.back_s:.1f} s.",
        f"{last.goodput / facts.capacity:.0%} at {last.times:.1f}x",
    )


def charts(facts: Overload) -> Sequence[Chart]:
    """Goodput and how long it took, against what was offered."""
    if len(facts.levels) < 2:
        return ()
    goodput = tuple((one.times, one.goodput) for one in facts.levels)
    bounds = tuple((one.times, facts.capacity * min(one.times, possible(facts, one))) for one in facts.levels)
    offers = Mark(1.0, "capacity")
    return (
        Chart(
            "Goodput under overload",
            "Right answers in time, against what was offered; the bound takes off what refusing the rest costs.",
            "times the capacity",
            "right answers a second",
            (Series("served", goodput), Series("bound", bounds, "bound")),
            (offers,),
            log_x=True,
        ),
        Chart(
            "How long it took under overload",
            "99 of 100 of those that were served took no longer; clients leave after a second.",
            "times the capacity",
            "ms",
            (Series("p99", tuple((one.times, one.p99_ms) for one in facts.levels)),),
            (offers,),
            log_x=True,
        ),
    )


SCENARIO: Final = Scenario(
    name="overload",
    promise="selective",
    title="measures what it can serve, offers up to ten times that, and looks whether it comes back",
    seconds=20,
    facts=Overload,
    gather=gather,
    judge=judge,
    charts=charts,
)
