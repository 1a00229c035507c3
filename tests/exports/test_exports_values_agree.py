"""The same rows of a real PostgreSQL by every way they can be read: what is written means the same everywhere."""

import asyncio
import base64
import datetime as dt
import json
import math
import random
import re
import struct
import uuid
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal

import asyncpg
import psycopg
import pytest
import sqlalchemy as sa
from csv_strictly import parsed
from exporting import asked
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import create_async_engine

from holdfast import exports
from holdfast.decide.exports.formulas import neutral
from holdfast.exports import FOR_MACHINES, Column, Csv, Kind

pytestmark = pytest.mark.anyio

ALL = "SELECT * FROM things ORDER BY id"
CRLF = Csv(newline="\r\n", neutral=False)


def interval(written: str) -> dt.timedelta:
    found = re.fullmatch(r"P(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?[\d.]+)S)?)?", written)
    assert found is not None, written
    days, hours, minutes, seconds = (Decimal(number or 0) for number in found.groups())
    return dt.timedelta(microseconds=int(((days * 24 + hours) * 60 + minutes) * 60_000_000 + seconds * 1_000_000))


def number(written: str) -> float | None:
    found = float(written)
    return None if math.isnan(found) else found


MEANING = {
    "id": int,
    "flag": {"true": True, "false": False}.__getitem__,
    "small": int,
    "big": int,
    "real4": number,
    "real8": number,
    "amount": lambda written: None if written == "NaN" else Decimal(written).as_tuple(),
    "word": str,
    "short": str,
    "raw": lambda written: base64.b64decode(written, validate=True),
    "day": dt.date.fromisoformat,
    "clock": dt.time.fromisoformat,
    "moment": lambda written: dt.datetime.fromisoformat(written) if written.endswith("Z") else pytest.fail(written),
    "local": lambda written: dt.datetime.fromisoformat(written) if written[10] == "T" else pytest.fail(written),
    "span": interval,
    "uid": uuid.UUID,
    "doc": json.loads,
    "docb": json.loads,
    "numbers": json.loads,
    "words": json.loads,
    "paint": str,
}
NESTED = ("doc", "docb", "numbers", "words")
EXPECTED = [
    {
        "id": 1,
        "flag": True,
        "small": -5,
        "big": 9223372036854775807,
        "real4": 0.1,
        "real8": 1e300,
        "amount": Decimal("12345678901234567890.1234567890").as_tuple(),
        "word": "say \"x\",\nor\r\n'y'",
        "short": "é🜚",
        "raw": b"\x00\xff+",
        "day": dt.date(2026, 2, 3),
        "clock": dt.time(4, 5, 6, 500_000),
        "moment": dt.datetime(2026, 2, 2, 22, 35, 6, 789_000, dt.UTC),
        "local": dt.datetime(2026, 2, 3, 4, 5, 6, 789_000),
        "span": dt.timedelta(days=1, hours=2, seconds=3.5),
        "uid": uuid.UUID(int=5),
        "doc": {"a": [1, "x", None]},
        "docb": {"b": True},
        "numbers": [1, None, -3],
        "words": ['a"b', None, "", "NULL"],
        "paint": 'blue "dark"',
    },
    {"id": 2} | dict.fromkeys(list(MEANING)[1:]),
    {
        "id": 3,
        "flag": False,
        "small": 0,
        "big": -9223372036854775808,
        "real4": None,
        "real8": -math.inf,
        "amount": None,
        "word": "",
        "short": "",
        "raw": b"",
        "day": dt.date(1, 1, 1),
        "clock": dt.time(),
        "moment": dt.datetime(1970, 1, 1, tzinfo=dt.UTC),
        "local": dt.datetime(9999, 12, 31, 23, 59, 59, 999_999),
        "span": dt.timedelta(),
        "uid": uuid.UUID(int=2**128 - 1),
        "doc": "text",
        "docb": 12,
        "numbers": [],
        "words": [],
        "paint": "red",
    },
    {
        "id": 4,
        "flag": True,
        "small": 1,
        "big": 1,
        "real4": math.inf,
        "real8": -0.5,
        "amount": Decimal("1.10").as_tuple(),
        "word": "\\.",
        "short": "a\tb",
        "raw": b"",
        "day": dt.date(2026, 12, 31),
        "clock": dt.time(23, 59, 59, 999_999),
        "moment": dt.datetime(2026, 7, 1, tzinfo=dt.UTC),
        "local": dt.datetime(2026, 7, 1),
        "span": dt.timedelta(days=-1, hours=-2),
        "uid": uuid.UUID(int=0),
        "doc": [],
        "docb": {},
        "numbers": [[1, 2], [3, 4]],
        "words": ["[", "]\n["],
        "paint": "red",
    },
]


