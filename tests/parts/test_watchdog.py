"""Event loops that are held up for real, on asyncio's loop and on uvloop."""

import asyncio
import json
import logging
import os
import re
import threading
import time
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from calling import answering, call, scope_of
from running import wait_until

from holdfast import context
from holdfast.decide.watchdog import How
from holdfast.events import LoopBlocked
from holdfast.parts.watchdog import Watchdog, WatchdogSettings

HELD_S = 0.3


def sleep() -> None:
    time.sleep(HELD_S)


def spin() -> None:
    end = time.thread_time() + HELD_S
    while time.thread_time() < end:
        pass


def lock() -> None:
    held = threading.Lock()
    held.acquire()
    held.acquire(timeout=HELD_S)


DOCUMENT = json.dumps(list(range(2_500_000)))


def in_json() -> None:
    json.loads(DOCUMENT)


def in_re() -> None:
    re.match(r"(a+)+$", "a" * 23 + "b")


def in_sum() -> None:
    sum(range(20_000_000))


class Told:
    """What a watchdog has told, and one that tells it."""

    def __init__(self, milliseconds: int = 50) -> None:
        self.facts: list[LoopBlocked] = []
        self.came: list[float] = []
        self.watchdog = Watchdog(WatchdogSettings(watchdog_ms=milliseconds), self._hear)

    def _hear(self, fact: LoopBlocked) -> None:
        self.came.append(time.monotonic())
        self.facts.append(fact)

    def of(self, function: Callable[[], object]) -> list[LoopBlocked]:
        return [fact for fact in self.facts if fact.function == function.__qualname__]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run(work: Callable[[], Awaitable[object]], told: Told) -> None:
        async def watched() -> None:
            told.watchdog.start()
            await asyncio.sleep(0.05)
            await work()
            await asyncio.sleep(0.05)
            told.watchdog.stop()

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(watched())

    return run


async def again(step: Callable[[], Awaitable[object]], told: Callable[[], object]) -> None:
    """Do it until it is told: on a machine with too much to do, a look may come too late to say anything."""
    end = time.monotonic() + 30
    while not told():
        assert time.monotonic() < end, "it is never told"
        await step()
        await asyncio.sleep(0.1)


def holding(told: Told, function: Callable[[], object]) -> Callable[[], Awaitable[None]]:
    """Hold the loop up with `function`, until that is told."""

    async def step() -> None:
        function()

    return lambda: again(step, lambda: told.of(function))


