"""What watching the event loop costs: the same server with the watchdog and without, side by side in one run.

    python bench/watchdog_cost.py            seven rounds of three seconds for each
    python bench/watchdog_cost.py --quick    two rounds of one second

First in one process without a socket: a loop that is never idle, in turns with and without. CPU time is that of all its
threads. Then two servers take turns on one core, asked without a pause by the client of `request_cost.py` on the other;
each turn with the watchdog is compared with the turn without beside it. That is what counts, but a machine that others
use too shifts it by more than the watchdog costs. Then both servers are left alone: what watching an idle loop is.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import time
from typing import Final

from request_cost import Contender, Cores, Turn, _cores, _spent, _tree, alternate, running

from holdfast.parts.watchdog import Watchdog, WatchdogSettings

AIM: Final = 0.01
_WAYS: Final = {"off": "0", "on": "50"}
_IDLE_S: Final = 10.0


def _contender(milliseconds: str) -> Contender:
    setting = f"HOLDFAST_WATCHDOG_MS={milliseconds}"
    # nothing is to be refused: the client takes no refusal for an answer
    run = ("env", setting, "HOLDFAST_SHED=off", sys.executable, "-m", "holdfast", "run", "app:app")
    return Contender(setting, run, logs=True)


async def _loop_cost(turns: int, seconds: float) -> list[float]:
    """By which share a step of a busy loop takes more CPU time with the watchdog, in each pair of turns."""

    async def step_us() -> float:
        steps, began, end = 0, time.process_time(), time.perf_counter() + seconds
        while time.perf_counter() < end:
            sum(range(2000))
            steps += 1
            await asyncio.sleep(0)
        return (time.process_time() - began) / steps * 1e6

    more: list[float] = []
    for _ in range(turns):
        without = await step_us()
        dog = Watchdog(WatchdogSettings())
        dog.start()
        await asyncio.sleep(0.05)
        more.append(await step_us() / without - 1)
        dog.stop()
    return sorted(more)


def _idle(contender: Contender, cores: Cores, seconds: float) -> float:
    """The share of one core that a server takes that nobody asks."""
    lines: list[int] = []
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running(contender, cores, lines.append))
        pids = _tree(server.process.pid)
        time.sleep(1.0)
        before = _spent(pids)
        time.sleep(seconds)
        return _spent(pids).since(before).cpu_s / seconds


def _ratio(on: list[Turn], off: list[Turn]) -> float:
    return statistics.median(one.rate / other.rate for one, other in zip(on, off, strict=True))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What watching the event loop costs.")
    parser.add_argument("--quick", action="store_true", help="two rounds of one second")
    options = parser.parse_args()
    rounds, seconds = (2, 1.0) if options.quick else (7, 3.0)
    more = asyncio.run(_loop_cost(rounds * 10, seconds / 10))
    said = (
        f"{statistics.median(more):.2%} (half of the turns: {more[len(more) // 4]:.2%} to {more[-len(more) // 4]:.2%})"
    )
    print(f"more CPU for a loop that is never idle: {said}; aim: at most {AIM:.0%}", flush=True)
    cores = _cores()
    off, on = (_contender(_WAYS[way]) for way in ("off", "on"))
    found = alternate(rounds, seconds, cores, (off, on))
    for contender in (off, on):
        turns = [turn for turns in found[contender.name] for turn in turns]
        rate, cpu = statistics.median(turn.rate for turn in turns), statistics.median(turn.cpu_us for turn in turns)
        print(f"{contender.name:<26} {rate:9,.0f} requests/s   {cpu:6.2f} µs of CPU per request")
    ratios = sorted(_ratio(one, other) for one, other in zip(found[on.name], found[off.name], strict=True))
    less = 1 - statistics.median(ratios)
    print(f"less with it: {less:.2%} (rounds: {1 - ratios[-1]:.2%} to {1 - ratios[0]:.2%}; aim: at most {AIM:.0%})")
    for contender in (off, on):
        print(f"{contender.name:<26} {_idle(contender, cores, _IDLE_S if rounds > 2 else 3.0):.2%} of a core when idle")


if __name__ == "__main__":
    main()
