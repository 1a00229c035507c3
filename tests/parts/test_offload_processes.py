"""Calls in processes of their own: real ones, that end, fail, die and are left."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import calculating
import pytest
from running import wait_until
from waiting import cancelled, until

from holdfast.context import continuing, current
from holdfast.errors import DeadlinePassed, Invalid
from holdfast.parts import offload
from holdfast.parts.offload import NotPortable, OffloadFull, OffloadSettings, ProcessDied

pytestmark = pytest.mark.anyio
TESTS = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def one_process() -> Iterator[None]:
    offload.configure(OffloadSettings(processes=1))
    yield
    offload.processes.end()


def gone(pid: int) -> bool:
    """Whether a process has ended: it is not there, or waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def pid_in(file: Path) -> int:
    await until(file.exists)
    return int(file.read_text())


async def test_a_function_runs_in_another_process_which_is_used_again():
    pid, arguments, named = await offload.process(calculating.where, 1, b=[2])
    assert pid != os.getpid()
    assert (arguments, named) == ((1,), {"b": [2]})
    assert (await offload.process(calculating.where))[0] == pid


async def test_large_arguments_and_results_go_there_and_back():
    large = os.urandom(5_000_000)
    assert (await offload.process(calculating.where, large))[1] == (large,)


async def test_the_loop_goes_on_meanwhile(tmp_path):
    there, may_end = tmp_path / "there", tmp_path / "may end"
    task = asyncio.create_task(offload.process(calculating.say_and_wait, str(there), str(may_end)))
    assert await pid_in(there) != os.getpid()
    assert not task.done()
    may_end.touch()
    assert await task == "done"


async def test_it_knows_the_request_that_it_is_for_and_what_time_is_left():
    with continuing("the-request"):
        record = current()
        record.deadline = time.monotonic() + 1000
        request, left_s = await offload.process(calculating.context)
    assert request == "the-request"
    assert 0 < left_s <= 1000
    assert await offload.process(calculating.context) == (None, None)


async def test_a_call_whose_request_is_over_never_begins(tmp_path):
    with continuing("late"):
        current().deadline = time.monotonic()
        with pytest.raises(DeadlinePassed):
            await offload.process(calculating.say_and_wait, str(tmp_path / "there"))
        with pytest.raises(DeadlinePassed):
            await offload.thread(list)
    assert not (tmp_path / "there").exists()


async def test_what_it_raises_comes_back_with_the_place_where_it_was_raised():
    with pytest.raises(Invalid, match="too odd") as caught:
        await offload.process(calculating.fail, Invalid("too odd", field="number"))
    assert caught.value.members == {"field": "number"}
    assert "in fail" in str(caught.value.__cause__)


async def test_what_it_logs_comes_out_here_under_the_request(caplog):
    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append((record.getMessage(), current() and current().id, vars(record)))

    said: list[tuple[str, str | None, dict]] = []
    logger, told = logging.getLogger("calculating"), Told()
    logger.addHandler(told)
    try:
        with continuing("the-request"):
            await offload.process(calculating.log, "50 % done", number=3, odd=[1])
            await offload.process(calculating.log_failure)
        logger.setLevel(logging.ERROR)
        await offload.process(calculating.log, "not wanted")
    finally:
        logger.removeHandler(told)
        logger.setLevel(logging.NOTSET)
    (first, request, fields), (second, _, failure) = said
    assert (first, request, fields["number"], fields["odd"]) == ("50 % done", "the-request", 3, [1])
    assert fields["process"] != os.getpid()
    assert second == "it failed"
    assert "in log_failure" in str(failure["exc_info"][1].__cause__)


@pytest.mark.parametrize(
    ("work", "says"),
    [
        ((lambda: None,), "cannot be sent to another process"),
        ((calculating.where, lambda: None), "cannot be sent to another process"),
        ((calculating.bring_what_cannot_be_sent,), "its result, a function, cannot be sent back"),
        ((calculating.bring_what_cannot_be_taken,), "cannot be loaded here"),
        ((calculating.fail_peculiarly,), "it raised calculating.Peculiar, which cannot be sent back"),
    ],
    ids=["a closure", "an argument", "a result", "a result that fails", "an exception"],
)
async def test_what_cannot_be_sent_is_told_with_what_to_do_and_the_process_serves_on(work, says):
    pid = (await offload.process(calculating.where))[0]
    with pytest.raises(NotPortable, match=says) as caught:
        await offload.process(*work)
    assert "give it a function that stands at the top of a module" in str(caught.value)
    assert caught.value.detail == NotPortable.message()  # what the client reads tells nothing of the inside
    assert (await offload.process(calculating.where))[0] == pid


@pytest.mark.parametrize(
    ("how", "says"),
    [("segfault", "was killed by SIGSEGV"), ("killed", "killed by SIGKILL, perhaps"), ("exits", "ended with code 7")],
)
async def test_a_process_that_dies_fails_its_call_alone_and_is_replaced(how, says):
    pid = (await offload.process(calculating.where))[0]
    with pytest.raises(ProcessDied, match=says):
        await offload.process(calculating.die, how)
    assert (await offload.process(calculating.where))[0] != pid


