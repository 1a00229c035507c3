"""Half an hour at twice the capacity: is the last minute as the first? `make test-long` runs it.

    python bench/overload_lasting.py                 thirty minutes
    python bench/overload_lasting.py --minutes 3

`holdfast run` has one core, the generator the other (see bench/overload.py); the handler calculates for 5 ms and waits
for 20, and clients that give up connect anew. Each minute has a line. Exit code 1 where the p99 of the last minute is
more than 1.1 times the first's, 2 where the generator was late by more than 5 ms (p99), which makes the run void.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

sys.path[:0] = [str(Path(__file__).with_name("overload"))]

from asked import job  # noqa: E402 - a script
from contenders import OURS  # noqa: E402 - a script
from runs import SETTLE_S, WARM_S, Length, Place, environment, measured_capacity  # noqa: E402 - a script
from serving import generated, many_files, serving, turns_per_ms  # noqa: E402 - a script

from holdfast.decide.latencies import tally  # noqa: E402 - a script

PATH: Final = "/five"
KIND: Final = "anew"
MOST: Final = 1.1
MINUTE_S: Final = 60.0


def main() -> None:
    """Do it."""
    parser = argparse.ArgumentParser(description="Half an hour at twice the capacity.")
    parser.add_argument("--minutes", type=int, default=30)
    minutes = parser.parse_args().minutes
    many_files()
    place = Place(turns_per_ms(), Length(), 64)
    rate = 2 * measured_capacity(place, OURS, PATH, KIND, ()).rate
    phases = [(WARM_S, rate / 4), (SETTLE_S + minutes * MINUTE_S, rate)]
    with serving(OURS.command, environment(OURS, place.turns)) as server:
        run = generated(job(server.port, PATH, KIND, phases, seed=1, pool=place.pool, pids=server.pids()))
    p99_ms: list[float] = []
    for minute in range(minutes):
        begin = WARM_S + SETTLE_S + minute * MINUTE_S
        seen = tally(run, begin, begin + MINUTE_S)
        p99_ms.append(seen.admitted_s[1] * 1000)
        print(f"minute {minute + 1:>2}: {seen.goodput:6.1f} good/s of {rate:.0f}, p99 {p99_ms[-1]:4.0f} ms, "
              f"{seen.lost} lost, {seen.memory / 1e6:.0f} MB, core taken {seen.taken:.0%}")  # fmt: skip
    ratio = p99_ms[-1] / p99_ms[0]
    late_ms = run.late_p99 * 1000
    print(f"the last minute's p99 over the first's: {ratio:.2f}; the generator was late by {late_ms:.1f} ms (p99)")
    sys.exit(2 if run.void else int(ratio > MOST))


if __name__ == "__main__":
    main()
