"""A proxy between real sockets: each fault looks from outside as it should, and is gone when it is healed.

A fault makes things take time: only that they take at least as long is asserted, and the order of magnitude.
"""

import ast
import asyncio
import contextlib
import errno
import os
import resource
import socket
import threading
import time
from pathlib import Path

import pytest
from both_ends import Peer, Upstream, connect, connected, open_files, sha256
from waiting import until

import holdfast.prove.proxy
from holdfast.prove.proxy import (
    AcceptHang,
    Bandwidth,
    Cut,
    HalfOpen,
    Latency,
    Proxy,
    Refuse,
    Reset,
    Slice,
)

pytestmark = pytest.mark.anyio

A_WHILE_S = 0.3
"""So long nothing may come where nothing is to come."""


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    return "asyncio", {"use_uvloop": request.param}


class Between:
    """A proxy, what is behind it, and connections through it."""

    def __init__(self, proxy: Proxy, upstream: Upstream) -> None:
        self.proxy = proxy
        self.upstream = upstream
        self.clients: list[Peer] = []

    async def client(self) -> Peer:
        self.clients.append(await connect(self.proxy.address))
        return self.clients[-1]

    async def both_ends(self) -> tuple[Peer, Peer]:
        """A connection: the end of the client, and that of the server."""
        client = await self.client()
        return client, await self.upstream.accepted()


@pytest.fixture
async def between(anyio_backend):
    async with Upstream() as upstream, Proxy(upstream=upstream.address, seed=1) as proxy:
        between = Between(proxy, upstream)
        yield between
        for client in between.clients:
            client.closes()


async def echoed_in_s(peer: Peer, data: bytes = b"ping") -> float:
    began = time.monotonic()
    await peer.send(data)
    assert await peer.get(len(data)) == data
    return time.monotonic() - began


async def answered_in_s(client: Peer, server: Peer, data: bytes = b"ping") -> float:
    """How long it takes that something gets to the server, and back."""
    began = time.monotonic()
    await client.send(data)
    await server.send(await server.get(len(data)))
    assert await client.get(len(data)) == data
    return time.monotonic() - began


# -- without a fault --


async def test_what_is_sent_arrives_as_it_is_both_ways_at_once(between):
    client, server = await between.both_ends()
    up, down = os.urandom(8_000_000), os.urandom(5_000_000)

    async def says(peer: Peer, data: bytes) -> None:
        await peer.send(data)
        peer.ends()

    got_up, got_down, *_ = await asyncio.gather(server.rest(), client.rest(), says(client, up), says(server, down))
    assert (sha256(got_up), sha256(got_down)) == (sha256(up), sha256(down))
    await until(lambda: between.proxy.seen.open == 0)
    assert between.proxy.seen[:5] == (1, 0, 0, len(up), len(down))
    assert between.proxy.seen.acts == {}


async def test_who_has_ended_one_direction_still_gets_the_other(between):
    client, server = await between.both_ends()
    await client.send(b"all I have")
    client.ends()
    assert await server.rest() == b"all I have"
    await server.send(b"and here is ")
    await server.send(b"the answer")
    server.ends()
    assert await client.rest() == b"and here is the answer"


@pytest.mark.parametrize("which", ["client", "server"])
async def test_a_reset_is_passed_on_after_what_was_sent_before(between, which):
    ends = await between.both_ends()
    here, there = ends if which == "client" else ends[::-1]
    await here.send(b"last words")
    await until(lambda: between.proxy.seen.bytes_up + between.proxy.seen.bytes_down == 10)
    here.resets()
    assert await there.get(10) == b"last words"
    with pytest.raises(ConnectionResetError):
        await there.get(1)
    await until(lambda: between.proxy.seen.open == 0)


