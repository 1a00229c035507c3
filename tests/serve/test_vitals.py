"""What the system tells of a process."""

import mmap
import os
import signal
import subprocess
import sys
import time

import pytest
from running import wait_until

from holdfast.serve.vitals import catches, killed_for_memory, memory_mb, vitals


@pytest.fixture
def process():
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield started
    started.kill()
    started.wait()


def test_processor_time_and_state(process):
    wait_until(lambda: vitals(process.pid).state == "S", "it sleeps")
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: vitals(process.pid).state == "T", "it is stopped")
    assert vitals(process.pid).cpu_s < 5
    before = vitals(os.getpid()).cpu_s
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert vitals(os.getpid()).cpu_s >= before + 0.05
    assert vitals(os.getpid()).state == "R"


def test_memory_is_what_a_process_has_for_itself():
    before = memory_mb(os.getpid())
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    held = mmap.mmap(-1, 50_000_000, flags=private)  # new pages, where a heap may have free ones
    held.write(os.urandom(50_000_000))
    assert before + 40 < memory_mb(os.getpid()) < before + 80
    assert len(held) == 50_000_000


def test_a_process_that_has_gone_is_told_of_as_such():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert (vitals(gone.pid).state, memory_mb(gone.pid), catches(gone.pid, signal.SIGTERM)) == ("X", 0, False)


def test_whether_a_signal_is_caught():
    before = signal.signal(signal.SIGUSR2, lambda *_: None)
    assert catches(os.getpid(), signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, before)
    assert not catches(os.getpid(), signal.SIGUSR2)


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("0::/shop.service", "shop.service/memory.events"),
        ("0::/outside/a/container", "memory.events"),
        ("9:pids:/\n4:cpu,memory:/shop", "memory/shop/memory.oom_control"),
    ],
)
def test_how_many_the_system_killed_for_want_of_memory(tmp_path, line, file):
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(f"{line}\n")
    assert killed_for_memory(proc, groups) is None
    (groups / file).parent.mkdir(parents=True)
    (groups / file).write_text("low 0\noom 7\noom_kill 3\noom_group_kill 1\n")
    assert killed_for_memory(proc, groups) == 3
