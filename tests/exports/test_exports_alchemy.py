"""Queries of SQLAlchemy, on SQLite and PostgreSQL, sync and async: by every engine the same rows."""

import asyncio
import datetime as dt
import enum
import json
import time
import uuid
from decimal import Decimal

import pytest
import sqlalchemy as sa
from csv_strictly import parsed
from exporting import Client, asked
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from waiting import until

from holdfast import exports
from holdfast.exports import ColumnsMismatch, Csv, SourceUnsuited

pytestmark = pytest.mark.anyio

CRLF = Csv(newline="\r\n")


class Colour(enum.Enum):
    RED = "red!"
    BLUE = "blue!"


class Cents(sa.TypeDecorator[Decimal]):
    """Kept as a whole number; what is not there has a word of its own."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return None if value is None else int(value * 100)

    def process_result_value(self, value, dialect):
        return "unknown" if value is None else Decimal(value) / 100


class Base(DeclarativeBase):
    pass


class Tea(Base):
    __tablename__ = "teas"

    id: Mapped[int] = mapped_column(primary_key=True)
    name_: Mapped[str | None] = mapped_column("name", sa.String(50))
    colour: Mapped[Colour | None] = mapped_column(sa.Enum(Colour, name="tea_colour"))
    plain: Mapped[str | None] = mapped_column(sa.Enum("a", "b", name="plain"))
    good: Mapped[bool | None] = mapped_column(sa.Boolean)
    picked: Mapped[dt.datetime | None] = mapped_column(sa.DateTime)
    day: Mapped[dt.date | None] = mapped_column(sa.Date)
    clock: Mapped[dt.time | None] = mapped_column(sa.Time)
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(10, 3))
    weight: Mapped[float | None] = mapped_column(sa.Float)
    leaf: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    brews: Mapped[dt.timedelta | None] = mapped_column(sa.Interval)
    about: Mapped[dict | None] = mapped_column(sa.JSON(none_as_null=True))
    cents: Mapped[Decimal | None] = mapped_column(Cents)
    key: Mapped[uuid.UUID | None] = mapped_column(sa.Uuid)


ROWS = [
    {
        "id": 1,
        "name": "a%b:c'd",
        "colour": Colour.RED,
        "plain": "b",
        "good": True,
        "picked": dt.datetime(2026, 2, 3, 4, 5, 6, 700),
        "day": dt.date(2026, 2, 3),
        "clock": dt.time(4, 5, 6),
        "price": Decimal("1.500"),
        "weight": 1.5,
        "leaf": b"\x00\xff",
        "brews": dt.timedelta(days=1, hours=2),
        "about": {"a": [1, "x", None]},
        "cents": Decimal("1.25"),
        "key": uuid.UUID(int=5),
    },
    {"id": 2} | dict.fromkeys(column.name for column in Tea.__table__.columns if column.name != "id"),
    {"id": 3, "name": "", "colour": Colour.BLUE, "good": False, "price": Decimal(-2), "leaf": b"", "about": "text"},
]
READ = [
    {
        "id": 1,
        "name": "a%b:c'd",
        "colour": "red!",
        "plain": "b",
        "good": True,
        "picked": "2026-02-03T04:05:06.000700",
        "day": "2026-02-03",
        "clock": "04:05:06",
        "price": Decimal("1.500"),
        "weight": Decimal("1.5"),
        "leaf": "AP8=",
        "brews": "P1DT2H",
        "about": {"a": [1, "x", None]},
        "cents": Decimal("1.25"),
        "key": "00000000-0000-0000-0000-000000000005",
    },
    {"id": 2, **dict.fromkeys(ROWS[1].keys() - {"id"}), "cents": "unknown"},
    {
        "id": 3,
        **dict.fromkeys(ROWS[1].keys() - {"id"}),
        "name": "",
        "colour": "blue!",
        "good": False,
        "price": Decimal("-2.000"),
        "leaf": "",
        "about": "text",
        "cents": "unknown",
    },
]
TABLE = Tea.__table__
ENDLESS = sa.select(Tea, sa.func.generate_series(1, 10**9).label("n")).where(Tea.id == 1)
ENGINES = ["sqlite", "psycopg", "asyncpg", "async psycopg"]


@pytest.fixture(scope="module")
def databases(postgres_url, tmp_path_factory) -> dict[str, str]:
    """The URL of each engine, to one of two databases with the same rows."""
    lite = f"sqlite:///{tmp_path_factory.mktemp('alchemy') / 'teas.sqlite'}"
    postgres = postgres_url.replace("postgresql:", "postgresql+psycopg:")
    for url in (lite, postgres):
        engine = sa.create_engine(url)
        Base.metadata.create_all(engine)
        with engine.begin() as connection:
            for row in ROWS:
                connection.execute(sa.insert(TABLE).values(row))
        engine.dispose()
    asyncpg = postgres_url.replace("postgresql:", "postgresql+asyncpg:")
    return {"sqlite": lite, "psycopg": postgres, "asyncpg": asyncpg, "async psycopg": postgres}


@pytest.fixture(params=ENGINES)
async def bind(request, databases):
    make = create_async_engine if request.param in {"asyncpg", "async psycopg"} else sa.create_engine
    engine = make(databases[request.param])
    yield engine
    await closed(engine)


async def objects(query, bind, **how) -> list[dict]:
    body = (await asked(exports.stream(query, bind=bind, form="ndjson", **how))).body.decode()
    return [json.loads(line, parse_float=Decimal) for line in body.splitlines()]


async def lines(query, bind, csv: Csv, **how) -> list[list[str | None]]:
    body = (await asked(exports.stream(query, bind=bind, form="csv", csv=csv, **how))).body.decode()
    return parsed(body, csv.newline)


# -- types --


async def test_every_type_is_what_the_application_has_of_it(bind):
    assert await objects(sa.select(Tea).order_by(Tea.id), bind) == READ
    assert await objects(sa.select(TABLE).order_by(TABLE.c.id), bind) == READ


@pytest.mark.parametrize("dialect", [Csv(), CRLF], ids=["the server's", "ours"])
async def test_in_csv_it_is_the_same_as_in_json(bind, dialect):
    names, *rows = await lines(sa.select(Tea).order_by(Tea.id), bind, dialect)
    assert names == list(READ[0])
    for row, meant in zip(rows, READ, strict=True):
        for name, value in zip(names, row, strict=True):
            assert meaning(name, value) == meant[name], name


def meaning(name: str, value: str | None) -> object:
    if value is None:
        return None
    match name:
        case "id" | "about":
            return json.loads(value)
        case "good":
            return {"true": True, "false": False}[value]
        case "price" | "weight" | "cents":
            return value if value == "unknown" else Decimal(value)
        case "picked":
            return dt.datetime.fromisoformat(value).isoformat()
        case _:
            return value


@pytest.mark.parametrize("form", ["csv", "ndjson"])
@pytest.mark.parametrize(
    "query",
    [
        sa.union_all(
            *(sa.select(TABLE.c.id, TABLE.c.good, TABLE.c.colour, TABLE.c.cents).where(TABLE.c.id == n) for n in (1, 3))
        ),
        sa.select(
            sa.select(TABLE.c.id, TABLE.c.good, TABLE.c.colour, TABLE.c.cents).where(TABLE.c.id != 2).subquery()
        ).order_by(sa.text("id")),
        sa.text("SELECT id, good, colour, cents FROM teas WHERE id <> 2 ORDER BY id").columns(
            id=sa.Integer, colour=sa.Enum(Colour, name="tea_colour"), cents=Cents, good=sa.Boolean
        ),
        sa.text("SELECT id, good, colour, cents FROM teas WHERE id <> 2 ORDER BY id").columns(
            TABLE.c.id, TABLE.c.good, TABLE.c.colour, TABLE.c.cents
        ),
    ],
    ids=["union", "subquery", "text by name", "text by place"],
)
async def test_a_query_of_any_shape_keeps_its_types(bind, query, form):
    meant = [[1, True, "red!", Decimal("1.25")], [3, False, "blue!", "unknown"]]
    if form == "ndjson":
        assert [list(row.values()) for row in await objects(query, bind)] == meant
    else:
        assert (await lines(query, bind, Csv()))[1:] == [
            ["1", "true", "red!", "1.25"],
            ["3", "false", "blue!", "unknown"],
        ]


async def test_columns_that_have_no_name_of_their_own_have_the_one_the_database_sees(bind):
    query = sa.select(TABLE.c.id + 1, sa.func.count(), TABLE.c.id.label("called"), sa.literal("x")).group_by(TABLE.c.id)
    names = {"anon_1", "count_1", "called", "anon_2"}
    assert set((await objects(query, bind))[0]) == names
    assert set((await lines(query, bind, Csv()))[0]) == names


async def test_a_column_that_is_there_twice_is_there_twice(bind):
    query = sa.select(TABLE.c.id, TABLE.c.id, TABLE.alias("other").c.id).where(TABLE.c.id == TABLE.alias("other").c.id)
    query = sa.select(TABLE.c.id, TABLE.c.id).where(TABLE.c.id == 3)
    found = await objects(query, bind)
    assert [list(row.values()) for row in found] == [[3, 3]]
    assert len((await lines(query, bind, Csv()))[0]) == len(set((await lines(query, bind, Csv()))[0])) == 2


# -- arguments --


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (sa.select(TABLE.c.id).where(TABLE.c.id.in_([3, 1, 99])), [1, 3]),
        (sa.select(TABLE.c.id).where(TABLE.c.id.in_([])), []),
        (sa.select(TABLE.c.id).where(TABLE.c.id.not_in([1])), [2, 3]),
        (sa.select(TABLE.c.id).where(TABLE.c.colour.in_([Colour.RED, Colour.BLUE])), [1, 3]),
        (sa.select(TABLE.c.id).where(TABLE.c.colour == Colour.BLUE), [3]),
        (sa.select(TABLE.c.id).where(TABLE.c.cents.in_([Decimal("1.25")])), [1]),
        (sa.select(TABLE.c.id).where(TABLE.c.cents == Decimal("1.25")), [1]),
        (sa.select(TABLE.c.id).where(TABLE.c.name == "a%b:c'd"), [1]),
        (sa.select(TABLE.c.id).where(TABLE.c.name.like("a%%b%")), [1]),
        (sa.select(TABLE.c.id).where(TABLE.c.name.in_(["a%b:c'd", "%(x)s", ":x", "$1"])), [1]),
        (sa.select(TABLE.c.id).where(TABLE.c.picked > dt.datetime(2026, 1, 1)), [1]),
        (sa.select(TABLE.c.id).where(TABLE.c.leaf == b"\x00\xff"), [1]),
        (sa.select(TABLE.c.id).where(TABLE.c.key == uuid.UUID(int=5)), [1]),
        (sa.select(TABLE.c.id).where(TABLE.c.price.in_([Decimal("1.5"), Decimal(-2)])), [1, 3]),
        (sa.select(TABLE.c.id).order_by(TABLE.c.id).limit(1).offset(1), [2]),
        (sa.text("SELECT id FROM teas WHERE id = :x OR name = :y").bindparams(x=3, y="a%b:c'd"), [1, 3]),
        (
            sa.text("SELECT id FROM teas WHERE id IN :ids").bindparams(sa.bindparam("ids", [1, 2], expanding=True)),
            [1, 2],
        ),
        (sa.text("SELECT id FROM teas WHERE id % 2 = 1"), [1, 3]),
        (sa.text("SELECT id FROM teas WHERE id % 2 = :x").bindparams(x=1), [1, 3]),
        (sa.text("SELECT id FROM teas WHERE name LIKE 'a%'"), [1]),
        ("SELECT id FROM teas WHERE id < 3", [1, 2]),
        ("SELECT id FROM teas -- all of them", [1, 2, 3]),
        ("SELECT id FROM teas;\n", [1, 2, 3]),
        ("  SELECT id /* ; */ FROM teas ; ", [1, 2, 3]),
        ("WITH t AS (SELECT id FROM teas) SELECT id FROM t", [1, 2, 3]),
    ],
    ids=range(25),
)
async def test_arguments_are_bound_as_sqlalchemy_binds_them(bind, query, ids):
    assert sorted(row["id"] for row in await objects(query, bind)) == ids
    for dialect in (Csv(), CRLF):
        assert sorted(line[0] for line in (await lines(query, bind, dialect))[1:]) == sorted(map(str, ids))


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_a_percent_sign_in_a_query_is_one(bind, form):
    for query in (sa.text("SELECT '100%' AS a"), sa.text("SELECT '100%' AS a WHERE 1 = :x").bindparams(x=1)):
        body = (await asked(exports.stream(query, bind=bind, form=form))).body
        assert b"100%" in body
        assert b"%%" not in body


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_an_argument_that_is_missing_is_an_error_before_the_first_byte(bind, form):
    client = Client()
    with pytest.raises(Exception, match="value is required"):
        await client.ask(exports.stream(sa.text("SELECT :x AS a"), bind=bind, form=form))
    assert client.answer.status == 0


# -- what an engine is set to --


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_another_schema_for_the_same_table_is_where_the_rows_come_from(databases, form):
    engine = sa.create_engine(databases["psycopg"])
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA tenant"))
        connection.execute(sa.text("CREATE TABLE tenant.teas AS SELECT 77 AS id"))
    try:
        mapped = {"schema_translate_map": {None: "tenant"}}
        query = sa.select(TABLE.c.id)
        for bound in (
            engine.execution_options(**mapped),
            create_async_engine(databases["asyncpg"]).execution_options(**mapped),
        ):
            assert (await asked(exports.stream(query, bind=bound, form=form))).body.split()[-1].strip(
                b'{"id:}'
            ) == b"77"
            if isinstance(bound, AsyncEngine):
                await bound.dispose()
        told = query.execution_options(**mapped)
        assert b"77" in (await asked(exports.stream(told, bind=engine, form=form))).body
    finally:
        with engine.begin() as connection:
            connection.execute(sa.text("DROP SCHEMA tenant CASCADE"))
        engine.dispose()


@pytest.mark.parametrize("form", ["csv", "ndjson"])
@pytest.mark.parametrize(
    "query", ["SELECT interval '1 day 2 hours' AS a", sa.select(TABLE.c.brews.label("a")).where(TABLE.c.id == 1)]
)
@pytest.mark.parametrize("make", [sa.create_engine, create_async_engine])
async def test_an_engine_that_commits_by_itself_exports_the_same_and_stays_that_way(databases, form, query, make):
    engine = make(databases["psycopg"], isolation_level="AUTOCOMMIT", pool_size=1)
    try:
        body = (await asked(exports.stream(query, bind=engine, form=form))).body
        assert b"P1DT2H" in body
        if isinstance(engine, AsyncEngine):
            async with engine.connect() as connection:
                raw = (await connection.get_raw_connection()).driver_connection
        else:
            with engine.connect() as connection:
                raw = connection.connection.driver_connection
        assert raw.autocommit is True
    finally:
        await closed(engine)


async def closed(engine) -> None:
    if isinstance(engine, AsyncEngine):
        await engine.dispose()
    else:
        engine.dispose()


async def test_a_statement_that_writes_is_refused_and_not_rolled_back_in_silence(bind):
    with pytest.raises(SourceUnsuited):
        exports.stream(sa.insert(TABLE).values(id=99).returning(TABLE.c.id), bind=bind, form="csv")


# -- what is wrong with a query --


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_columns_that_are_fewer_or_more_than_the_querys_are_a_mismatch_before_the_first_byte(bind, form):
    for columns in (["a"], ["a", "b", "c"]):
        client = Client()
        with pytest.raises(ColumnsMismatch):
            await client.ask(exports.stream("SELECT 1 AS x, 2 AS y", bind=bind, columns=columns, form=form))
        assert client.answer.status == 0


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_columns_that_are_described_rename_the_querys(bind, form):
    body = (await asked(exports.stream("SELECT 1 AS x, 2 AS y", bind=bind, columns=["a", "b"], form=form))).body
    assert body == (b'"a","b"\n1,2\n' if form == "csv" else b'{"a":1,"b":2}\n')


@pytest.mark.parametrize("form", ["csv", "ndjson"])
@pytest.mark.parametrize("query", ["SELEKT 1", "SELECT * FROM nowhere", "SELECT 1 AS a, 2 AS a", "SELECT 1 +"])
async def test_a_query_that_is_wrong_fails_before_the_first_byte_and_gives_its_connection_back(bind, form, query):
    client = Client()
    with pytest.raises(Exception, match=r"(?i)syntax|no such table|does not exist|more than one column|incomplete"):
        await client.ask(exports.stream(query, bind=bind, form=form))
    assert client.answer.status == 0
    assert bind.pool.checkedout() == 0 if hasattr(bind.pool, "checkedout") else True


@pytest.mark.parametrize("wrong", [None, "sqlite://", object(), 3])
def test_a_query_without_an_engine_is_unsuited(wrong):
    with pytest.raises(SourceUnsuited):
        exports.stream(sa.select(TABLE), bind=wrong, form="csv")
    with pytest.raises(SourceUnsuited):
        exports.stream("SELECT 1", bind=wrong, form="csv")


def test_arguments_beside_a_query_of_an_engine_are_unsuited(databases):
    with pytest.raises(SourceUnsuited):
        exports.stream("SELECT :x", bind=sa.create_engine(databases["sqlite"]), args=[1], form="csv")


# -- when the connection is back --


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_the_connection_is_back_while_the_client_has_read_nothing(databases, form):
    for name in ENGINES[1:]:
        is_async = name != "psycopg"
        engine = (create_async_engine if is_async else sa.create_engine)(databases[name], pool_size=1)
        client = Client()
        client.reading.clear()
        query = "SELECT g, repeat('x', 100) AS t FROM generate_series(1, 20000) g"
        asking = asyncio.create_task(client.ask(exports.stream(query, bind=engine, form=form)))
        await until(lambda engine=engine: engine.pool.checkedin() == 1)
        assert client.answer.status == 0
        client.reading.set()
        answer = await asking
        assert answer.body.count(b"\n") == 20000 + (form == "csv")
        await closed(engine)


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_a_client_that_leaves_cancels_the_query_and_nobody_elses(databases, form):
    """The connection is used again at once, over and over: a cancellation that came late would be seen."""
    engine = sa.create_engine(databases["psycopg"], pool_size=1, max_overflow=0)
    pause = [0.0, 0.001, 0.005, 0.01, 0.02]
    try:
        for turn in range(40):
            client = Client()
            query = "SELECT a, b, repeat('x', 1000) AS t FROM generate_series(1, 3000) a, generate_series(1, 3000) b"
            asking = asyncio.create_task(client.ask(exports.stream(query, bind=engine, form=form)))
            await client.begun.wait()
            await asyncio.sleep(pause[turn % len(pause)])
            client.left.set()
            await asking
            assert engine.pool.checkedin() == 1
            assert await asyncio.to_thread(again, engine) == turn
    finally:
        engine.dispose()


def again(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT pg_sleep(0.005)"))
        return connection.execute(
            sa.text("SELECT count(*) - 1 FROM generate_series(0, :turn)"), {"turn": turns()}
        ).scalar_one()


def turns(count=iter(range(10**6))) -> int:
    return next(count) % 40


@pytest.mark.parametrize("form", ["csv", "ndjson"])
@pytest.mark.parametrize("name", ["asyncpg", "async psycopg"])
@pytest.mark.parametrize(
    "query",
    ["SELECT a, b FROM generate_series(1, 30000) a, generate_series(1, 30000) b", ENDLESS],
    ids=["text", "orm"],
)
async def test_a_client_that_leaves_gives_the_connection_of_an_async_engine_back(databases, form, name, query):
    engine = create_async_engine(databases[name], pool_size=1, max_overflow=0)
    try:
        for turn in range(10):
            client = Client()
            asking = asyncio.create_task(client.ask(exports.stream(query, bind=engine, form=form)))
            await until(lambda client=client, asking=asking: client.begun.is_set() or asking.done())
            await asyncio.sleep(0.002 * turn)
            client.left.set()
            await asyncio.wait_for(asking, 2)
            assert engine.pool.checkedout() == 0
            async with engine.connect() as connection:
                assert (await connection.execute(sa.text("SELECT 1"))).scalar_one() == 1
                busy = (
                    "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND backend_type = 'client backend'"
                )
                deadline = time.monotonic() + 2
                while (await connection.execute(sa.text(busy))).scalar_one() > 1:  # but for this one
                    assert time.monotonic() < deadline, "the statement still runs"
    finally:
        await engine.dispose()
