"""Queries by asyncpg: what happens to the statement, the connection and the session, with clients who stay or leave."""

import asyncio
import datetime as dt
import json
import statistics
import time
import tracemalloc

import asyncpg
import pytest
import sqlalchemy as sa
from csv_strictly import parsed
from exporting import Client, asked
from sqlalchemy.ext.asyncio import create_async_engine
from waiting import until

from holdfast import Holdfast, exports
from holdfast.decide.exports.errors import ColumnsMismatch, ReaderTooSlow
from holdfast.exports import Csv, ExportSettings
from holdfast.parts.exports.spool import ROOM

pytestmark = pytest.mark.anyio

FORMS = ["csv", "ndjson", "json", "xlsx"]
ENDLESS = "SELECT a, b, repeat('x', 1000) AS t FROM generate_series(1, 30000) a, generate_series(1, 30000) b"
SLEEPS = "SELECT g, pg_sleep(CASE WHEN g > 20 THEN 60 ELSE 0 END)::text AS t FROM generate_series(1, 100) g"


@pytest.fixture
async def pool(postgres_url):
    found = await asyncpg.create_pool(postgres_url, min_size=1, max_size=1)
    yield found
    found.terminate()


@pytest.fixture
async def watcher(postgres_url):
    """Another connection, to look at what the others do."""
    found = await asyncpg.connect(postgres_url)
    yield found
    await found.close()


async def running(watcher: asyncpg.Connection) -> int:
    """How many other statements are being worked on."""
    return await watcher.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        " AND state <> 'idle'"
    )


async def nothing_runs(watcher: asyncpg.Connection, within_s: float = 2) -> None:
    deadline = time.monotonic() + within_s
    while await running(watcher):
        assert time.monotonic() < deadline, "a statement still runs"
        await asyncio.sleep(0.005)


# -- clients who leave --


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("query", [ENDLESS, SLEEPS], ids=["endless", "sleeping"])
async def test_a_client_that_leaves_cancels_the_statement_and_gives_the_connection_back(pool, watcher, form, query):
    client = Client()
    asking = asyncio.create_task(client.ask(exports.stream(query, bind=pool, form=form)))
    await until_running(watcher)
    if form != "xlsx" and query == ENDLESS:
        await client.begun.wait()
    client.left.set()
    await asyncio.wait_for(asking, 2)
    assert pool.get_idle_size() == 1
    await nothing_runs(watcher)
    assert await pool.fetchval("SELECT 1") == 1
    assert ROOM.taken == 0


async def until_running(watcher) -> None:
    deadline = time.monotonic() + 10
    while not await running(watcher):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


async def test_a_client_that_leaves_before_the_first_row_cancels_the_statement_too(pool, watcher):
    for query in ("SELECT pg_sleep(60)::text AS a", "SELECT count(*) FROM generate_series(1, 10000000000)"):
        client = Client()
        asking = asyncio.create_task(client.ask(exports.stream(query, bind=pool, form="csv")))
        await until_running(watcher)
        client.left.set()
        await asyncio.wait_for(asking, 2)
        await nothing_runs(watcher)
        assert client.answer.status == 0
        assert pool.get_idle_size() == 1