async def test_a_process_that_died_while_it_had_nothing_to_do_is_replaced_unseen():
    pid = (await offload.process(calculating.where))[0]
    os.kill(pid, signal.SIGKILL)
    await until(lambda: gone(pid))
    assert (await offload.process(calculating.where))[0] != pid


async def test_a_function_that_exits_is_an_error_and_no_end():
    pid = (await offload.process(calculating.where))[0]
    with pytest.raises(RuntimeError, match="raised SystemExit"):
        await offload.process(calculating.die, "politely")
    assert (await offload.process(calculating.where))[0] == pid


async def test_no_more_run_at_once_than_there_are_processes_and_no_more_wait_than_may(tmp_path):
    offload.configure(OffloadSettings(processes=2, queue=1))
    may_end = tmp_path / "may end"
    files = [tmp_path / str(number) for number in range(3)]
    tasks = [asyncio.create_task(offload.process(calculating.say_and_wait, str(file), str(may_end))) for file in files]
    first, second = await pid_in(files[0]), await pid_in(files[1])
    assert first != second
    assert not files[2].exists()
    assert offload.numbers()["process"] == (2, 1)
    with pytest.raises(OffloadFull):
        await offload.process(calculating.where)
    may_end.touch()
    assert await asyncio.gather(*tasks) == ["done"] * 3
    assert await pid_in(files[2]) in {first, second}


async def test_a_cancelled_call_keeps_its_process_until_it_has_ended(tmp_path):
    there, may_end = tmp_path / "there", tmp_path / "may end"
    task = asyncio.create_task(offload.process(calculating.say_and_wait, str(there), str(may_end)))
    pid = await pid_in(there)
    await cancelled(task)
    waiting = asyncio.create_task(offload.process(calculating.where))
    await asyncio.sleep(0.05)
    assert offload.numbers()["process"] == (1, 1)
    may_end.touch()
    assert (await waiting)[0] == pid


async def test_a_cancelled_call_that_does_not_end_within_its_grace_is_killed_and_its_process_replaced(
    tmp_path, caplog: pytest.LogCaptureFixture
):
    offload.configure(OffloadSettings(processes=1, grace_s=0.05))
    task = asyncio.create_task(offload.process(calculating.calculate_for_ever, str(tmp_path / "there")))
    pid = await pid_in(tmp_path / "there")
    await cancelled(task)
    assert (await offload.process(calculating.where))[0] != pid
    assert gone(pid)
    assert [record.getMessage() for record in caplog.records] == ["abandoned call was killed: it had 0.05 s"]


async def test_signals_to_the_whole_group_end_no_calculation_for_that_is_its_parents_to_decide(tmp_path):
    there, may_end = tmp_path / "there", tmp_path / "may end"
    task = asyncio.create_task(offload.process(calculating.say_and_wait, str(there), str(may_end)))
    pid = await pid_in(there)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    may_end.touch()
    assert await task == "done"
    assert (await offload.process(calculating.where))[0] == pid


async def test_nothing_is_left_when_the_block_ends_not_even_what_was_abandoned(tmp_path):
    before = descriptors()
    async with offload.live():
        offload.configure(OffloadSettings(processes=2))
        idle = (await offload.process(calculating.where))[0]
        task = asyncio.create_task(offload.process(calculating.calculate_for_ever, str(tmp_path / "there")))
        busy = await pid_in(tmp_path / "there")
        other = (await offload.process(calculating.where))[0]
        await cancelled(task)
    assert gone(idle)
    assert gone(busy)
    assert gone(other)
    assert descriptors() <= before
    assert (await offload.process(calculating.where))[0] not in {idle, busy, other}


PARENT = """
    import asyncio, sys
    import calculating
    from holdfast import offload

    async def main():
        task = asyncio.create_task(offload.process(calculating.calculate_for_ever, sys.argv[1]))
        await asyncio.sleep(0.2 if sys.argv[2] == "leaves" else 3600)
        if sys.argv[2] == "leaves":
            while not __import__("os").path.exists(sys.argv[1]):
                await asyncio.sleep(0.01)
            task.cancel()

    asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["leaves", "SIGTERM", "SIGKILL", "SIGINT"])
def test_a_calculation_ends_with_the_process_that_wanted_it(tmp_path, how):
    there = tmp_path / "there"
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(there), how],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(there.exists, "it calculates")
        if how != "leaves":
            parent.send_signal(signal.Signals[how])
        parent.wait(20)
        wait_until(lambda: gone(int(there.read_text())), "its child has ended")
    finally:
        parent.kill()
        parent.wait()


def test_a_function_of_the_main_module_is_told_to_move(tmp_path):
    code = """
        import asyncio
        from holdfast import offload

        def calculate(): ...

        asyncio.run(offload.process(calculate))
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=50)
    assert ran.returncode == 1
    assert "calculate is defined in the program's main module; move it into one of its own." in ran.stderr
