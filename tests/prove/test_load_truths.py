"""Truths that are known beforehand: what a load says of servers, real processes, of which it is known what they do."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from running import wait_until

from holdfast.decide.latencies import Outcome, percentiles
from holdfast.prove.load import Job, LoadFailed, Phase, Template, measured_capacity, offered, offering

pytestmark = pytest.mark.anyio
SERVER = Path(__file__).parent / "load_server.py"


@contextlib.contextmanager
def server(*arguments: object):
    """The port of one."""
    with subprocess.Popen(
        [sys.executable, str(SERVER), *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("kind", ["new", pytest.param("anew", marks=pytest.mark.long)])
async def test_a_stall_is_charged_with_all_that_was_to_be_sent_in_it(kind):
    for _ in range(3):
        with server("--stall", 4.0, 2.0) as port:
            result = await offered(Job(port, [Template("/good")], [Phase(10.0, 200.0)], kind=kind, timeout_s=8.0))
        if not result.void:
            break
    took = percentiles(one.took for one in result.requests)
    # A fifth of all waits between 0 and 2 seconds: half of those more than one, one in twenty more than 1.9. On a
    # machine that is busy the stall is longer, and never shorter.
    assert 1800 < took.number < 2200
    assert took.p90 > 0.75
    assert took.p99 > 1.7
    if not result.void:
        assert {one.outcome for one in result.requests} == {Outcome.GOOD}
        assert took.p50 < 0.7
        assert took.p90 < 2.5
        assert took.p99 < 4.5


async def test_the_capacity_of_a_server_with_one_worker_is_known_from_how_long_it_takes():
    with server("--paced", 0.01) as port:
        found = await measured_capacity(Job(port, [Template("/good")], closed=1, timeout_s=10), seconds=1.0)
    assert found.rate == pytest.approx(100, rel=0.15)


async def test_each_outcome_is_counted_as_what_it_is():
    expected = {
        "good": {Outcome.GOOD},
        "closing": {Outcome.GOOD},
        "until-the-end": {Outcome.GOOD},
        "wrong": {Outcome.WRONG},
        "fail": {Outcome.WRONG},
        "garbage": {Outcome.WRONG},
        "refuse": {Outcome.REFUSED},
        "rate": {Outcome.REFUSED},
        "reset": {Outcome.RESET},
        "half": {Outcome.RESET},
        "hang": {Outcome.TIMED_OUT},
    }
    templates = [Template(f"/{name}", exactly=None if name == "fail" else b"good") for name in expected]
    with server() as port:
        result = await offered(Job(port, templates, [Phase(1.0, 300.0)], timeout_s=3.0))
    found = {name: {one.outcome for one in result.requests if one.template == n} for n, name in enumerate(expected)}
    assert found == expected
    assert {one.status for one in result.requests if one.template == list(expected).index("rate")} == {429}
    assert result.resent > 0  # on kept connections that the server closed


async def test_a_request_that_is_not_idempotent_is_not_sent_again():
    with server() as port:
        templates = [Template("/closing", method="POST", body=b"{}")]
        result = await offered(Job(port, templates, [Phase(1.0, 200.0)], kind="kept", pool=2, timeout_s=5.0))
    assert result.resent == 0
    assert {one.outcome for one in result.requests} <= {Outcome.GOOD, Outcome.RESET}


async def test_a_generator_that_was_kept_from_running_says_that_its_result_is_void():
    with server() as port:
        async with offering(Job(port, [Template("/good")], [Phase(1.0, 300.0)])) as running:
            os.kill(running.pid, signal.SIGSTOP)
            await asyncio.sleep(0.2)
            os.kill(running.pid, signal.SIGCONT)
            result = await running.result()
    assert result.void
    assert max(one.lasted_s for one in result.stalls) > 0.09


async def test_that_is_seen_also_where_hardly_anything_was_to_be_sent():
    with server() as port:
        async with offering(Job(port, [Template("/good")], [Phase(1.0, 2.0)], seed=3)) as running:
            os.kill(running.pid, signal.SIGSTOP)
            await asyncio.sleep(0.2)
            os.kill(running.pid, signal.SIGCONT)
            result = await running.result()
    assert result.stalled > 0.09 / 2
    assert result.void


# -- a process of its own --


async def test_cancelling_ends_the_generator():
    with server() as port:
        pids: list[int] = []

        async def load() -> None:
            async with offering(Job(port, [Template("/good")], [Phase(60, 50)])) as running:
                pids.append(running.pid)
                await running.result()

        loading = asyncio.create_task(load())
        while not pids:
            await asyncio.sleep(0.01)
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
    assert gone(pids[0])


LEAVING = """
import asyncio, sys
from holdfast.prove.load import Job, Phase, Template, offering

async def main():
    async with offering(Job(int(sys.argv[1]), [Template("/good")], [Phase(60, 50)])) as running:
        print(running.pid, flush=True)
        await running.result()

asyncio.run(main())
"""


async def test_a_generator_ends_with_who_has_started_it():
    with server() as port:
        parent = subprocess.Popen([sys.executable, "-c", LEAVING, str(port)], stdout=subprocess.PIPE, text=True)
        with parent:
            pid = int(parent.stdout.readline())
            assert not gone(pid)
            parent.kill()
        wait_until(lambda: gone(pid), "the generator has ended")


async def test_what_cannot_be_done_is_told():
    with pytest.raises(LoadFailed, match="Invalid argument"):
        await offered(Job(1, core=4095, phases=[Phase(1, 1)]))


async def test_the_moment_it_began_is_on_the_clock_that_all_processes_share():
    with server() as port:
        before = asyncio.get_running_loop().time()
        async with offering(Job(port, [Template("/good")], [Phase(0.3, 50.0)])) as running:
            result = await running.result()
        after = asyncio.get_running_loop().time()
    assert before < running.began == result.began < after
    assert result.began + result.seconds < after


async def test_what_the_servers_processes_use_is_noted():
    with server() as port:
        job = Job(port, [Template("/good")], [Phase(0.8, 50.0)], pids=[os.getpid()], core=min(os.sched_getaffinity(0)))
        result = await offered(job)
    assert len(result.looks) >= 4
    assert min(one.memory for one in result.looks) > 10_000_000
    assert result.looks[-1].cpu_s >= result.looks[0].cpu_s > 0
    assert result.generator_s > 0
