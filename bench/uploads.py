"""What uploads cost: FastAPI's way, Starlette's, a bare sink, the disk alone, and `holdfast.uploads`, in one run.

    python bench/uploads.py                  five rounds: 1 stream of 1 GiB, 20 of 100 MiB; slow ones; resuming
    python bench/uploads.py --quick          one round, all a tenth as large
    python bench/uploads.py --write          also put the tables into docs/uploads.md

Everything is on one disk, in one folder that is removed at the end, and takes turns; the order turns round with each
round. What a contender left unwritten is removed and the disk synced before the next. The client is a process of its
own (bench/uploads/sending.py): sendfile from memory. Another one asks for something small all the time. All share the
cores as they are. "Others" is the share of the cores that processes which are not part of this had meanwhile, as far as
they calculated and the system did not do so for them. Memory is PSS of the server's processes. Shown are medians of the
rounds and, in brackets, the least and the greatest.
"""

import argparse
import importlib.util
import os
import re
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

HERE: Final = Path(__file__).with_suffix("")
PAGE: Final = Path(__file__).parent.parent / "docs" / "uploads.md"
sys.path.insert(0, str(HERE))

from measuring import Load, Result, disk_alone, idle_p99, p99, resumed, running, sent  # noqa: E402 - a script

BUILD: Final = Path(__file__).parent.parent / "build"
"""On the disk that is measured."""
PYTHON: Final = sys.executable
GIB: Final = 1 << 30
MIB: Final = 1 << 20
FLOOR: Final = "the disk alone: write, sync"
HASHED: Final = "the disk alone: write, SHA-256, sync"
FASTAPI: Final = "FastAPI `UploadFile`, copied"
SINK: Final = "bare ASGI sink"
AIMED: Final = "`holdfast.uploads`, PUT, `holdfast run`"
NOISY: Final = 0.1


def _uvicorn(app: str) -> tuple[str, ...]:
    options = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
    return (PYTHON, "-m", "uvicorn", app, *options, "--port")


def _run(app: str) -> tuple[str, ...]:
    return (PYTHON, "-m", "holdfast", "run", app, "--port")


def _floor(how: str) -> tuple[str, ...]:
    return (PYTHON, str(HERE / "floor.py"), how, "0", "0")


class Contender(NamedTuple):
    """A way to take uploads, or the disk alone."""

    name: str
    command: tuple[str, ...]
    """What starts its server, but for the port."""
    way: str
    """How the client sends: put, form, tus; or write, hashed for what has no client."""
    needs: str = ""
    """A module without which it is left out."""
    slow: bool = False
    """Whether it also takes slow uploads."""

    @property
    def served(self) -> bool:
        """Whether it is a server."""
        return self.way in {"put", "form", "tus"}


CONTENDERS: Final = (
    Contender(FLOOR, (), "write"),
    Contender(HASHED, (), "hashed"),
    Contender("sockets alone, thrown away", _floor("sink"), "put"),
    Contender("sockets alone: write, SHA-256, sync", _floor("saved"), "put"),
    Contender(SINK, _uvicorn("sink:app"), "put", slow=True),
    Contender("Starlette's form", _uvicorn("starlette_form:app"), "form", needs="python_multipart", slow=True),
    Contender(FASTAPI, _uvicorn("fastapi_copy:app"), "form", needs="python_multipart", slow=True),
    Contender(AIMED, _run("held:app"), "put", slow=True),
    Contender("`holdfast.uploads`, tus, `holdfast run`", _run("held:app"), "tus", slow=True),
    Contender("`holdfast.uploads`, form, `holdfast run`", _run("held:app"), "form", needs="multipart"),
    Contender("`holdfast.uploads`, PUT, uvicorn", _uvicorn("held:app"), "put"),
    Contender("`holdfast.uploads`, tus, uvicorn", _uvicorn("held:app"), "tus", slow=True),
)

Results = dict[str, dict[str, list[Result]]]
"""By contender, then by load, the result of each round."""


# -- measuring --


