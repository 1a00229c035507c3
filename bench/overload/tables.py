"""What is printed: how far the aims are, and a table for each thing that was looked at."""

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from runs import HANDLERS, KIND_NAMES, Refusing, Run, Stepped, middle, spread
from silent import Silent

Group = dict[str, dict[float, list[Run]]]
"""Runs by the contender's shown name and the level."""

DETAILS: Final = (
    "capacity, 1/s",
    "goodput, 1/s",
    "of g*",
    "served: p50, p99, p99.9, ms",
    "refused: p50, p99, ms",
    "served / refused / timed out / reset",
    "critical served",
    "CPU",
    "MB",
)


def row(cells: Iterable[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def ruled(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    return "\n".join([row(head), "|" + "---|" * len(head), *map(row, rows)])


def valid(runs: Iterable[Run]) -> list[Run]:
    """Those that are not void."""
    return [one for one in runs if not one.void]


def chosen(runs: Sequence[Run], path: str, kind: str) -> Group:
    """By shown name and level; of each family its best setting here, by the goodput of all levels."""
    here = [one for one in valid(runs) if one.path == path and one.kind == kind]
    by_name: dict[str, list[Run]] = defaultdict(list)
    for one in here:
        by_name[one.contender.name].append(one)
    best: dict[str, list[Run]] = {}
    for several in by_name.values():
        shown = several[0].contender.shown
        if shown not in best or _worth(several) > _worth(best[shown]):
            best[shown] = several
    in_order = sorted(best.values(), key=lambda several: (not several[0].contender.ours, several[0].contender.name))
    return {_named(several): _by_level(several) for several in in_order}


def _worth(runs: Sequence[Run]) -> tuple[int, float]:
    """One that was measured at all levels is worth more than one that was only tried at some."""
    levels = {one.level for one in runs}
    return len(levels), sum(middle([one.retained for one in runs if one.level == level]) for level in levels)


def _named(runs: Sequence[Run]) -> str:
    one = runs[0].contender
    return f"**{one.name}**" if one.ours else one.name


def _by_level(runs: Sequence[Run]) -> dict[float, list[Run]]:
    found: dict[float, list[Run]] = {}
    for one in sorted(runs, key=lambda one: one.level):
        found.setdefault(one.level, []).append(one)
    return found


# -- levels --


def level_tables(runs: Sequence[Run]) -> list[str]:
    """For each handler and kind of clients: goodput by level, and all that is known of one high level."""
    found: list[str] = []
    for path in HANDLERS:
        for kind in KIND_NAMES:
            group = chosen(runs, path, kind)
            if group:
                found += [f"### {HANDLERS[path]}; {KIND_NAMES[kind]}", _goodput_table(group), *_detail_tables(group)]
    return found


def _goodput_table(group: Group) -> str:
    levels = sorted({level for by_level in group.values() for level in by_level})
    head = ["goodput over capacity (over g*)", *(f"{level:g} x" for level in levels)]
    rows = [[name, *(_goodput(by_level.get(level, [])) for level in levels)] for name, by_level in group.items()]
    return ruled(head, rows)


def _goodput(runs: Sequence[Run]) -> str:
    if not runs:
        return "-"
    return f"{middle([one.retained for one in runs]):.2f} ({middle([one.of_bound for one in runs]):.0%})"


def _detail_tables(group: Group) -> list[str]:
    """Of the highest level, and of that of five times the capacity."""
    highest = max(level for by_level in group.values() for level in by_level)
    found: list[str] = []
    for level in dict.fromkeys((5.0, highest)):
        rows = [[name, *_details(by_level[level])] for name, by_level in group.items() if level in by_level]
        if rows:
            found.append(ruled([f"at {level:g} x", *DETAILS], rows))
    return found


def _details(runs: Sequence[Run]) -> list[str]:
    def ms(values: Callable[[Run], Sequence[float]], count: int) -> str:
        return " / ".join(f"{middle([values(one)[place] for one in runs]) * 1000:,.0f}" for place in range(count))

    def number(value: Callable[[Run], float]) -> float:
        return middle([value(one) for one in runs])

    counted = (
        number(lambda one: one.tally.good),
        number(lambda one: one.tally.refused),
        number(lambda one: one.tally.timed_out),
        number(lambda one: one.tally.reset + one.tally.unreachable + one.tally.wrong),
    )
    return [
        spread([one.rate for one in runs], ",.0f"),
        spread([one.tally.goodput for one in runs], ",.0f"),
        spread([one.of_bound for one in runs], ".1%"),
        ms(lambda one: one.tally.admitted_s, 3) if counted[0] else "-",
        ms(lambda one: one.tally.refusal_s, 2) if counted[1] else "none told",
        " / ".join(f"{one:,.0f}" for one in counted),
        spread([one.tally.critical_share for one in runs], ".1%"),
        f"{number(lambda one: one.tally.cpu_s / one.tally.seconds):.0%}",
        f"{number(lambda one: one.tally.memory / 1e6):,.0f}",
    ]


# -- the other parts --


def refusing_table(refusals: Sequence[Refusing], serve_s: Callable[[str, str], float | None]) -> str:
    """What a refusal costs, r for each handler, and where all is lost."""
    rows: list[list[str]] = []
    for one in refusals:
        cells = [one.contender.name, KIND_NAMES[one.kind], f"{one.refuse_s * 1e6:,.0f}"]
        for path in ("/ten", "/five"):
            served = serve_s(path, one.kind)
            ratio = one.refuse_s / served if served else None
            cells.append(f"{ratio:.2%}; {1 / ratio:,.0f} x" if ratio else "-")
        rows.append(cells)
    head = ("", "clients", "CPU µs for a refusal", "r and x_max, 10 ms handler", "r and x_max, 5 ms handler")
    return ruled(head, rows) if rows else ""


def step_table(steps: Sequence[Stepped]) -> str:
    """What a sudden rise did, and its end."""
    rows: list[list[str]] = []
    groups: dict[tuple[str, str, str], list[Stepped]] = defaultdict(list)
    for one in steps:
        if not one.void:
            groups[one.contender.name, one.path, one.kind].append(one)
    for (name, path, kind), several in groups.items():
        steady = [one.step.steady_s for one in several if one.step.steady_s is not None]
        back = [one.step.back_s for one in several if one.step.back_s is not None]
        watched = min(one.second[-1].at - one.fall for one in several)
        rows.append(
            [
                name,
                f"{HANDLERS[path]}; {KIND_NAMES[kind]}",
                spread([one.step.later / one.capacity for one in several], ".2f"),
                spread(steady, ".2f") if len(steady) == len(several) else "never",
                f"{max(one.step.worst_s for one in several) * 1000:,.0f}",
                spread(back, ".1f") if len(back) == len(several) else f"not within {watched:.0f} s",
                f"{sum(one.step.refused_before for one in several)} / {sum(one.step.refused_late for one in several)}",
            ]
        )
    head = (
        "0.5 x to 10 x and back",
        "",
        "goodput over capacity, later",
        "steady after, s",
        "worst served, ms",
        "back after, s",
        "refused before / later than 1 s after",
    )
    return ruled(head, rows) if rows else ""


def silent_table(found: Sequence[Silent]) -> str:
    """Connections that are idle or half-sent."""
    rows = [
        [
            one.contender.name,
            "half a head" if one.half else "idle",
            f"{one.opened:,}",
            f"{one.bytes_each / 1000:,.1f}",
            f"{one.ordinary_before.admitted_s[1] * 1000:,.1f}",
            _ordinary(one),
            _lived(one),
        ]
        for one in found
    ]
    head = ("", "connections", "taken", "KB each", "ordinary p99 before, ms", "ordinary meanwhile, ms", "lived, s")
    return ruled(head, rows) if rows else ""


def _ordinary(one: Silent) -> str:
    served = f"{one.ordinary.good:,} of {one.ordinary.asked:,}"
    return f"{served}, p99 {one.ordinary.admitted_s[1] * 1000:,.1f}" if one.ordinary.good else served


def _lived(one: Silent) -> str:
    if not one.half:
        return "-"
    half, all_of_them = one.lived_s
    if all_of_them:
        return f"{half:,.1f}, all gone after {all_of_them:,.1f}"
    return f"{one.left:,} still there after {one.watched_s:,.0f}"


def machine(runs: Sequence[Run]) -> str:
    """Where it was measured, how many runs are void, and how much of the core was taken."""
    said = f"{os.cpu_count()} cores, Linux, Python {sys.version.split()[0]}"
    if not runs:
        return f"{said}."
    void = sum(one.void for one in runs)
    taken = middle([one.tally.taken for one in runs])
    drift = middle([abs(one.after.rate / one.before.rate - 1) for one in runs])
    late = max((one.late_p99_s for one in valid(runs)), default=0.0)
    return " ".join(
        [
            f"{said}. Runs: {len(runs)}, of which void: {void}.",
            f"The generator was late by {late * 1000:.2f} ms (p99) in the worst of the others.",
            f"Capacity differed by {drift:.1%} before and after.",
            f"Others had the server's core for {taken:.0%} of the time.",
        ]
    )
