import asyncio
import gc
import logging
import os
import threading
import time
import weakref
from pathlib import Path

import pytest
from waiting import Call, cancelled, until, who

from holdfast.parts import offload
from holdfast.parts.offload import OffloadFull, OffloadSettings
from holdfast.parts.offload.threads import Threads

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def two_threads() -> None:
    offload.configure(OffloadSettings(threads=2))


async def test_a_function_runs_in_a_thread_with_its_arguments_and_its_result_comes_back():
    def where(a: int, *, b: int) -> tuple[int, str]:
        return a - b, threading.current_thread().name

    result, name = await offload.thread(where, 5, b=3)
    assert result == 2
    assert name.startswith("holdfast-offload")


async def test_an_exception_passes_through_unchanged():
    error = KeyError("this very one")

    def fail() -> None:
        raise error

    with pytest.raises(KeyError) as caught:
        await offload.thread(fail)
    assert caught.value is error


async def test_a_function_that_raises_stop_iteration_does_not_hang_its_caller():
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        await asyncio.wait_for(offload.thread(next, iter(())), 10)


async def test_the_function_sees_the_context_of_its_caller_and_what_it_sets_stays_its_own():
    def change() -> str:
        before = who.get()
        who.set("the thread")
        return before

    who.set("the caller")
    assert await offload.thread(change) == "the caller"
    assert who.get() == "the caller"


async def test_the_loop_goes_on_while_a_function_blocks():
    call = Call()
    task = asyncio.create_task(offload.thread(call))
    await until(call.begun.is_set)
    assert not task.done()
    call.may_end.set()
    assert await task == "done"


async def test_no_more_functions_run_at_once_than_there_are_threads():
    calls = [Call() for _ in range(3)]
    tasks = [asyncio.create_task(offload.thread(call)) for call in calls]
    await until(lambda: calls[0].begun.is_set() and calls[1].begun.is_set())
    assert not calls[2].begun.is_set()
    calls[1].may_end.set()
    await until(calls[2].begun.is_set)
    assert calls[1].ended.is_set()
    for call in calls:
        call.may_end.set()
    assert await asyncio.gather(*tasks) == ["done"] * 3


async def test_a_cancelled_call_keeps_its_thread_until_the_function_has_ended():
    offload.configure(OffloadSettings(threads=1))
    first, second = Call(), Call()
    task = asyncio.create_task(offload.thread(first))
    await until(first.begun.is_set)
    await cancelled(task)
    assert not first.ended.is_set()
    task = asyncio.create_task(offload.thread(lambda: (first.ended.is_set(), second())))
    second.may_end.set()
    first.may_end.set()
    assert await task == (True, "done")


async def test_a_call_that_is_cancelled_before_it_began_never_begins():
    offload.configure(OffloadSettings(threads=1))
    first, second = Call(), Call()
    task = asyncio.create_task(offload.thread(first))
    waiting = asyncio.create_task(offload.thread(second))
    await until(first.begun.is_set)
    await cancelled(waiting)
    first.may_end.set()
    await task
    # The only thread takes its work in order: had the second been left in the queue, it would have begun by now.
    await offload.thread(lambda: None)
    assert not second.begun.is_set()


async def test_what_an_abandoned_call_raises_is_logged_with_the_context_of_its_caller(caplog: pytest.LogCaptureFixture):
    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append((record.getMessage(), record.exc_info and record.exc_info[1], who.get()))

    said: list[tuple[str, object, str]] = []
    logger, told = logging.getLogger("holdfast.offload"), Told()
    logger.addHandler(told)
    who.set("ann")
    error = OSError("no space")
    call = Call(error)
    task = asyncio.create_task(offload.thread(call))
    await until(call.begun.is_set)
    await cancelled(task)
    call.may_end.set()
    await until(lambda: said)
    logger.removeHandler(told)
    assert said == [("abandoned call failed", error, "ann")]


async def test_the_number_of_threads_is_a_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOLDFAST_OFFLOAD_THREADS", "3")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(offload, "threads", Threads())
    calls = [Call() for _ in range(4)]
    tasks = [asyncio.create_task(offload.thread(call)) for call in calls]
    await until(lambda: all(call.begun.is_set() for call in calls[:3]))
    assert not calls[3].begun.is_set()
    for call in calls:
        call.may_end.set()
    await asyncio.gather(*tasks)


def test_by_default_there_are_a_few_more_threads_than_processors():
    assert OffloadSettings().threads == min(32, len(os.sched_getaffinity(0)) + 4)


async def test_no_more_calls_wait_than_may_and_one_that_is_cancelled_makes_room():
    offload.configure(OffloadSettings(threads=1, queue=1))
    first = Call()
    running = asyncio.create_task(offload.thread(first))
    await until(first.begun.is_set)
    waiting = asyncio.create_task(offload.thread(lambda: "second"))
    await asyncio.sleep(0)
    with pytest.raises(OffloadFull) as refused:
        await offload.thread(lambda: "third")
    assert (refused.value.status, refused.value.code) == (503, "offload-full")
    await cancelled(waiting)
    waiting = asyncio.create_task(offload.thread(lambda: "fourth"))
    await asyncio.sleep(0)
    assert offload.numbers()["thread"] == (1, 1)
    first.may_end.set()
    assert await waiting == "fourth"
    await running


async def test_calls_that_were_cancelled_while_they_waited_leave_nothing_in_memory():
    class Argument:
        pass

    offload.configure(OffloadSettings(threads=1))
    first = Call()
    running = asyncio.create_task(offload.thread(first))
    await until(first.begun.is_set)
    left: weakref.WeakSet[Argument] = weakref.WeakSet()
    for _ in range(50):
        argument = Argument()
        left.add(argument)
        waiting = asyncio.create_task(offload.thread(repr, argument))
        await asyncio.sleep(0)
        await cancelled(waiting)
        del argument, waiting
    gc.collect()
    assert len(left) <= 1  # the last one, by the traceback of its cancellation
    first.may_end.set()
    await running


async def test_calls_that_waited_are_gone_without_the_garbage_collector():
    class Argument:
        pass

    offload.configure(OffloadSettings(threads=1))
    first, left = Call(), weakref.WeakSet[Argument]()
    running = asyncio.create_task(offload.thread(first))
    await until(first.begun.is_set)
    gc.collect()
    gc.disable()
    try:
        waiting: list[asyncio.Task[str]] = []
        for _ in range(20):
            argument = Argument()
            left.add(argument)
            waiting.append(asyncio.create_task(offload.thread(repr, argument)))
            del argument
        await until(lambda: offload.numbers()["thread"] == (1, 20))
        first.may_end.set()
        await asyncio.gather(running, *waiting)
        waiting.clear()
        await until(lambda: len(left) <= 1)  # the thread lets go of the last one as it takes the next
    finally:
        gc.enable()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
async def test_a_forked_child_has_threads_of_its_own():
    await offload.thread(lambda: None)
    child = os.fork()
    if child == 0:
        answer = 1
        try:
            asyncio.set_event_loop(None)
            asyncio._set_running_loop(None)
            answer = asyncio.run(asyncio.wait_for(offload.thread(lambda: 42), 10))
        finally:
            os._exit(answer)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == 42


async def test_pure_python_calculation_slows_the_loop_but_does_not_stop_it():
    stop = threading.Event()

    def calculate() -> int:
        count = 0
        while not stop.is_set():
            count += 1
        return count

    task = asyncio.create_task(offload.thread(calculate))
    turns = 0
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        await asyncio.sleep(0)
        turns += 1
    stop.set()
    assert await task > 0
    assert turns > 10
