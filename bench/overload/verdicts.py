"""How far the aims are, for `holdfast run`, in lines."""

from collections.abc import Callable, Sequence
from typing import Final

from overhead import Overhead
from runs import HANDLERS, KIND_NAMES, Refusing, Run, Stepped, middle, spread
from silent import Silent
from tables import chosen, valid

LEVELS: Final = (1.2, 2.0, 3.0, 5.0, 10.0)


def aimed(
    what: str, values: Sequence[float], form: str, *, least: float | None = None, most: float | None = None
) -> list[str]:
    """A line that says whether the median is as it should be; nothing if it was not measured."""
    if not values:
        return []
    reached = middle(values)
    line = f"{what}: {spread(values, form)}"
    if least is not None:
        line += f"; aimed at {least:{form}} or more: {'**missed**' if reached < least else 'reached'}"
    if most is not None:
        line += f"; aimed at {most:{form}} or less: {'**missed**' if reached > most else 'reached'}"
    return [f"{line}."]


def level_verdicts(runs: Sequence[Run]) -> list[str]:
    """Those that rest on runs at a level."""
    mine = [one for one in valid(runs) if one.contender.ours]
    said: list[str] = []
    for path in HANDLERS:
        for kind in KIND_NAMES:
            here = [one for one in mine if (one.path, one.kind) == (path, kind)]
            name = f"{HANDLERS[path]}; {KIND_NAMES[kind]}"
            said += [*_goodput(here, name), *_punctual(here, path, name), *_selective(here, path, name)]
            said += _beside_others(runs, path, kind, name)
    return said


def _at(runs: Sequence[Run], level: float, value: Callable[[Run], float]) -> list[float]:
    return [value(one) for one in runs if one.level == level]


def _goodput(runs: Sequence[Run], name: str) -> list[str]:
    worst = min(
        ((middle(values), level) for level in LEVELS if (values := _at(runs, level, lambda one: one.of_bound))),
        default=None,
    )
    if worst is None:
        return []
    values = _at(runs, worst[1], lambda one: one.of_bound)
    return aimed(f"{name}: goodput over g*, at worst (at {worst[1]:g} x)", values, ".1%", least=0.97)


def _punctual(runs: Sequence[Run], path: str, name: str) -> list[str]:
    most = {"/ten": 300.0, "/five": 100.0, "/pool": 500.0}[path]
    served = _at(runs, 10, lambda one: one.tally.admitted_s[1] * 1000)
    told = _at([one for one in runs if one.tally.refused], 10, lambda one: one.tally.refusal_s[1] * 1000)
    return [
        *aimed(f"{name}: p99 of what is served at 10 x, ms", served, ",.0f", most=most),
        *aimed(f"{name}: p99 until a refusal is there at 10 x, ms", told, ",.0f", most=50),
    ]


def _selective(runs: Sequence[Run], path: str, name: str) -> list[str]:
    def refused(one: Run) -> float:
        return one.tally.refused / max(1, one.tally.asked)

    critical = _at(runs, 5, lambda one: one.tally.critical_share)
    return [
        *aimed(f"{name}: refused at 0.5 x", _at(runs, 0.5, refused), ".2%", most=0.0),
        *aimed(f"{name}: refused at 0.8 x", _at(runs, 0.8, refused), ".2%", most=0.001),
        *(aimed(f"{name}: highest class served at 5 x", critical, ".1%", least=0.995) if path != "/pool" else []),
    ]


def _beside_others(runs: Sequence[Run], path: str, kind: str, name: str) -> list[str]:
    """The p99 of the best other with at least as much goodput, and for the pool the goodput of the best other."""
    group = chosen(runs, path, kind)
    mine = next((by_level[10] for shown, by_level in group.items() if shown.startswith("**") and 10 in by_level), [])
    others = [by_level[10] for shown, by_level in group.items() if not shown.startswith("**") and 10 in by_level]
    if not mine or not others:
        return []
    goodput = middle([one.tally.goodput for one in mine])
    best = max(middle([one.tally.goodput for one in other]) for other in others)
    if path == "/pool":
        return aimed(f"{name}: goodput over the best other's at 10 x", [goodput / best], ".2f", least=0.98)
    equal = [other for other in others if middle([one.tally.goodput for one in other]) >= 0.97 * goodput]
    if not equal:
        return [f"{name}: nobody else has as much goodput at 10 x; the best other has {best / goodput:.0%} of ours."]
    theirs = min(middle([one.tally.admitted_s[1] for one in other]) for other in equal)
    ours = middle([one.tally.admitted_s[1] for one in mine])
    return aimed(f"{name}: p99 of the best other of equal goodput over ours at 10 x", [theirs / ours], ".1f", least=3)


def refusing_verdicts(refusals: Sequence[Refusing], serve_s: Callable[[str, str], float | None]) -> list[str]:
    """What a refusal costs."""
    said: list[str] = []
    for one in refusals:
        served = serve_s("/five", one.kind)
        if one.contender.ours and served and one.kind in {"kept", "new"}:
            most = 0.02 if one.kind == "new" else 0.01
            said += aimed(f"r of a 5 ms handler; {KIND_NAMES[one.kind]}", [one.refuse_s / served], ".2%", most=most)
    return said


def step_verdicts(steps: Sequence[Stepped]) -> list[str]:
    """A sudden rise, and its end."""
    mine = [one for one in steps if one.contender.ours and not one.void]
    steady = [one.step.steady_s if one.step.steady_s is not None else one.fall - one.rise for one in mine]
    late = [float(one.step.refused_late) for one in mine]
    return [
        *aimed("steady after a step to 10 x, s", steady, ".2f", most=0.5),
        *aimed("refused later than a second after its end", late, ".0f", most=0),
    ]


def silent_verdicts(found: Sequence[Silent]) -> list[str]:
    """Idle and half-sent connections."""
    said: list[str] = []
    beside = {one.half: one for one in found if one.contender.name == "uvicorn"}
    for one in found:
        if not one.contender.ours:
            continue
        kind = "half-sent heads" if one.half else "idle connections"
        share = one.ordinary.good / max(1, one.ordinary.asked)
        said += aimed(f"{one.opened:,} {kind}: ordinary requests served", [share], ".1%", least=1.0)
        if one.half:
            said += aimed("half-sent heads that are still there in the end", [float(one.left)], ".0f", most=0)
        elif False in beside:
            said += aimed(
                "KB for an idle connection", [one.bytes_each / 1000], ".1f", most=beside[False].bytes_each / 1000
            )
    return said


def overhead_verdicts(found: Overhead) -> list[str]:
    """What the rules cost a request that is admitted."""
    return aimed("µs of CPU more for an admitted request", found.more_us(), ".1f", most=3)
