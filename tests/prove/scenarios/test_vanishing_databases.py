"""Transactions that vanished clients leave open are found where they are: in the database's own view."""

import asyncio

import pytest
from postgres import postgres
from proving import proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.scenarios.vanishing import SCENARIO, Vanishing, gather

SHOP = """
import asyncio, itertools, os
import asyncpg

FAULT = os.environ.get("SHOP_FAULT", "")
POOL = None
NUMBERS = itertools.count()

async def answer(send, body):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})

async def held(receive, send):
    connection = await POOL.acquire()
    transaction = connection.transaction()
    await transaction.start()
    await receive()  # the request's body
    leaving = asyncio.ensure_future(receive())
    done, _ = await asyncio.wait([leaving], timeout=0.4)
    leaving.cancel()
    if done and FAULT and next(NUMBERS) % 6 == 0:
        return
    await transaction.rollback()
    await POOL.release(connection)
    await answer(send, b"done")

async def app(scope, receive, send):
    global POOL
    if scope["type"] == "lifespan":
        await receive()
        POOL = await asyncpg.create_pool(os.environ["SHOP_DATABASE"], min_size=30, max_size=60)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await POOL.close()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["path"] == "/held":
        await held(receive, send)
    else:
        await answer(send, b"well")
"""


@pytest.fixture(scope="module")
def database():
    with postgres() as url:
        yield url


def gathered(tmp_path, database: str) -> Vanishing:
    async def main() -> Vanishing:
        said = {"dependencies": {"SHOP_DATABASE": database}, "slow": ["GET /held"], "read": "GET /"}
        async with proving(tmp_path, SHOP, **said) as stage:
            return await gather(stage)

    return asyncio.run(main())


def test_a_pool_whose_transactions_end_however_the_client_leaves_is_kept(tmp_path, database):
    found = gathered(tmp_path, database)
    assert found.rounds[0].held.sessions >= 30
    assert verdict(SCENARIO, found).verdict is Verdict.KEPT, verdict(SCENARIO, found).why


def test_transactions_that_are_left_in_a_pool_are_found(tmp_path, monkeypatch, database):
    monkeypatch.setenv("SHOP_FAULT", "transaction")
    judgement = verdict(SCENARIO, gathered(tmp_path, database))
    assert judgement.verdict is Verdict.BROKEN
    assert "transactions that nobody ends" in judgement.why
