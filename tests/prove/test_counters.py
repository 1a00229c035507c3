"""What is counted of a process from outside, against real processes of which it is known what they have."""

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from running import wait_until

from holdfast.decide.counts import Kind, Stored
from holdfast.decide.leftovers import difference
from holdfast.prove.counters import NotLinux, counted, counting, folder, sampling, settled, tree

pytestmark = pytest.mark.anyio
SUBJECT = Path(__file__).parent / "counted_process.py"


class Subject:
    """A process that does as it is told."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SUBJECT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = int(self.process.stdout.readline())

    def do(self, *words: object) -> str:
        """Tell it; what it answers, once it has done it."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture
def subject():
    started = Subject()
    yield started
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    with started.process:
        pass


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0), backlog=20) as made:
        yield made


# -- what is there is counted, and nothing else --


async def test_what_a_process_opens_is_exactly_what_is_counted_and_closed_again_it_is_gone(subject, listener, tmp_path):
    port = listener.getsockname()[1]
    before = counted(subject.pid)
    subject.do("files", tmp_path)
    subject.do("sockets", port)
    subject.do("threads")
    subject.do("memory", 40_000_000)
    subject.do("write", tmp_path / "shop.db")
    subject.do("children")
    subject.do("zombie")
    wait_until(lambda: "Z" in {one.state for one in counted(subject.pid).processes}, "one of them is a zombie")
    wait_until(lambda: [one.name for one in counted(subject.pid).processes].count("sleep") == 2, "two of them sleep")
    after = counted(subject.pid)
    found = difference(before, after)
    assert found.unseen == ()
    assert {str(one) for one in found.left} == {
        *(f"1 file {tmp_path}/file-{number}" for number in range(6)),
        f"1 file {tmp_path}/file-6 (deleted)",
        f"1 file {tmp_path}/shop.db",
        f"1 file {tmp_path}/shop.db-journal",
        f"5 sockets ESTABLISHED to 127.0.0.1:{port}",
        f"3 threads of {after.alive.name}",
        "2 processes sleep",
        "1 zombie true",
        f"1 lock held to write {tmp_path}/shop.db (SQLite: write transaction)",
        f"1 lock held to read {tmp_path}/shop.db (SQLite: read transaction)",
    }
    assert 39_000_000 < found.memory < 60_000_000
    assert len(after.connections(port)) == 5
    assert not found.died
    subject.do("close")
    assert (await settled(subject.pid, before, 20)).words() == []


def test_memory_is_told_by_kind(subject):
    before = counted(subject.pid).alive.memory
    subject.do("memory", 40_000_000)
    after = counted(subject.pid).alive.memory
    for name in ("rss", "pss", "anonymous"):
        assert 39_000_000 < getattr(after, name) - getattr(before, name) < 60_000_000
    assert after.rss >= after.pss > after.anonymous
    assert after.high_water >= after.rss
    assert after.swapped >= 0


def test_cpu_time_is_that_of_the_process():
    before = counted(os.getpid())
    while difference(before, counted(os.getpid())).cpu_s < 0.05:
        sum(range(100_000))


# -- which processes --


def test_a_process_that_lost_its_parent_is_found_by_its_session_and_a_stranger_is_not(subject):
    subject.do("children")
    orphan = int(subject.do("orphan"))
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        found = tree(subject.pid)
        assert len(found.below) == 2
        assert found.beside == (orphan,)
        assert set(found.pids) == {subject.pid, *found.below, orphan}
        assert {one.pid: one.beside for one in counted(subject.pid).processes}[orphan]
        subject.process.kill()
        subject.process.wait()
        left = tree(subject.pid)
        assert not left.alive
        assert {orphan} <= set(left.beside)
        assert stranger.pid not in left.pids
    finally:
        stranger.kill()
        stranger.wait()


def test_a_process_that_leads_no_session_has_only_what_is_below_it():
    started = subprocess.Popen(["sleep", "60"])
    try:
        assert tree(started.pid).pids == (started.pid,)
        assert started.pid in tree(os.getpid()).below
    finally:
        started.kill()
        started.wait()


def test_processes_that_come_and_go_while_they_are_counted_disturb_nothing():
    loops = [subprocess.Popen(["sh", "-c", "while :; do /bin/true; done"], start_new_session=True) for _ in range(3)]
    try:
        seen = [counted(loop.pid) for _ in range(30) for loop in loops]
    finally:
        for loop in loops:
            os.killpg(loop.pid, signal.SIGKILL)
            loop.wait()
    assert {line for counts in seen for line in counts.unseen} == set()
    assert all(counts.alive for counts in seen)
    assert max(len(counts.processes) for counts in seen) > 1


def test_a_process_that_has_died_is_told_as_dead_and_has_nothing(subject):
    before = counted(subject.pid)
    subject.process.kill()
    subject.process.wait()
    after = counted(subject.pid)
    assert after.processes == []
    assert after.alive is None
    assert after.memory is None
    assert difference(before, after).words() == ["the process runs no more"]


# -- what may not be seen --


