"""What happens past capacity: uvicorn, granian, limits that people use, and `holdfast run`, side by side.

    python bench/overload.py                      one seed of everything: less than two hours
    python bench/overload.py --quick              one handler, two levels, short runs: less than half an hour
    python bench/overload.py --write              five seeds, more than three hours; also the tables of docs/overload.md
    python bench/overload.py --again FILE         nothing anew: show what an earlier run kept with --json FILE
    python bench/overload.py --only uvicorn,granian --parts levels --kinds anew --levels 2,10

Each server has one worker on one core; a generator of our own has another (`holdfast.prove.load`). It is an open loop:
requests come at moments of a Poisson process that a seed fixes beforehand, and each is measured from its moment on,
whatever made it wait. A run whose generator was late by more than 5 ms (p99), or did not run for a hundredth of the
time, is void. Each client gives up after a second. Goodput is right answers within that second. Clients are of three
kinds: a pool of kept connections, where a request waits for a free one, and late answers are waited for, so that a
connection never has two requests; a new connection for each request, closed by the client when it has its answer or has
given up; and kept connections without a bound, of which one is closed when its request has timed out, and the next
connects anew.

Each level is a server of its own, started anew: 1.5 s at half its capacity and 1 s at the level, which do not count,
then what is counted. Capacity is found before and after in a closed loop. One of ten requests is of the highest class.
The bound is g* = (1 - x r) / (1 - r), for a load of x times the capacity, and r what refusing costs in CPU time of what
serving costs; who refuses nothing is measured against 1. Of contenders that differ in one setting, the best one for
each handler and kind of clients is found first, at 5 x.
"""

import argparse
import dataclasses
import itertools
import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).with_suffix("")
PAGE: Final = Path(__file__).parent.parent / "docs" / "overload.md"
PICTURES: Final = PAGE.with_name("pictures")
sys.path[:0] = [str(HERE), str(HERE.parent)]

import kept  # noqa: E402 - a script
import overhead  # noqa: E402 - a script
import pictures  # noqa: E402 - a script
import silent  # noqa: E402 - a script
import tables  # noqa: E402 - a script
import verdicts  # noqa: E402 - a script
from capacity import CLIENTS  # noqa: E402 - a script
from contenders import Contender, ours, wanted  # noqa: E402 - a script
from runs import (  # noqa: E402 - a script
    HANDLERS,
    KIND_NAMES,
    SETTLE_S,
    WARM_S,
    Length,
    Place,
    Refusing,
    Run,
    Stepped,
    levels,
    middle,
    refusing,
    stepped,
    tell,
)
from serving import CORES, many_files, turns_per_ms  # noqa: E402 - a script

PARTS: Final = ("refusing", "levels", "steps", "silent", "overhead")
SCREENED_AT: Final = 5.0
SILENT_TO: Final = ("holdfast run", "uvicorn", "uvicorn --limit-concurrency 1000")


KEPT: Final[Mapping[str, Any]] = {
    "refusals": Refusing,
    "runs": Run,
    "tried": Run,
    "steps": Stepped,
    "crowds": silent.Silent,
    "costs": overhead.Overhead,
}
"""What a session keeps in its file."""