async def test_who_writes_to_a_peer_that_is_gone_is_told(between):
    client, server = await between.both_ends()
    client.closes()
    assert await server.rest() == b""
    with pytest.raises(ConnectionError):  # the first that comes is answered by a reset
        while True:
            await server.send(b"are you there?")
            await asyncio.sleep(0)
    await until(lambda: between.proxy.seen.open == 0)


async def test_a_slow_reader_slows_the_writer_and_loses_nothing(between):
    client, server = await between.both_ends()
    pushed = await client.push()
    assert pushed < 64 << 20
    client.ends()
    assert len(await server.rest()) >= pushed


async def test_what_is_kept_for_slow_readers_is_bounded_for_all_together(between):
    between.proxy.set(HalfOpen())
    between.proxy._shared.room._together = 6 << 20
    between.proxy.clear()
    pairs = [await between.both_ends() for _ in range(4)]
    between.proxy.set(HalfOpen())
    await asyncio.gather(*(client.push() for client, _ in pairs))
    assert between.proxy._shared.room.kept < 7 << 20
    between.proxy.clear()
    for client, _ in pairs:
        client.ends()
    await asyncio.gather(*(server.rest() for _, server in pairs))
    assert between.proxy._shared.room.kept < 1 << 16


# -- latency --


async def test_latency_delays_each_way(between):
    client, server = await between.both_ends()
    assert await answered_in_s(client, server) < 5
    between.proxy.set(Latency(ms=100))
    assert 0.2 <= await answered_in_s(client, server) < 5
    between.proxy.clear()
    await answered_in_s(client, server)
    assert between.proxy.seen.acted(Latency) == 8


async def test_latency_of_one_direction_leaves_the_other_alone(between):
    client, server = await between.both_ends()
    between.proxy.set(Latency(ms=150, direction="down"))
    assert await answered_in_s(client, server, b"12345") >= 0.15
    assert between.proxy.seen.acted(Latency) == 5


async def test_latency_does_not_limit_how_much_passes(between):
    """A sleep for each piece of 64 KB would take 10 s."""
    client, server = await between.both_ends()
    between.proxy.set(Latency(ms=200))
    data, began = os.urandom(50 << 16), time.monotonic()

    async def sends() -> None:
        await client.send(data)
        client.ends()

    got, _ = await asyncio.gather(server.rest(), sends())
    assert sha256(got) == sha256(data)
    assert 0.2 <= time.monotonic() - began < 5


async def test_jitter_varies_the_latency_and_never_the_order(between):
    client, server = await between.both_ends()
    between.proxy.set(Latency(ms=50, jitter_ms=50))
    numbers = b"".join(number.to_bytes(2) for number in range(300))
    for number in range(300):
        await client.send(number.to_bytes(2))
        await asyncio.sleep(0)
    assert await server.get(600) == numbers


async def test_what_was_under_way_arrives_at_once_when_the_latency_is_cleared(between):
    client, server = await between.both_ends()
    between.proxy.set(Latency(ms=3_600_000))
    await client.send(b"snail")
    assert await server.hears(A_WHILE_S) is None
    between.proxy.clear()
    assert await server.get(5) == b"snail"


# -- bandwidth and slices --


async def test_a_bandwidth_takes_its_time(between):
    client, server = await between.both_ends()
    between.proxy.set(Bandwidth(64_000))
    began = time.monotonic()
    await client.send(bytes(48_000))
    await server.get(48_000)
    assert 48 / 64 <= time.monotonic() - began < 10
    assert between.proxy.seen.acted(Bandwidth) > 24_000


async def test_a_bandwidth_slows_the_writer_once_the_buffers_are_full(between):
    client, server = await between.both_ends()
    between.proxy.set(Bandwidth(1_000))
    pushed = await client.push()
    assert pushed < 64 << 20
    between.proxy.clear()
    client.ends()
    assert len(await server.rest()) >= pushed


