"""What a scenario's facts amount to, and what a promise's scenarios amount to together.

A verdict is one of three words. *Kept* needs to be shown; *broken* needs a counterexample; everything else is *not
proven*, and says why. Nothing here looks at a running backend: the facts of an old run can be judged again.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple


class Verdict(StrEnum):
    """What can be said of a promise."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_PROVEN = "not proven"


class Judgement(NamedTuple):
    """What one run of a scenario amounts to."""

    verdict: Verdict
    why: str
    """One sentence: what decided, with its number."""
    number: str = ""
    """The number that decided, with its unit, as short as a table wants it."""
    mend: str = ""
    """What would mend it, where it is broken; what would let it be proven, where it is not."""
    certain: bool = False
    """Whether chance or a busy machine cannot have caused it: a lost byte is certain, a slow answer is not."""
    applies: bool = True
    """Whether the backend has at all what the scenario is about."""


def kept(why: str, number: str = "") -> Judgement:
    """The promise was kept, as was seen from outside."""
    return Judgement(Verdict.KEPT, why, number)


def broken(why: str, number: str = "", *, mend: str = "", certain: bool = False) -> Judgement:
    """The promise was broken, and this is the counterexample."""
    return Judgement(Verdict.BROKEN, why, number, mend, certain)


def not_proven(why: str, *, mend: str = "", number: str = "") -> Judgement:
    """Nothing was shown, and this is why."""
    return Judgement(Verdict.NOT_PROVEN, why, number, mend)


def not_asked(why: str, *, mend: str = "") -> Judgement:
    """The backend has nothing that the scenario is about, or does not say that it has."""
    return Judgement(Verdict.NOT_PROVEN, why, mend=mend, applies=False)


def shown(judgement: Judgement, *, well: str, fault: str, limit: str = "") -> Judgement:
    """Nothing counts unless the backend was seen to be well before, the fault was seen to happen, and the machine
    could do its part. `limit` says where it could not."""
    if judgement.verdict is Verdict.NOT_PROVEN:
        return judgement
    if limit and not judgement.certain:
        return not_proven(f"The machine could not show it: {limit}")
    if not well:
        return not_proven("It was not seen that the backend was well before.")
    if not fault:
        return not_proven("It was not seen that the fault happened.")
    return judgement


def repeated(runs: Sequence[Judgement]) -> tuple[Judgement, bool]:
    """What several runs of a scenario amount to, and whether they disagree.

    A counterexample that chance cannot have caused stands, however often it is not seen again. One that it can have
    caused is not proven where it was not seen each time.
    """
    bad = [run for run in runs if run.verdict is Verdict.BROKEN]
    if not bad:
        return runs[-1], False
    if len(bad) == len(runs):
        return bad[0], False
    often = f"flaky: broken in {len(bad)} of {len(runs)} runs"
    certain = next((run for run in bad if run.certain), None)
    if certain is not None:
        return certain._replace(why=f"{certain.why} ({often})"), True
    return bad[0]._replace(verdict=Verdict.NOT_PROVEN, why=f"{often}: {bad[0].why}"), True


_ORDER: Final = (Verdict.BROKEN, Verdict.NOT_PROVEN, Verdict.KEPT)


def together(judgements: Iterable[Judgement]) -> Judgement:
    """What a promise's scenarios amount to: the worst of those that apply; where none does, the first of them."""
    found = list(judgements)
    applying = [one for one in found if one.applies]
    if not applying:
        return found[0]
    return min(applying, key=lambda one: _ORDER.index(one.verdict))


def exit_code(verdicts: Iterable[Verdict], required: Iterable[Verdict] = ()) -> int:
    """0 where nothing is broken, 1 where something is, 3 where what is required is not proven."""
    if Verdict.BROKEN in set(verdicts):
        return 1
    return 0 if set(required) <= {Verdict.KEPT} else 3
