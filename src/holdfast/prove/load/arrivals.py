"""When requests come, and which: fixed before the run by a seed, whatever the server does."""

import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple


class Phase(NamedTuple):
    """A time in which they come at one mean rate."""

    seconds: float
    rate: float
    """A second."""


class Arrival(NamedTuple):
    """A request that will come."""

    at: float
    """Seconds from the start."""
    template: int
    """Which of the templates it is made from."""


class Choice:
    """Chooses templates by chance, each as often as its weight says."""

    def __init__(self, weights: Sequence[float]) -> None:
        """The `weights` of the templates, in their order."""
        self._up_to = list(accumulate(weights))
        self._last = max(place for place, weight in enumerate(weights) if weight)

    def of(self, share: float) -> int:
        """The one that stands for a number from 0 to 1."""
        return min(self._last, bisect(self._up_to, share * self._up_to[-1]))


def arrivals(phases: Sequence[Phase], seed: int, weights: Sequence[float] = (1.0,)) -> list[Arrival]:
    """A Poisson process through all phases: gaps are exponential, so they come in bunches as independent people do."""
    chance = random.Random(seed)  # noqa: S311 - a seed is to bring the same arrivals again
    choice = Choice(weights)
    found: list[Arrival] = []
    begin = 0.0
    for phase in phases:
        end = begin + phase.seconds
        at = begin + chance.expovariate(phase.rate) if phase.rate else end
        while at < end:
            found.append(Arrival(at, choice.of(chance.random())))
            at += chance.expovariate(phase.rate)
        begin = end
    return found
