"""Who is compared with whom."""

import importlib.util
import io
import sys
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import limits
from databases import PSQL, Postgres
from serving import HERE, Load, Result, Server, alone, idle_p99, read, run, running, uvicorn

PG_CSV: Final = "CSV from PostgreSQL"
PG_NDJSON: Final = "NDJSON from PostgreSQL"
PACKED: Final = "CSV from PostgreSQL, compressed"
LITE: Final = "from SQLite"
XLSX: Final = "XLSX from memory"
TRIED: Final = 1000
"""Rows of the first export of each server, which is looked at."""

Limit = Callable[["Place", int], tuple[float, float]]


class Place(NamedTuple):
    """Where it happens."""

    folder: Path
    sqlite: Path
    postgres: Postgres | None


class Contender(NamedTuple):
    """A way to export rows."""

    name: str
    group: str
    """What it is compared with."""
    command: tuple[str, ...] = ()
    """What starts its server, but for the port."""
    path: str = ""
    accept: str = ""
    limit: Limit | None = None
    """What it calls in place of a server."""
    less: int = 1
    """It exports so many times fewer rows."""
    ours: bool = False

    def load(self, rows: int) -> Load:
        """What is asked of it."""
        return Load(f"{self.path}?rows={rows}", rows, self.accept)

    @property
    def wants_postgres(self) -> bool:
        """Whether it is nothing without PostgreSQL."""
        return "PostgreSQL" in self.group


def _psql(place: Place, rows: int) -> tuple[float, float]:
    return limits.psql(PSQL, _url(place), rows)


def _copy(place: Place, rows: int) -> tuple[float, float]:
    return limits.copied(_url(place), rows)


def _shell(place: Place, rows: int) -> tuple[float, float]:
    return limits.sqlite_shell(str(place.sqlite), rows)


def _url(place: Place) -> str:
    assert place.postgres is not None
    return place.postgres.url


def _theirs(name: str, group: str, app: str, path: str, less: int = 1) -> Contender:
    return Contender(name, group, uvicorn(f"{app}:app"), path, less=less)


def _ours(name: str, group: str, app: str, path: str, accept: str = "", less: int = 1) -> Contender:
    return Contender(f"`holdfast.exports`, {name}", group, run(f"{app}:app"), path, accept, less=less, ours=True)


PG_LIMIT: Final = Contender("`psql \\copy` to /dev/null", PG_CSV, limit=_psql)
SHELL: Final = Contender("`sqlite3 -csv` to /dev/null", LITE, limit=_shell)
NATIVE: Final = _ours("native", PG_CSV, "exported_postgres", "/asyncpg/csv/native")
MACHINES: Final = _ours("for machines", PG_CSV, "exported_postgres", "/asyncpg/csv/machines")
PG_LINES: Final = _ours("asyncpg", PG_NDJSON, "exported_postgres", "/asyncpg/ndjson")
LITE_CSV: Final = _ours("CSV for machines", LITE, "exported_sqlite", "/csv/machines")
LITE_LINES: Final = _ours("NDJSON", LITE, "exported_sqlite", "/ndjson")
SHEET: Final = _ours("streamed", XLSX, "exported_xlsx", "/xlsx", less=5)

CONTENDERS: Final = (
    PG_LIMIT,
    Contender("asyncpg COPY, thrown away", PG_CSV, limit=_copy),
    _theirs("`StreamingResponse`, ORM", PG_CSV, "streaming_postgres", "/orm"),
    _theirs("`StreamingResponse`, Core", PG_CSV, "streaming_postgres", "/core"),
    _theirs("`StreamingResponse`, asyncpg cursor", PG_CSV, "streaming_postgres", "/cursor"),
    NATIVE,
    MACHINES,
    _ours("for people", PG_CSV, "exported_postgres", "/asyncpg/csv/people"),
    _ours("for machines, psycopg", PG_CSV, "exported_postgres", "/psycopg/csv/machines"),
    _ours("for machines, gzip", PACKED, "exported_postgres", "/asyncpg/csv/machines", "gzip"),
    _ours("for machines, zstd", PACKED, "exported_postgres", "/asyncpg/csv/machines", "zstd"),
    _theirs("`StreamingResponse`, Core, `json.dumps`", PG_NDJSON, "streaming_postgres", "/ndjson"),
    PG_LINES,
    _ours("psycopg", PG_NDJSON, "exported_postgres", "/psycopg/ndjson"),
    SHELL,
    _theirs("CSV, `StreamingResponse`, ORM", LITE, "streaming_sqlite", "/orm"),
    _theirs("CSV, `StreamingResponse`, Core", LITE, "streaming_sqlite", "/core"),
    _theirs("CSV, `StreamingResponse`, cursor, generator", LITE, "streaming_sqlite", "/cursor"),
    _theirs("CSV, `StreamingResponse`, cursor, async generator, row by row", LITE, "streaming_sqlite", "/naive"),
    LITE_CSV,
    _ours("CSV for people", LITE, "exported_sqlite", "/csv/people"),
    LITE_LINES,
    _ours("JSON", LITE, "exported_sqlite", "/json"),
    _theirs("XlsxWriter, `constant_memory`, temporary file", XLSX, "saved_xlsx", "/xlsxwriter", less=5),
    _theirs("rustpy-xlsxwriter, temporary file", XLSX, "saved_xlsx", "/rust", less=5),
    SHEET,
)
LIMITS: Final = {PG_CSV: PG_LIMIT, PACKED: PG_LIMIT, PG_NDJSON: PG_LIMIT, LITE: SHELL}
"""What the rates of each group are divided by."""


def there(contender: Contender) -> bool:
    """Whether it can run here; if not, a line says why."""
    needs = [name for name in ("xlsxwriter", "rustpy_xlsxwriter") if contender.path in {"/xlsxwriter", "/rust"}]
    missing = [name for name in needs if importlib.util.find_spec(name) is None]
    if contender is SHELL and limits.SHELL is None:
        missing.append("the program sqlite3")
    if missing:
        print(f"left out, for {' and '.join(missing)} is missing: {contender.name}", file=sys.stderr)
    return not missing


def one_turn(contender: Contender, rows: int, place: Place) -> Result:
    """One export by one contender, whose server is started for it."""
    rows //= contender.less
    if contender.limit is not None:
        limit = contender.limit
        return alone(lambda: limit(place, rows), rows, place.postgres)
    with running(contender.command, place.folder, HERE) as server:
        looked_at(server, contender.load(TRIED))
        idle = idle_p99(server)
        return read(server, contender.load(rows), place.postgres)._replace(idle_p99_ms=idle)


def looked_at(server: Server, load: Load) -> None:
    """A small export: it warms the server up, and has to have all rows."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{load.path}", timeout=60) as answer:
        content = answer.read()
    if content.startswith(b"PK"):
        found = zipfile.ZipFile(io.BytesIO(content)).read("xl/worksheets/sheet1.xml").count(b"<row ") - 1
    else:
        found = content.count(b"@example.com")
    if found != load.rows:
        sys.exit(f"{found} rows in place of {load.rows}: {load.path}")