def read_csv(body: str, newline: str = "\n") -> list[dict]:
    names, *lines = parsed(body, newline)
    return [
        {name: None if value is None else MEANING[name](value) for name, value in zip(names, line, strict=True)}
        for line in lines
    ]


def read_json(rows: list[dict]) -> list[dict]:
    """As `read_csv`, of what a JSON reader has made of it; what should be a literal has to be one."""
    return [
        {
            name: value if value is None or name in NESTED or isinstance(value, bool) else MEANING[name](str(value))
            for name, value in row.items()
        }
        for row in rows
    ]


# -- the ways --

# Whoever reads JSON with a driver of their own knows what the driver makes of it.
as_text = [Column(name, Kind.JSON_TEXT if name in {"doc", "docb"} else Kind.ANY) for name in MEANING]
decoded = [Column(name, Kind.JSON if name in {"doc", "docb"} else Kind.ANY) for name in MEANING]


@asynccontextmanager
async def connection(url):
    found = await asyncpg.connect(url)
    try:
        yield lambda **how: exports.stream(ALL, bind=found, **how)
    finally:
        await found.close()


@asynccontextmanager
async def pool(url):
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as found:
        yield lambda **how: exports.stream(ALL, bind=found, **how)


@asynccontextmanager
async def fetched(url):
    """A list of records; the driver has decoded them, but not JSON."""
    found = await asyncpg.connect(url)
    rows = await found.fetch(ALL)
    await found.close()
    yield lambda **how: exports.stream(rows, columns=as_text, **how)


@asynccontextmanager
async def generated(url):
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as found:

        async def rows():
            async with found.acquire() as one, one.transaction():
                async for row in one.cursor(ALL):
                    yield dict(row) | {name: json.loads(row[name]) for name in ("doc", "docb") if row[name]}

        yield lambda **how: exports.stream(rows, columns=decoded, **how)


@asynccontextmanager
async def open_cursor(url):
    found = await asyncpg.connect(url)
    try:
        async with found.transaction():
            yield lambda **how: exports.stream(found.cursor(ALL), columns=as_text, **how)
    finally:
        await found.close()


@asynccontextmanager
async def dbapi_cursor(url):
    @contextmanager
    def rows():
        with psycopg.connect(url) as found, found.cursor() as cursor:
            yield cursor.execute(ALL)

    yield lambda **how: exports.stream(rows, columns=decoded, **how)


@asynccontextmanager
async def server_cursor(url):
    @contextmanager
    def rows():
        with psycopg.connect(url) as found, found.cursor("named") as cursor:
            yield cursor.execute(ALL)

    yield lambda **how: exports.stream(rows, columns=decoded, **how)


@asynccontextmanager
async def dict_cursor(url):
    @contextmanager
    def rows():
        with psycopg.connect(url, row_factory=dict_row) as found, found.cursor() as cursor:
            yield cursor.execute(ALL)

    yield lambda **how: exports.stream(rows, columns=decoded, **how)


@asynccontextmanager
async def engine(url):
    found = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    yield lambda **how: exports.stream(ALL, bind=found, **how)
    found.dispose()


@asynccontextmanager
async def own_commit(url):
    found = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    yield lambda **how: exports.stream(sa.text(ALL), bind=found, **how)
    found.dispose()


@asynccontextmanager
async def elsewhere(url):
    """A session that writes everything another way, and is in another zone."""
    options = {"timezone": "Asia/Tokyo", "datestyle": "German", "intervalstyle": "postgres_verbose"}
    found = await asyncpg.connect(url, server_settings=options)
    try:
        yield lambda **how: exports.stream(ALL, bind=found, **how)
    finally:
        await found.close()


@asynccontextmanager
async def async_engine(url):
    found = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    yield lambda **how: exports.stream(ALL, bind=found, **how)
    await found.dispose()


@asynccontextmanager
async def async_psycopg(url):
    found = create_async_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    async with found.connect() as connection:
        table = await connection.run_sync(lambda one: sa.Table("things", sa.MetaData(), autoload_with=one))
    yield lambda **how: exports.stream(sa.select(table).order_by(table.c.id), bind=found, **how)
    await found.dispose()


@asynccontextmanager
async def reflected(url):
    """A `select` of a table that SQLAlchemy has read the types of."""
    found = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    table = sa.Table("things", sa.MetaData(), autoload_with=found)
    yield lambda **how: exports.stream(sa.select(table).order_by(table.c.id), bind=found, **how)
    found.dispose()


