"""What is printed: how far the aims are, and a table for each group."""

import os
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Final

import contenders as of
from contenders import Contender
from serving import Result
from uploads import NOISY, spread

Results = dict[Contender, list[Result]]
"""The result of each round."""

HEADS: Final = (
    "rows/s",
    "of the limit",
    "first byte, ms",
    "server's CPU, s a million rows",
    "PostgreSQL's",
    "peak MB over start",
    "idle GET p99, ms",
    "GET p99, ms",
    "bytes a row",
    "others",
)


def ratios(found: Results, one: Contender, beside: Contender | None) -> list[float]:
    """The rate of one, each time divided by the rate of another in the same round."""
    pairs = zip(found.get(one, []), found.get(beside, []) if beside else [], strict=False)
    return [result.rate / other.rate for result, other in pairs]


def rates_table(found: Results, group: str) -> str:
    """A group."""
    lines = [f"| {group} | {' | '.join(HEADS)} |", "|" + "---|" * (1 + len(HEADS))]
    limit = of.LIMITS.get(group)
    shown = [one for one in found if one.group == group or one is limit]
    lines += [f"| {one.name} | {' | '.join(_cells(found, one, limit))} |" for one in shown]
    return "\n".join(lines) if any(one.group == group for one in shown) else ""


def _cells(found: Results, one: Contender, limit: Contender | None) -> list[str]:
    results = found[one]

    def each(value: Callable[[Result], float], form: str, *, served: bool = True) -> str:
        return spread([value(result) for result in results], form) if one.limit is None or not served else "-"

    return [
        each(lambda result: result.rate, ",.0f", served=False),
        spread(ratios(found, one, limit), ".2f"),
        each(lambda result: result.first_s * 1000, ".0f"),
        each(lambda result: result.cpu_s / result.rows * 1e6, ".2f", served=False),
        each(lambda result: result.database_s / result.rows * 1e6, ".2f", served=False) if one.wants_postgres else "-",
        each(lambda result: result.over, ",.1f"),
        each(lambda result: result.idle_p99_ms, ".1f"),
        each(lambda result: result.delay_ms, ".1f"),
        each(lambda result: result.size / result.rows, ".0f"),
        f"{statistics.median(result.others for result in results):.0%}",
    ]


def packed_lines(found: Results) -> list[str]:
    """What compression saves and costs."""
    plain = found.get(of.MACHINES, [])
    said: list[str] = []
    for one in found:
        if one.accept and plain:
            pairs = zip(found[one], plain, strict=False)
            smaller = spread([other.size / result.size for result, other in pairs], ".1f")
            rates = spread(ratios(found, one, of.MACHINES), ".2f")
            said.append(f"{one.accept}: {smaller} times smaller, at {rates} of the rate without.")
    return said


# -- how far the aims are --


def verdicts(found: Results) -> list[str]:
    """Those about speed, of what was measured."""
    said = [
        *_aimed(f"{of.NATIVE.name}, of `psql`", ratios(found, of.NATIVE, of.PG_LIMIT), ".2f", least=0.95),
        *_aimed("SQLite, CSV for machines, of the shell", ratios(found, of.LITE_CSV, of.SHELL), ".2f", least=0.6),
        *_aimed("SQLite, NDJSON, of CSV for machines", ratios(found, of.LITE_LINES, of.LITE_CSV), ".2f", least=0.8),
        *_aimed("PostgreSQL, NDJSON, of CSV, which it writes itself", ratios(found, of.PG_LINES, of.MACHINES), ".2f"),
        *_aimed("XLSX, rows/s", [one.rate for one in found.get(of.SHEET, [])], ",.0f", least=250_000),
        *_aimed("XLSX, first byte, ms", [one.first_s * 1000 for one in found.get(of.SHEET, [])], ".0f", most=50),
    ]
    ours = [(statistics.median(one.delay_ms - one.idle_p99_ms for one in found[who]), who) for who in found if who.ours]
    if ours:
        worst, who = max(ours)
        said += _aimed(f"small GET p99 over idle, ms, at worst ({who.group}: {who.name})", [worst], ".1f", most=10)
    return said + packed_lines(found)


def _aimed(
    what: str, values: Sequence[float], form: str, *, least: float | None = None, most: float | None = None
) -> list[str]:
    """A line that says whether the median is as it should be; nothing if it was not measured."""
    if not values:
        return []
    reached = statistics.median(values)
    line = f"{what}: {spread(values, form)}"
    if least is not None:
        line += f"; aimed at {least:,g} or more: {'**missed**' if reached < least else 'reached'}"
    if most is not None:
        line += f"; aimed at {most:,g} or less: {'**missed**' if reached > most else 'reached'}"
    return [f"{line}."]


def machine(found: Results) -> list[str]:
    """Where it was measured, and how quiet it was."""
    said = [f"{os.cpu_count()} cores, Linux, Python {sys.version.split()[0]}"]
    others = [result.others for results in found.values() for result in results]
    if not others:
        return [f"{said[0]}."]
    noise = statistics.median(others)
    said = [f"{said[0]}; others had {noise:.0%} of the cores."]
    if noise > NOISY:
        said.append("**Too much for rates to mean anything: compare CPU time, and measure again on a quiet machine.**")
    return said


aimed: Final = _aimed