@pytest.mark.parametrize(
    ("function", "how"),
    [
        (sleep, How.WAITS),
        (lock, How.WAITS),
        (spin, How.CALCULATES),
        (in_json, How.CALCULATES),
        (in_re, How.CALCULATES),
        (in_sum, How.CALCULATES),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_holds_the_loop_up_is_named_with_its_line_and_whether_it_calculates_or_waits(run, function, how):
    told = Told()
    run(holding(told, function), told)
    fact = told.of(function)[0]
    assert fact.file == __file__
    assert fact.line in range(function.__code__.co_firstlineno + 1, function.__code__.co_firstlineno + 5)
    assert fact.how == how
    assert fact.held_ms >= 50
    assert fact.over
    assert f"in {function.__qualname__}" in fact.stack
    if how is How.WAITS:
        assert fact.held_ms >= (HELD_S - 0.03) * 1000
        assert fact.cpu_ms < fact.held_ms / 2


def test_it_is_told_soon_after_the_loop_turns_again(run):
    """It is tried until it is: on a machine with too much to do, whoever tells has to wait for a processor."""
    told = Told()

    async def work() -> None:
        late_s, end = 1.0, time.monotonic() + 30
        while late_s >= 0.1:
            assert time.monotonic() < end, late_s
            before = len(told.facts)
            sleep()
            ended = time.monotonic()
            await asyncio.sleep(0.4)
            late_s = min((came - ended for came in told.came[before:]), default=1.0)

    run(work, told)
    assert told.of(sleep)


@pytest.mark.parametrize("where", ["the request's task", "a task of its own", "a task of a task"])
def test_the_request_is_named_from_whichever_of_its_tasks_it_is(run, where):
    told = Told()
    ids: list[str] = []

    async def child() -> None:
        sleep()

    async def app(scope, receive, send) -> None:
        ids.append(context.current().id)
        scope["path_template"] = "/teas/{name}"
        if where == "the request's task":
            sleep()
        elif where == "a task of its own":
            await asyncio.create_task(child())
        else:
            await asyncio.create_task(asyncio.wait_for(asyncio.create_task(child()), 30))
        await answering()(scope, receive, send)

    async def work() -> None:
        await again(
            lambda: asyncio.create_task(call(context.layer(app), scope_of("/teas/oolong"))), lambda: told.of(sleep)
        )

    run(work, told)
    fact = told.of(sleep)[0]
    assert (fact.request_id, fact.route) == (ids[-1], "/teas/{name}")


def test_a_callback_that_holds_the_loop_up_is_named_too(run):
    told = Told()

    async def step() -> None:
        asyncio.get_running_loop().call_soon(sleep)

    run(lambda: again(step, lambda: told.of(sleep)), told)
    fact = told.of(sleep)[0]
    assert (fact.request_id, fact.how) == (None, "waits")


def test_two_in_a_row_are_both_told(run):
    told = Told()

    async def step() -> None:
        del told.facts[:]
        for function in (sleep, lock, sleep):
            function()
            await asyncio.sleep(0.03)

    run(lambda: again(step, lambda: [fact.function for fact in told.facts] == ["sleep", "lock", "sleep"]), told)


def test_many_short_steps_and_an_idle_loop_are_nothing_to_tell_of(run):
    told = Told(milliseconds=1000)

    async def short() -> None:
        end = time.thread_time() + 0.005
        while time.thread_time() < end:
            pass

    async def work() -> None:
        await asyncio.sleep(0.3)
        await asyncio.gather(*(short() for _ in range(300)))

    run(work, told)
    assert told.facts == []


def test_a_process_that_was_stopped_blames_nobody(run):
    told = Told(milliseconds=200)

    async def work() -> None:
        stopper = await asyncio.create_subprocess_shell(
            f"kill -STOP {os.getpid()}; sleep 0.8; kill -CONT {os.getpid()}"
        )
        await stopper.wait()
        await asyncio.sleep(0.1)

    run(work, told)
    assert told.facts == []


def test_off_there_is_no_thread_and_stopped_there_is_none_any_more(run):
    def watching() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "holdfast-watchdog"]

    seen: list[list[str]] = []

    async def work() -> None:
        seen.append(watching())

    run(work, Told(milliseconds=0))
    run(work, Told())
    assert seen == [[], ["holdfast-watchdog"]]
    wait_until(lambda: not watching(), "the thread has ended")


def test_a_loop_that_stands_still_for_long_is_told_of_before_it_goes_on_and_lines_of_one_place_are_few(run):
    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append((record.getMessage(), record.at, threading.current_thread() is not threading.main_thread()))

    said: list[tuple[str, str, bool]] = []
    told = Told()
    logger, lines = logging.getLogger("holdfast.watchdog"), Lines()

    async def work() -> None:
        end = time.monotonic() + 15
        while not said and time.monotonic() < end:  # until it is told, in whichever thread that is
            time.sleep(0.01)
        await asyncio.sleep(0.1)
        await again(step, lambda: len(told.of(sleep)) >= 3)

    async def step() -> None:
        sleep()

    logger.addHandler(lines)
    try:
        run(work, told)
    finally:
        logger.removeHandler(lines)
    mine = [(words, there) for words, at, there in said if "in test_a_loop" in at]
    assert mine == [("the event loop is held up", True), ("the event loop was held up", True)]
    assert 1 <= len([at for _, at, _ in said if at.endswith("in sleep")]) < len(told.of(sleep))
