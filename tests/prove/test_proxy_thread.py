"""A proxy in a thread of its own, for code without an event loop."""

import concurrent.futures
import socket
import threading

import pytest
from both_ends import echoing, open_files
from running import wait_until

from holdfast.prove.proxy import Cut, HalfOpen, Latency, Refuse, Reset, running_proxy


def echoed(one: socket.socket, data: bytes = b"ping") -> bytes:
    one.sendall(data)
    return one.recv(len(data), socket.MSG_WAITALL)


@pytest.fixture
def upstream():
    with echoing() as address:
        yield address


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=20)


def test_faults_are_set_from_outside_and_are_there_when_the_call_returns(upstream):
    with running_proxy(upstream=upstream, seed=1) as proxy, connect(proxy.address) as one:
        assert echoed(one) == b"ping"
        proxy.set(Latency(ms=50))
        assert proxy.faults == (Latency(ms=50),)
        assert echoed(one) == b"ping"
        assert proxy.seen.acted(Latency) == 8
        with proxy.fault(Refuse()), pytest.raises(ConnectionRefusedError):
            connect(proxy.address)
        proxy.set(Reset())
        with pytest.raises(ConnectionResetError):
            one.recv(1)
        proxy.clear()
        with connect(proxy.address) as another:
            assert echoed(another) == b"ping"


def test_a_block_heals_what_it_broke(upstream):
    with running_proxy(upstream=upstream) as proxy, connect(proxy.address) as one:
        with pytest.raises(TimeoutError), proxy.fault(HalfOpen()):
            one.settimeout(0.3)
            echoed(one)
        assert proxy.faults == ()
        one.settimeout(20)
        assert one.recv(4, socket.MSG_WAITALL) == b"ping"


def test_it_can_be_told_from_many_threads_at_once(upstream):
    with running_proxy(upstream=upstream) as proxy, concurrent.futures.ThreadPoolExecutor(8) as threads:

        def trouble(number: int) -> bytes:
            with connect(proxy.address) as one, proxy.fault(Latency(ms=number)):
                return echoed(one)

        assert set(threads.map(trouble, range(40))) == {b"ping"}
        assert proxy.faults == ()
        assert proxy.seen.opened == 40


def test_what_it_has_seen_can_be_asked_when_it_is_over(upstream):
    with running_proxy(upstream=upstream) as proxy, connect(proxy.address) as one:
        echoed(one)
        proxy.set(Cut())
    assert proxy.seen.bytes_down == 4
    assert proxy.seen.acted(Cut) == 1
    assert proxy.seen.open == 0
    proxy.clear()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy.address)


def test_a_port_that_cannot_be_had_is_an_error_where_it_was_asked_for(upstream):
    with (
        running_proxy(upstream=upstream) as proxy,
        pytest.raises(OSError, match="in use"),
        running_proxy(upstream=upstream, listen=proxy.address),
    ):
        pytest.fail("two listen on one port")


def test_nothing_is_left_of_it(upstream):
    files = open_files()
    with running_proxy(upstream=upstream) as proxy:
        connect(proxy.address).close()
    wait_until(lambda: open_files() == files, "the upstream has closed its side too")
    assert not [thread for thread in threading.enumerate() if thread.name == "holdfast-proxy"]
