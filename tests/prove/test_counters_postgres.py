"""What PostgreSQL sees of its clients, from a real server."""

import os
import sys

import asyncpg
import pytest
from postgres import postgres

from holdfast.decide.counts import Kind
from holdfast.decide.leftovers import difference
from holdfast.errors import ExtraMissing, Unavailable
from holdfast.prove.counters import counted, sessions, settled

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server():
    with postgres() as url:
        yield url


async def connected(url: str, application: str):
    return await asyncpg.connect(url, server_settings={"application_name": application})


async def test_connections_and_idle_transactions_are_known_by_who_has_them(server):
    port = int(server.rpartition(":")[2].partition("/")[0])
    before = counted(os.getpid())._replace(sessions=await sessions(server))
    assert before.sessions == []
    shop, idle = await connected(server, "shop"), await connected(server, "shop")
    try:
        transaction = shop.transaction()
        await transaction.start()
        await shop.fetchval("SELECT 1")
        found = await sessions(server)
        assert {(one.application, one.user, one.database, one.state) for one in found} == {
            ("shop", "postgres", "postgres", "idle in transaction"),
            ("shop", "postgres", "postgres", "idle"),
        }
        held = next(one for one in found if one.state == "idle in transaction")
        assert held.pid == shop.get_server_pid()
        assert held.in_transaction_s >= 0
        after = counted(os.getpid())._replace(sessions=found)
        assert sorted(after.sessions_of_tree()) == sorted(found)
        assert len(after.connections(port)) == 2
        left = {str(one) for one in difference(before, after).left}
        assert {
            f"2 sockets ESTABLISHED to 127.0.0.1:{port}",
            "1 PostgreSQL session idle in transaction of shop",
            "1 PostgreSQL session idle of shop",
        } <= left
        assert before.sessions_of_tree() == []
        await transaction.rollback()
    finally:
        await shop.close()
        await idle.close()

    async def look():
        return counted(os.getpid())._replace(sessions=await sessions(server))

    found = await settled(os.getpid(), before, 20.0, look=look, ignoring=set(Kind) - {Kind.SESSION, Kind.SOCKET})
    assert found.clean


async def test_what_another_user_does_is_told_as_not_seen(server):
    root = await connected(server, "shop")
    try:
        await root.execute("CREATE ROLE guest LOGIN")
        found = await sessions(server.replace("//postgres@", "//guest@"))
        assert [(one.user, one.state) for one in found] == [("postgres", None)]
        before = counted(os.getpid())
        told = difference(before, before._replace(sessions=found))
        assert told.unseen == ("what the PostgreSQL sessions of postgres do: insufficient privilege",)
        assert not told.clean
    finally:
        await root.execute("DROP ROLE guest")
        await root.close()


async def test_a_server_that_is_not_there_is_told_as_such():
    with pytest.raises(Unavailable, match="PostgreSQL does not say"):
        await sessions("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(Unavailable, match="PostgreSQL does not say"):
        await sessions("nothing like a DSN")


async def test_without_its_driver_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    monkeypatch.delitem(sys.modules, "holdfast.prove.counters.postgres", raising=False)
    with pytest.raises(ExtraMissing, match=r"pip install holdfast\[postgres\]"):
        await sessions("postgresql://nobody@127.0.0.1:1/nothing")
