"""`holdfast prove` on the depot, and on its twin: the same job as most tutorials write it. Side by side.

    python bench/prove.py              both, in about eight minutes
    python bench/prove.py --quick      the quick scenarios only
    python bench/prove.py --write      also the table of the README, and both pages into build/prove
    python bench/prove.py --only depot the depot alone; the twin as it was proven last

The twin is proven once, the depot as `holdfast prove` does it: again where something is broken. The twin runs in an
environment of its own (build/twin), which `make prove` builds. Exit code 1 where the depot breaks a promise, or the
twin breaks fewer than eight.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
OUT: Final = ROOT / "build" / "prove"
README: Final = ROOT / "README.md"
BEGIN: Final = "<!-- proven: begin -->"
END: Final = "<!-- proven: end -->"
LEAST_BROKEN: Final = 8
BACKENDS: Final = {
    "depot": ("depot.app:app", ROOT / "depot" / "pyproject.toml", ROOT),
    "twin": ("", ROOT / "bench" / "twin" / "prove.toml", ROOT / "bench"),
}
Promises = dict[str, dict[str, Any]]


def proved(name: str, options: list[str], *, anew: bool) -> Promises:
    """What is said of each promise of a backend, `anew` or last time; what goes on is shown meanwhile."""
    app, config, cwd = BACKENDS[name]
    file = OUT / f"{name}.json"
    if not anew and file.exists():
        return json.loads(file.read_text())["promises"]
    file.unlink(missing_ok=True)
    print(f"== {name} ==", flush=True)
    command = [sys.executable, "-m", "holdfast", "prove", *([app] if app else []), "--config", str(config)]
    subprocess.run([*command, "--json", str(file), "--html", str(OUT / f"{name}.html"), *options], cwd=cwd, check=False)
    if not file.exists():
        raise SystemExit(f"{name} could not be proven; see above")
    return json.loads(file.read_text())["promises"]


def table(depot: Promises, twin: Promises) -> str:
    """Both, side by side."""
    lines = ["| promise | as tutorials write it | the depot |", "|---|---|---|"]
    for name, mine in depot.items():
        lines.append(f"| {name} | {_cell(twin[name])} | {_cell(mine)} |")
    counts = [sum(one["verdict"] == "kept" for one in each.values()) for each in (twin, depot)]
    broken = [sum(one["verdict"] == "broken" for one in each.values()) for each in (twin, depot)]
    lines.append(f"| | **{counts[0]} kept, {broken[0]} broken** | **{counts[1]} kept, {broken[1]} broken** |")
    return "\n".join([*lines, ""])


def _cell(promise: dict[str, Any]) -> str:
    verdict, number = str(promise["verdict"]), str(promise["number"]).replace("|", "/")
    shown = f"**{verdict}**" if verdict == "broken" else verdict
    return f"{shown}: {number}" if number else shown


def main() -> None:
    """Do it."""
    parser = argparse.ArgumentParser(description="The depot and its twin, proven side by side.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="also the table of the README")
    parser.add_argument("--only", choices=sorted(BACKENDS), help="prove this one, and take the other as it was last")
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    more = ["--seed", str(options.seed), *(["--quick"] if options.quick else [])]
    twin = proved("twin", [*more, "--repeats", "0"], anew=options.only != "depot")
    depot = proved("depot", more, anew=options.only != "twin")
    print(f"\n{table(depot, twin)}\npages: build/prove/depot.html, build/prove/twin.html")
    if options.write:
        text = README.read_text()
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        README.write_text(f"{before}{BEGIN}\n\n{table(depot, twin)}\n{END}{after}")
    broken = sum(one["verdict"] == "broken" for one in twin.values())
    sys.exit(any(one["verdict"] == "broken" for one in depot.values()) or broken < LEAST_BROKEN)


if __name__ == "__main__":
    main()