class Place(NamedTuple):
    """Where it happens."""

    folder: Path
    """On the disk."""
    source: Path
    """A file in memory, whose bytes are sent."""

    def cleared(self) -> Path:
        """The folder, empty, with nothing on its way to the disk."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        os.sync()
        return self.folder


def one_turn(contender: Contender, loads: Sequence[Load], place: Place) -> dict[str, Result]:
    """All loads on one contender, which is started for them."""
    found: dict[str, Result] = {}
    if not contender.served:
        for load in loads:
            found[load.name] = disk_alone(HERE / "floor.py", contender.way, load, place.cleared())
        return found
    with running(contender.command, place.cleared(), HERE) as server:
        sent(server, contender.way, WARM_UP, place.source)
        idle = idle_p99(server)
        for load in loads:
            os.sync()
            found[load.name] = sent(server, contender.way, load, place.source)._replace(idle_p99_ms=idle)
            _emptied(place.folder)
    return found


def _emptied(folder: Path) -> None:
    """Remove what was uploaded, so that nobody after it waits for it to be written."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size >= MIB:
            path.unlink(missing_ok=True)


WARM_UP: Final = Load("warm-up", 4, 4 * MIB)


def alternate(rounds: int, contenders: Sequence[Contender], loads: Sequence[Load], place: Place) -> Results:
    """All rounds; each goes through the contenders the other way round than the one before."""
    found: Results = {one.name: {load.name: [] for load in loads} for one in contenders}
    for number in range(rounds):
        for contender in contenders[:: -1 if number % 2 else 1]:
            for name, result in one_turn(contender, loads, place).items():
                found[contender.name][name].append(result)
            print(f"round {number + 1} of {rounds}: {contender.name}", file=sys.stderr)
    return found


# -- what is printed --