async def test_slices_come_one_after_the_other(between):
    client, server = await between.both_ends()
    between.proxy.set(Slice(10, pause_ms=20, direction="up"))
    began = time.monotonic()
    await client.send(bytes(100))
    first = await server.hears(10)
    await server.get(100 - len(first))
    assert 0.18 <= time.monotonic() - began < 10
    assert between.proxy.seen.acted(Slice) == 10


async def test_slices_of_a_byte_without_a_pause_leave_time_for_the_others(between):
    client, server = await between.both_ends()
    between.proxy.set(Slice(1))
    await client.send(bytes(200_000))
    other, behind = await between.both_ends()
    await answered_in_s(other, behind)
    assert between.proxy.seen.bytes_up < 200_000
    await server.get(200_000)


# -- cut and reset --


async def test_a_cut_ends_what_there_is_and_what_comes(between):
    client, server = await between.both_ends()
    between.proxy.set(Cut())
    assert await client.rest() == b""
    assert await server.rest() == b""
    assert await (await between.client()).rest() == b""
    assert between.proxy.seen.acted(Cut) == 2
    for one in between.clients:
        one.closes()
    await until(lambda: between.proxy.seen.open == 0)
    between.proxy.clear()
    await answered_in_s(*await between.both_ends())


async def test_a_cut_looks_like_an_end_also_to_who_is_sending(between):
    client, server = await between.both_ends()
    pushed = asyncio.create_task(client.push())
    await server.get(1 << 20)
    between.proxy.set(Cut())
    await server.rest()
    assert await client.rest() == b""
    with contextlib.suppress(ConnectionError):
        await pushed


@pytest.mark.parametrize("after", [1, 1_000, 3_000_000])
async def test_a_cut_after_so_many_bytes_lets_exactly_those_through(between, after):
    client, server = await between.both_ends()
    between.proxy.set(Cut(after=after, direction="down"))
    await client.send(b"give me all of it")
    await server.get(17)
    sending = asyncio.create_task(server.push())
    assert len(await client.rest()) == after
    assert between.proxy.seen.bytes_down == after
    assert between.proxy.seen.acted(Cut) == 1
    with contextlib.suppress(ConnectionError):
        await sending


async def test_bytes_are_counted_for_each_connection_and_from_when_the_fault_was_set(between):
    client, server = await between.both_ends()
    await answered_in_s(client, server, bytes(5_000))
    between.proxy.set(Cut(after=4_000, direction="up"))
    other, behind = await between.both_ends()
    await client.send(bytes(3_000))
    await other.send(bytes(3_999))
    assert len(await server.get(3_000) + await behind.get(3_999)) == 6_999
    await client.send(bytes(1_500))
    assert len(await server.rest()) == 1_000
    await other.send(b"1")
    assert await behind.rest() == b"1"


async def test_a_reset_resets_what_there_is_and_what_comes(between):
    client, server = await between.both_ends()
    between.proxy.set(Reset())
    for one in (client, server):
        with pytest.raises(ConnectionResetError):
            await one.rest()
    with pytest.raises(ConnectionResetError):  # it may come before `connect` has returned
        await (await between.client()).rest()
    assert between.proxy.seen.acted(Reset) == 2
    await until(lambda: between.proxy.seen.open == 0)


async def test_a_reset_after_so_many_bytes_takes_none_of_them_away(between):
    """Also where the reader is slower than the kernel's buffers are large."""
    client, server = await between.both_ends()
    between.proxy.set(Reset(after=500_000, direction="down"))
    sending = asyncio.create_task(server.push())
    assert len(await client.get(500_000)) == 500_000
    with pytest.raises(ConnectionResetError):
        await client.get(1)
    with contextlib.suppress(ConnectionError):
        await sending


# -- refuse --


async def test_to_connect_is_refused_and_the_port_is_the_same_again_afterwards(between):
    client, server = await between.both_ends()
    address = between.proxy.address
    with between.proxy.fault(Refuse()):
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                await connect(address)
        await answered_in_s(client, server)  # who is there stays
    assert between.proxy.address == address
    await answered_in_s(*await between.both_ends())
    assert between.proxy.seen.acted(Refuse) == 1
    assert between.proxy.seen.opened == 2


