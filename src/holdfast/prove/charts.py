"""Pictures as data: what a scenario wants to show, and a page draws."""

from typing import NamedTuple


class Series(NamedTuple):
    """A line of points."""

    name: str
    points: tuple[tuple[float, float], ...]
    kind: str = "line"
    """`line`, `dots`, or `bound` for what cannot be passed."""


class Mark(NamedTuple):
    """A moment or a level worth a name."""

    at: float
    name: str
    axis: str = "x"


class Chart(NamedTuple):
    """One picture."""

    title: str
    says: str
    """What one sees in it, in a sentence."""
    x: str
    y: str
    series: tuple[Series, ...]
    marks: tuple[Mark, ...] = ()
    log_x: bool = False
    log_y: bool = False
    names: tuple[str, ...] = ()
    """Of kinds that stand side by side at 0, 1, 2 and so on; none where across are numbers."""
