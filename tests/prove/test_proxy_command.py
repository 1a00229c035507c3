"""`holdfast proxy` as a person or a script uses it, and the words that it is told."""

import contextlib
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from both_ends import echoing
from hypothesis import given, settings
from hypothesis import strategies as st
from running import free_port, wait_until

from holdfast.decide.dependencies import Address
from holdfast.decide.faults import AcceptHang, Bandwidth, Cut, HalfOpen, Latency, Refuse, Reset, Slice
from holdfast.prove.proxy.orders import HELP, Order, Timed, address, milliseconds, orders, seconds, size, timeline

COMMAND = [sys.executable, "-m", "holdfast", "proxy"]


class Running:
    """The command, while it runs: what it printed, and its standard input."""

    def __init__(self, *options: str) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([*COMMAND, *options], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.sees("leads to")
        self.address = address(self.lines[0].split()[2])

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def sees(self, text: str) -> None:
        """Wait until it has printed this."""

        def there() -> bool:
            assert self.process.poll() is None or self.ended() == 0, self.process.stderr.read()
            return any(text in line for line in list(self.lines))

        wait_until(there, text)

    def told(self, line: str) -> None:
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def ended(self) -> int:
        code = self.process.wait(20)
        self._reader.join(10)
        return code

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=20)


@contextlib.contextmanager
def running(*options: str) -> Iterator[Running]:
    command = Running(*options)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.kill()
        command.ended()
        for stream in (command.process.stdin, command.process.stdout, command.process.stderr):
            with contextlib.suppress(OSError):
                stream.close()


@pytest.fixture
def upstream():
    with echoing() as (host, port):
        yield f"{host}:{port}"


def run(*options: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *options], input=stdin, capture_output=True, text=True, timeout=40)


def echoed(one: socket.socket, data: bytes = b"ping") -> bytes:
    one.sendall(data)
    return one.recv(len(data), socket.MSG_WAITALL)


# -- how it is started --


def test_help_teaches_by_examples():
    told = run("--help")
    assert told.returncode == 0
    assert told.stdout.count("holdfast proxy --listen") == 3
    for option in ("latency", "jitter", "bandwidth", "slice", "cut-after", "reset-after", "half-open", "accept-hang"):
        assert f"--{option}" in told.stdout
    assert "half-open" in HELP


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--latency", "200", "--jitter", "50"], "latency 200 ms ± 50 ms"),
        (["--latency", "1.5s", "--direction", "down"], "latency 1500 ms down"),
        (["--bandwidth", "64KB"], "bandwidth 64000 B/s"),
        (["--slice", "10:5ms"], "slice 10:5ms"),
        (["--slice", "1KiB:200us", "--direction", "up"], "slice 1024:0.2ms up"),
        (["--cut-after", "1MB"], "cut after 1000000 bytes"),
        (["--cut-after", "0"], "cut"),
        (["--reset-after", "5", "--latency", "1"], "latency 1 ms, reset after 5 bytes"),
        (["--half-open", "--direction", "up"], "half-open up"),
        (["--accept-hang", "--refuse"], "accept-hang, refuse"),
        ([], "leads to 127.0.0.1:9"),
    ],
)
def test_options_set_what_it_begins_with(options, told):
    done = run("--to", "9", "--for", "0", *options)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line[11:] for line in done.stdout.splitlines()]
    assert lines[0].startswith("127.0.0.1:")
    assert lines[-2].endswith(told)
    assert lines[-1].startswith("over: 0 open of 0, 0 bytes up, 0 bytes down")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "Missing option '--to'"),
        (["--to", "nowhere"], "such as 127.0.0.1:5432"),
        (["--to", "1", "--listen", "1:2:3"], "such as 127.0.0.1:5432"),
        (["--to", "1", "--bandwidth", "fast"], "such as 1000, 64KB or 1MiB"),
        (["--to", "1", "--bandwidth", "0"], "1 byte a second or more"),
        (["--to", "1", "--latency", "soon"], "such as 200us, 5ms or 1.5s"),
        (["--to", "1", "--jitter", "5"], "give --latency too"),
        (["--to", "1", "--script", "5s half-opn"], "There is latency, bandwidth"),
        (["--to", "1", "--script", "half-open"], "such as 200us, 5ms or 1.5s"),
        (["--to", "1", "--direction", "left"], "'up', 'down', 'both'"),
        (["--to", "1", "--latncy", "5"], "No such option"),
    ],
)
def test_a_wrong_option_says_what_is_right(options, told):
    done = run(*options)
    assert done.returncode == 2
    assert told in done.stderr
    assert "holdfast proxy --help" in done.stderr


