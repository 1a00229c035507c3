"""Virtual time: what happens when, in order, and the chance that a seed makes."""

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any


class World:
    """A heap of things to come. Two that come at the same time come in the order in which they were put."""

    __slots__ = ("_coming", "_count", "_seed", "now")

    def __init__(self, seed: int) -> None:
        """Begin at 0 s."""
        self.now: float = 0.0
        self._seed = seed
        self._count = 0
        self._coming: list[tuple[float, int, Callable[[Any], None], Any]] = []

    def chance(self, name: str) -> Random:
        """A source of chance of its own, so that who draws more than before changes nothing for others."""
        return Random(f"{self._seed} {name}")  # noqa: S311 - a simulation is to be repeated

    def at(self, when: float, act: Callable[[Any], None], argument: object = None) -> None:
        """Have `act(argument)` called at that time."""
        self._count += 1
        heappush(self._coming, (when, self._count, act, argument))

    def run(self, until: float) -> None:
        """Let time pass, up to there."""
        coming = self._coming
        while coming and coming[0][0] <= until:
            self.now, _, act, argument = heappop(coming)
            act(argument)
        self.now = until
