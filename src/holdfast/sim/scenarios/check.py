"""What a scenario finds, and what it must find."""

from collections.abc import Callable
from typing import NamedTuple


class Check(NamedTuple):
    """One number and its criterion."""

    what: str
    number: float
    unit: str
    criterion: str
    passed: bool

    @property
    def shown(self) -> str:
        """The number as it is printed."""
        digits = 0 if self.unit == "ms" or self.number >= 100 else 3
        return f"{self.number:.{digits}f} {self.unit}".rstrip()


class Scenario(NamedTuple):
    """A function that runs, what it shows, and whether it is quick enough for every test run."""

    name: str
    shows: str
    run: Callable[[], list[Check]]
    quick: bool = False


def at_least(what: str, number: float, bound: float, unit: str = "") -> Check:
    """It must reach `bound`."""
    return Check(what, number, unit, f">= {bound:g}", number >= bound)


def at_most(what: str, number: float, bound: float, unit: str = "") -> Check:
    """It must not exceed `bound`."""
    return Check(what, number, unit, f"<= {bound:g}", number <= bound)


def must_fail(what: str, number: float, bound: float, unit: str = "") -> Check:
    """A control: it must stay below `bound`, or the scenario shows nothing."""
    return Check(f"control: {what}", number, unit, f"< {bound:g}", number < bound)


def must_exceed(what: str, number: float, bound: float, unit: str = "") -> Check:
    """A control: it must be above `bound`, or the scenario shows nothing."""
    return Check(f"control: {what}", number, unit, f"> {bound:g}", number > bound)