def test_a_port_in_use_says_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as there:
        done = run("--to", "9", "--listen", str(there.getsockname()[1]))
    assert done.returncode == 2
    assert "is in use" in done.stderr
    assert "choose another with --listen" in done.stderr


def test_an_address_of_another_machine_says_what_to_do():
    done = run("--to", "9", "--listen", "192.0.2.1:9999")
    assert done.returncode == 2
    assert "192.0.2.1:9999 cannot be listened on" in done.stderr


# -- while it runs --


def test_lines_on_standard_input_change_it_at_once(upstream):
    with running("--to", upstream) as proxy, proxy.connect() as one:
        assert echoed(one) == b"ping"
        proxy.told("half-open")
        proxy.sees("s  half-open")
        one.sendall(b"lost?")
        one.settimeout(0.3)
        with pytest.raises(TimeoutError):
            one.recv(1)
        proxy.told("status")
        proxy.sees("set: half-open")
        proxy.told("clear; refuse")
        proxy.sees("s  refuse")
        one.settimeout(20)
        assert one.recv(5, socket.MSG_WAITALL) == b"lost?"
        with pytest.raises(ConnectionRefusedError):
            proxy.connect()
        proxy.told("clear refuse")
        proxy.sees("s  clear refuse")
        with proxy.connect() as another:
            assert echoed(another) == b"ping"
        proxy.told("help")
        proxy.sees("bandwidth SIZE")
        proxy.told("hlep")
        proxy.sees("'hlep' is not understood")
        proxy.told("quit")
        assert proxy.ended() == 0
        assert "half-open: 1" in proxy.lines[-1]


def test_the_end_of_its_input_is_not_the_end_of_it(upstream):
    with running("--to", upstream) as proxy:
        proxy.process.stdin.write("latency 30")  # and no end of the line
        proxy.process.stdin.close()
        proxy.sees("latency 30 ms")
        with proxy.connect() as one:
            began = time.monotonic()
            assert echoed(one) == b"ping"
            assert time.monotonic() - began >= 0.06


