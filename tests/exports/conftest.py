"""One PostgreSQL for all tests of exports in a process, and the table of one row of every type in it."""

import asyncio

import asyncpg
import pytest
from postgres import postgres

THINGS = """
CREATE TYPE colour AS ENUM ('red', 'blue "dark"');
CREATE TABLE things (
    id int PRIMARY KEY, flag bool, small int2, big int8, real4 float4, real8 float8, amount numeric, word text,
    short varchar(20), raw bytea, day date, clock time, moment timestamptz, local timestamp, span interval, uid uuid,
    doc json, docb jsonb, numbers int[], words text[], paint colour);
INSERT INTO things VALUES
    (1, true, -5, 9223372036854775807, 0.1, 1e300, 12345678901234567890.1234567890, E'say "x",\\nor\\r\\n''y''', 'é🜚',
     '\\x00ff2b', '2026-02-03', '04:05:06.5', '2026-02-03 04:05:06.789+05:30', '2026-02-03 04:05:06.789',
     '1 day 2 hours 3.5 seconds', '00000000-0000-0000-0000-000000000005', '{"a": [1, "x", null]}', '{"b": true}',
     '{1,NULL,-3}', '{"a\\"b",NULL,"","NULL"}', 'blue "dark"'),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL),
    (3, false, 0, -9223372036854775808, 'NaN', '-Infinity', 'NaN', '', '', '', '0001-01-01', '00:00',
     '1970-01-01 00:00+00', '9999-12-31 23:59:59.999999', '0',
     'ffffffff-ffff-ffff-ffff-ffffffffffff', '"text"', '12', '{}', '{}', 'red'),
    (4, true, 1, 1, 'Infinity', -0.5, 1.10, E'\\\\.', E'a\\tb', '\\x', '2026-12-31', '23:59:59.999999',
     '2026-07-01 00:00+00', '2026-07-01', '-1 day -2 hours', '00000000-0000-0000-0000-000000000000', '[]', '{}',
     '{{1,2},{3,4}}', E'{"[","]\\n["}', 'red');
"""


@pytest.fixture(scope="session")
def postgres_url():
    with postgres() as url:
        asyncio.run(_filled(url))
        yield url


async def _filled(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(THINGS)
    await connection.close()


@pytest.fixture
def psycopg_url(postgres_url) -> str:
    """For SQLAlchemy."""
    return postgres_url.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def asyncpg_url(postgres_url) -> str:
    """For SQLAlchemy."""
    return postgres_url.replace("postgresql://", "postgresql+asyncpg://")
