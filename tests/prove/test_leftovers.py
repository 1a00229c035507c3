"""What is left over, from counts that are made up."""

import pytest

from holdfast.decide.counts import Counts, Descriptor, Folder, Kind, Lock, Memory, Process, Session, Stored, port_of
from holdfast.decide.leftovers import Difference, Left, difference


def process(
    pid: int = 1, *open_now: Descriptor, name: str = "shop", state: str = "S", threads: int = 1, **more
) -> Process:
    return Process(
        pid, 0, pid, pid, name, state, more.pop("born", 7), threads, more.pop("cpu_s", 1.0), open=open_now, **more
    )


def counts(*processes: Process, **more) -> Counts:
    return Counts(1, processes, **more)


def connection(state: str, local: str, peer: str = "") -> Descriptor:
    return Descriptor(3, Kind.SOCKET, "socket:[1]", state, local, peer)


def file(path: str) -> Descriptor:
    return Descriptor(4, Kind.FILE, path)


def told(before: Counts, after: Counts) -> list[str]:
    return difference(before, after).words()


def test_connections_of_a_kind_are_counted_together_by_the_end_that_stays():
    listening = connection("LISTEN", "0.0.0.0:80")
    accepted = [connection("ESTABLISHED", "10.0.0.1:80", f"10.0.0.2:{port}") for port in (5001, 5002, 5003)]
    database = [connection("ESTABLISHED", f"10.0.0.1:{port}", "10.0.0.3:5432") for port in (6001, 6002)]
    before = counts(process(1, listening, database[0]))
    after = counts(process(1, listening, *database, *accepted, connection("CLOSE_WAIT", "10.0.0.1:80", "10.0.0.2:9")))
    assert told(before, after) == [
        "3 sockets ESTABLISHED from 10.0.0.2:… on 10.0.0.1:80",
        "1 socket CLOSE_WAIT from 10.0.0.2:… on 10.0.0.1:80",
        "1 socket ESTABLISHED to 10.0.0.3:5432",
    ]


def test_what_was_replaced_by_its_like_is_not_left():
    before = counts(process(1, connection("ESTABLISHED", "10.0.0.1:6001", "10.0.0.3:5432")), process(2, name="worker"))
    after = counts(process(1, connection("ESTABLISHED", "10.0.0.1:6002", "10.0.0.3:5432")), process(3, name="worker"))
    assert difference(before, after) == Difference([], cpu_s=0.0)
    assert difference(before, after).clean


def test_an_accepted_connection_is_known_as_such_also_when_nobody_listens_any_more():
    before = counts(process(1, connection("LISTEN", "[::]:80")))
    after = counts(process(1, connection("ESTABLISHED", "[::1]:80", "[::1]:5001")))
    assert told(before, after) == ["1 socket ESTABLISHED from [::1]:… on [::1]:80"]


def test_each_kind_has_its_words():
    after = counts(
        process(
            1,
            file("/tmp/x (deleted)"),
            Descriptor(5, Kind.ANONYMOUS, "anon_inode:[eventpoll]"),
            Descriptor(6, Kind.UNIX, "socket:[2]", local="/run/shop.sock"),
            Descriptor(7, Kind.UNIX, "socket:[3]"),
            Descriptor(8, Kind.SOCKET, "socket:[4]"),
            Descriptor(9, Kind.PIPE, "pipe:[5]"),
            threads=3,
        ),
        process(2, name="worker"),
        process(3, name="worker"),
        process(4, name="worker", state="Z"),
        locks=[
            Lock(1, "POSIX", "WRITE", "/shop.db", 0x40000001, 0x40000001),
            Lock(2, "FLOCK", "READ", "/pid", 0, None, waits=True),
        ],
        folders=[Folder("/up", [Stored("a/part", 5)])],
        sessions=[Session(9, "", "shop", "shop", "", 0, "idle")] * 2,
    )
    assert told(counts(process(1), folders=[Folder("/up", [])]), after) == [
        "1 file /tmp/x (deleted)",
        "1 socket without a connection",
        "1 unix socket /run/shop.sock",
        "1 unix socket without a name",
        "1 pipe",
        "1 anonymous inode [eventpoll]",
        "2 processes worker",
        "1 zombie worker",
        "2 threads of shop",
        "1 lock held to write /shop.db (SQLite: write transaction)",
        "1 lock wanted to read /pid",
        "1 stored file /up/a/part",
        "2 PostgreSQL sessions idle of shop",
    ]


