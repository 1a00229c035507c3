"""How soon an export is over whose client has left: no statement on PostgreSQL, its connection in the pool again."""

import statistics
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Final, NamedTuple

import psycopg
from contenders import Place
from reading import Answer, Refused
from serving import HERE, Server, p99, run, running
from tables import aimed

WAYS: Final = ("asyncpg/csv", "asyncpg/ndjson", "psycopg/csv", "psycopg/ndjson")
MOST_MS: Final = 250.0
ROWS: Final = 1_000_000_000
"""More than a client could read before it leaves."""
READ: Final = 1 << 20
PAUSE_S: Final = 0.001
GIVEN_UP_S: Final = 30.0
BUSY: Final = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bench' AND state <> 'idle'"


class Times(NamedTuple):
    """What came of many clients that left."""

    took: list[float]
    """Milliseconds."""
    refused: int
    """How many found that they were refused, for what was left behind by one before them."""


def measured(place: Place, times: int) -> tuple[list[str], list[str]]:
    """Verdicts and tables."""
    assert place.postgres is not None
    url = place.postgres.url
    found = {way: _by_way(way, times, place, url) for way in WAYS}
    took = [ms for one in found.values() for ms in one.took]
    refused = sum(one.refused for one in found.values())
    verdicts = [
        *aimed("client gone, ms until nothing is left, at most", took and [max(took)], ".0f", most=MOST_MS),
        *aimed("exports refused because a client had left before", [refused], ".0f", most=0),
    ]
    return verdicts, [_table(found)]


def _by_way(way: str, times: int, place: Place, url: str) -> Times:
    """On a server of its own."""
    took: list[float] = []
    refused = 0
    with (
        running(run("exported_postgres:app"), place.folder, HERE) as server,
        psycopg.connect(url, autocommit=True) as looking,
    ):
        for _ in range(times):
            try:
                took.append(_one(server, way, lambda: _count(looking)))
            except Refused as error:
                refused += 1
                print(f"gone: {way}: {error}"[:300], file=sys.stderr)
    return Times(took, refused)


def _table(found: dict[str, Times]) -> str:
    lines = [
        "| clients that left | times | median, ms | p99, ms | longest, ms | others refused |",
        "|---|---|---|---|---|---|",
    ]
    for way, (took, refused) in found.items():
        numbers = (statistics.median(took), p99(took), max(took)) if took else ()
        cells = " | ".join(f"{number:.1f}" for number in numbers) or "- | - | -"
        lines.append(f"| {way.replace('/', ', ')} | {len(took)} | {cells} | {refused} |")
    return "\n".join(lines)


def _count(looking: "psycopg.Connection") -> int:
    row = looking.execute(BUSY).fetchone()
    assert row is not None
    return row[0]


def _one(server: Server, way: str, busy: Callable[[], int]) -> float:
    """Milliseconds from leaving to the end of everything."""
    answer = Answer(server.port, f"/{way}/long/?rows={ROWS}")
    while answer.size < READ:
        answer.take()
    if not busy() or not _in_use(server):
        sys.exit("the export has ended before its client left")
    began = time.perf_counter()
    answer.connection.close()
    while busy() or _in_use(server):
        if time.perf_counter() - began > GIVEN_UP_S:
            sys.exit(f"{way}: still there after {GIVEN_UP_S:.0f} s")
        time.sleep(PAUSE_S)
    return (time.perf_counter() - began) * 1000


def _in_use(server: Server) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/pool", timeout=GIVEN_UP_S) as answer:
        return int(answer.read())