async def test_nobody_else_can_take_the_port_while_it_refuses(between):
    between.proxy.set(Refuse())
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(tuple(between.proxy.address))
    between.proxy.set(Latency(1))
    with pytest.raises(ConnectionRefusedError):
        await connect(between.proxy.address)
    assert between.proxy.seen.acted(Refuse) == 1


async def test_a_proxy_can_begin_by_refusing():
    async with Upstream() as upstream:
        proxy = Proxy(upstream=upstream.address)
        proxy.set(Refuse())
        async with proxy:
            with pytest.raises(ConnectionRefusedError):
                await connect(proxy.address)


async def test_a_port_that_is_in_use_is_an_error(between):
    with pytest.raises(OSError, match="in use") as raised:
        await Proxy(upstream=("127.0.0.1", 1), listen=between.proxy.address).start()
    assert raised.value.errno == errno.EADDRINUSE


# -- half open, and accepted without an answer --


async def test_half_open_lets_nothing_through_until_it_is_healed(between):
    client, server = await between.both_ends()
    between.proxy.set(HalfOpen())
    await client.send(b"question")
    await server.send(b"news")
    heard = await asyncio.gather(client.hears(A_WHILE_S), server.hears(A_WHILE_S))
    assert heard == [None, None]
    assert between.proxy.seen.acted(HalfOpen) == 2
    between.proxy.clear()
    assert (await server.get(8), await client.get(4)) == (b"question", b"news")


@pytest.mark.parametrize("end", ["ends", "closes", "resets"])
async def test_half_open_hides_that_the_other_side_has_gone(between, end):
    client, server = await between.both_ends()
    between.proxy.set(HalfOpen())
    getattr(server, end)()
    assert await client.hears(A_WHILE_S) is None
    await client.send(b"still there?")
    between.proxy.clear()
    if end == "resets":
        with pytest.raises(ConnectionResetError):
            await client.rest()
    else:
        assert await client.hears(10) == b""


async def test_a_connection_that_is_stranded_stays_half_open_and_others_are_served(between):
    client, server = await between.both_ends()
    with between.proxy.fault(HalfOpen()):
        await client.send(b"ping")
        hanging = await between.client()
        await until(lambda: between.proxy.seen.acted(HalfOpen) == 2)
        between.proxy.strand()
    heard = await asyncio.gather(*(one.hears(A_WHILE_S) for one in (client, server, hanging)))
    assert heard == [None, None, None]
    assert await answered_in_s(*await between.both_ends()) < 5


async def test_half_open_one_way_lets_the_other_go_on(between):
    client, server = await between.both_ends()
    between.proxy.set(HalfOpen(direction="up"))
    await client.send(b"lost")
    await server.send(b"news")
    assert await client.get(4) == b"news"
    assert await server.hears(A_WHILE_S) is None


async def test_half_open_slows_the_writer_once_the_buffers_are_full(between):
    client, server = await between.both_ends()
    between.proxy.set(HalfOpen())
    pushed = await client.push()
    assert pushed < 64 << 20
    between.proxy.clear()
    client.ends()
    assert len(await server.rest()) >= pushed


@pytest.mark.parametrize("fault", [AcceptHang(), HalfOpen(), HalfOpen(direction="up")], ids=str)
async def test_a_new_connection_hangs_and_is_led_on_when_healed(between, fault):
    between.proxy.set(fault)
    client = await between.client()
    await client.send(b"hello?")
    assert await client.hears(A_WHILE_S) is None
    with pytest.raises(TimeoutError):
        await between.upstream.accepted(0.01)
    assert between.proxy.seen.acted(type(fault)) == 1
    assert between.proxy.seen.open == 1
    between.proxy.clear()
    assert await (await between.upstream.accepted()).get(6) == b"hello?"


