"""Limits of how often somebody may come: the table, the layer, and asking by name."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from calling import answering, call, scope_of

from holdfast import context, logs, problems
from holdfast.context import ContextSettings
from holdfast.decide.rates import Rate, rate
from holdfast.errors import SettingsInvalid, TooMany
from holdfast.parts import rates
from holdfast.parts.rates import Rates, RateSettings, Table, layer
from holdfast.parts.rates.table import _SIZE, PLACES
from holdfast.settings import load

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(autouse=True)
def fresh():
    """Nobody has been counted yet."""
    rates.configure(None)
    yield
    rates.configure(None)


def limited(told: list | None = None, app=None, trusted: tuple[str, ...] = (), **settings):
    found = layer(app or answering(), Rates(RateSettings(**settings)))
    found = logs.layer(problems.layer(found), (told if told is not None else []).append)
    return context.layer(found, ContextSettings(trusted_proxies=trusted))


# -- the layer --


async def test_who_comes_too_often_is_refused_and_told_when_to_come_back():
    told: list = []
    app = limited(told, rate="3/hour")
    answers = [await call(app) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert [answer.header("ratelimit") for answer in answers] == [
        '"default";r=2;t=1200',
        '"default";r=1;t=1200',
        '"default";r=0;t=1200',
        '"default";r=0;t=1200',
    ]
    assert {answer.header("ratelimit-policy") for answer in answers} == {'"default";q=3;w=3600'}
    refused = answers[3]
    assert 1200 <= int(refused.header("retry-after") or "") <= 2400
    assert refused.header("holdfast-not-executed") == "1"
    problem = json.loads(refused.body)
    assert (problem["type"], problem["violated-policies"]) == ("urn:holdfast:problem:too-many", ["default"])
    assert [(fact.outcome, fact.problem) for fact in told] == [("ok", None)] * 3 + [("refused", "too-many")]


async def test_each_client_is_counted_by_itself_behind_a_trusted_proxy_the_real_one():
    app = limited(rate="1/hour", trusted=("203.0.113.9",))

    def of(client):
        return scope_of(headers=[("x-forwarded-for", client)])

    clients = ["198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8:0:0:5::1", "2001:db8:0:1::1", "198.51.100.1"]
    statuses = [(await call(app, of(client))).status for client in clients]
    assert statuses == [200, 200, 200, 429, 200, 429]


async def test_who_is_not_trusted_cannot_choose_whom_it_is_counted_as():
    app = limited(rate="1/hour")
    statuses = [(await call(app, scope_of(headers=[("x-forwarded-for", f"198.51.100.{n}")]))).status for n in (1, 2)]
    assert statuses == [200, 429]


async def test_a_route_has_a_limit_of_its_own():
    app = limited(rate="3/hour", rate_routes=("POST /login=1/hour", "/free/*=100/hour"))
    asked = [("POST", "/login"), ("POST", "/login"), ("GET", "/login"), ("GET", "/"), ("GET", "/"), ("GET", "/")]
    answers = [await call(app, scope_of(path, method)) for method, path in asked]
    assert [answer.status for answer in answers] == [200, 429, 200, 200, 200, 429]
    assert answers[0].header("ratelimit-policy") == '"POST /login";q=1;w=3600'
    assert (await call(app, scope_of("/free/x"))).header("ratelimit") == '"/free/*";r=99;t=36'
    below = scope_of("/api/login", "POST", root_path="/api", client=("192.0.2.1", 1))
    assert (await call(app, below)).header("ratelimit-policy") == '"POST /login";q=1;w=3600'


async def test_what_is_not_limited_says_nothing_and_probes_never_are():
    app = limited(rate_routes=("/login=1/hour",))
    for _ in range(3):
        answer = await call(app, scope_of("/other"))
        assert (answer.status, answer.header("ratelimit")) == (200, None)
    app = limited(rate="1/hour")
    assert [(await call(app, scope_of("/-/live"))).status for _ in range(3)] == [200, 200, 200]
    plain = answering()
    assert layer(plain, Rates(RateSettings())) is plain


async def test_a_client_without_an_address_is_not_limited():
    app = limited(rate="1/hour")
    assert [(await call(app, scope_of(client=None))).status for _ in range(2)] == [200, 200]


async def test_where_it_is_only_observed_nobody_is_refused_and_it_is_told(caplog):
    app = limited(rate="1/hour", rate_observe=True)
    with caplog.at_level(logging.WARNING, "holdfast.rates"):
        answers = [await call(app) for _ in range(50)]
    assert {(answer.status, answer.header("ratelimit")) for answer in answers} == {(200, None)}
    assert 1 <= len(caplog.records) <= 3  # 49 in less than a second, told once a second
    assert caplog.records[0].policy == "default"


@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
async def test_the_handshake_of_a_websocket_counts(extensions):
    sent: list = []

    async def send(message):
        sent.append((message["type"], message.get("status")))

    async def accepting(scope, receive, send):
        await send({"type": "websocket.accept"})

    async def receive():
        return {"type": "websocket.connect"}

    app = limited(app=accepting, rate="1/hour")
    for _ in range(2):
        await app({**scope_of(), "type": "websocket", "extensions": extensions}, receive, send)
    assert sent[0][0] == "websocket.accept"
    denied = ("websocket.http.response.start", 429) if extensions else ("websocket.close", None)
    assert sent[1] == denied


@pytest.mark.parametrize("environ", [{"HOLDFAST_RATE": "lots"}, {"HOLDFAST_RATE_ROUTES": "/x=1/min, login=1/s"}])
def test_what_is_no_rate_stops_the_start(environ, tmp_path):
    with pytest.raises(SettingsInvalid):
        load(RateSettings, environ, tmp_path)


def test_settings_are_read_as_they_are_written(tmp_path):
    environ = {"HOLDFAST_RATE": "600/min burst 100", "HOLDFAST_RATE_ROUTES": "POST /login=10/min, /x/*=5/s burst 20"}
    found = Rates(load(RateSettings, environ, tmp_path))
    assert found.usual == Rate(600, 60, 100)
    assert found.of("POST", "/login") == ("POST /login", Rate(10, 60, 10))
    assert found.of("GET", "/x/y") == ("/x/*", Rate(5, 1, 20))


# -- asking by name --


async def test_an_application_limits_what_it_names():
    for _ in range(2):
        await rates.limit("login", "ann", "2/hour")
    await rates.limit("login", "ben", "2/hour")
    await rates.limit("export", "ann", "2/hour")
    with pytest.raises(TooMany) as refused:
        await rates.limit("login", "ann", "2/hour")
    assert refused.value.headers["RateLimit"] == '"login";r=0;t=1800'
    assert refused.value.members == {"violated-policies": ["login"]}
    with pytest.raises(ValueError, match="not a rate"):
        await rates.limit("login", "ann", "many")


async def test_what_it_raises_is_answered_with_its_headers():
    async def app(scope, receive, send):
        await rates.limit("login", "ann", "1/hour")
        await answering()(scope, receive, send)

    served = context.layer(problems.layer(app), ContextSettings())
    answers = [await call(served) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]
    assert 3600 <= int(answers[1].header("retry-after") or "") <= 7200


async def test_where_rates_are_observed_an_application_refuses_nobody():
    rates.configure(RateSettings(), observe=True)
    for _ in range(3):
        await rates.limit("login", "ann", "1/hour")


# -- the table --


def test_threads_count_together():
    table, allowed, let_in = Table(), rate("500/day"), []

    def come():
        for _ in range(200):
            if table.ask("one", allowed, 1000.0).allowed:
                let_in.append(1)

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table.close()
    assert len(let_in) == 500


def test_a_hundred_thousand_clients_have_room_and_are_each_counted():
    table, allowed = Table(), rate("2/day")
    assert os.fstat(table.descriptor).st_size == _SIZE < PLACES * 17
    for _ in range(2):
        assert all(table.ask(f"client {number}", allowed, 1000.0).allowed for number in range(100_000))
    forgotten = sum(table.ask(f"client {number}", allowed, 1000.0).allowed for number in range(100_000))
    assert forgotten < 15_000  # sets of eight are not filled evenly; who has no place is counted anew, never refused
    for number in range(100_000, 200_000):
        assert table.ask(f"client {number}", allowed, 1000.0).allowed
    assert os.fstat(table.descriptor).st_size == _SIZE
    table.close()


def test_a_place_that_is_free_again_is_taken_before_one_that_is_not():
    table, short, long = Table(), rate("1/s"), rate("1/day")
    for number in range(60_000):
        table.ask(f"long {number}", long, 1000.0)
    for number in range(100_000):
        table.ask(f"short {number}", short, 1000.0)
    for number in range(100_000):  # a second later those are free again
        table.ask(f"new {number}", short, 1002.0)
    kept = sum(not table.ask(f"long {number}", long, 1002.0).allowed for number in range(60_000))
    table.close()
    assert kept > 57_000


CHILD = """
import sys, time
from holdfast.decide.rates import rate
from holdfast.parts.rates import Table
table = Table(int(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
allowed = rate(sys.argv[2])
print(sum(table.ask("one", allowed, 1000.0).allowed for _ in range(int(sys.argv[3]))), flush=True)
"""

HOLDING = """
import fcntl, sys, time
from holdfast.parts.rates.table import Table, _HEAD_BYTES, _SET, _SETS
table = Table(int(sys.argv[1]))
key = table._hash("one")
assert table._lock(_HEAD_BYTES + key % _SETS * _SET.size)
print("ready", flush=True)
time.sleep(3600)
"""


def child(source: str, table: Table, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-c", source, str(table.descriptor), *arguments]
    process = subprocess.Popen(
        command, pass_fds=[table.descriptor], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_processes_count_together_to_the_last_one():
    table = Table()
    children = [child(CHILD, table, "5000/day", "4000") for _ in range(3)]
    counts = []
    for process in children:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in children:
        counts.append(int(process.communicate(timeout=50)[0]))
        assert process.returncode == 0
    table.close()
    assert sum(counts) == 5000


def test_a_process_that_is_killed_holds_no_lock_and_one_that_is_stopped_holds_nobody_up_for_long():
    table, allowed = Table(), rate("10/day")
    process = child(HOLDING, table)
    process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    assert table.ask("one", allowed, 1000.0).allowed
    waited = time.monotonic() - began
    assert 0.04 < waited < 20
    process.kill()
    process.communicate()
    held = table._lock(0)
    assert held
    key = table._hash("one")
    assert table._lock(table_offset(key))
    assert table.ask("one", allowed, 1000.0).left == 8
    table.close()


def table_offset(key: int) -> int:
    from holdfast.parts.rates.table import _HEAD_BYTES, _SET, _SETS

    return _HEAD_BYTES + key % _SETS * _SET.size


def test_names_are_hashed_with_a_key_that_each_table_has_of_its_own():
    one, other = Table(), Table()
    shared = Table(os.dup(one.descriptor))
    assert one._hash("ann") == shared._hash("ann") != other._hash("ann")
    one.close(), other.close()