async def test_a_client_that_leaves_while_it_waits_for_a_connection_takes_none(pool):
    async with pool.acquire():
        client = Client()
        asking = asyncio.create_task(client.ask(exports.stream("SELECT 1 AS a", bind=pool, form="csv")))
        await asyncio.sleep(0.02)
        client.left.set()
        await asyncio.wait_for(asking, 2)
    assert pool.get_idle_size() == 1
    assert (await asked(exports.stream("SELECT 1 AS a", bind=pool, form="csv"))).body == b'"a"\n1\n'


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_leaving_over_and_over_never_cancels_what_comes_next_on_the_connection(pool, form):
    backend = await pool.fetchval("SELECT pg_backend_pid()")
    for turn in range(60):
        client = Client()
        asking = asyncio.create_task(client.ask(exports.stream(ENDLESS, bind=pool, form=form)))
        await client.begun.wait()
        await asyncio.sleep(0.002 * (turn % 8))
        client.left.set()
        await asking
        assert await pool.fetchval("SELECT $1::int FROM pg_sleep(0.002)", turn) == turn
        assert await pool.fetchval("SELECT pg_backend_pid()") == backend, (
            "the connection was not closed, but given back"
        )


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_leaving_at_any_moment_of_a_short_query_gives_the_connection_back(pool, form):
    backend = await pool.fetchval("SELECT pg_backend_pid()")
    query = "SELECT g, repeat(md5(g::text), 12) AS t FROM generate_series(1, 1000) g"
    for turn in range(120):
        client = Client()
        asking = asyncio.create_task(client.ask(exports.stream(query, bind=pool, form=form)))
        await asyncio.sleep(0.0001 * turn)
        client.left.set()
        await asyncio.wait_for(asking, 2)
        assert pool.get_idle_size() == 1
        assert await pool.fetchval("SELECT pg_backend_pid()") == backend


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_a_connection_of_the_callers_own_goes_on_after_its_client_has_left(postgres_url, form):
    bind = await asyncpg.connect(postgres_url)
    for _ in range(3):
        client = Client()
        asking = asyncio.create_task(client.ask(exports.stream(ENDLESS, bind=bind, form=form)))
        await client.begun.wait()
        client.left.set()
        await asking
        assert not bind.is_in_transaction()
        assert await bind.fetchval("SELECT 1") == 1
    await bind.close()


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_how_soon_a_statement_is_cancelled_two_hundred_times(pool, watcher, form, capsys):
    took = []
    for _ in range(200):
        client = Client()
        asking = asyncio.create_task(client.ask(exports.stream(ENDLESS, bind=pool, form=form)))
        await client.begun.wait()
        began = time.monotonic()
        client.left.set()
        while pool.get_idle_size() != 1 or await running(watcher):
            assert time.monotonic() - began < 2
            await asyncio.sleep(0)
        took.append(time.monotonic() - began)
        await asking
    quantiles = statistics.quantiles(took, n=100)
    with capsys.disabled():
        told = [f"{seconds * 1e3:.1f} ms" for seconds in (quantiles[49], quantiles[98], max(took))]
        print(f"\n{form}: the statement is gone in p50 {told[0]}, p99 {told[1]}, at most {told[2]}")
    assert quantiles[98] < 2


# -- released early --


@pytest.mark.parametrize("form", FORMS)
async def test_the_connection_is_back_while_the_client_has_read_nothing(pool, form, tmp_path):
    query = "SELECT g, repeat(md5(g::text), 10) AS t FROM generate_series(1, 20000) g"
    settings = ExportSettings(spool=tmp_path)
    client = Client()
    client.reading.clear()
    app = exports.stream(query, bind=pool, form=form, settings=settings)
    asking = asyncio.create_task(client.ask(app))
    await until(lambda: not pool.get_idle_size())
    await until(pool.get_idle_size)
    assert client.answer.status == 0
    assert await pool.fetchval("SELECT 1") == 1
    client.reading.set()
    answer = await asking
    assert answer.ended
    if form == "csv":
        assert len(answer.body.splitlines()) == 20001
    assert ROOM.taken == 0


async def test_the_last_rows_that_wait_for_room_hold_no_connection(pool, tmp_path):
    """The tail is made after the connection is back, however long the reader takes for what is before it."""
    settings = ExportSettings(spool=tmp_path, spool_bytes=0, hold_s=20)
    client = Client()
    client.reading.clear()
    query = "SELECT repeat('x', 100000) AS t FROM generate_series(1, 6)"
    asking = asyncio.create_task(client.ask(exports.stream(query, bind=pool, form="json", settings=settings)))
    await until(lambda: not pool.get_idle_size())
    await until(pool.get_idle_size)
    client.reading.set()
    assert len(json.loads((await asking).body)) == 6


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_a_reader_that_is_too_slow_for_the_room_there_is_loses_the_export_and_not_the_connection(
    pool, form, tmp_path, watcher
):
    settings = ExportSettings(spool=tmp_path, spool_bytes=0, hold_s=0.2)
    client = Client()
    client.reading.clear()
    asking = asyncio.create_task(client.ask(exports.stream(ENDLESS, bind=pool, form=form, settings=settings)))
    await until(lambda: not pool.get_idle_size())
    await until(pool.get_idle_size)
    await nothing_runs(watcher)
    client.reading.set()
    with pytest.raises(ReaderTooSlow):
        await asking
    assert not client.answer.ended


