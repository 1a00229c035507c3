"""The databases: PostgreSQL, as the tests start it, and a file of SQLite, filled with the same rows."""

import asyncio
import contextlib
import sqlite3
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
from measuring import TICKS, _cpu_s, _tree
from orders import lite_orders, orders

TESTS: Final = Path(__file__).parents[2] / "tests"
sys.path.append(str(TESTS))

from postgres import BINARIES, postgres  # noqa: E402 - of the tests

PSQL: Final = str(BINARIES / "psql")
COPIES: Final = 100_000
TABLE: Final = (
    "CREATE TABLE orders (id {} PRIMARY KEY, name text NOT NULL, email text NOT NULL, qty int NOT NULL, "
    "amount {} NOT NULL, status text NOT NULL, created {} NOT NULL, active {} NOT NULL)"
)
TEXT: Final = "\n".join(f"Line {number} of a text that is long, with a comma; " + "äöü €" for number in range(1500))


class Postgres(NamedTuple):
    """A server of PostgreSQL."""

    url: str
    pid: int
    """Of the process that all others come from."""

    def cpu_s(self) -> tuple[float, float]:
        """CPU time in user mode, and all of it, of all its processes, those that have ended included."""
        user, whole = _cpu_s(_tree(self.pid))
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        ended = [int(field) / TICKS for field in fields[13:15]]
        return user + ended[0], whole + sum(ended)


@contextlib.contextmanager
def filled_postgres(rows: int) -> Generator[Postgres]:
    """A server with so many orders."""
    with postgres() as url:
        yield Postgres(url, asyncio.run(_fill(url, rows)))


async def _fill(url: str, rows: int) -> int:
    """Fill it; its process."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(TABLE.format("bigint", "numeric(10,2)", "timestamptz", "boolean"))
        await connection.copy_records_to_table("orders", records=orders(rows))
        await connection.execute(f"CREATE TABLE copies AS SELECT generate_series(1, {COPIES}) AS copy")
        for name in ("orders", "copies"):
            await connection.execute(f"VACUUM (FREEZE, ANALYZE) {name}")
        await connection.execute("CHECKPOINT")
        folder = await connection.fetchval("SHOW data_directory")
    finally:
        await connection.close()
    return int((Path(folder) / "postmaster.pid").read_text().splitlines()[0])


def fill_sqlite(path: Path, rows: int) -> None:
    """A file with so many orders."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(TABLE.format("INTEGER", "REAL", "TEXT", "INTEGER"))
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?)", lite_orders(rows))
        connection.execute("CREATE TABLE copies (copy INTEGER PRIMARY KEY)")
        connection.executemany("INSERT INTO copies VALUES (?)", ((number,) for number in range(1, COPIES + 1)))
        connection.execute("CREATE TABLE texts (content TEXT)")
        connection.execute("INSERT INTO texts VALUES (?)", (TEXT,))
