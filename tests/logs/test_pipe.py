import json
import os
import subprocess
import sys
import threading
import time

import pytest
from running import wait_until

from holdfast.logs.pipe import Pipe


@pytest.fixture
def piped():
    read, write = os.pipe()
    made: list[Pipe] = []

    def make(**options) -> tuple[int, Pipe]:
        made.append(Pipe(write, lambda lines: b"dropped %d\n" % lines, str.encode, **options))
        return read, made[0]

    yield make
    os.set_blocking(read, False)
    os.close(read)
    made[0].close()
    os.close(write)


def test_lines_come_out_in_their_order(piped):
    read, pipe = piped()
    for number in range(1000):
        pipe.write(b"%d\n" % number)
    assert pipe.flush()
    assert os.read(read, 65536).split() == [b"%d" % number for number in range(1000)]


def test_a_fact_becomes_a_line_among_lines_in_its_place(piped):
    read, pipe = piped()
    pipe.write(b"first\n")
    pipe.write_fact("second\n")
    pipe.write(b"third\n")
    assert pipe.flush()
    assert os.read(read, 65536) == b"first\nsecond\nthird\n"


def test_a_full_pipe_makes_nobody_wait_and_the_dropped_lines_are_counted_and_said(piped):
    read, pipe = piped()
    line = b"x" * 1023 + b"\n"
    sent = 20_000
    started = time.monotonic()
    for _ in range(sent):  # 20 MB: the pipe holds 64 KB, the queue 8 MB
        pipe.write(line)
    assert time.monotonic() - started < 10
    dropped = pipe.dropped_in_all
    assert 0 < dropped < sent
    received, said = 0, 0
    rest = b""
    while received + said < sent:
        rest += os.read(read, 1 << 20)
        *whole, rest = rest.split(b"\n")
        received += sum(one.startswith(b"x") for one in whole)
        said += sum(int(one.split()[1]) for one in whole if one.startswith(b"dropped"))
    assert (received, said) == (sent - dropped, dropped)


def test_facts_count_for_as_much_as_is_in_them(piped):
    read, pipe = piped()
    fact = "x" * 65_535 + "\n"
    for _ in range(400):  # 26 MB
        pipe.write_fact(fact, len(fact))
    assert pipe.dropped_in_all > 200
    received = b""
    while received.count(b"x\n") < 400 - pipe.dropped_in_all:
        received += os.read(read, 1 << 20)
    assert pipe.flush()
    pipe.write_fact(fact, len(fact))  # what was written counts no more
    assert pipe.dropped_in_all < 400


def test_a_reader_that_has_gone_stops_nobody():
    read, write = os.pipe()
    pipe = Pipe(write, lambda lines: b"", str.encode)
    os.close(read)
    for _ in range(100):
        pipe.write(b"into the void\n")
    assert pipe.flush()
    wait_until(lambda: pipe.dropped_in_all == 100, "all lines are counted as dropped")
    pipe.close()
    os.close(write)


def test_many_threads_lose_no_line(piped):
    read, pipe = piped()
    threads = [
        threading.Thread(target=lambda number=number: [pipe.write(b"%d\n" % number) for _ in range(500)])
        for number in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pipe.flush()
    assert len(os.read(read, 65536).split()) == 5000


def test_processes_that_share_a_pipe_do_not_write_into_each_others_lines(tmp_path):
    lock = tmp_path / "lock"
    lock.touch()
    code = (
        "import sys; from holdfast.logs.pipe import Pipe\n"
        "pipe = Pipe(1, lambda n: b'', str.encode, lock=sys.argv[1])\n"
        "for n in range(300): pipe.write(sys.argv[2].encode() * 9000 + b'\\n')\n"
    )
    read, write = os.pipe()
    writers = [subprocess.Popen([sys.executable, "-c", code, lock, name], stdout=write) for name in "ab"]
    os.close(write)
    with os.fdopen(read, "rb") as out:
        lines = out.read().splitlines()
    assert [writer.wait() for writer in writers] == [0, 0]
    assert sorted(set(lines)) == [b"a" * 9000, b"b" * 9000]


def test_what_is_queued_when_the_process_ends_is_written():
    code = "from holdfast.logs.pipe import Pipe\nPipe(1, lambda n: b'', str.encode).write(b'the last words\\n')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"the last words\n"


def test_a_line_of_the_process_that_crashes_with_an_exception_is_in_the_log():
    code = "from holdfast import logs\nlogs.configure(logs.LogSettings(format='json'))\nraise RuntimeError('token=abc')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    line = json.loads(done.stdout)
    assert (line["level"], line["exception"]["type"]) == ("critical", "builtins.RuntimeError")
    assert "abc" not in done.stdout + done.stderr
