"""Where a task waits."""

import asyncio
import gc
import sys
from contextvars import Context
from types import AsyncGeneratorType, CoroutineType, FrameType
from typing import Any, cast

_DEPTH = 40


def where_it_waits(coroutine: object) -> list[FrameType]:
    """The frames of a coroutine and of what it awaits, innermost first; none where it is done."""
    frames: list[FrameType] = []
    inner = coroutine
    while inner is not None and len(frames) < _DEPTH:
        kind = next((kind for kind in ("cr", "gi", "ag") if getattr(inner, f"{kind}_frame", None) is not None), None)
        if kind is None:  # a step of an asynchronous generator does not tell of which, but refers to it
            step = type(inner).__name__.startswith("async_generator")
            inner = _referent(inner, AsyncGeneratorType) if step else None
            continue
        frames.append(cast("FrameType", getattr(inner, f"{kind}_frame")))
        if kind == "gi":  # one that drives a coroutine by hand refers to it
            inner = getattr(inner, "gi_yieldfrom", None) or _referent(inner, CoroutineType)
        else:
            inner = getattr(inner, f"{kind}_await", None)
    return frames[::-1]


def _referent(found: object, kind: type[Any]) -> object:
    return next((other for other in gc.get_referents(found) if isinstance(other, kind)), None)


def context_of(task: "asyncio.Task[Any]") -> Context | None:
    """A copy of a task's context variables. Before Python 3.12 it does not tell, but refers to them."""
    if sys.version_info >= (3, 12):
        return task.get_context().copy()
    return next((found.copy() for found in gc.get_referents(task) if isinstance(found, Context)), None)
