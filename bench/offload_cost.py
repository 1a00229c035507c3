"""What work elsewhere still costs the event loop: the same work in a thread and in a process, side by side in one run.

    python bench/offload_cost.py            three rounds of two seconds for each
    python bench/offload_cost.py --quick    one round of half a second

A task on the loop wakes every millisecond and notes by how much it was late, while the work goes on elsewhere. That is
what a request beside it waits each time its handler is resumed. Then it says what a call there and back takes.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parent / "offload"))

import elsewhere  # a module of its own, for processes find functions by their names

from holdfast.parts import offload

_WAKE_S: Final = 0.001
_WORK: Final[dict[str, Callable[[], object]]] = {
    "calculation in Python": elsewhere.calculate,
    "json.loads of 20 MB": elsewhere.parse,
    "hashing 64 MB": elsewhere.digest,
}
_WAYS: Final[dict[str, Callable[..., Awaitable[Any]]]] = {"thread": offload.thread, "process": offload.process}


async def _lateness(seconds: float) -> list[float]:
    """By how many milliseconds a timer of the loop is late, again and again."""
    late: list[float] = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        await asyncio.sleep(_WAKE_S)
        late.append((time.perf_counter() - began - _WAKE_S) * 1000)
    return late


async def _beside(way: Callable[..., Awaitable[Any]], work: Callable[[], object], seconds: float) -> list[float]:
    async def again() -> None:
        while True:
            await way(work)

    await way(work)  # so that a process is there
    task = asyncio.create_task(again())
    try:
        return await _lateness(seconds)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _call_us(way: Callable[..., Awaitable[Any]], calls: int) -> float:
    await way(elsewhere.nothing)
    began = time.perf_counter()
    for _ in range(calls):
        await way(elsewhere.nothing)
    return (time.perf_counter() - began) / calls * 1e6


def _said(late: list[float]) -> str:
    ordered = sorted(late)
    at = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99)]
    return f"{at[0]:8.2f} ms {at[1]:9.2f} ms {ordered[-1]:9.2f} ms"


async def _measure(rounds: int, seconds: float) -> None:
    found: dict[str, list[float]] = {"nothing": []}
    for _ in range(rounds):
        found["nothing"] += await _lateness(seconds)
        for name, work in _WORK.items():
            for way, call in _WAYS.items():
                found.setdefault(f"{name}, in a {way}", []).extend(await _beside(call, work, seconds))
    print(f"{'the loop wakes late, beside':<36} {'median':>8}    {'p99':>9}    {'most':>9}")
    for name, late in found.items():
        print(f"{name:<36} {_said(late)}")
    for way, call in _WAYS.items():
        print(f"a call to a {way} and back: {statistics.median([await _call_us(call, 500) for _ in range(3)]):.0f} µs")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What work elsewhere still costs the event loop.")
    parser.add_argument("--quick", action="store_true", help="one round of half a second")
    options = parser.parse_args()
    asyncio.run(_measure(*((1, 0.5) if options.quick else (3, 2.0))))


if __name__ == "__main__":
    main()