def spread(values: Sequence[float], form: str) -> str:
    """The median, and the least and the greatest."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:{form}}"
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def ratios(found: Results, name: str, beside: str, load: str) -> list[float]:
    """The rate of one, each time divided by the rate of another in the same round."""
    pairs = zip(found[name][load], found.get(beside, {}).get(load, []), strict=False)
    return [one.rate / other.rate for one, other in pairs]


def rates_table(found: Results, loads: Sequence[Load]) -> str:
    """Rates, and what they cost."""
    heads = [f"{load.streams} x {load.size / MIB:,.0f} MiB: MiB/s | of the disk alone" for load in loads]
    rows = [f"| | {' | '.join(heads)} | server's CPU, s/GiB | others |", "|" + "---|" * (3 + 2 * len(loads))]
    for name, by_load in found.items():
        cells: list[str] = []
        for load in loads:
            cells += [spread([one.rate for one in by_load[load.name]], ",.0f")]
            cells += [spread(ratios(found, name, FLOOR, load.name), ".2f")]
        everything = [one for load in loads for one in by_load[load.name]]
        cells += [spread([one.cpu_s / one.gib for one in everything], ".2f")]
        cells += [f"{statistics.median([one.others for one in everything]):.0%}"]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def beside_table(found: Results, loads: Sequence[Load]) -> str:
    """Memory, and what somebody waits who asks for something small meanwhile."""
    heads = [f"{load.streams} x {load.size / MIB:,.0f} MiB" for load in loads]
    titles = [f"{head}: peak MB | GET p99, ms" for head in heads]
    rows = [f"| | idle MB | idle GET p99, ms | {' | '.join(titles)} |", "|" + "---|" * (3 + 2 * len(loads))]
    for name, by_load in found.items():
        everything = [one for results in by_load.values() for one in results if one.peak]
        if not everything:
            continue
        cells = [f"{statistics.median(one.before for one in everything) / 1e6:,.0f}"]
        cells += [spread([one.idle_p99_ms for one in by_load[loads[0].name]], ".1f")]
        for load in loads:
            results = by_load[load.name]
            cells += [f"{statistics.median(one.peak for one in results) / 1e6:,.0f}"]
            cells += [spread([p99(one.asked_ms) for one in results], ".1f")]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def slow_table(found: Results, load: Load) -> str:
    """What many slow uploads take."""
    heads = ("MB more than before", "server's CPU, s", "idle GET p99, ms", "GET p99, ms")
    rows = [
        f"| {load.streams:,} x {load.size / 1024:,.0f} KiB over {load.slow_s:.0f} s | {' | '.join(heads)} |",
        "|---|---|---|---|---|",
    ]
    for name, by_load in found.items():
        results = by_load[load.name]
        cells = [spread([(one.peak - one.before) / 1e6 for one in results], ",.0f")]
        cells += [spread([one.cpu_s for one in results], ".1f")]
        cells += [spread([one.idle_p99_ms for one in results], ".1f")]
        cells += [spread([p99(one.asked_ms) for one in results], ".1f")]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def resume_table(place: Place, times: int) -> str:
    """How long after a silent drop an upload has gone on: asking for the offset, and the rest of it acknowledged."""
    rows = ["| resumed after a silent drop | times | median, ms | p99, ms | longest, ms |", "|---|---|---|---|---|"]
    for workers in ("1", "2"):
        command = (*_run("held:app")[:-1], "--workers", workers, "--port")
        with running(command, place.cleared(), HERE) as server:
            took = resumed(server, times)
        found = f"{times} | {statistics.median(took):.1f} | {p99(took):.1f} | {max(took):.1f}"
        rows.append(f"| `holdfast run --workers {workers}` | {found} |")
    return "\n".join(rows)


def verdicts(found: Results, loads: Sequence[Load]) -> str:
    """How far the aims are, of those that were measured, and how quiet the machine was."""
    said: list[str] = []
    for load in loads:
        for beside, aim in ((FLOOR, 0.9), (HASHED, 0.9), (FASTAPI, 2.0 if load.streams > 1 else 0.0)):
            reached = ratios(found, AIMED, beside, load.name) if AIMED in found else []
            if reached and aim:
                told = f"{AIMED}, {load.streams} x {load.size / MIB:,.0f} MiB: {spread(reached, '.2f')} of {beside}"
                said.append(f"{told}; aimed at {aim:g}.")
    others = [one.others for by_load in found.values() for results in by_load.values() for one in results]
    noise = statistics.median(others) if others else 0.0
    said.append(f"{os.cpu_count()} cores, Linux, Python {sys.version.split()[0]}; others had {noise:.0%} of the cores.")
    if noise > NOISY:
        said.append("**Too much for rates to mean anything: compare CPU time, and measure again on a quiet machine.**")
    return "\n".join(f"- {line}" for line in said)


# -- the whole --


def written(text: str) -> None:
    """Put the tables into the page, between their markers."""
    page = PAGE.read_text()
    block = f"<!-- speed: begin -->\n\n{text}\n\n<!-- speed: end -->"
    made, count = re.subn(r"<!-- speed: begin -->.*<!-- speed: end -->", lambda _: block, page, flags=re.DOTALL)
    if count != 1:
        sys.exit(f"{PAGE} has no markers for these tables")
    PAGE.write_text(made)


def shown(*tables: str) -> Sequence[str]:
    """Print them, as soon as they are there."""
    for text in tables:
        print(text, end="\n\n", flush=True)
    return tables


def there(contender: Contender) -> bool:
    """Whether it can run here; if not, a line says why."""
    found = not contender.needs or importlib.util.find_spec(contender.needs) is not None
    if not found:
        print(f"left out, for {contender.needs} is not installed: {contender.name}", file=sys.stderr)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What uploads cost, side by side.")
    parser.add_argument("--quick", action="store_true", help="one round, a tenth as large")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="parts of the names of contenders, separated by commas")
    parser.add_argument("--parts", default="rates,slow,resume", help="what is measured")
    parser.add_argument("--write", action="store_true", help="also put the tables into the documentation")
    options = parser.parse_args()
    rounds, less = (1, 10) if options.quick else (options.rounds, 1)
    wanted = [one for one in CONTENDERS if any(map(one.name.count, options.only.split(",")))]
    contenders = [one for one in wanted if there(one)]
    fast = (Load("one", 1, GIB // less), Load("many", 20, 100 * MIB // less))
    slow = Load("slow", 1000 // less, 64 * 1024, slow_s=10.0 / less)
    tables: list[str] = []
    BUILD.mkdir(exist_ok=True)
    shared = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=BUILD) as disk, tempfile.NamedTemporaryFile(dir=shared) as source:
        source.write(os.urandom(64 * MIB))
        source.flush()
        place = Place(Path(disk) / "turn", Path(source.name))
        if "rates" in options.parts:
            found = alternate(rounds, contenders, fast, place)
            tables += shown(verdicts(found, fast), rates_table(found, fast), beside_table(found, fast))
        if "slow" in options.parts:
            slowly = alternate(-(-rounds // 2), [one for one in contenders if one.slow], [slow], place)
            tables += shown(slow_table(slowly, slow))
        if "resume" in options.parts:
            tables += shown(resume_table(place, 200 // less))
    if options.write:
        written("\n\n".join(tables))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    main()