# -- sessions and transactions --


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_the_callers_transaction_is_as_it_was(postgres_url, form):
    bind = await asyncpg.connect(postgres_url)
    async with bind.transaction():
        await bind.execute("SET LOCAL TimeZone = 'Asia/Tokyo'; CREATE TEMP TABLE mine AS SELECT 7 AS a")
        assert b"7" in (await asked(exports.stream("SELECT a FROM mine", bind=bind, form=form))).body
        settings = [await bind.fetchval(f"SHOW {name}") for name in ("TimeZone", "IntervalStyle", "DateStyle")]
        assert settings == ["Asia/Tokyo", "postgres", "ISO, MDY"]
        assert await bind.fetchval("SELECT a FROM mine") == 7
    await bind.close()


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_a_query_that_fails_leaves_the_callers_transaction_alive(postgres_url, form):
    bind = await asyncpg.connect(postgres_url)
    async with bind.transaction():
        await bind.execute("CREATE TEMP TABLE mine AS SELECT 7 AS a")
        for query in ("SELEKT", "SELECT 1 / (a - 7) AS b FROM mine"):
            with pytest.raises(asyncpg.PostgresError):
                await asked(exports.stream(query, bind=bind, form=form))
        assert await bind.fetchval("SELECT a FROM mine") == 7
    await bind.close()


async def test_a_query_cannot_write(pool, watcher):
    await watcher.execute("CREATE TABLE IF NOT EXISTS written (a int)")
    for query in (
        "INSERT INTO written VALUES (1) RETURNING a",
        "WITH w AS (INSERT INTO written VALUES (1) RETURNING a) SELECT a FROM w",
    ):
        for form in ("csv", "ndjson"):
            with pytest.raises(asyncpg.PostgresError):
                await asked(exports.stream(query, bind=pool, form=form))
    assert await watcher.fetchval("SELECT count(*) FROM written") == 0


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_all_rows_are_of_one_state_of_the_database(pool, watcher, form):
    """Each write moves one from one row to another: in any one state of the table the sum is the same."""
    await watcher.execute(
        "DROP TABLE IF EXISTS moved; CREATE TABLE moved AS SELECT g AS id, 100 AS amount, repeat('x', 300) AS t"
        " FROM generate_series(1, 20000) g; ALTER TABLE moved ADD PRIMARY KEY (id)"
    )
    stopped = asyncio.Event()
    written = 0

    async def write() -> None:
        nonlocal written
        while not stopped.is_set():
            await watcher.execute(
                "UPDATE moved SET amount = amount + CASE WHEN id = $1 THEN 1 ELSE -1 END WHERE id IN ($1, $2)",
                written % 20000 + 1,
                20000 - written % 9000,
            )
            await watcher.execute("DELETE FROM moved WHERE id = 20001; INSERT INTO moved VALUES (20001, 0, '')")
            written += 1

    writing = asyncio.create_task(write())
    await until(lambda: written > 20)
    for _ in range(3):
        before = written
        body = (
            await asked(exports.stream("SELECT id, amount FROM moved, pg_sleep(0.05)", bind=pool, form=form))
        ).body.decode()
        rows = (
            [tuple(json.loads(line).values()) for line in body.splitlines()] if form == "ndjson" else parsed(body)[1:]
        )
        assert written > before
        assert len({row[0] for row in rows}) == len(rows) in {20000, 20001}
        assert sum(int(row[1]) for row in rows) == 2_000_000
    stopped.set()
    await writing


