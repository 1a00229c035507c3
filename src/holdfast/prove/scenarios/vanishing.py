"""Released, when clients vanish: what was opened for them is closed again, and serves the next ones."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.acts.vanishing.databases import with_sessions
from holdfast.prove.acts.vanishing.departures import Way, departed, in_haste, ways
from holdfast.prove.acts.vanishing.elsewhere import elsewhere
from holdfast.prove.props.filling import filled
from holdfast.prove.props.holding import Adding, Held, calm, grown, held, in_words
from holdfast.prove.props.round_trip import Trip, recovered, round_trip
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.stage import Stage

_ROWS: Final = 20_000
_EACH: Final = 24
_EACH_QUICK: Final = 16
"""How many leave in each way, in each round."""
_AT_ONCE: Final = 24
_SETTLE_S: Final = 5.0
_WARM_S: Final = 2.0
_ROUNDS: Final = 3
"""At most, after the first, which opens what pools open; another follows only where the one before left something."""
_BACK_S: Final = 10.0
_HASTE_S: Final = 2.0
_HASTE_QUICK_S: Final = 0.5
_MEND: Final = (
    "Close in `finally` or `async with` what a request opened, also when it is cancelled: `holdfast.Resources` does, "
    "and `holdfast.uploads` and `holdfast.exports` do for theirs."
)


class Round(msgspec.Struct, frozen=True):
    """What there was after many had left, each in the middle of something."""

    held: Held
    middle: Mapping[str, int] = {}
    """By way of leaving, how many left while something was still to come."""
    received: int = 0
    """Bytes of bodies that came in vain."""


class Vanishing(Facts, frozen=True, kw_only=True):
    """What clients left behind that vanished."""

    rounds: tuple[Round, ...] = ()
    """The first one opens what pools open."""
    resumed: tuple[Round, ...] = ()
    """The same for uploads that can be gone on with: what came of them is kept on purpose."""
    hasty: int = 0
    """How many left then, all after some milliseconds: more than any usual number of places."""
    before: Trip
    after: Trip
    waited_s: float = _SETTLE_S
    """How long after a round, at most, what was opened had time to be closed."""
    alive: bool = True


class _Place(NamedTuple):
    """Where it is looked for what is left."""

    folders: Sequence[Path]
    adding: Adding
    """Adds files that are left elsewhere, and sessions of databases."""


async def gather(stage: Stage) -> Vanishing:
    """Let many clients leave in the middle, count what is left, and let as many leave again."""
    temporary = stage.folder / "temporary"
    temporary.mkdir(parents=True)
    async with stage.app({"TMPDIR": str(temporary)}) as app:
        folders = [app.folder, temporary]
        await filled(app, stage.target, _ROWS)
        found = await ways(app, stage.target)
        before = await round_trip(app, stage.target)
        async with elsewhere(app, folders) as beside:

            async def adding(found: Held) -> Held:
                found = msgspec.structs.replace(found, stored=found.stored + beside.left())
                return await with_sessions(app, found)

            place = _Place(folders, adding)
            rounds = await _rounds(stage, app, place, [way for way in found if not way.resumable])
            resumed = await _rounds(stage, app, place, [way for way in found if way.resumable], ("stored",))
        stage.tell("a great many in haste")
        hasty = await in_haste(app, stage.target.read, stage.chance, _HASTE_QUICK_S if stage.quick else _HASTE_S)
        after = await recovered(app, stage.target, before, _BACK_S)
        middle = Counter({"a request in haste": hasty})
        for one in (*rounds, *resumed):
            middle.update(one.middle)
        return Vanishing(
            well=f"{', '.join(before.good)} were answered 2xx" if before.good else "",
            fault=", ".join(f"{count} x {name}" for name, count in middle.items() if count),
            rounds=tuple(rounds),
            resumed=tuple(resumed),
            hasty=hasty,
            before=before,
            after=after,
            alive=app.alive,
        )


async def _rounds(
    stage: Stage, app: App, place: _Place, found: Sequence[Way], ignoring: tuple[str, ...] = ()
) -> list[Round]:
    """Rounds until one leaves nothing more than the one before. The first opens what pools open."""
    rounds: list[Round] = []
    than = await held(app, *place)
    while found and app.alive:
        stage.tell(f"{', '.join(way.name for way in found)}: round {len(rounds) + 1}")
        middle, received = await _leave(stage, app, found)
        within_s = _SETTLE_S if rounds else _WARM_S
        now = await calm(app, place.folders, than, within_s, ignoring=ignoring, adding=place.adding)
        rounds.append(Round(now, middle, received))
        than = now
        if len(rounds) > _ROUNDS or (len(rounds) > 1 and not grown([one.held for one in rounds], ignoring=ignoring)):
            break
    return rounds


async def _leave(stage: Stage, app: App, found: Sequence[Way]) -> tuple[dict[str, int], int]:
    """Many come and leave, in each way; how many left in the middle, and the bytes that came in vain."""
    free = asyncio.Semaphore(_AT_ONCE)
    middle = {way.name: 0 for way in found}
    received = 0

    async def one(way: Way, seed: int) -> None:
        nonlocal received
        async with free:
            came = await departed(app, way, seed)
        middle[way.name] += came.middle
        received += came.sent

    coming = [
        (way, stage.chance.randrange(1 << 32))
        for way in found
        for _ in range(min(way.most, _EACH_QUICK if stage.quick else _EACH))
    ]
    stage.chance.shuffle(coming)
    coming.sort(key=lambda one: one[0].most)  # who takes his time comes first
    await asyncio.gather(*(one(way, seed) for way, seed in coming))
    return middle, received


def judge(facts: Vanishing) -> Judgement:
    """What was there before the last round is what is there after it, and the backend serves as before."""
    if not facts.alive:
        return broken("The backend ended as clients vanished.", "ended", mend=_MEND, certain=True)
    if not facts.before.good or len(facts.rounds) < 2:
        return not_proven("Nothing was served before, or no client vanished twice.")
    for rounds, ignoring in ((facts.rounds, ()), (facts.resumed, ("stored",))):
        more = grown(
            [one.held for one in rounds], received=min((one.received for one in rounds), default=0), ignoring=ignoring
        )
        if more:
            vanished = max(sum(one.middle.values()) for one in rounds)
            return broken(
                f"Each time that {vanished} clients vanished, at least {in_words(more)} were left after "
                f"{facts.waited_s:g} s, and more each time.",
                f"{in_words(more)} left each time",
                mend=_MEND,
            )
    if missed := facts.after.missed(facts.before):
        return broken(f"After clients had vanished it did not serve as before: {missed}.", "not as before", mend=_MEND)
    vanished = sum(sum(one.middle.values()) for one in (*facts.rounds, *facts.resumed)) + facts.hasty
    return kept(
        f"{vanished} clients vanished in the middle in {len(facts.rounds[-1].middle) + bool(facts.resumed)} ways, "
        "and left nothing open, running or stored.",
        f"nothing left by {vanished}",
    )


SCENARIO: Final = Scenario(
    name="vanishing",
    promise="released",
    part="when clients vanish",
    title="many clients leave in the middle of heads, bodies, answers and streams; what they leave behind is counted",
    seconds=12,
    facts=Vanishing,
    gather=gather,
    judge=judge,
)