def test_less_than_before_is_no_matter_and_what_is_ignored_neither():
    before = counts(process(1, file("/a"), file("/a"), file("/b")))
    after = counts(process(1, file("/a"), threads=5))
    assert told(before, after) == ["4 threads of shop"]
    assert difference(before, after, {Kind.THREAD}).clean


def test_what_could_not_be_seen_is_never_clean():
    unseen = ["the open descriptors of 1 (shop): permission denied"]
    hidden = counts(process(1)._replace(open=None), unseen=unseen)
    for before, after in ((hidden, counts(process(1))), (counts(process(1)), hidden), (hidden, hidden)):
        found = difference(before, after)
        assert found.left == []
        assert not found.clean
        assert found.words() == unseen


def test_another_process_with_the_same_number_is_not_the_same():
    assert difference(counts(process(1)), counts(process(1, born=8))).died
    assert difference(counts(process(1)), counts(process(1, state="Z"))).died
    assert not difference(counts(process(1)), counts(process(1))).died
    before, after = counts(process(1, cpu_s=1.0)), counts(process(1, cpu_s=1.5), process(2, cpu_s=9.0))
    assert difference(before, after).cpu_s == 0.5


def test_memory_is_that_of_all_or_not_known():
    memory = Memory(5, 4, 3, 0, 9)
    both = counts(process(1, memory=memory), process(2, memory=memory), process(3, state="Z"))
    assert both.memory == Memory(10, 8, 6, 0, 18)
    assert difference(counts(process(1, memory=memory)), both).memory == 3
    assert counts(process(1, memory=memory), process(2)).memory is None
    assert difference(both, counts(process(1))).memory is None


def test_a_long_list_is_cut():
    after = counts(process(1, *(file(f"/{number:03}") for number in range(500))))
    assert len(difference(counts(process(1)), after).left) == 500
    assert difference(counts(process(1)), after).words(2) == ["1 file /000", "1 file /001", "and 498 more"]
    assert str(Left(Kind.PIPE, "", 2)) == "2 pipes"


@pytest.mark.parametrize(
    ("lock", "meaning"),
    [
        (Lock(1, "POSIX", "WRITE", "/a.db", 0x40000001, 0x40000001), "write transaction"),
        (Lock(1, "POSIX", "WRITE", "/a.db", 0x40000000, 0x400001FF), "write transaction"),
        (Lock(1, "POSIX", "READ", "/a.db", 0x40000002, 0x400001FF), "read transaction"),
        (Lock(1, "POSIX", "WRITE", "/a.db-shm", 120, 120), "write transaction"),
        (Lock(1, "POSIX", "WRITE", "/a.db-shm", 121, 121), "checkpoint"),
        (Lock(1, "POSIX", "READ", "/a.db-shm", 124, 124), "read transaction"),
        (Lock(1, "POSIX", "READ", "/a.db-shm", 128, 128), ""),
        (Lock(1, "POSIX", "WRITE", "/a", 0, None), ""),
        (Lock(1, "FLOCK", "WRITE", "/a", 0, None), ""),
    ],
)
def test_what_a_lock_means_to_sqlite(lock, meaning):
    assert lock.sqlite == meaning


def test_the_port_of_an_address():
    assert [port_of(one) for one in ("127.0.0.1:80", "[::1]:443", "", "/run/x.sock")] == [80, 443, 0, 0]