# -- arguments --


async def test_arguments_are_bound_and_never_part_of_the_text(pool):
    nasty = ["O'Re\\illy", "'; DROP TABLE things; --", "$1", "%s", "\n", "é🜚", '"', "\\'; SELECT 1"]
    query = (
        "SELECT $1::text AS a, $2::int[] AS b, $3::timestamptz AS c, $4::bytea AS d, $5::numeric AS e, $6::json AS f"
    )
    for text in nasty:
        args = [text, [1, None], dt.datetime(2026, 1, 2, tzinfo=dt.UTC), b"\x00'", dt_decimal("1.50"), '{"k": "\'"}']
        for dialect, newline in ((Csv(neutral=False), "\n"), (Csv(neutral=False, newline="\r\n"), "\r\n")):
            body = (await asked(exports.stream(query, bind=pool, args=args, form="csv", csv=dialect))).body.decode()
            row = parsed(body, newline)[1]
            assert row[0] == text
            assert row[1:5] == ["[1,null]", "2026-01-02T00:00:00Z", "ACc=", "1.50"]
            assert json.loads(row[5]) == {"k": "'"}


def dt_decimal(text: str):
    from decimal import Decimal

    return Decimal(text)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 'costs $1' AS a, $1::text AS b",
        "SELECT 'costs $1' AS a, $1::text AS b -- and $1, too",
        "SELECT $$costs $1$$ AS a, $1::text AS b",
        "SELECT /* $1 */ 'costs $1' AS a, $1::text AS b",
        "SELECT E'costs \\x241' AS a, $1::text AS b",
    ],
)
@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_a_number_with_a_dollar_in_a_text_is_no_parameter(pool, query, form):
    """asyncpg puts the arguments of COPY into its text itself, also where they are within a literal."""
    evil = "' AS x, pg_sleep(0)::text AS y; DROP TABLE IF EXISTS victim; --\n"
    await pool.execute("CREATE TABLE IF NOT EXISTS victim ()")
    body = (await asked(exports.stream(query, bind=pool, args=[evil], form=form, csv=Csv(neutral=False)))).body.decode()
    row = list(json.loads(body).values()) if form == "ndjson" else parsed(body)[1]
    assert row == ["costs $1", evil]
    assert await pool.fetchval("SELECT to_regclass('victim')") == "victim"


@pytest.mark.parametrize("args", [[], [1, 2], ["x"], [None, None]])
@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_wrong_arguments_fail_before_the_first_byte(pool, args, form):
    client = Client()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await client.ask(exports.stream("SELECT $1::int AS a", bind=pool, args=args, form=form))
    assert client.answer.status == 0
    assert pool.get_idle_size() == 1


# -- answers, through the layers --


@pytest.mark.parametrize("form", ["csv", "ndjson", "json", "xlsx"])
@pytest.mark.parametrize(
    ("query", "columns", "code"),
    [
        ("SELEKT 1", None, "unforeseen"),
        ("SELECT * FROM nowhere", None, "unforeseen"),
        ("SELECT 1 / (g - 1) AS a FROM generate_series(1, 9) g", None, "unforeseen"),
        ("SELECT 1 AS a; SELECT 2 AS b", None, "unforeseen"),
        ("", None, "columns-mismatch"),
        ("SELECT 1 AS a, 2 AS a", None, "columns-mismatch"),
        ("SELECT", None, "columns-mismatch"),
        ("SELECT 1 AS a", ["a", "b"], "columns-mismatch"),
        ("SELECT 1 AS a, 2 AS b", ["a"], "columns-mismatch"),
    ],
    ids=range(9),
)
async def test_what_is_wrong_with_a_query_is_a_problem_document_without_its_words(pool, form, query, columns, code):
    async def app(scope, receive, send):
        await exports.stream(query, bind=pool, columns=columns, form=form)(scope, receive, send)

    answer = await asked(Holdfast(app, own_logs=False))
    assert answer.status == 500
    assert answer.header("content-type") == "application/problem+json"
    assert answer.header("content-disposition") is None
    problem = json.loads(answer.body)
    assert problem["type"] == f"urn:holdfast:problem:{code}"
    assert "SELE" not in answer.body.decode()
    assert "nowhere" not in answer.body.decode()
    assert pool.get_idle_size() == 1