@dataclasses.dataclass
class Session:
    """What was measured so far."""

    place: Place
    options: argparse.Namespace
    contenders: list[Contender]
    refusals: list[Refusing] = dataclasses.field(default_factory=list)
    runs: list[Run] = dataclasses.field(default_factory=list)
    tried: list[Run] = dataclasses.field(default_factory=list)
    """Runs that found the best setting of a family."""
    steps: list[Stepped] = dataclasses.field(default_factory=list)
    crowds: list[silent.Silent] = dataclasses.field(default_factory=list)
    costs: list[overhead.Overhead] = dataclasses.field(default_factory=list)

    def keep(self) -> None:
        """Write all of it into the file, if one is wanted; an end in the middle then loses little."""
        if self.options.json:
            found = {name: kept.plain(getattr(self, name)) for name in KEPT}
            found["runs"] = [{**kept.plain(one), **one.worked_out()} for one in self.runs]
            Path(self.options.json).write_text(json.dumps(found))

    def add(self, path: str) -> None:
        """Take what was kept in a file."""
        found = json.loads(Path(path).read_text())
        for name, kind in KEPT.items():
            getattr(self, name).extend(kept.again(kind, one) for one in found[name])

    def refuse_s(self, contender: Contender, kind: str) -> float | None:
        """What a refusal costs; clients that give up mostly meet it on connections that they keep."""
        known = {one.kind: one.refuse_s for one in self.refusals if one.contender.shown == contender.shown}
        return known.get(kind, known.get("kept" if kind == "anew" else "new"))

    def serve_s(self, path: str, kind: str) -> float | None:
        """What serving costs `holdfast run`, or whoever was measured."""
        here = [one for one in self.runs if one.path == path]
        same = [one for one in here if one.kind == kind] or here
        mine = [one.before.serve_s for one in same if one.contender.ours] or [one.before.serve_s for one in same]
        return middle(mine) if mine else None


# -- the parts, in their order --


def measure(session: Session) -> None:
    """All that is wanted."""
    parts = session.options.parts
    if "refusing" in parts:
        _refusing(session)
    if "levels" in parts:
        _levels(session)
    if "steps" in parts:
        _steps(session)
    if "silent" in parts:
        _silent(session)
    if "overhead" in parts:
        options = session.options
        rounds, seconds = (2, 1.0) if options.quick else (7, 3.0)
        session.costs.append(overhead.measured(rounds, seconds, options.switch))
    session.keep()


def _refusing(session: Session) -> None:
    for contender in _one_of_each(session.contenders):
        for kind in ("kept", "new"):
            found = refusing(session.place, contender, kind)
            if found:
                session.refusals.append(found)
    session.keep()


def _levels(session: Session) -> None:
    options = session.options
    cells = [(path, kind) for path in options.handlers for kind in options.kinds]
    for number, (path, kind) in enumerate(cells):
        here = [one for one in _screened(session, path, kind) if one.ours or path in options.others_handlers]
        clients: dict[str, tuple[int, ...]] = {}
        for seed in range(1, options.seeds + 1):
            for contender in here[:: -1 if seed % 2 else 1]:
                if contender.ours or seed <= options.others_seeds:
                    told = f"[{number + 1} of {len(cells)}, seed {seed} of {options.seeds}] "
                    clients[contender.name] = _batch(session, contender, path, kind, seed, clients, told)


def _batch(
    session: Session,
    contender: Contender,
    path: str,
    kind: str,
    seed: int,
    clients: Mapping[str, tuple[int, ...]],
    told: str,
) -> tuple[int, ...]:
    """All levels of one seed: with how many clients its capacity was found, so that the next seed need not try."""
    tell(f"{told}{contender.name}; {HANDLERS[path]}; {KIND_NAMES[kind]}")
    asked = session.options.levels if contender.ours else session.options.others_levels
    cost = session.refuse_s(contender, kind)
    found = levels(session.place, contender, path, kind, seed, asked, clients.get(contender.name, ()), cost)
    session.runs += found
    session.keep()
    return (found[0].before.clients,)


def _families(contenders: Sequence[Contender]) -> Iterator[list[Contender]]:
    """Those that differ in one setting, together; others alone."""
    for _, several in itertools.groupby(contenders, key=lambda one: one.shown):
        yield list(several)


