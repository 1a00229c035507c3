"""Responsive: quick requests are served as before, whatever else the backend is busy with."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import msgspec

from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.acts.slow_handler.standing import Standing, Tried, standstills
from holdfast.prove.charts import Chart, Series
from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.props import work
from holdfast.prove.props.canary import fair, watched_machine
from holdfast.prove.props.meanwhile import Pace, Paced, paced, quickest
from holdfast.prove.props.work import Work, calm, kept_at
from holdfast.prove.proxy import Latency
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.stage import Stage

_ROWS: Final = 40_000
"""Of what is uploaded."""
_SLOW_MS: Final = 1_000.0
_MOST_S: Final = 18.0
_ALONE: Final = 6
_CALM_S: Final = 5.0
_TIMES: Final = 10.0
_TAIL_MS: Final = 250.0
_MIDDLE_MS: Final = 120.0
_ALL_MS: Final = 1_000.0
_FAILED_MOST: Final = 0.3
_LATE_MS: Final = 100.0
_BLATANT: Final = 8.0
"""So many times as long as is borne usually: no busy machine explains that."""
_KINDS: Final = (work.slow_routes, work.exports, work.sign_ins, work.calls, work.writes)
"""The likeliest to hold something up first."""
_MEND: Final = (
    "Let calculation and blocking calls run elsewhere: `await offload.thread(...)` of Holdfast, or an async library; "
    "the watchdog of `holdfast run` names the line while it happens."
)


class During(msgspec.Struct, frozen=True):
    """How quick requests fared while one kind of work went on."""

    what: str
    done: int
    """How often it was answered well."""
    asked: int
    longest_ms: float
    """How long the work itself took at most."""
    paces: tuple[Pace, ...] = ()
    """One for each quick route, in the order of those before."""


class SlowHandler(Facts, frozen=True):
    """How quick requests fared before, and while each kind of work went on."""

    before: tuple[Pace, ...] = ()
    during: tuple[During, ...] = ()
    tried: Tried = Tried()
    """What was tried once or a few times, and felt by a pulse."""


async def gather(stage: Stage) -> SlowHandler:
    """Measure quick requests alone, then beside each kind of work that is known; and with an app of its own, whether
    single requests, a database that is held or a slow disk make it stand still."""
    begun = asyncio.Event()
    async with stage.app() as app, watched_machine(app.pid) as machine, asyncio.TaskGroup() as group:
        trying = group.create_task(standstills(stage, machine, begun))
        looking = _Looking(app, stage, await quickest(app, stage.target))
        await looking.begin()
        begun.set()  # not before: what comes after is compared with how it was then
        for some in _KINDS:
            for each in await some(app, stage.target) if looking.goes_on else ():
                await looking.beside(each)
        if looking.goes_on:
            await looking.beside_reads()
        if looking.goes_on:  # last, for what they bring makes the rest longer
            for each in await work.uploads(app, stage.target, _ROWS):
                await looking.beside(each)
    during, before = looking.during, looking.before
    done = [one.what for one in during if one.done]
    facts = SlowHandler(
        well=_well(before.kinds),
        fault=_fault(done, trying.result()),
        before=before.kinds,
        during=tuple(during),
        tried=trying.result(),
    )
    late = max(looking.late)
    limit = f"the load generator was {late:.0f} ms late." if late > _LATE_MS else machine.limit()
    return fair(facts, judge, limit, partial(judge, patience=_BLATANT))


class _Looking:
    """Quick requests, before and beside work."""

    def __init__(self, app: App, stage: Stage, quick: Sequence[Template]) -> None:
        self.app = app
        self.stage = stage
        self.quick = quick
        self.seconds = 1.0 if stage.quick else 1.3
        self.before = Paced()
        self.during: list[During] = []
        self.late: list[float] = []
        self.until = time.monotonic() + _MOST_S

    @property
    def goes_on(self) -> bool:
        """Whether there is time for more. A backend that is held up takes long over everything, and has been seen."""
        return time.monotonic() < self.until

    async def begin(self) -> None:
        """See how they fare alone."""
        await calm(self.app, _CALM_S)
        self.before = await paced(self.app, self.quick, self.seconds)
        self.late.append(self.before.late_ms)

    async def beside(self, *works: Work, name: str = "") -> During:
        """See how they fare beside some work; then wait until it is over, so that the next is not blamed for it."""
        self.stage.tell(f"while {name or works[0].shown} goes on")
        answers: list[Answer] = []

        async def act(until: float) -> None:
            for found in await asyncio.gather(*(kept_at(each, until) for each in works)):
                answers.extend(found)

        async with AsyncExitStack() as faults:
            for neighbour in self.app.neighbours.values() if works[0].slowly else ():
                for proxy in neighbour.proxies:
                    await faults.enter_async_context(proxy.fault(Latency(ms=_SLOW_MS)))
            seen = await paced(self.app, self.quick, self.seconds, act)
        await calm(self.app, _CALM_S)
        self.late.append(seen.late_ms)
        self.during.append(
            During(
                what=name or works[0].shown + (" (with what it depends on being slow)" if works[0].slowly else ""),
                done=sum(one.good for one in answers),
                asked=len(answers),
                longest_ms=max((one.took_s for one in answers), default=0.0) * 1000,
                paces=seen.kinds,
            )
        )
        return self.during[-1]

    async def beside_reads(self) -> None:
        """Beside all other reads; and where they hold something up, each alone, so that it can be named."""
        works = await work.reads(self.app, self.stage.target, [*self.quick, *self.stage.target.slow])
        if not works:
            return
        more = f" and {len(works) - 3} others" if len(works) > 3 else ""
        name = ", ".join(each.shown for each in works[:3]) + more
        together = await self.beside(*(each._replace(at_once=1) for each in works), name=name)
        if len(works) == 1 or not held_up(self.before.kinds, together.paces):
            return
        alone = [await self.beside(each) for each in works[:_ALONE]]
        if any(held_up(self.before.kinds, one.paces) for one in alone):
            self.during.remove(together)


def _well(before: Sequence[Pace]) -> str:
    if not before or any(one.failed > 0.1 * one.asked for one in before):
        return ""
    return ", ".join(f"{one.shown} was answered within {one.p97_ms:.0f} ms" for one in before)


def _fault(done: Sequence[str], tried: Tried) -> str:
    told = [f"work went on meanwhile: {', '.join(done)}"] if done else []
    told += [f"{tried.kinds} kinds of single requests were sent"] if tried.kinds else []
    told += [f"{', '.join(tried.databases)} was held by another process"] if tried.databases else []
    return "; ".join([*told, *(["the disk was slow"] if tried.disk else [])])


# -- the verdict --


def held_up(before: Sequence[Pace], during: Sequence[Pace], patience: float = 1.0) -> str:
    """What quick requests suffered, in words with the number that decided; empty where it was nothing.

    All quick routes are held up, as they are when the loop is; or one of them for a second and more. `patience` is how
    many times as long as usual is borne.
    """
    pairs = list(zip(before, during, strict=True))
    felt = [_felt(one, other, patience) for one, other in pairs]
    if felt and all(felt):
        return felt[0]
    borne = _ALL_MS * patience
    return next(
        (text for text, (one, other) in zip(felt, pairs, strict=True) if text and other.p50_ms > borne + one.p50_ms),
        "",
    )


def _felt(before: Pace, during: Pace, patience: float) -> str:
    if not during.asked:
        return ""
    if during.p97_ms > max(_TIMES * before.p97_ms, before.p97_ms + _TAIL_MS * patience):
        return f"{during.shown} took {during.p97_ms:.0f} ms (97 of 100 within; {before.p97_ms:.0f} ms before)"
    if during.p50_ms > max(_TIMES * before.p50_ms, before.p50_ms + _MIDDLE_MS * patience):
        return f"{during.shown} took {during.p50_ms:.0f} ms (half of them longer; {before.p50_ms:.0f} ms before)"
    failed = during.failed if patience == 1 else during.hung
    if failed > _FAILED_MOST * during.asked + before.failed:
        return f"{during.failed} of {during.asked} requests for {during.shown} had no good answer ({_how(during)})"
    return ""


def _how(pace: Pace) -> str:
    return f"{pace.refused} were refused, {pace.hung} not answered within 5 s"


def judge(facts: SlowHandler, patience: float = 1.0) -> Judgement:
    """No kind of work makes quick requests slow, and nothing makes it stand still."""
    stood = [one for one in facts.tried.standing if one.stood]
    if stood:
        return _stood_still(stood[0])
    looked = [one for one in facts.during if one.asked]
    if not looked:
        return not_proven(
            "Nothing is known that would keep the backend busy.",
            mend='Say in [tool.holdfast.prove] what takes long, such as slow = ["GET /reports/year"].',
        )
    guilty = [(one, text) for one in looked if (text := held_up(facts.before, one.paces, patience))]
    if guilty:
        worst, text = max(guilty, key=lambda each: min(pace.p97_ms for pace in each[0].paces))
        also = f" So it was with {len(guilty) - 1} other kind(s) of work." if len(guilty) > 1 else ""
        number = f"{min(pace.p97_ms for pace in worst.paces):.0f} ms"
        return broken(f"While {worst.what} ran, {text}.{also}", number, mend=_MEND)
    if not any(one.done for one in looked):
        return not_proven(f"None of the work was answered well: {', '.join(one.what for one in looked)}.")
    worst = max(looked, key=lambda one: min(pace.p97_ms for pace in one.paces))
    slowest = min(worst.paces, key=lambda pace: pace.p97_ms)
    more = f" None of {facts.tried.kinds} kinds of single requests stopped it." if facts.tried.kinds else ""
    return kept(
        f"Beside {len(looked)} kind(s) of work 97 of 100 quick requests were answered within {slowest.p97_ms:.0f} ms "
        f"({slowest.shown}, worst while {worst.what} ran).{more}",
        f"{slowest.p97_ms:.0f} ms",
    )


def _stood_still(one: Standing) -> Judgement:
    times = ", ".join(f"{each:.0f}" for each in one.held_ms)
    quiet = max(one.quiet_ms, default=0.0)
    return broken(
        f"Nothing was answered for {times} ms {one.what}; neither {one.asked.replace(' and ', ' nor ')}. "
        f"In the quiet times between it was {quiet:.0f} ms at most.",
        f"{min(one.held_ms):.0f} ms",
        mend=_MEND,
    )


def charts(facts: SlowHandler) -> Sequence[Chart]:
    """How long quick requests took beside each kind of work."""
    if not facts.before or not facts.during:
        return ()
    points = [
        (pace.shown, tuple((float(place), one.paces[number].p97_ms) for place, one in enumerate(facts.during)))
        for number, pace in enumerate(facts.before)
    ]
    end = float(len(facts.during) - 1)
    bounds = Series("before", ((0.0, facts.before[0].p97_ms), (end, facts.before[0].p97_ms)))
    return (
        Chart(
            "Quick requests beside other work",
            "How long 97 of 100 took while one kind of work went on.",
            "kind of work",
            "ms",
            (*(Series(name, found, "dots") for name, found in points), bounds),
            names=tuple(one.what for one in facts.during),
        ),
    )


SCENARIO: Final = Scenario(
    name="slow-handler",
    promise="responsive",
    title="asks for quick things while uploads, exports, sign-ins and slow routes go on, one kind after the other",
    seconds=15,
    facts=SlowHandler,
    gather=gather,
    judge=judge,
    quick=True,
    charts=charts,
)