WAYS = {
    "connection": connection,
    "pool": pool,
    "fetched": fetched,
    "generated": generated,
    "open cursor": open_cursor,
    "dbapi cursor": dbapi_cursor,
    "server cursor": server_cursor,
    "dict cursor": dict_cursor,
    "engine": engine,
    "own commit": own_commit,
    "elsewhere": elsewhere,
    "async engine": async_engine,
    "async psycopg": async_psycopg,
    "reflected": reflected,
}


@pytest.mark.parametrize("way", WAYS)
async def test_the_same_rows_mean_the_same_in_every_format_by_every_way(postgres_url, way):
    # asyncpg has made the next double of a float4 by the time its records are seen
    (doubled,) = struct.unpack("f", struct.pack("f", 0.1))
    first = EXPECTED[0] | ({"real4": doubled} if way in {"fetched", "generated", "open cursor"} else {})
    expected = [first, *EXPECTED[1:]]
    async with WAYS[way](postgres_url) as exported:
        copied = (await asked(exported(form="csv", csv=FOR_MACHINES))).body.decode()
        assert read_csv(copied) == expected
        encoded = (await asked(exported(form="csv", csv=CRLF))).body.decode()
        assert read_csv(encoded, "\r\n") == expected
        lines = (await asked(exported(form="ndjson"))).body.decode().splitlines()
        assert read_json([strictly.decode(line) for line in lines]) == expected
        array = (await asked(exported(form="json"))).body.decode()
        assert read_json(strictly.decode(array)) == expected


strictly = json.JSONDecoder(parse_float=Decimal, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("SELECT '10.0.0.1'::inet AS a", "10.0.0.1"),
        ("SELECT '10.0.0.0/8'::cidr AS a", "10.0.0.0/8"),
        ("SELECT '[1,10)'::int4range AS a", "[1,10)"),
        ("SELECT B'0101' AS a", "0101"),
        ("SELECT 'a'::\"char\" AS a", "a"),
        ("SELECT 'ab'::char(5) AS a", "ab   "),
        ("SELECT NULL::char(5) AS a", None),
        ("SELECT point(1.5, 2) AS a", "(1.5,2)"),
        ("SELECT '07:08:09+05:30'::timetz AS a", "07:08:09+05:30"),
        ("SELECT '07:08:09+02'::timetz AS a", "07:08:09+02:00"),
        ("SELECT '07:08:09+00'::timetz AS a", "07:08:09Z"),
        ("SELECT '0.1'::float4 AS a", "0.1"),
        ("SELECT '1e400'::numeric AS a", "1" + "0" * 400),
        ("SELECT array['\\xff'::bytea] AS a", '["/w=="]'),
        ("SELECT array['NaN'::float8, 1.5] AS a", "[null,1.5]"),
        ("SELECT array['NaN'::numeric, 1.50] AS a", "[null,1.50]"),
        ("SELECT array['1 day 3 hours'::interval] AS a", '["P1DT10800S"]'),
        ("SELECT array[true, NULL] AS a", "[true,null]"),
        ("SELECT '1 day -1 hour'::interval AS a", "PT23H"),
        ("SELECT '49 hours'::interval AS a", "P2DT1H"),
        ("SELECT '\"=1\"'::jsonb AS a", '"=1"'),
    ],
)
async def test_types_that_are_rare_are_written_the_same_by_the_server_and_by_asyncpg(postgres_url, query, read):
    for dialect, newline in ((FOR_MACHINES, "\n"), (CRLF, "\r\n"), (Csv(), "\n"), (Csv(newline="\r\n"), "\r\n")):
        async with asyncpg.create_pool(postgres_url, min_size=1, max_size=1) as bind:
            body = (await asked(exports.stream(query, bind=bind, form="csv", csv=dialect))).body.decode()
        assert parsed(body, newline) == [["a"], [read]]


# -- formulas --

NASTY = "=+-@\t\r\n 0123456789.,eE%'\"\u00a0\u3000\uff0b\uff0d\uff1d\uff20Aaé\u2212\U0001f71a"


def payloads() -> list[str]:
    chance = random.Random(7)
    made = ["".join(chance.choices(NASTY, k=chance.randrange(8))) for _ in range(4000)]
    made += [before + one + after for one in NASTY for before in ("", " ", "\u00a0 \u3000") for after in ("", "1", "x")]
    return made + [
        "-" + "1" * digits + rest for digits in (1, 15, 16) for rest in ("", ".5", "," + "2" * 16, "\n", "%")
    ]