def _one_of_each(contenders: Sequence[Contender]) -> list[Contender]:
    """The middle one of each family."""
    return [several[len(several) // 2] for several in _families(contenders)]


def _screened(session: Session, path: str, kind: str) -> list[Contender]:
    """One of each family: the best at five times the capacity."""
    if session.options.quick or path not in session.options.others_handlers:
        return _one_of_each(session.contenders)
    return [_best(session, several, path, kind) for several in _families(session.contenders)]


def _best(session: Session, several: Sequence[Contender], path: str, kind: str) -> Contender:
    """The one that brings most; what was found out before is not found out again."""
    if len(several) == 1:
        return several[0]
    known = [one for one in session.tried if (one.path, one.kind) == (path, kind) and one.contender in several]
    if not known:
        tell(f"which setting of {several[0].family} is best; {HANDLERS[path]}; {KIND_NAMES[kind]}")
        known = [_tried(session, one, path, kind) for one in several]
        session.tried += known
    found = max(known, key=lambda one: one.tally.goodput).contender
    tell(f"  {found.name}")
    return found


def _tried(session: Session, contender: Contender, path: str, kind: str) -> Run:
    place = session.place._replace(length=session.place.length._replace(level=4.0, capacity=1.5))
    [run] = levels(place, contender, path, kind, 0, (SCREENED_AT,), CLIENTS[path][1:2], None)
    return run


def _steps(session: Session) -> None:
    path, kind = pictures.SHOWN_PATH, pictures.SHOWN_KIND
    contenders = _screened(session, path, kind)
    for seed in range(1, session.options.step_seeds + 1):
        for contender in contenders:
            for asked in session.options.kinds if contender.ours else [kind]:
                session.steps.append(stepped(session.place, contender, path, asked, seed, 10.0))
        session.keep()


def _silent(session: Session) -> None:
    count, watch_s = (1000, 15.0) if session.options.quick else (5000, 40.0)
    for contender in [*session.contenders, silent.LIMITED]:
        if contender.name in SILENT_TO or contender.ours:
            for half in (False, True):
                session.crowds.append(silent.measured(session.place, contender, count, watch_s, half=half))
    session.keep()


def about_s(session: Session) -> float:
    """How long levels take, which is most of it: an estimate."""
    options, length = session.options, session.place.length
    start = 1.5
    level = start + WARM_S + SETTLE_S + length.level + 1
    capacities = 2 * (start + length.capacity)
    cells = len(options.kinds)
    others = len(_one_of_each([one for one in session.contenders if not one.ours]))
    mine = sum(one.ours for one in session.contenders)
    batches = mine * len(options.handlers) * options.seeds * (len(options.levels) * level + capacities)
    batches += (
        others * len(options.others_handlers) * options.others_seeds * (len(options.others_levels) * level + capacities)
    )
    tries = 0 if options.quick else sum(bool(one.family) for one in session.contenders) * len(options.others_handlers)
    return cells * (batches + tries * (level + 2))


# -- what is printed --


def shown(session: Session) -> str:
    """Verdicts first, then all tables."""
    said = [
        *verdicts.level_verdicts(session.runs),
        *verdicts.refusing_verdicts(session.refusals, session.serve_s),
        *verdicts.step_verdicts(session.steps),
        *verdicts.silent_verdicts(session.crowds),
        *(line for one in session.costs for line in verdicts.overhead_verdicts(one)),
        tables.machine(session.runs),
    ]
    blocks = [
        "\n".join(f"- {line}" for line in said),
        tables.refusing_table(session.refusals, session.serve_s),
        *tables.level_tables(session.runs),
        tables.step_table(session.steps),
        tables.silent_table(session.crowds),
        *(one.table() for one in session.costs),
    ]
    return "\n\n".join(filter(None, blocks))


def drawn(session: Session, folder: Path) -> list[str]:
    """Make the pictures: what stands for them in the page."""
    made = {
        "overload-goodput.svg": ("Goodput against the load", pictures.goodput(session.runs)),
        "overload-step.svg": ("Goodput over time for a step", pictures.step(session.steps)),
    }
    for name, (_, text) in made.items():
        if text:
            (folder / name).write_text(text)
    return [f"![{title}](pictures/{name})" for name, (title, text) in made.items() if text]


def written(text: str) -> None:
    """Put it into the page, between its markers."""
    page = PAGE.read_text()
    block = f"<!-- measured: begin -->\n\n{text}\n\n<!-- measured: end -->"
    pattern = r"<!-- measured: begin -->.*<!-- measured: end -->"
    changed, count = re.subn(pattern, lambda _: block, page, flags=re.DOTALL)
    if count != 1:
        sys.exit(f"{PAGE} has no markers for these tables")
    PAGE.write_text(changed)


# -- what is wanted --


def _numbers(text: str) -> list[float]:
    return [float(one) for one in text.split(",")]


def _some_of(names: Sequence[str]) -> Any:
    """An option's type: some of the names, separated by commas, with or without the slash."""

    def chosen(text: str) -> list[str]:
        asked = {one.strip("/") for one in text.split(",")}
        if not asked <= {name.strip("/") for name in names}:
            raise argparse.ArgumentTypeError(f"some of {', '.join(names)}")
        return [name for name in names if name.strip("/") in asked]

    return chosen


def asked() -> argparse.Namespace:
    """The options, with what follows from them."""
    parser = argparse.ArgumentParser(description="What happens past capacity, side by side.")
    parser.add_argument("--quick", action="store_true", help="one handler, two levels, short runs")
    parser.add_argument(
        "--write", action="store_true", help="five seeds; also write the documentation and its pictures"
    )
    parser.add_argument("--json", default="", help="a file for all runs")
    parser.add_argument("--again", action="append", default=[], help="measure nothing, show what is in such a file")
    parser.add_argument("--pictures", default="", help="a folder for the pictures, without --write")
    parser.add_argument("--only", default="", help="parts of the names of contenders, separated by commas")
    parser.add_argument("--also", action="append", default=[], help="one more `holdfast run`, with A=1,B=2 set")
    parser.add_argument("--parts", type=_some_of(PARTS), default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--handlers", type=_some_of([*HANDLERS]), help="ten, five, pool")
    parser.add_argument("--kinds", type=_some_of([*KIND_NAMES]), default=[*KIND_NAMES], help="kept, new, anew")
    parser.add_argument("--levels", type=_numbers, help="for all; in multiples of capacity")
    parser.add_argument("--seeds", type=int, default=0, help="1; with --write 5")
    parser.add_argument("--others-seeds", type=int, default=0, help="1; with --write 2")
    parser.add_argument("--seconds", type=float, default=0.0, help="8; of each level")
    parser.add_argument("--pool", type=int, default=64, help="kept connections")
    parser.add_argument("--switch", default="HOLDFAST_SHED=off", help="the setting that turns the overload rules off")
    options = parser.parse_args()
    every = [0.5, 0.8, 1.0, 1.2, 2.0, 3.0, 5.0, 10.0]
    options.others_levels = options.levels or ([2.0, 10.0] if options.quick else [1.0, 2.0, 5.0, 10.0])
    options.levels = options.levels or ([2.0, 10.0] if options.quick else every)
    options.others_handlers = options.handlers or ["/five", "/pool"]
    options.handlers = options.handlers or (["/five"] if options.quick else [*HANDLERS])
    options.seeds = options.seeds or (5 if options.write else 1)
    options.others_seeds = min(options.seeds, options.others_seeds or (2 if options.write else 1))
    options.step_seeds = min(options.seeds, 3)
    return options


def main() -> None:
    """Measure and print."""
    options = asked()
    many_files()
    os.sched_setaffinity(0, {CORES.client})
    length = Length(level=3.0, capacity=1.5, step=(2.0, 4.0, 10.0), refusing_runs=1) if options.quick else Length()
    length = length._replace(level=options.seconds or length.level)
    more = [ours(f"holdfast run, {some}", dict(one.split("=", 1) for one in some.split(","))) for some in options.also]
    session = Session(Place(turns_per_ms(), length, options.pool), options, [*more, *wanted(options.only)])
    for path in options.again:
        session.add(path)
    if not options.again:
        tell(f"{session.place.turns:,} turns of the applications' loop take a millisecond")
        if "levels" in options.parts:
            tell(f"levels take some {about_s(session) / 60:.0f} minutes, other parts up to 40")
        measure(session)
    text = shown(session)
    print(text)
    folder = PICTURES if options.write else Path(options.pictures) if options.pictures else None
    images = drawn(session, folder) if folder else []
    if options.write:
        written("\n\n".join([*images, text]))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    main()