def test_it_does_not_need_an_input(upstream):
    closed = subprocess.run(
        ["bash", "-c", 'exec "$@" <&-', "bash", *COMMAND, "--to", upstream, "--for", "0.1"],
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert (closed.returncode, closed.stderr) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_summary(upstream, number):
    with running("--to", upstream, "--latency", "1") as proxy, proxy.connect() as one:
        echoed(one, b"12345")
        proxy.process.send_signal(number)
        assert proxy.ended() == 0
        assert one.recv(1) == b""
        assert proxy.lines[-1].endswith("over: 0 open of 1, 5 bytes up, 5 bytes down, latency: 10")
        assert proxy.process.stderr.read() == ""


def test_a_script_is_followed_in_its_time(upstream):
    with running(
        "--to", upstream, "--script", "0.5s cut; 200ms slice 1:1ms down; 0.6 clear", "--for", "800ms"
    ) as proxy:
        assert proxy.ended() == 0
    told = [(float(line.split()[0]), line[11:]) for line in proxy.lines]
    assert [text for _, text in told][1:4] == ["slice 1:1ms down", "cut", "clear"]
    assert all(at >= due for (at, _), due in zip(told[1:], (0.2, 0.5, 0.6, 0.8), strict=False))


def test_it_prints_what_it_has_seen_once_a_second_at_most(upstream):
    with running("--to", upstream) as proxy:
        end = time.monotonic() + 2.2
        while time.monotonic() < end:
            with proxy.connect() as one:
                echoed(one)
        proxy.process.send_signal(signal.SIGTERM)
        proxy.ended()
    times = [float(line.split()[0]) for line in proxy.lines if " open of " in line]
    assert 1 <= len(times) <= times[-1] + 2


def test_an_upstream_that_is_not_there_is_said_once_and_is_used_when_it_comes():
    port = free_port()
    with running("--to", str(port)) as proxy:
        for _ in range(3):
            with pytest.raises(ConnectionResetError), proxy.connect() as one:
                one.recv(1)
        proxy.sees(f"127.0.0.1:{port} cannot be reached (Connection refused); clients are reset")
        assert len([line for line in proxy.lines if "cannot be reached" in line]) == 1
        proxy.sees("3 did not reach the upstream")
        with socket.create_server(("127.0.0.1", port)) as there, proxy.connect() as one:
            behind, _ = there.accept()
            with behind:
                one.sendall(b"there")
                assert behind.recv(5, socket.MSG_WAITALL) == b"there"


def test_it_goes_on_when_nobody_reads_what_it_prints(upstream):
    pipe = subprocess.PIPE
    process = subprocess.Popen([*COMMAND, "--to", upstream], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    where = address(process.stdout.readline().split()[2])
    process.stdout.close()
    process.stdin.write("status\nstatus\ncut\n")
    process.stdin.flush()

    def is_cut() -> bool:
        with socket.create_connection(where, timeout=20) as one:
            one.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                return one.recv(1) == b""
            return False

    wait_until(is_cut, "it hears what it is told")
    process.send_signal(signal.SIGTERM)
    assert (process.communicate(timeout=20)[1], process.returncode) == ("", 0)


# -- much of it --


@pytest.mark.parametrize("options", [[], ["--latency", "20", "--jitter", "5"], ["--slice", "100KB"]], ids=str)
def test_a_hundred_megabytes_pass_whole_and_in_flat_memory(options):
    received = hashlib.sha256()

    def receive(listening: socket.socket) -> None:
        one, _ = listening.accept()
        with one:
            while data := one.recv(1 << 18):
                received.update(data)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        receiving = threading.Thread(target=receive, args=(listening,))
        receiving.start()
        with running("--to", f"127.0.0.1:{listening.getsockname()[1]}", *options) as proxy:
            sent, before = hashlib.sha256(), most_memory(proxy.process.pid)
            with proxy.connect() as one:
                for _ in range(100):
                    block = os.urandom(1_000_000)
                    sent.update(block)
                    one.sendall(block)
                one.shutdown(socket.SHUT_WR)
                receiving.join(50)
            assert received.digest() == sent.digest()
            assert most_memory(proxy.process.pid) - before < 40_000_000


def most_memory(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024


# -- words --


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("latency 200", Latency(200)),
        ("latency 1.5s 50ms up", Latency(1500, 50, direction="up")),
        ("LATENCY 200:50 both", Latency(200, 50)),
        ("bandwidth 64KB", Bandwidth(64_000)),
        ("bandwidth 64KiB down", Bandwidth(65_536, direction="down")),
        ("slice 10", Slice(10)),
        ("slice 10:5ms", Slice(10, 5)),
        ("slice 1kb:200µs up", Slice(1000, 0.2, direction="up")),
        ("cut", Cut()),
        ("cut 1MB down", Cut(1_000_000, direction="down")),
        ("reset", Reset()),
        ("reset 10", Reset(10)),
        ("half-open up", HalfOpen(direction="up")),
        ("accept-hang", AcceptHang()),
        (" refuse ", Refuse()),
    ],
)
def test_a_fault_is_told_in_a_line(line, meant):
    assert orders(line) == [Order("set", meant)]


def test_other_orders_are_told_in_a_line_too():
    assert orders("cut; clear") == [Order("set", Cut()), Order("clear")]
    assert orders("clear half-open;") == [Order("clear", kind=HalfOpen)]
    assert [order.verb for order in orders("status; help; quit")] == ["status", "help", "quit"]
    assert orders("  ") == []
    assert timeline("5s half-open; 10 clear;") == [Timed(5, Order("set", HalfOpen())), Timed(10, Order("clear"))]


@pytest.mark.parametrize(
    "line",
    "latency|latency 1 2 3|latency -1|latency 5 sideways|bandwidth|bandwidth 0|slice|slice 0|slice 1:2:3|cut now|"
    "half-open 5|refuse up|accept-hang 1|clear nothing|clear cut reset|status now|latncy 5|5s|up".split("|"),
)
def test_what_is_not_understood_is_refused_with_what_there_is(line):
    with pytest.raises(ValueError, match=r"MS|SIZE|such as|There is|told otherwise|or more"):
        orders(line)


def test_help_tells_of_every_fault():
    assert all(f"\n{kind.name}" in f"\n{HELP}" for kind in (Latency, Bandwidth, Slice, Cut, Reset, HalfOpen, Refuse))


@settings(deadline=None)
@given(st.text(max_size=30) | st.text(st.sampled_from("cutresla y;:1.5msKB-up"), max_size=20))
def test_no_line_is_too_ugly(line):
    for read in (orders, timeline, size, seconds, milliseconds, address):
        with contextlib.suppress(ValueError):
            read(line)


@pytest.mark.parametrize(
    ("read", "text", "meant"),
    [
        (size, "1.5kb", 1500),
        (size, "2 MiB", 2 << 20),
        (size, "7", 7),
        (seconds, "250ms", 0.25),
        (seconds, "5", 5.0),
        (seconds, "2m", 120.0),
        (milliseconds, "5", 5.0),
        (milliseconds, "0.2", 0.2),
        (milliseconds, "1s", 1000.0),
        (address, "5432", Address("127.0.0.1", 5432)),
        (address, "db:5432", Address("db", 5432)),
        (address, "[::1]:80", Address("::1", 80)),
        (address, ":80", Address("127.0.0.1", 80)),
    ],
)
def test_values_are_read_as_people_write_them(read, text, meant):
    assert read(text) == meant