async def test_a_hanging_accept_leaves_the_connections_there_are_alone(between):
    client, server = await between.both_ends()
    between.proxy.set(AcceptHang())
    await answered_in_s(client, server)


# -- several faults --


async def test_faults_work_together(between):
    client, server = await between.both_ends()
    between.proxy.set(Latency(100), Slice(100, 10), Bandwidth(20_000), Cut(after=1_000))
    began = time.monotonic()
    await client.send(bytes(2_000))
    assert len(await server.rest()) == 1_000
    assert time.monotonic() - began >= 0.1 + 9 * 0.01
    assert all(between.proxy.seen.acted(kind) for kind in (Latency, Slice, Bandwidth, Cut))


async def test_a_fault_is_set_in_the_place_of_those_of_its_kind_that_it_covers(between):
    proxy = between.proxy
    proxy.set(Latency(1), Slice(9))
    proxy.set(Latency(2, direction="down"))
    assert proxy.faults == (Latency(1), Slice(9), Latency(2, direction="down"))
    proxy.set(Latency(3))
    assert proxy.faults == (Slice(9), Latency(3))
    proxy.clear(Latency)
    assert proxy.faults == (Slice(9),)
    proxy.clear()
    assert proxy.faults == ()


async def test_the_fault_of_a_block_is_healed_however_it_ends_and_what_was_below_is_there_again(between):
    proxy = between.proxy
    proxy.set(Latency(1))
    with pytest.raises(KeyError), proxy.fault(Latency(2), HalfOpen()):
        assert proxy.faults == (Latency(1), Latency(2), HalfOpen())
        async with proxy.fault(Latency(2)):
            assert len(proxy.faults) == 4
        raise KeyError
    assert proxy.faults == (Latency(1),)


# -- the upstream --


async def test_an_upstream_that_cannot_be_reached_resets_the_client_and_is_used_once_it_is_there():
    troubles: list[OSError] = []
    async with Upstream() as gone:
        address = gone.address
    async with Proxy(upstream=address, on_trouble=troubles.append) as proxy:
        async with connected(proxy.address) as client:
            with pytest.raises(ConnectionResetError):
                await client.rest()
        assert [type(error) for error in troubles] == [ConnectionRefusedError]
        assert proxy.seen.unreachable == 1
        await until(lambda: proxy.seen.open == 0)
        async with Upstream(address[1]) as there, connected(proxy.address) as client:
            await answered_in_s(client, await there.accepted())


async def test_a_name_that_is_none_is_trouble_and_no_crash():
    troubles: list[OSError] = []
    name = "a" * 64 + ".invalid"
    async with Proxy(upstream=(name, 1), on_trouble=troubles.append) as proxy, connected(proxy.address) as client:
        with pytest.raises(ConnectionResetError):
            await client.rest()
    assert len(troubles) == 1


async def test_a_name_is_looked_up():
    async with (
        Upstream() as upstream,
        Proxy(upstream=("localhost", upstream.address[1])) as proxy,
        connected(proxy.address) as client,
    ):
        await answered_in_s(client, await upstream.accepted())


def test_a_name_server_that_is_silent_does_not_hold_up_the_end(monkeypatch):
    answers, looks_up = threading.Event(), socket.getaddrinfo

    def silent(host, *rest, flags=0, **how):
        if host == "db.invalid" and not flags:
            answers.wait(30)
        return looks_up(host, *rest, flags=flags, **how)

    async def one_connection() -> None:
        async with Proxy(upstream=("db.invalid", 1)) as proxy, connected(proxy.address) as client:
            await until(lambda: proxy.seen.opened == 1)
            assert await client.hears(A_WHILE_S) is None

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    began = time.monotonic()
    asyncio.run(one_connection())
    assert time.monotonic() - began < 20
    answers.set()


# -- many, and the end --