@contextlib.contextmanager
def nobody():
    """Without the rights of root, if we have them."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


async def test_what_may_not_be_seen_is_told_and_is_not_zero(subject):
    pid = subject.pid if os.geteuid() == 0 else 1
    before = counted(pid)
    with nobody():
        after = counted(pid)
    hidden = next(one for one in after.processes if one.pid == pid)
    assert (hidden.open, hidden.memory, after.memory) == (None, None, None)
    assert hidden.threads > 0
    assert f"the open descriptors of {pid} ({hidden.name}): permission denied" in after.unseen
    assert f"the memory of {pid} ({hidden.name}): permission denied" in after.unseen
    found = difference(before, after)
    assert found.memory is None
    assert not found.clean
    assert set(after.unseen) <= set(found.words())
    with nobody():
        async with sampling(pid) as samples:
            pass
        assert samples.peak is None
        assert samples.unseen[pid] == "permission denied"


def test_a_folder_that_may_not_be_seen_is_told_too():
    with tempfile.TemporaryDirectory() as top:
        closed = Path(top) / "closed"
        closed.mkdir()
        (closed / "inside").write_text("something")
        Path(top).chmod(0o755)  # pytest's own folders are root's alone
        closed.chmod(0o700 if os.geteuid() == 0 else 0)
        with nobody():
            found, unseen = folder(top)
        closed.chmod(0o700)
    assert unseen == [f"the folder {closed}: permission denied"]
    assert found.files is None


def test_a_process_that_proc_does_not_show_is_not_told_as_dead(monkeypatch, tmp_path):
    monkeypatch.setattr(counting, "stats", dict)
    monkeypatch.setattr(counting, "PROC", tmp_path)
    assert counted(os.getpid()).unseen == (f"the process {os.getpid()}: it runs, and /proc does not show it",)


def test_elsewhere_than_on_linux_it_says_so(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    for count in (counted, tree):
        with pytest.raises(NotLinux, match="darwin"):
            count(os.getpid())


# -- kinds of things --


def test_sockets_have_their_state_and_both_ends(tmp_path, monkeypatch):
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listening.getsockname()[1]
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        accepted = stack.enter_context(listening.accept()[0])
        datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagrams.bind(("127.0.0.1", 0))
        unbound = stack.enter_context(socket.socket())
        named = stack.enter_context(socket.socket(socket.AF_UNIX))
        monkeypatch.chdir(tmp_path)  # the path of a unix socket is short
        named.bind("named.sock")
        found = {one.number: one[1:2] + one[3:] for one in counted(os.getpid()).alive.open}
        own = f"127.0.0.1:{client.getsockname()[1]}"
        assert found[listening.fileno()] == (Kind.SOCKET, "LISTEN", f"127.0.0.1:{port}", "")
        assert found[client.fileno()] == (Kind.SOCKET, "ESTABLISHED", own, f"127.0.0.1:{port}")
        assert found[accepted.fileno()] == (Kind.SOCKET, "ESTABLISHED", f"127.0.0.1:{port}", own)
        assert found[datagrams.fileno()] == (Kind.SOCKET, "UDP", f"127.0.0.1:{datagrams.getsockname()[1]}", "")
        assert found[unbound.fileno()] == (Kind.SOCKET, "", "", "")
        assert found[named.fileno()] == (Kind.UNIX, "", "named.sock", "")
        client.close()
        wait_until(
            lambda: "CLOSE_WAIT" in {one.state for one in counted(os.getpid()).connections(int(own[10:]))},
            "the other end has seen that it was closed",
        )


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_an_address_of_ipv4_over_ipv6_is_told_as_it_is():
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, listening.accept()[0] as accepted:
            before = counted(os.getpid())
            found = {one.number: one for one in before.alive.open}
            assert found[listening.fileno()].local == f"[::]:{port}"
            assert found[accepted.fileno()].local == f"127.0.0.1:{port}"
            assert found[accepted.fileno()].peer == f"127.0.0.1:{client.getsockname()[1]}"
            with socket.create_connection(("::1", port)), listening.accept()[0]:
                left = {str(one) for one in difference(before, counted(os.getpid())).left}
    assert f"1 socket ESTABLISHED from [::1]:… on [::1]:{port}" in left


def test_pipes_timers_and_devices_are_told_apart():
    before = counted(os.getpid())
    pipe, event, device = os.pipe(), os.eventfd(0), os.open(os.devnull, os.O_RDONLY)
    left = {str(one) for one in difference(before, counted(os.getpid())).left}
    for number in (*pipe, event, device):
        os.close(number)
    assert left == {"2 pipes", "1 anonymous inode [eventfd]", f"1 device {os.devnull}"}


def test_the_lock_of_a_writer_in_wal_mode_is_known_and_so_is_a_reader(tmp_path):
    path = tmp_path / "shop.db"
    writer, reader = (contextlib.closing(sqlite3.connect(path, isolation_level=None)) for _ in range(2))
    with writer as write, reader as read:
        write.execute("PRAGMA journal_mode = wal")
        write.execute("CREATE TABLE orders (id)")
        assert "write transaction" not in {one.sqlite for one in counted(os.getpid()).locks}
        write.execute("BEGIN IMMEDIATE")
        read.execute("BEGIN")
        read.execute("SELECT * FROM orders").fetchall()
        found = {(one.sqlite, one.path) for one in counted(os.getpid()).locks if one.path.startswith(str(tmp_path))}
        assert ("write transaction", f"{path}-shm") in found
        assert ("read transaction", f"{path}-shm") in found
        write.execute("COMMIT")
        after = {one.sqlite for one in counted(os.getpid()).locks if one.path.startswith(str(tmp_path))}
        assert "write transaction" not in after


def test_who_waits_for_a_lock_is_told_from_who_holds_it(subject, tmp_path):
    path = tmp_path / "locked"
    path.write_text("")
    other = Subject()
    try:
        subject.do("lock", path)
        other.do("want", path)
        wait_until(lambda: counted(other.pid).locks, "it waits")
        [holds], [waits] = counted(subject.pid).locks, counted(other.pid).locks
    finally:
        other.process.kill()
        with other.process:
            pass
    assert (holds.pid, holds.kind, holds.mode, holds.path, holds.waits) == (
        subject.pid,
        "POSIX",
        "WRITE",
        str(path),
        False,
    )
    assert (waits.pid, waits.path, waits.waits, waits.end) == (other.pid, str(path), True, None)


def test_locks_of_an_open_file_belong_to_who_has_it_open(tmp_path):
    with (tmp_path / "flocked").open("w") as first, (tmp_path / "described").open("w") as second:
        fcntl.flock(first, fcntl.LOCK_SH)
        import struct

        fcntl.fcntl(second, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 5, 5, 0))
        found = {(one.kind, one.mode, one.path, one.start, one.end) for one in counted(os.getpid()).locks}
    assert ("FLOCK", "READ", f"{tmp_path}/flocked", 0, None) in found
    assert ("OFDLCK", "WRITE", f"{tmp_path}/described", 5, 9) in found


def test_files_in_folders_are_counted_whether_open_or_not(subject, tmp_path):
    before = counted(subject.pid, [tmp_path, tmp_path / "nowhere"])
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "part").write_bytes(b"12345")
    after = counted(subject.pid, [tmp_path, tmp_path / "nowhere"])
    assert after.folders[0].files == [Stored("below/part", 5)]
    assert after.folders[0].size == 5
    assert after.folders[1].files == []
    assert difference(before, after).words() == [f"1 stored file {tmp_path}/below/part"]


# -- over time --


async def test_a_peak_of_a_fifth_of_a_second_is_seen(subject):
    for _ in range(20):  # where the machine kept us from looking for so long, it need not be
        async with sampling(subject.pid) as samples:
            await asyncio.to_thread(subject.do, "spike", 100_000_000, 0.2)
        if samples.longest_gap_s < 0.15:
            break
    assert 95_000_000 < samples.over_start < 130_000_000
    assert samples.peak == max(one.anonymous for one in samples.series)
    assert samples.series[-1].anonymous < samples.series[0].anonymous + 30_000_000
    assert len(samples.series) >= 5
    assert {one.processes for one in samples.series} == {1}


async def test_processes_that_come_and_go_while_memory_is_looked_at_disturb_nothing():
    loop = subprocess.Popen(["sh", "-c", "while :; do /bin/true; done"], start_new_session=True)
    try:
        async with sampling(loop.pid, every_s=0.0) as samples:
            while len(samples.series) < 50:
                await asyncio.sleep(0.01)
    finally:
        os.killpg(loop.pid, signal.SIGKILL)
        loop.wait()
    assert samples.unseen == {}
    assert samples.peak > 0


async def test_what_is_not_closed_in_time_is_named(subject, tmp_path):
    before = counted(subject.pid)
    subject.do("files", tmp_path)
    found = await settled(subject.pid, before, 0.1)
    assert f"1 file {tmp_path}/file-6 (deleted)" in found.words()
    assert not found.clean


async def test_settling_ends_as_soon_as_all_is_back_and_looks_once_more_at_the_end(subject, tmp_path):
    before = counted(subject.pid)
    subject.do("files", tmp_path)
    now = 0.0
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.append(seconds)
        if close_at is not None and now >= close_at:
            subject.do("close")

    close_at = None
    found = await settled(subject.pid, before, 10.0, clock=lambda: now, sleep=sleep)
    assert len(found.left) == 7
    assert now == pytest.approx(10.0)
    assert slept == sorted(slept[:-1]) + slept[-1:]
    assert max(slept) == 0.5
    now, close_at = 0.0, 3.0
    assert (await settled(subject.pid, before, 10.0, clock=lambda: now, sleep=sleep)).clean
    assert 3.0 <= now < 4.0


async def test_a_kind_that_is_ignored_is_not_waited_for(subject):
    before = counted(subject.pid)
    subject.do("threads")
    assert not (await settled(subject.pid, before, 0.0)).clean
    assert (await settled(subject.pid, before, 20.0, ignoring={Kind.THREAD})).clean
    subject.do("close")