@pytest.mark.parametrize("kind", ["text", "varchar", "colour", "json text"])
async def test_the_server_finds_the_same_formulas_as_this_library_does(postgres_url, kind):
    texts = ['blue "dark"', "red"] if kind == "colour" else payloads()
    column = "value::text" if kind == "json text" else f"value::{kind}"
    query = f"SELECT number, {column} FROM unnest($1::text[]) WITH ORDINALITY AS t (value, number) ORDER BY number"
    bind = await asyncpg.connect(postgres_url)
    body = (await asked(exports.stream(query, bind=bind, args=[texts], form="csv"))).body.decode()
    await bind.close()
    found = [line[1] for line in parsed(body)[1:]]
    assert found == [neutral(text) for text in texts]
    assert kind == "colour" or sum(1 for text in texts if neutral(text) != text) > 1000


async def test_bytes_that_look_like_a_formula_are_text_the_same_way_everywhere(postgres_url):
    bind = await asyncpg.connect(postgres_url)
    query = "SELECT '\\xfb00'::bytea AS a"
    by_server = (await asked(exports.stream(query, bind=bind, form="csv"))).body.decode()
    await bind.close()
    assert parsed(by_server) == parsed(
        (await asked(exports.stream([(b"\xfb\x00",)], columns=["a"], form="csv"))).body.decode()
    )


async def test_a_value_of_many_lines_of_base64_is_one_line(postgres_url):
    bind = await asyncpg.connect(postgres_url)
    body = (await asked(exports.stream("SELECT decode(repeat('ff', 5000), 'hex') AS a", bind=bind, form="csv"))).body
    await bind.close()
    assert base64.b64decode(body.splitlines()[1], validate=True) == b"\xff" * 5000


# -- what a connection is set to --


async def test_json_that_the_application_decodes_itself_is_json_all_the_same(postgres_url):
    bind = await asyncpg.connect(postgres_url)
    await bind.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    query = """SELECT '"x"'::jsonb AS a, '"12"'::jsonb AS b, '{"k": [1]}'::jsonb AS c, '{"k": 1}'::json AS d"""
    body = (await asked(exports.stream(query, bind=bind, form="ndjson"))).body
    encoded = (await asked(exports.stream(query, bind=bind, form="csv", csv=CRLF))).body.decode()
    await bind.close()
    assert json.loads(body) == {"a": "x", "b": "12", "c": {"k": [1]}, "d": {"k": 1}}
    assert [json.loads(value) for value in parsed(encoded, "\r\n")[1]] == ["x", "12", {"k": [1]}, {"k": 1}]


async def test_a_database_that_is_not_in_unicode_is_exported_in_it(postgres_url):
    admin = await asyncpg.connect(postgres_url)
    await admin.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    url = postgres_url.rpartition("/")[0] + "/latin"
    query = "SELECT U&'\\00e9' AS a, '=1' AS b"
    bind = await asyncpg.connect(url)
    by_asyncpg = (await asked(exports.stream(query, bind=bind, form="csv"))).body.decode()
    await bind.close()
    found = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    by_psycopg = (await asked(exports.stream(query, bind=found, form="csv"))).body.decode()
    found.dispose()
    await admin.execute("DROP DATABASE latin")
    await admin.close()
    assert parsed(by_asyncpg) == parsed(by_psycopg) == [["a", "b"], ["é", "'=1"]]


async def test_a_client_in_latin_1_exports_utf_8(psycopg_url):
    found = sa.create_engine(psycopg_url, client_encoding="latin1")
    for form in ("csv", "ndjson"):
        body = (await asked(exports.stream("SELECT 'é' AS a", bind=found, form=form))).body
        assert "é" in body.decode("utf-8")
    found.dispose()


async def test_native_csv_is_what_psql_copies(postgres_url):
    bind = await asyncpg.connect(postgres_url)
    query = "SELECT true AS a, '\\xff'::bytea AS b, array[1,2] AS c, '=1' AS d"
    how = Csv(native=True, neutral=False)
    body = (await asked(exports.stream(query, bind=bind, form="csv", csv=how))).body
    await bind.close()
    assert body.split(b"\n")[1] == b't,\\xff,"{1,2}",=1'


async def test_exports_by_many_tasks_of_one_pool_do_not_mix(postgres_url):
    async with asyncpg.create_pool(postgres_url, min_size=1, max_size=5) as bind:
        made = await asyncio.gather(
            *(
                asked(
                    exports.stream(
                        "SELECT $1::int AS a, g FROM generate_series(1, 500) g", bind=bind, args=[n], form="csv"
                    )
                )
                for n in range(40)
            )
        )
        for n, answer in enumerate(made):
            assert answer.body.splitlines()[1:] == [f"{n},{g}".encode() for g in range(1, 501)]
        assert bind.get_idle_size() == bind.get_size()
