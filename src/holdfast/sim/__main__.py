"""`python -m holdfast.sim`: run the scenarios and print what came of them. Exit code 1: a criterion is not met.

Names of scenarios as arguments run these alone; `--quick` runs the quick ones; `--pictures FOLDER` draws the pictures;
`--page FILE` puts the results of all into a page, between its marks.
"""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TextIO

from holdfast.sim.pictures import pictures
from holdfast.sim.runs import MIDDLE, ours, steady
from holdfast.sim.scenarios.check import Scenario
from holdfast.sim.scenarios.every import SCENARIOS


def speed() -> float:
    """How many requests a second of processor time are simulated, at twice the capacity."""
    began = time.process_time()
    count = steady(MIDDLE, ours, 2, 120).record.count()
    return count / (time.process_time() - began)


def page(path: Path) -> int:
    """Put a table of all results into a page. Returns how many criteria were not met."""
    lines = ["| | what | reached | criterion |", "| --- | --- | --- | --- |"]
    missed = 0
    for scenario in (one for one in SCENARIOS if not one.name.endswith("q")):  # the quick ones are parts of others
        lines.append(f"| **{scenario.name}** | **{scenario.shows}** | | |")
        for check in scenario.run():
            missed += not check.passed
            reached = check.shown if check.passed else f"**{check.shown}, missed**"
            lines.append(f"| | {check.what} | {reached} | {_in_words(check.criterion)} |")
    before, mark, rest = path.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    path.write_text("".join((before, mark, "\n".join(lines), end, after)))
    return missed


_BEGIN: Final = "<!-- results: begin -->\n\n"
_END: Final = "\n\n<!-- results: end -->"
_WORDS: Final = {">=": "at least", "<=": "at most", "<": "below", ">": "above"}


def _in_words(criterion: str) -> str:
    sign, _, value = criterion.partition(" ")
    return f"{_WORDS[sign]} {value}"


def table(scenarios: Iterable[Scenario], out: TextIO) -> int:
    """Run, and print a line for each check. Returns how many were not met."""
    missed = 0
    for scenario in scenarios:
        began = time.process_time()
        checks = scenario.run()
        took_s = time.process_time() - began
        print(f"{scenario.name}  {scenario.shows}  ({took_s:.1f} s)", file=out)
        for check in checks:
            missed += not check.passed
            mark = "ok" if check.passed else "NO"
            print(f"    {mark}  {check.what:<78} {check.shown:>12}  {check.criterion}", file=out, flush=True)
    return missed


def main(arguments: list[str]) -> int:
    """Do what the command line says."""
    if arguments[:1] == ["--pictures"]:
        folder = Path(arguments[1])
        for name, text in pictures().items():
            (folder / name).write_text(text)
        return 0
    if arguments[:1] == ["--page"]:
        return int(page(Path(arguments[1])) > 0)
    if arguments == ["--quick"]:
        chosen = [scenario for scenario in SCENARIOS if scenario.quick]
    else:
        chosen = [scenario for scenario in SCENARIOS if scenario.name in arguments or not arguments]
    missed = table(chosen, sys.stdout)
    if not arguments:
        sys.stdout.write(f"{speed():,.0f} requests a second of processor time\n")
    sys.stdout.write(f"{missed} not met\n" if missed else "all met\n")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
