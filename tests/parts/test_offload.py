import asyncio
import contextvars
import io
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from holdfast.parts import offload
from holdfast.parts.offload import OffloadSettings

pytestmark = pytest.mark.anyio

who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


@pytest.fixture(autouse=True)
def two_threads() -> None:
    offload.configure(OffloadSettings(threads=2))


class Call:
    """A plain function that says when it has begun, and ends when it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.ended = threading.Event()
        self.error = error

    def __call__(self) -> str:
        self.begun.set()
        assert self.may_end.wait(10)
        self.ended.set()
        if self.error is not None:
            raise self.error
        return "done"


async def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, "it never came to be"
        await asyncio.sleep(0.001)


async def cancelled(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# -- thread --


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
    monkeypatch.setattr(offload, "_threads", offload._Threads())
    calls = [Call() for _ in range(4)]
    tasks = [asyncio.create_task(offload.thread(call)) for call in calls]
    await until(lambda: all(call.begun.is_set() for call in calls[:3]))
    assert not calls[3].begun.is_set()
    for call in calls:
        call.may_end.set()
    await asyncio.gather(*tasks)


def test_by_default_there_are_a_few_more_threads_than_processors():
    assert OffloadSettings().threads == min(32, len(os.sched_getaffinity(0)) + 4)


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


# -- iterate --


class Numbers:
    """An iterator that knows in which threads it was advanced and closed."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.left = iter(range(count))
        self.error = error
        self.advanced_in: set[int] = set()
        self.closed_in: list[int] = []

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.advanced_in.add(threading.get_ident())
        try:
            return next(self.left)
        except StopIteration:
            if self.error is not None:
                raise self.error from None
            raise

    def close(self) -> None:
        self.closed_in.append(threading.get_ident())

    @property
    def well(self) -> bool:
        """Whether it was closed once, and never touched on the event loop's thread."""
        return len(self.closed_in) == 1 and threading.get_ident() not in {*self.advanced_in, *self.closed_in}


@pytest.mark.parametrize("batch", [1, 3, 4, 100])
@pytest.mark.parametrize("count", [0, 1, 7, 8])
async def test_all_items_come_in_order_whatever_the_batch(count: int, batch: int):
    numbers = Numbers(count)
    assert [item async for item in offload.iterate(numbers, batch)] == list(range(count))
    assert numbers.well


async def test_a_generator_function_is_called_advanced_and_ended_in_threads():
    seen: list[bool] = []
    loop = threading.get_ident()

    def lines() -> Iterator[str]:
        seen.append(threading.get_ident() == loop)
        try:
            yield from ("a", "b", "c")
        finally:
            seen.append(threading.get_ident() == loop)

    async with aclosing(offload.iterate(lines, batch=2)) as walk:
        async for line in walk:
            assert line == "a"
            break
    assert seen == [False, False]


async def test_any_iterable_will_do():
    assert [item async for item in offload.iterate([1, 2], 5)] == [1, 2]
    assert [item async for item in offload.iterate(lambda: (3, 4))] == [3, 4]


async def test_a_file_is_read_and_closed(tmp_path: Path):
    (tmp_path / "file").write_text("a\nb\n")
    file = (tmp_path / "file").open()
    assert [line async for line in offload.iterate(file, 10)] == ["a\n", "b\n"]
    assert file.closed


async def test_leaving_early_closes_the_iterator_before_the_block_is_left():
    numbers = Numbers(1000)
    async with aclosing(offload.iterate(numbers)) as walk:
        assert await anext(walk) == 0
        assert numbers.closed_in == []
    assert numbers.well


async def test_what_came_before_an_error_arrives_first_and_the_error_unchanged():
    error = OSError("the disk")
    numbers = Numbers(5, error)
    got: list[int] = []

    async def collect() -> None:
        async for item in offload.iterate(numbers, 4):
            got.append(item)

    with pytest.raises(OSError, match="the disk") as caught:
        await collect()
    assert caught.value is error
    assert got == [0, 1, 2, 3, 4]
    assert numbers.well


async def test_an_error_in_closing_is_raised_where_the_loop_is():
    class Stuck(Numbers):
        def close(self) -> None:
            super().close()
            raise OSError("stuck")

    with pytest.raises(OSError, match="stuck"):
        async for _ in offload.iterate(Stuck(3)):
            pass
    with pytest.raises(OSError, match="stuck"):
        async with aclosing(offload.iterate(Stuck(3))) as walk:
            await anext(walk)


async def test_the_steps_share_one_context():
    def lines() -> Iterator[str]:
        yield who.get()
        who.set("the generator")
        yield who.get()

    who.set("the caller")
    assert [name async for name in offload.iterate(lines)] == ["the caller", "the generator"]
    assert who.get() == "the caller"


class Slow(Numbers):
    """Numbers of which the second comes when it is told to."""

    def __init__(self) -> None:
        super().__init__(3)
        self.call = Call()

    def __next__(self) -> int:
        number = super().__next__()
        if number == 1:
            self.call()
        return number


async def read(numbers: Numbers) -> list[int]:
    async with aclosing(offload.iterate(numbers)) as walk:
        return [item async for item in walk]


async def test_a_task_that_is_cancelled_in_a_step_goes_on_and_the_iterator_is_closed_when_the_step_has_ended(
    caplog: pytest.LogCaptureFixture,
):
    numbers = Slow()
    task = asyncio.create_task(read(numbers))
    await until(numbers.call.begun.is_set)
    await cancelled(task)
    # The other thread takes its work in order: a closing that did not wait for the step would have run by now.
    await offload.thread(lambda: None)
    assert numbers.closed_in == []
    numbers.call.may_end.set()
    await until(lambda: numbers.closed_in)
    assert numbers.well
    assert next(numbers.left) == 2
    assert caplog.records == []


async def test_a_task_that_is_cancelled_while_its_step_waits_for_a_thread_leaves_a_closed_iterator():
    offload.configure(OffloadSettings(threads=1))
    call, numbers = Call(), Numbers(3)
    blocking = asyncio.create_task(offload.thread(call))
    await until(call.begun.is_set)
    task = asyncio.create_task(read(numbers))
    await asyncio.sleep(0)
    await cancelled(task)
    call.may_end.set()
    await blocking
    await until(lambda: numbers.closed_in)
    assert numbers.well
    assert numbers.advanced_in == set()


def test_a_step_that_begins_after_its_walk_was_left_touches_nothing():
    numbers = Numbers(3)
    walk = offload._Walk(numbers, 1)
    assert walk.leave()
    assert walk.step() == ([], None, True)
    assert not walk.leave()
    assert numbers.advanced_in == set()
    assert numbers.closed_in == []


async def test_a_task_that_is_cancelled_while_it_closes_leaves_a_closed_iterator():
    offload.configure(OffloadSettings(threads=1))
    call, numbers = Call(), Numbers(3)
    walk = offload.iterate(numbers)
    await anext(walk)
    blocking = asyncio.create_task(offload.thread(call))
    await until(call.begun.is_set)
    closing = asyncio.create_task(walk.aclose())
    await asyncio.sleep(0)
    await cancelled(closing)
    call.may_end.set()
    await blocking
    await until(lambda: numbers.closed_in)
    assert numbers.well


async def test_no_thread_is_held_between_the_steps():
    offload.configure(OffloadSettings(threads=1))
    walks = [offload.iterate(io.BytesIO(b"1\n2\n")) for _ in range(5)]
    assert [await anext(walk) for walk in walks for _ in range(2)] == [b"1\n", b"2\n"] * 5
    for walk in walks:
        await walk.aclose()
