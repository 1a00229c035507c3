"""A load at one rate after the other, half of what can be served and multiples of it, and what became of each level."""

from collections.abc import Sequence
from typing import Final

import msgspec

from holdfast.decide.latencies import Outcome, Result, Tally, tally
from holdfast.prove.load import Phase

MOST_RATE: Final = 5_000.0
"""What the generator can be asked to send a second."""
REST_S: Final = 2.5
BEYOND: Final = 1.9
"""From so many times the capacity on, a level is past it."""
_SETTLE_S: Final = 1.0
"""Of each level, not counted: a queue needs a while to grow past what a client waits for."""
_REST: Final = 0.5
_BACK_WINDOW_S: Final = 0.5
_LATE_S: Final = 0.1
_STALLED: Final = 0.2


class Level(msgspec.Struct, frozen=True):
    """What became of requests at one rate."""

    times: float
    """Of the measured capacity."""
    asked: int
    good: int
    refused: int
    lost: int
    """Neither a good answer nor a refusal within the patience of a client."""
    seconds: float
    p99_ms: float
    """Of those that were served."""
    refusal_ms: float
    """Half of the refusals came sooner."""
    cpu_s: float = 0.0
    refusal_99_ms: float = 0.0
    """99 of 100 refusals came sooner."""

    @property
    def goodput(self) -> float:
        """Right answers in time, a second."""
        return self.good / self.seconds

    @property
    def surplus(self) -> int:
        """Those that were not served."""
        return self.asked - self.good

    @property
    def told(self) -> float:
        """The share of these that learned it."""
        return self.refused / self.surplus if self.surplus else 1.0


def rates(capacity: float, *, quick: bool) -> list[Phase]:
    """Half of the capacity, multiples of it as far as they can be offered, and half of it again."""
    wanted = ((0.5, 1.5), (3.0, 3.5)) if quick else ((0.5, 1.5), (2.0, 2.5), (5.0, 2.5), (10.0, 2.5))
    phases = [Phase(seconds, times * capacity) for times, seconds in wanted if times * capacity <= MOST_RATE]
    if phases and phases[-1].rate < wanted[-1][0] * capacity and 2 * capacity <= MOST_RATE:
        phases.append(Phase(3.0, MOST_RATE))
    return [*phases, Phase(REST_S, _REST * capacity)]


def spans(phases: Sequence[Phase]) -> list[tuple[float, float]]:
    """When each level counts: from when it has settled to its end. The rest behind them is none."""
    found: list[tuple[float, float]] = []
    begin = 0.0
    for phase in phases[:-1]:
        end = begin + phase.seconds
        found.append((begin + min(_SETTLE_S, phase.seconds / 2), end))
        begin = end
    return found


def levels_of(run: Result, phases: Sequence[Phase], capacity: float) -> tuple[float, list[Level]]:
    """The capacity, which is what was served at best, be it under load; and what became of each level."""
    seen = [(phase.rate, tally(run, *span)) for phase, span in zip(phases, spans(phases), strict=False)]
    capacity = max(capacity, *(each.goodput for _, each in seen))
    return capacity, [_level(each, rate / capacity) for rate, each in seen]


def _level(seen: Tally, times: float) -> Level:
    return Level(
        times=times,
        asked=seen.asked,
        good=seen.good,
        refused=seen.refused,
        lost=seen.lost,
        seconds=seen.seconds,
        p99_ms=seen.admitted_s[1] * 1000,
        refusal_ms=seen.refusal_s[0] * 1000,
        cpu_s=seen.cpu_s,
        refusal_99_ms=seen.refusal_s[1] * 1000,
    )


def back(run: Result, phases: Sequence[Phase]) -> float | None:
    """From when on, after the load, each further half second serves nearly all that is asked."""
    fall = sum(phase.seconds for phase in phases[:-1])
    found: float | None = None
    begin = fall + REST_S - _BACK_WINDOW_S
    while begin >= fall - 0.001:
        asked = [one.outcome == Outcome.GOOD for one in run.requests if begin <= one.at < begin + _BACK_WINDOW_S]
        if asked and sum(asked) < 0.85 * len(asked):
            break
        found = begin - fall
        begin -= _BACK_WINDOW_S
    return found


def lateness(run: Result) -> tuple[str, str]:
    """What kept the load from being offered as it was meant, and what kept its answers from being taken."""
    late = f"the load generator was {run.late_p99 * 1000:.0f} ms late." if run.late_p99 > _LATE_S else ""
    away = f"the load generator did not run for {run.stalled:.0%} of the time." if run.stalled > _STALLED else ""
    return late, away
