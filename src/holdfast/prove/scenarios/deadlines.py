"""Punctual: every request has a deadline, and work that nobody waits for stops."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import msgspec

from holdfast.decide.verdicts import Judgement, broken, kept, not_asked, not_proven
from holdfast.prove.acts.deadlines.overdue import Overdue, overdue
from holdfast.prove.acts.deadlines.punctuality import judged, told
from holdfast.prove.charts import Chart, Series
from holdfast.prove.config import Template
from holdfast.prove.props.canary import fair, watched_machine
from holdfast.prove.props.filling import filled
from holdfast.prove.props.leaving import Left, calls, left
from holdfast.prove.proxy import AcceptHang, HalfOpen, Latency
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.stage import Stage, Target, send

_PATIENCE_S: Final = 12.0
_QUICK_S: Final = 8.0
_DEADLINE_S: Final = 3
"""What an app that `holdfast run` serves is given, so that it need not be waited for half a minute."""
_LOOK_S: Final = 0.1
_SLOW_MS: Final = 5_000.0
_SAFE: Final = ("GET", "HEAD")
_ROWS: Final = 30_000
_FILLED_S: Final = 6.0
_ENOUGH_S: Final = 0.6
"""CPU time below which nothing can be told from it."""
_STOPPED: Final = 1 / 3
_WENT_ON: Final = 0.5
_TIMES: Final = 10.0
_HELD_MS: Final = 1_000.0
_BLATANT: Final = 4.0
"""So many times as long as is borne usually: no busy machine explains that."""
_HEADERS: Final[Mapping[str, Mapping[str, str]]] = {
    "": {},
    "Holdfast-Timeout-Ms": {"Holdfast-Timeout-Ms": "1000"},
    "grpc-timeout": {"grpc-timeout": "1000m"},
}
"""Ways in which a client says that it waits for a second, and one in which it says nothing."""
_MEND: Final = (
    "Give each request a deadline and pass it on to what it calls: `holdfast run` has HOLDFAST_TIMEOUT_S, "
    "and an outbound call has a timeout of its own."
)
_STOP: Final = (
    "Stop when the client has gone: `holdfast run` cancels the handler, and what runs in a thread should look whether "
    "it is still wanted."
)


class Hung(msgspec.Struct, frozen=True):
    """A request while what the backend depends on hangs."""

    what: str
    header: str
    """What it said of its patience, if anything."""
    status: int
    took_s: float
    error: str = ""


class Deadlines(Facts, frozen=True):
    """What became of requests whose dependency hangs, and of work whose client has left."""

    hung: tuple[Hung, ...] = ()
    patience_s: float = _PATIENCE_S
    """How long each was waited for."""
    reached: bool = False
    """Whether the hanging dependency was called."""
    called: int = 0
    """Connections to it that were opened while it hung."""
    waiting: int = 0
    """Those of them that were open still at the end."""
    waited_s: float = 0.0
    """Until none was open any more, or until the end."""
    left: tuple[Left, ...] = ()
    overdue: Overdue = Overdue()
    """While somebody else holds its database."""


async def gather(stage: Stage) -> Deadlines:
    """All at the same time, each with an app of its own: two wait, one calculates."""
    async with watched_machine() as machine, asyncio.TaskGroup() as group:
        hanging = group.create_task(_hanging(stage))
        leaving = group.create_task(_leaving(stage))
        waiting = group.create_task(_overdue(stage))
    facts, gone, late = hanging.result(), leaving.result(), waiting.result()
    faults = [facts.fault] if facts.fault else []
    faults += [f"{one.left} clients left {one.what} without an answer" for one in gone if one.left]
    if late.hung:
        faults.append(f"{', '.join(late.databases)} was held for {late.held_s:.1f} s and waited for")
    elif any(one.status for one in late.over):
        faults.append("requests came whose time was over")
    well = facts.well or ", ".join(f"an ordinary request took {one.read_before_ms:.0f} ms" for one in gone[:1])
    facts = msgspec.structs.replace(
        facts, fault="; ".join(faults), well=well or late.well, left=tuple(gone), overdue=late
    )
    return fair(facts, judge, machine.limit(worst_s=1.0, taken=0.6), partial(judge, patience=_BLATANT))


# -- what it depends on hangs --


def _calling(target: Target) -> list[Template]:
    """What makes the backend call what it depends on, or may."""
    if target.calls_out is not None:
        return [target.calls_out]
    return [one for one in (target.write, target.upload) if one is not None]


def _patience_s(stage: Stage) -> float:
    return _QUICK_S if stage.quick else _PATIENCE_S


def _hurried(stage: Stage) -> Mapping[str, str] | None:
    """What gives an app of `holdfast run` a short deadline; nothing for others."""
    ours = "holdfast" in (stage.target.config.serve or "holdfast")
    return {"HOLDFAST_TIMEOUT_S": str(_DEADLINE_S)} if ours else None


async def _overdue(stage: Stage) -> Overdue:
    async with stage.app(_hurried(stage)) as app:
        return await overdue(app, stage.target, _patience_s(stage))


async def _hanging(stage: Stage) -> Deadlines:
    if not stage.target.config.dependencies or not _calling(stage.target):
        return Deadlines()
    patience_s = _patience_s(stage)
    async with stage.app(_hurried(stage)) as app:
        calling = _calling(stage.target)
        well = [(await send(app, each))[1] for each in calling]
        before = await asyncio.to_thread(calls, app)
        stage.tell("what it depends on hangs")
        async with AsyncExitStack() as faults:
            proxies = [proxy for each in app.neighbours.values() for proxy in each.proxies]
            for proxy in proxies:
                await faults.enter_async_context(proxy.fault(HalfOpen(), AcceptHang()))
            began = time.monotonic()
            watching = asyncio.create_task(_watched(app, before, began, patience_s))
            hung = await asyncio.gather(*(_asked(app, each, name, patience_s) for each in calling for name in _HEADERS))
            called, waiting, waited_s = await watching
            acted = sum(proxy.seen.acted(HalfOpen) + proxy.seen.acted(AcceptHang) for proxy in proxies)
        return Deadlines(
            well=", ".join(
                f"{each.shown} said {one.status}" for each, one in zip(calling, well, strict=True) if one.good
            ),
            fault=f"{', '.join(app.neighbours)} was called and hung" if acted else "",
            hung=tuple(hung),
            patience_s=patience_s,
            reached=bool(acted),
            called=called,
            waiting=waiting,
            waited_s=waited_s,
        )


async def _asked(app: App, template: Template, name: str, patience_s: float) -> Hung:
    hurried = template._replace(headers={**template.headers, **_HEADERS[name]})
    _, answer = await send(app, hurried, timeout_s=patience_s)
    return Hung(template.shown, name, answer.status, answer.took_s, answer.error)


async def _watched(app: App, before: set[str], began: float, patience_s: float) -> tuple[int, int, float]:
    """Connections that were opened to what hangs: how many, how many stayed, and until when there were any."""
    seen: set[str] = set()
    now: set[str] = set()
    while time.monotonic() - began < patience_s:
        now = await asyncio.to_thread(calls, app) - before
        seen |= now
        if not now and (seen or time.monotonic() - began > _DEADLINE_S):
            break
        await asyncio.sleep(_LOOK_S)
    return len(seen), len(now), time.monotonic() - began


# -- the client leaves --


async def _leaving(stage: Stage) -> list[Left]:
    target = stage.target
    wanted = [*target.slow[:2], target.export, target.calls_out]
    safe = [one for one in wanted if one is not None and one.method in _SAFE]  # half a change is worse than a whole one
    known = safe[: 1 if stage.quick else None]
    if not known:
        return []
    found: list[Left] = []
    async with stage.app() as app:
        await filled(app, target, _ROWS, within_s=_FILLED_S)
        for template in known:
            stage.tell(f"many ask for {template.shown} and leave")
            found.append(await _left(app, stage, template))
            if _went_on(found[-1]):  # it is busy with that still
                break
    return found


async def _left(app: App, stage: Stage, template: Template) -> Left:
    """Have clients leave `template`; if it calls out, what it calls is slow meanwhile."""
    calling = template is stage.target.calls_out
    proxies = [proxy for each in app.neighbours.values() for proxy in each.proxies] if calling else []
    async with AsyncExitStack() as faults:
        for proxy in proxies:
            await faults.enter_async_context(proxy.fault(Latency(ms=_SLOW_MS, direction="down")))
        ports = [proxy.address.port for proxy in proxies]
        return await left(app, template, stage.target.read, 24 if stage.quick else 48, ports)


# -- the verdict --


def judge(facts: Deadlines, patience: float = 1.0) -> Judgement:
    """Each request is answered by some time, and nothing much is done for who has left."""
    late = _late(facts)
    went_on = [found for one in facts.left if (found := _went_on(one, patience)) is not None]
    bad = [one for one in (late, judged(facts.overdue), *went_on) if one is not None]
    if bad:
        return bad[0]
    shown = [*_punctual(facts), *told(facts.overdue), *(text for one in facts.left if (text := _stopped(one)))]
    if shown:
        return kept(". ".join(shown) + ".", _number(facts))
    if not facts.hung and not facts.left and not facts.overdue.waited:
        return not_asked(
            "Nothing is known that takes long or calls out.",
            mend='Say in [tool.holdfast.prove] what takes long, such as slow = ["GET /reports/year"].',
        )
    return not_proven(
        "What is known is too cheap, or calls nothing: it cannot be told whether it was stopped.",
        mend='Say in [tool.holdfast.prove] what takes long: slow = ["GET /reports/year"], calls-out = "POST /path".',
    )


def _late(facts: Deadlines) -> Judgement | None:
    if not facts.reached:
        return None
    open_still = [one for one in facts.hung if not one.status and one.took_s > 0.9 * facts.patience_s]
    if open_still:
        return broken(
            f"{open_still[0].what} had no answer after {facts.patience_s:g} s while what it depends on hung; "
            f"if it has a deadline, it is longer than that.",
            f"more than {facts.patience_s:g} s",
            mend=_MEND,
        )
    if facts.waiting:
        return broken(
            f"After {facts.patience_s:g} s {facts.waiting} of {facts.called} calls to what hung were waiting still; "
            f"if they have a deadline, it is longer than that.",
            f"{facts.waiting} calls waiting",
            mend="Give every outbound call a timeout for the whole of it.",
        )
    return None


def _went_on(one: Left, patience: float = 1.0) -> Judgement | None:
    """What shows that it was done all the same; `patience` is how many times as long as usual is borne."""
    if not one.left:
        return None
    if one.full_s > _ENOUGH_S and one.spent_s > (_WENT_ON if one.idle else _STOPPED) * one.full_s:
        return broken(
            f"{one.left} clients left {one.what} after {one.leave_s * 1000:.0f} ms, and the backend spent "
            f"{one.spent_s:.1f} s of CPU time on it after that; all of it would have cost {one.full_s:.1f} s.",
            f"{one.spent_s / one.full_s:.0%} done for nobody",
            mend=_STOP,
        )
    if one.calls >= 5 and one.calls_later > _WENT_ON * one.calls:
        return broken(
            f"Two seconds after {one.left} clients had left {one.what}, {one.calls_later} of {one.calls} calls to "
            f"what it depends on went on.",
            f"{one.calls_later} calls for nobody",
            mend=_STOP,
        )
    if one.read_after_ms > max(_TIMES * one.read_before_ms, one.read_before_ms + _HELD_MS * patience):
        return broken(
            f"After {one.left} clients had left {one.what}, an ordinary request took {one.read_after_ms:.0f} ms "
            f"({one.read_before_ms:.0f} ms before).",
            f"{one.read_after_ms:.0f} ms",
            mend=_STOP,
        )
    return None


def _stopped(one: Left) -> str:
    """What shows that it was stopped; empty where nothing does."""
    if not one.left:
        return ""
    if one.full_s > _ENOUGH_S and one.idle and one.spent_s < _STOPPED * one.full_s:
        return (
            f"{one.left} clients left {one.what}, and {one.spent_s:.1f} s of CPU time were spent after that, of "
            f"{one.full_s:.1f} s for all of it"
        )
    if one.calls >= 5 and one.calls_later <= _STOPPED * one.calls:
        return f"{one.left} clients left {one.what}, and of {one.calls} calls {one.calls_later} were left after 2 s"
    return ""


def _punctual(facts: Deadlines) -> list[str]:
    if not facts.reached:
        return []
    found: list[str] = []
    if facts.hung:
        longest = max(facts.hung, key=lambda one: one.took_s)
        hurried = [one for one in facts.hung if one.header and one.took_s < 0.6 * longest.took_s]
        said = f" (and {hurried[0].took_s:.1f} s where {hurried[0].header} asked for 1 s)" if hurried else ""
        found.append(
            f"While what it depends on hung, {longest.what} was answered with {longest.status or 'an end'} after "
            f"{longest.took_s:.1f} s{said}"
        )
    if facts.called:
        found.append(f"{facts.called} calls to it were given up within {facts.waited_s:.1f} s")
    return found


def _number(facts: Deadlines) -> str:
    if facts.reached and facts.hung:
        return f"{max(one.took_s for one in facts.hung):.1f} s"
    told = [one for one in facts.left if _stopped(one)]
    return f"{told[0].spent_s:.1f} s for nobody" if told else ""


def charts(facts: Deadlines) -> Sequence[Chart]:
    """What was spent on clients that had left, beside what all of it would have cost."""
    shown = [one for one in facts.left if one.full_s]
    if not shown:
        return ()
    spent = tuple((float(place), one.spent_s) for place, one in enumerate(shown))
    full = tuple((float(place), one.full_s) for place, one in enumerate(shown))
    return (
        Chart(
            "Work for clients that have left",
            "CPU time after they had left, and what all of it would have cost.",
            "kind of work",
            "s",
            (Series("spent", spent, "dots"), Series("all of it", full, "dots")),
            names=tuple(one.what for one in shown),
        ),
    )


SCENARIO: Final = Scenario(
    name="deadlines",
    promise="punctual",
    title="lets what it depends on hang, and has many clients leave before they are answered",
    seconds=18,
    facts=Deadlines,
    gather=gather,
    judge=judge,
    charts=charts,
)
