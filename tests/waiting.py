"""Calls that end when they are told to, for the tests of what waits for them."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable

import pytest

who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


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
