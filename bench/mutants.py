"""Does the judge find what is broken? Small faults in the depot and its parts, one each, and `holdfast prove` on each.

    python bench/mutants.py                       all of them, each with the scenarios of its promise: about an hour
    python bench/mutants.py --only durable        those of one promise, or one by its name
    python bench/mutants.py --unmutated 20        the depot as it is, so often: nothing may be broken
    python bench/mutants.py --write               also the table of docs/prove.md
    python bench/mutants.py --table               nothing but that table, of what is known

What became of each fault when it was tried last is kept in build/mutants.json, and is what the table shows; so it may
be filled promise by promise.

The faults are in bench/mutants/*.toml: a text of one file, and what stands there instead. Each is planted into a copy
of the sources; the backend runs from the copy, and the judge from here. A fault is found if the promise that it breaks
is broken, and by nothing else.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent
FAULTS: Final = Path(__file__).with_suffix("")
KNOWN: Final = ROOT / "build" / "mutants.json"
PAGE: Final = ROOT / "docs" / "prove.md"
CONFIG: Final = ROOT / "depot" / "pyproject.toml"
SERVE: Final = f"{sys.executable} -m holdfast run depot.app:app --host 127.0.0.1 --port {{port}}"
BEGIN: Final = "<!-- mutants: begin -->"
END: Final = "<!-- mutants: end -->"


class Mutant(NamedTuple):
    """A fault."""

    name: str
    promise: str
    places: tuple[tuple[str, str, str], ...]
    """File, the text that is there, and what stands there instead."""
    seen: str


class Verdict(NamedTuple):
    """What was said of it."""

    mutant: Mutant
    verdict: str
    why: str
    took_s: float

    @property
    def found(self) -> bool:
        """Whether the judge has found it."""
        return self.verdict == "broken"


def mutants() -> Iterator[Mutant]:
    """All faults, by promise."""
    for path in sorted(FAULTS.glob("*.toml")):
        for one in tomllib.loads(path.read_text())["mutant"]:
            places = (
                (one["file"], one["old"], one["new"]),
                *((a["file"], a["old"], a["new"]) for a in one.get("also", ())),
            )
            yield Mutant(one["name"], one["promise"], places, one["seen"])


def planted(mutant: Mutant, folder: Path) -> None:
    """The sources in a folder, with the fault."""
    for name in ("src", "depot/src"):
        shutil.copytree(ROOT / name, folder / name)
    for file, old, new in mutant.places:
        path = folder / file
        text = path.read_text()
        if text.count(old) != 1:
            raise SystemExit(f"{mutant.name}: {file} has what is to be replaced {text.count(old)} times")
        path.write_text(text.replace(old, new))


def judged(mutant: Mutant, seed: int) -> Verdict:
    """Plant the fault, and ask."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as made:
        folder = Path(made)
        planted(mutant, folder)
        found = proved(folder, ["--only", mutant.promise, "--repeats", "0", "--seed", str(seed)])
    promise = found.get(mutant.promise, {"verdict": "no verdict", "why": str(found.get("failure", ""))})
    return Verdict(mutant, promise["verdict"], promise["why"], time.monotonic() - began)


def proved(sources: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """What `holdfast prove` says of each promise of a depot that runs from `sources`."""
    path = f"{sources / 'src'}{os.pathsep}{sources / 'depot' / 'src'}"
    with tempfile.TemporaryDirectory(prefix="proof-") as made:
        file = Path(made) / "proof.json"
        command = [sys.executable, "-m", "holdfast", "prove", "--serve", f"env PYTHONPATH={path} {SERVE}"]
        command += ["--config", str(CONFIG), "--json", str(file), *arguments]
        ran = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
        if not file.exists():
            return {"failure": (ran.stderr or ran.stdout).strip().splitlines()[-1:]}
        return json.loads(file.read_text())["promises"]


def remembered() -> list[Verdict]:
    """What became of each fault when it was tried last."""
    known: dict[str, Any] = json.loads(KNOWN.read_text()) if KNOWN.exists() else {}
    return [Verdict(one, *known[one.name]) for one in mutants() if one.name in known]


def remember(verdict: Verdict) -> None:
    """Keep it."""
    known = {one.mutant.name: one[1:] for one in [*remembered(), verdict]}
    KNOWN.parent.mkdir(exist_ok=True)
    KNOWN.write_text(json.dumps(known, indent=1))


def table(verdicts: Sequence[Verdict]) -> str:
    """How many of each promise's faults were found, and those that were not."""
    lines = ["| promise | faults | found |", "|---|---|---|"]
    for promise in dict.fromkeys(one.mutant.promise for one in verdicts):
        mine = [one for one in verdicts if one.mutant.promise == promise]
        lines.append(f"| {promise} | {len(mine)} | {sum(one.found for one in mine)} |")
    found = sum(one.found for one in verdicts)
    lines += [f"| **all** | **{len(verdicts)}** | **{found}** ({found / len(verdicts):.0%}) |", ""]
    if missed := [one for one in verdicts if not one.found]:
        lines += ["Not found:", ""]
        lines += [f"- `{one.mutant.name}` ({one.mutant.promise}): {one.mutant.seen}" for one in missed]
    return "\n".join([*lines, ""])


def write() -> None:
    """The table of what is known, into the page."""
    text = PAGE.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(remembered())}\n{END}{after}")


def unmutated(times: int) -> bool:
    """The depot as it is, whole; whether nothing was broken. Says why what was not kept was not."""
    well = True
    for number in range(1, times + 1):
        began = time.monotonic()
        promises = proved(ROOT, [])
        failure = promises.pop("failure", None)
        whys = {name: (one["verdict"], one["why"]) for name, one in promises.items() if one["verdict"] != "kept"}
        broken = [name for name, (verdict, _) in whys.items() if verdict == "broken"]
        well = well and not (failure or broken)
        counted = f"{len(promises) - len(whys)} kept, {len(broken)} broken"
        print(f"[{number} of {times}] {time.monotonic() - began:.0f} s, {failure or counted}", flush=True)
        for name, (verdict, why) in whys.items():
            print(f"    {verdict}: {name}: {why[:200]}", flush=True)
    return well


def main() -> None:
    """Do it."""
    parser = argparse.ArgumentParser(description="Does the judge find what is broken?")
    parser.add_argument("--only", action="append", default=[], help="a promise or the name of a fault; may be repeated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unmutated", type=int, default=0, metavar="TIMES")
    parser.add_argument("--write", action="store_true", help="also write the table of docs/prove.md")
    parser.add_argument("--table", action="store_true", help="run nothing, and write the table of what is known")
    options = parser.parse_args()
    if options.unmutated:
        sys.exit(not unmutated(options.unmutated))
    if options.table:
        write()
        return
    chosen = [one for one in mutants() if not options.only or {one.name, one.promise} & set(options.only)]
    if not chosen:
        sys.exit(f"No promise and no fault is called {' or '.join(options.only)}.")
    verdicts: list[Verdict] = []
    for number, mutant in enumerate(chosen, 1):
        verdicts.append(judged(mutant, options.seed))
        one = verdicts[-1]
        remember(one)
        mark = f"[{number} of {len(chosen)}] {one.took_s:4.0f} s {'found ' if one.found else 'MISSED'}"
        print(f"{mark} {mutant.promise}: {mutant.name}: {one.verdict}: {one.why[:150]}", flush=True)
    print(f"\n{table(verdicts)}")
    if options.write:
        write()
    sys.exit(sum(one.found for one in verdicts) < 0.95 * len(verdicts))


if __name__ == "__main__":
    main()
