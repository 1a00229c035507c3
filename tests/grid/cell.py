"""A cell of the grid: what it says, and the function that finds out from outside."""

from collections.abc import Callable
from typing import NamedTuple

from grid.shop import FRAMEWORKS, Shop

Look = Callable[[Shop], None]


class Cell(NamedTuple):
    """One row of the grid."""

    name: str
    group: str
    says: str
    look: Look
    ours: bool
    """Whether it is about what only Holdfast promises."""
    frameworks: tuple[str, ...]
    """Those that it is about."""


class Group:
    """Rows that belong together."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.cells: list[Cell] = []

    def cell(
        self, says: str, *, ours: bool = False, frameworks: tuple[str, ...] = FRAMEWORKS
    ) -> Callable[[Look], Look]:
        """Add a row. The function fails where what the row says does not hold."""

        def add(look: Look) -> Look:
            name = f"{look.__module__.rpartition('.')[2]}.{look.__name__}"
            self.cells.append(Cell(name, self.title, says, look, ours, frameworks))
            return look

        return add