async def test_two_thousand_connections_at_once_and_no_file_left_behind():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 9_000:
        pytest.skip("this needs 8,000 files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = open_files()
    async with Upstream(echoes=True) as upstream, Proxy(upstream=upstream.address) as proxy:
        clients = await asyncio.gather(*(connect(proxy.address) for _ in range(2_000)))
        await asyncio.gather(*(echoed_in_s(client, number.to_bytes(2)) for number, client in enumerate(clients)))
        assert (proxy.seen.opened, proxy.seen.open) == (2_000, 2_000)
        assert (proxy.seen.bytes_up, proxy.seen.bytes_down) == (4_000, 4_000)
        for client in clients[:1_000]:
            client.closes()
        await until(lambda: proxy.seen.open == 1_000)
        proxy.set(Latency(500), Bandwidth(10))
        await asyncio.gather(*(client.send(bytes(100)) for client in clients[1_000:]))
    for client in clients[1_000:]:
        client.closes()
    assert open_files() <= before  # fewer where what others left was collected meanwhile
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "fault", [AcceptHang(), HalfOpen(), Latency(60_000), Slice(1, 60_000), Cut(), Cut(9), Reset(9), Refuse()], ids=str
)
async def test_a_proxy_that_is_closed_in_the_middle_leaves_nothing_open(fault):
    before = open_files()
    async with Upstream() as upstream:
        async with Proxy(upstream=upstream.address) as proxy:
            client = await connect(proxy.address)
            server = await upstream.accepted()
            proxy.set(fault)
            other = None
            with contextlib.suppress(ConnectionRefusedError):
                other = await connect(proxy.address)
            with contextlib.suppress(ConnectionError):
                await client.send(bytes(100_000))
                await server.send(bytes(100_000))
        assert proxy.seen.open == 0
        client.closes()
        if other is not None:
            other.closes()
    assert open_files() <= before  # fewer where what others left was collected meanwhile


async def test_a_proxy_that_is_closed_while_it_looks_for_its_upstream_leaves_nothing_open():
    before = open_files()
    async with Proxy(upstream=("192.0.2.1", 9)) as proxy:  # nobody answers there
        client = await connect(proxy.address)
        await until(lambda: proxy.seen.opened == 1)
    client.closes()
    assert open_files() <= before  # fewer where what others left was collected meanwhile


async def test_without_files_connections_wait_and_are_taken_later():
    troubles: list[OSError] = []
    async with Upstream() as upstream, Proxy(upstream=upstream.address, on_trouble=troubles.append) as proxy:
        client = await connect(proxy.address)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        await upstream.accepted()
        second = socket.socket()
        second.setblocking(False)
        resource.setrlimit(resource.RLIMIT_NOFILE, (second.fileno() + 1, hard))
        try:
            with contextlib.suppress(BlockingIOError):
                second.connect(tuple(proxy.address))
            await until(lambda: troubles)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await answered_in_s(Peer(second), await upstream.accepted())
        second.close()
        client.closes()
    assert {error.errno for error in troubles} == {errno.EMFILE}


# -- the same again --


async def test_the_same_seed_gives_the_same_chances(between):
    async def chances(seed: int) -> list[float]:
        async with Upstream() as upstream, Proxy(upstream=upstream.address, seed=seed) as proxy:
            proxy.set(Latency(1, jitter_ms=1))
            async with connected(proxy.address):
                await upstream.accepted()
                await until(lambda: all(connection._pipes for connection in proxy._connections))
                (connection,) = proxy._connections
                return [pipe._draw() for pipe in connection._pipes.values() for _ in range(3)]

    first, again, other = await chances(1), await chances(1), await chances(2)
    assert first == again
    assert not set(first) & set(other)
    assert len(set(first)) == 6


async def test_it_rests_on_nothing_of_holdfast_but_words_and_rules():
    for path in Path(holdfast.prove.proxy.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("holdfast"):
                assert node.module.startswith(("holdfast.decide.", "holdfast.prove.proxy.", "holdfast.errors"))