async def test_a_query_without_rows_is_an_export_without_rows(pool):
    for form, empty in (("csv", b'"a","b"\n'), ("ndjson", b""), ("json", b"[\n]\n")):
        query = "SELECT 1 AS a, 'x' AS b WHERE false"
        assert (await asked(exports.stream(query, bind=pool, form=form))).body == empty


@pytest.mark.parametrize(
    "query", ["SELECT 1 AS a -- all", "SELECT 1 AS a ;\n ", "VALUES (1)", "WITH t AS (SELECT 1 AS a) TABLE t"]
)
async def test_a_query_may_be_written_in_any_way(pool, query):
    for dialect in (Csv(), Csv(neutral=False), Csv(newline="\r\n")):
        body = (await asked(exports.stream(query, bind=pool, form="csv", csv=dialect, columns=["a"]))).body
        assert body.split() == [b'"a"', b"1"]


@pytest.mark.parametrize("make", ["pool", "asyncpg", "psycopg", "async psycopg"])
@pytest.mark.parametrize("form", ["csv", "ndjson"])
@pytest.mark.parametrize(
    ("query", "first"), [("SHOW server_encoding", "UTF8"), ("/* why */ EXPLAIN (COSTS false) SELECT 1", "Result")]
)
async def test_statements_that_nothing_can_be_put_around_are_exported_row_by_row(
    pool, postgres_url, make, form, query, first
):
    url = sa.make_url(postgres_url).set(drivername=f"postgresql+{make.removeprefix('async ')}")
    bind = pool if make == "pool" else create_async_engine(url) if make != "psycopg" else sa.create_engine(url)
    try:
        answer = await asked(exports.stream(query, bind=bind, form=form, columns=["said"]))
    finally:
        if isinstance(bind, sa.Engine):
            bind.dispose()
        elif bind is not pool:
            await bind.dispose()
    lines = answer.body.decode().splitlines()
    assert lines == ['"said"', f'"{first}"'] if form == "csv" else [f'{{"said":"{first}"}}']


async def test_a_mismatch_is_told_to_whoever_wrote_the_query(pool):
    with pytest.raises(ColumnsMismatch, match="2 columns, and 1"):
        await asked(exports.stream("SELECT 1 AS a, 2 AS b", bind=pool, columns=["a"], form="csv"))


async def test_progress_of_a_copy_is_told_in_bytes_and_at_the_end_in_rows(pool):
    told = []
    query = "SELECT g, repeat('x', 500) AS t FROM generate_series(1, 3000) g"
    app = exports.stream(
        query, bind=pool, form="csv", progress=lambda now: told.append((now.rows, now.bytes, now.ended))
    )
    answer = await asked(app)
    assert told[-1] == (3000, len(answer.body), True)


# -- memory --


async def forgotten(app) -> int:
    """Ask as a client that keeps nothing; how many bytes there were."""
    size = 0

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        nonlocal size
        size += len(message.get("body", b""))

    await app({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send)
    return size


@pytest.mark.parametrize("form", ["csv", "ndjson", "json"])
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_rows_of_ten_megabytes_are_in_memory_one_by_one(pool, psycopg_url, form, driver):
    engine = sa.create_engine(psycopg_url)
    query = "SELECT repeat('x', 10000000) AS t FROM generate_series(1, 30)"
    tracemalloc.start()
    try:
        app = exports.stream(query, bind=pool if driver == "asyncpg" else engine, form=form)
        assert await forgotten(app) > 300_000_000
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        engine.dispose()
    assert most < 120_000_000
