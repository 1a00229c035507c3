"""Ten million rows of one state of the database, while others write a thousand times a second."""

import asyncio
import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from postgres import BINARIES

from holdfast import exports
from holdfast.exports import Csv

pytestmark = [pytest.mark.anyio, pytest.mark.long, pytest.mark.timeout(3000)]

ROWS = 10_000_000
PER_SECOND = 1_000
WRITE = f"""
\\set one random(1, {ROWS})
\\set two random(1, {ROWS})
BEGIN;
UPDATE ten SET amount = amount + CASE WHEN id = :one THEN 1 ELSE -1 END WHERE id IN (:one, :two) AND :one <> :two;
DELETE FROM ten WHERE id > {ROWS};
INSERT INTO ten VALUES ({ROWS} + 1, 0) ON CONFLICT (id) DO NOTHING;
COMMIT;
"""
NUMBER = re.compile(rb"(\d+)\}?\r?$")


class Counting:
    """A client that keeps nothing: it counts rows, and adds up their last column."""

    def __init__(self) -> None:
        self.rows = 0
        self.sum = 0
        self.rest = b""
        self.ended = False

    async def ask(self, app) -> None:
        async def receive():
            await asyncio.Event().wait()

        async def send(message):
            if message["type"] == "http.response.body":
                self.take(message.get("body", b""))
                self.ended = not message.get("more_body", False)

        await app({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send)

    def take(self, body: bytes) -> None:
        *lines, self.rest = (self.rest + body).split(b"\n")
        found = [NUMBER.search(line) for line in lines]
        numbers = [int(one[1]) for one in found if one]
        self.rows += len(numbers)
        self.sum += sum(numbers)


@contextlib.contextmanager
def written_to(url: str, folder: Path) -> Iterator[Path]:
    """Others write; the file says how often in each second."""
    (folder / "write.sql").write_text(WRITE)
    command = [
        BINARIES / "pgbench",
        "-n",
        "-f",
        "write.sql",
        "-c",
        "4",
        "-R",
        str(PER_SECOND),
        "-T",
        "3000",
        "-P",
        "1",
        url,
    ]
    with (
        (folder / "told").open("w") as told,
        subprocess.Popen(command, cwd=folder, stderr=told, stdout=told) as writing,
    ):
        try:
            yield folder / "told"
            assert writing.poll() is None, (folder / "told").read_text()
        finally:
            writing.kill()


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_ten_million_rows_under_a_thousand_writes_a_second_are_of_one_state(postgres_url, tmp_path, form, capsys):
    """Each write moves one from one row to another, and replaces a row of nothing: the sum stays the same."""
    pool = await asyncpg.create_pool(postgres_url, min_size=1, max_size=1)
    await pool.execute(
        f"CREATE TABLE ten AS SELECT g AS id, 10 AS amount FROM generate_series(1, {ROWS}) g;"
        "ALTER TABLE ten ADD PRIMARY KEY (id); ANALYZE ten"
    )
    found = Counting()
    with written_to(postgres_url, tmp_path) as told:
        while told.read_text().count("progress") < 3:
            await asyncio.sleep(0.1)
        began = time.monotonic()
        await found.ask(exports.stream("SELECT id, amount FROM ten", bind=pool, form=form))
        took = time.monotonic() - began
        before = told.read_text().count("progress")
        while told.read_text().count("progress") == before:
            await asyncio.sleep(0.1)
        rates = [float(rate) for rate in re.findall(r"([\d.]+) tps", told.read_text())[3:]]
    await pool.execute("DROP TABLE ten")
    await pool.close()
    with capsys.disabled():
        print(
            f"\n{form}: {found.rows:,} rows in {took:.1f} s under {min(rates):.0f} to {max(rates):.0f} writes a second"
        )
    assert found.ended
    assert found.rows in {ROWS, ROWS + 1}
    assert found.sum == ROWS * 10
    assert max(rates) > PER_SECOND / 2


async def test_a_million_rows_are_the_same_however_they_are_read(postgres_url):
    pool = await asyncpg.create_pool(postgres_url, min_size=1, max_size=1)
    query = "SELECT g AS id, g % 7 AS amount FROM generate_series(1, 1000000) g"
    sums = []
    for how in ({"form": "csv"}, {"form": "csv", "csv": Csv(newline="\r\n")}, {"form": "ndjson"}):
        found = Counting()
        await found.ask(exports.stream(query, bind=pool, **how))
        sums.append((found.rows, found.sum))
    await pool.close()
    assert sums == [(1_000_000, sum(n % 7 for n in range(1, 1_000_001)))] * 3
