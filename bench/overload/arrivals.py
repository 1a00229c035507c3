"""When requests come: fixed before the run by a seed, whatever the server does."""

import random
from collections.abc import Sequence
from typing import Final, NamedTuple

CRITICAL_SHARE: Final = 0.1


class Phase(NamedTuple):
    """A time in which they come at one mean rate."""

    seconds: float
    rate: float
    """A second."""


class Arrival(NamedTuple):
    """A request that will come."""

    at: float
    """Seconds from the start."""
    critical: bool
    """Whether it says that it is of the highest class."""


def arrivals(phases: Sequence[Phase], seed: int) -> list[Arrival]:
    """A Poisson process through all phases: gaps are exponential, so they come in bunches as independent people do."""
    chance = random.Random(seed)
    found: list[Arrival] = []
    begin = 0.0
    for phase in phases:
        end = begin + phase.seconds
        at = begin + chance.expovariate(phase.rate) if phase.rate else end
        while at < end:
            found.append(Arrival(at, chance.random() < CRITICAL_SHARE))
            at += chance.expovariate(phase.rate)
        begin = end
    return found
