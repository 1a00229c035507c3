"""What exports cost: `StreamingResponse` in many ways, the databases' own programs, and `holdfast.exports`, in one run.

    python bench/exports.py                  five rounds of 1,000,000 rows; memory by size; clients that leave
    python bench/exports.py --quick          one round of 50,000 rows
    python bench/exports.py --long           memory also for 10,000,000 rows, and for 2 GB of rows of 64 KiB
    python bench/exports.py --write          also put the tables into docs/exports.md

Rows have eight columns, the same on PostgreSQL 18, from a wheel, and in a file of SQLite; XLSX has a fifth of them, of
ten columns. Every contender has one worker with uvloop, started anew for each turn, and exports 1,000 rows before the
one that is measured; the order turns round with each round. The limit of a database is its own program, which writes
to /dev/null. The client is a process of its own (bench/exports/reading.py) that reads and throws away. Another one
asks for something small all the time. All share the cores as they are. "Others" is the share of the cores that
processes which are not part of this had meanwhile, as far as they calculated and the system did not do so for them.
The server's CPU time has what it answers meanwhile in it, 0.1 to 0.2 ms for each small request. Memory is PSS of its
processes; where sizes are compared, without pages of files. Shown are medians of the rounds and, in brackets, the least
and the greatest.
"""

import argparse
import os
import re
import signal
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).with_suffix("")
PAGE: Final = Path(__file__).parent.parent / "docs" / "exports.md"
BUILD: Final = Path(__file__).parent.parent / "build"
sys.path[:0] = [str(HERE), str(HERE.with_name("uploads"))]

import gone  # noqa: E402 - a script
import memory  # noqa: E402 - a script
from contenders import CONTENDERS, Contender, Place, one_turn, there  # noqa: E402 - a script
from databases import fill_sqlite, filled_postgres  # noqa: E402 - a script
from tables import Results, machine, rates_table, verdicts  # noqa: E402 - a script


def alternate(rounds: int, contenders: Sequence[Contender], rows: int, place: Place) -> Results:
    """All rounds; each goes through the contenders the other way round than the one before."""
    found: Results = {one: [] for one in contenders}
    for number in range(rounds):
        for contender in contenders[:: -1 if number % 2 else 1]:
            result = one_turn(contender, rows, place)
            found[contender].append(result)
            told = f"{contender.group}: {contender.name}: {result.rate:,.0f} rows/s"
            print(f"round {number + 1} of {rounds}: {told}", file=sys.stderr)
    return found


@contextmanager
def made(rows: int, *, postgres: bool) -> Generator[Place]:
    """The databases, filled, and gone at the end."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        lite = Path(folder) / "orders.sqlite"
        fill_sqlite(lite, rows)
        with filled_postgres(rows) if postgres else nullcontext() as server:
            os.environ |= {"BENCH_SQLITE": str(lite), "BENCH_POSTGRES": server.url if server else ""}
            yield Place(Path(folder), lite, server)


Part = tuple[list[str], list[str]]
"""Verdicts, and tables."""


def measured(options: argparse.Namespace) -> Generator[Part]:
    """All parts that are wanted, one after the other."""
    rows = options.rows
    wanted = [one for one in CONTENDERS if any(map(one.name.count, options.only.split(",")))]
    contenders = [one for one in wanted if there(one)] if "rates" in options.parts else []
    found: Results = {}
    with made(rows, postgres="gone" in options.parts or any(one.wants_postgres for one in contenders)) as place:
        if contenders:
            found = alternate(options.rounds, contenders, rows, place)
            groups = dict.fromkeys(one.group for one in CONTENDERS)
            yield verdicts(found), list(filter(None, (rates_table(found, group) for group in groups)))
        if "memory" in options.parts:
            yield memory.measured(place, max(20_000, rows // 10), long=options.long)
        if "gone" in options.parts:
            yield gone.measured(place, 20 if options.quick else 200)
    yield machine(found), []


def shown(said: Sequence[str], tables: Sequence[str]) -> str:
    """Verdicts first."""
    return "\n\n".join(["\n".join(f"- {line}" for line in said), *tables])


def written(text: str) -> None:
    """Put the tables into the page, between their markers."""
    page = PAGE.read_text()
    block = f"<!-- speed: begin -->\n\n{text}\n\n<!-- speed: end -->"
    changed, count = re.subn(r"<!-- speed: begin -->.*<!-- speed: end -->", lambda _: block, page, flags=re.DOTALL)
    if count != 1:
        sys.exit(f"{PAGE} has no markers for these tables")
    PAGE.write_text(changed)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What exports cost, side by side.")
    parser.add_argument("--quick", action="store_true", help="one round of 50,000 rows")
    parser.add_argument("--rows", type=int, default=0, help="1,000,000 without it")
    parser.add_argument("--rounds", type=int, default=0, help="5 without it")
    parser.add_argument("--only", default="", help="parts of the names of contenders, separated by commas")
    parser.add_argument("--parts", default="rates,memory,gone", help="what is measured")
    parser.add_argument("--long", action="store_true", help="also the sizes that take many minutes")
    parser.add_argument("--write", action="store_true", help="also put the tables into the documentation")
    options = parser.parse_args()
    options.rows = options.rows or (50_000 if options.quick else 1_000_000)
    options.rounds = options.rounds or (1 if options.quick else 5)
    parts: list[Part] = []
    for part in measured(options):
        parts.append(part)
        print(shown(*part), end="\n\n", flush=True)
    if options.write:
        written(shown(*(list(chain.from_iterable(some)) for some in zip(*parts, strict=True))))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    main()
