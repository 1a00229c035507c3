"""What the two pictures show, out of the runs."""

import math
from collections.abc import Sequence
from typing import Final

from drawing import Axis, Curve, picture
from runs import HANDLERS, KIND_NAMES, Run, Stepped, middle
from tables import Group, chosen

SHOWN_PATH: Final = "/five"
SHOWN_KIND: Final = "anew"


def goodput(runs: Sequence[Run]) -> str:
    """Goodput against the load, with what is possible; nothing if it was not measured."""
    group = chosen(runs, SHOWN_PATH, SHOWN_KIND)
    levels = sorted({level for by_level in group.values() for level in by_level})
    if len(levels) < 2:
        return ""
    curves = [Curve(name.strip("*"), _retained(by_level)) for name, by_level in group.items()]
    across = Axis("load, in multiples of capacity", levels[0], levels[-1], levels, math.log)
    up = Axis("goodput over capacity", 0.0, 1.2, (0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2))
    title = f"Goodput by load: {HANDLERS[SHOWN_PATH]}; {KIND_NAMES[SHOWN_KIND]}"
    return picture(title, across, up, [*curves, *_possible(group)])


def _retained(by_level: dict[float, list[Run]]) -> list[tuple[float, float]]:
    return [(level, middle([one.retained for one in several])) for level, several in by_level.items()]


def _possible(group: Group) -> list[Curve]:
    """The bound of ours; of whoever else refuses, if ours was not measured."""
    for by_level in group.values():
        if any(one.ratio for several in by_level.values() for one in several):
            points = [
                (level, min(level, middle([one.bound for one in several]))) for level, several in by_level.items()
            ]
            return [Curve("possible: g*", points, bound=True)]
    return []


def step(steps: Sequence[Stepped]) -> str:
    """Goodput by the second while the load rises to ten times the capacity and falls again."""
    here = [one for one in steps if (one.path, one.kind) == (SHOWN_PATH, SHOWN_KIND)]
    first: dict[str, Stepped] = {}
    for one in sorted(here, key=lambda one: (not one.contender.ours, one.contender.name)):
        first.setdefault(one.contender.shown, one)
    if not first:
        return ""
    shown = next(iter(first.values()))
    curves = [
        Curve(one.contender.name, [(second.at + 0.5, second.good / one.capacity) for second in one.second[:-1]])
        for one in first.values()
    ]
    last = int(shown.second[-1].at)
    across = Axis("seconds", 0, last, range(0, last + 1, 5))
    up = Axis("goodput over capacity", 0.0, 1.2, (0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2))
    title = f"Goodput by the second: load of 0.5, {shown.level:g} and 0.5 times the capacity"
    return picture(title, across, up, curves, (shown.rise, shown.fall))
