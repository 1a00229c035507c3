"""How much memory exports take, by format and size, and many of them at once. From SQLite.

What is counted is what the processes have for themselves. Pages of files, as those of libraries, are left out: how many
of them are whose changes with what else is running.
"""

import contextlib
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from contenders import Place
from serving import HERE, Load, Server, read, run, running
from tables import aimed

FORMATS: Final = ("csv", "ndjson", "json", "xlsx", "parquet")
APART_MB: Final = 16.0
EACH_MB: Final = 4.0
AT_ONCE: Final = 50
WIDE_ROWS: Final = 32_000
"""Each of about 64 KiB: 2 GB."""


class Size(NamedTuple):
    """How much is exported."""

    name: str
    rows: int
    way: str = "long"


class Own(Server):
    """A server, and its own memory."""

    def memory(self) -> int:
        """Bytes of it."""
        return sum(map(_anonymous, self.pids()))


def sizes(*, long: bool) -> list[Size]:
    """What is compared."""
    found = [Size(f"{rows:,} rows", rows) for rows in (100, 10_000, 1_000_000)]
    if long:
        found += [Size("10,000,000 rows", 10_000_000), Size(f"{WIDE_ROWS:,} rows of 64 KiB", WIDE_ROWS, "wide")]
    return found


def measured(place: Place, at_once: int, *, long: bool) -> tuple[list[str], list[str]]:
    """Verdicts and tables. `at_once` is how many rows each of many exports has."""
    formats = [form for form in FORMATS if _there(place, form)]
    wanted = sizes(long=long)
    found = {form: [_over(place, form, size) for size in wanted] for form in formats}
    many = {form: _each(place, form, found[form][0], at_once) for form in formats}
    apart, widest = max((_apart(over), form) for form, over in found.items())
    each, largest = max((over, form) for form, over in many.items())
    verdicts = [
        *aimed(f"memory between sizes, MB apart at most ({widest})", [apart], ".1f", most=APART_MB),
        *aimed(f"{AT_ONCE} exports at once, MB each at most ({largest})", [each], ".1f", most=EACH_MB),
    ]
    return verdicts, [_table(wanted, found, many, at_once)]


def _table(wanted: Sequence[Size], found: dict[str, list[float]], many: dict[str, float], at_once: int) -> str:
    heads = [f"{size.name}: MB over start" for size in wanted]
    heads += ["largest difference", f"{AT_ONCE} at once of {at_once:,} rows: MB each"]
    lines = [f"| from SQLite | {' | '.join(heads)} |", "|" + "---|" * (1 + len(heads))]
    for form, over in found.items():
        cells = [f"{value:.1f}" for value in [*over, _apart(over), many[form]]]
        lines.append(f"| {form} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _each(place: Place, form: str, alone: float, at_once: int) -> float:
    """What each of many takes. What `alone`, the first small one, took comes once, as what has to be imported."""
    return (_over(place, form, Size("", at_once), AT_ONCE) - alone) / (AT_ONCE - 1)


def _apart(over: Sequence[float]) -> float:
    return max(over) - min(over)


def _over(place: Place, form: str, size: Size, streams: int = 1) -> float:
    """The peak over the start of a server that has exported nothing before."""
    with running(run("exported_sqlite:app"), place.folder, HERE) as server:
        _asked(server, "/small")
        result = read(Own(*server), Load(f"/{form}/{size.way}/?rows={size.rows}", size.rows, streams=streams), None)
    print(f"{form}, {streams} x {size.rows:,} rows: {result.over:.1f} MB, {result.rate:,.0f} rows/s", file=sys.stderr)
    return result.over


def _anonymous(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss_Anon:"):
                return int(line.split()[1]) * 1024
    return 0


def _there(place: Place, form: str) -> bool:
    """Whether this format can be written here."""
    with running(run("exported_sqlite:app"), place.folder, HERE) as server:
        try:
            _asked(server, f"/{form}?rows=10")
        except (OSError, urllib.error.URLError) as error:
            print(f"left out: {form}, {error}", file=sys.stderr)
            return False
    return True


def _asked(server: Server, path: str) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=60) as answer:
        answer.read()
