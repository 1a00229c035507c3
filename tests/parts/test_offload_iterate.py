import asyncio
import io
import threading
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from waiting import Call, cancelled, until, who

from holdfast.parts import offload
from holdfast.parts.offload import OffloadSettings
from holdfast.parts.offload.walk import Walk

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def two_threads() -> None:
    offload.configure(OffloadSettings(threads=2))


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
    walk = Walk(numbers, 1)
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
