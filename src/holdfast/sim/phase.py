"""S14: where a service does not come back by itself.

A load below the capacity, a trigger, and then nothing but time: a cell is metastable where goodput has not come back to
90 % of what comes, 20 s after the trigger has ended (Bronson and others, HotOS 2021; Huang and others, OSDI 2022).
"""

from typing import NamedTuple

from holdfast.sim.clients import Naive, Step, Users
from holdfast.sim.runs import MIDDLE, RIVALS, Make, ours, run
from holdfast.sim.scenarios.check import Check, Scenario, at_most, must_exceed

LOADS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
TRIGGERS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""How much came too much, in seconds of the whole capacity."""
PEOPLE: dict[str, Make] = {
    "Holdfast": ours,
    "no limit": RIVALS["no limit"],
    "fixed 100": RIVALS["fixed 100"],
    "success AIMD": RIVALS["success AIMD"],
    "Gradient2": RIVALS["Gradient2"],
    "own completions": RIVALS["own completions"],
}
_SPIKE_S = 2.0
_AFTER_S = 20.0


class Cell(NamedTuple):
    """One run."""

    load: float
    trigger: float
    share: float
    """Goodput over the last 4 s, as a share of what comes or of the capacity, whichever is less."""

    @property
    def metastable(self) -> bool:
        """It has not come back."""
        return self.share < 0.9


def cell(make: Make, load: float, trigger: float) -> Cell:
    """A load, a spike that brings `trigger` seconds of the capacity too much, and 20 s of time."""
    rate = MIDDLE.capacity
    spike = max(load, 1.0) + trigger / _SPIKE_S
    end = 3 + _SPIKE_S + _AFTER_S
    users = Users(
        (Step(3, load * rate), Step(3 + _SPIKE_S, spike * rate), Step(end, load * rate)), retries=lambda: Naive(most=3)
    )
    record = run(MIDDLE, make, users, end).record
    came = record.count(end - 5, end - 1) / 4
    return Cell(load, trigger, record.goodput(end - 4, end) / min(came, 0.95 * rate))


def diagram(make: Make, loads: tuple[float, ...] = LOADS, triggers: tuple[float, ...] = TRIGGERS) -> list[Cell]:
    """All cells."""
    return [cell(make, load, trigger) for load in loads for trigger in triggers]


def area(cells: list[Cell]) -> float:
    """The share of the cells that are metastable."""
    return sum(found.metastable for found in cells) / len(cells)


def whole() -> list[Check]:
    """Everyone, every cell."""
    found = {name: area(diagram(make)) for name, make in PEOPLE.items()}
    checks = [at_most("metastable cells, Holdfast", found["Holdfast"], 0)]
    checks += [must_exceed(f"metastable cells, {name}", found[name], 0.1) for name in ("no limit", "own completions")]
    return checks


def part() -> list[Check]:
    """A few cells, and the control."""
    mine = diagram(ours, (0.6, 0.9), (4.0,))
    none = diagram(RIVALS["no limit"], (0.9,), (4.0,))
    return [
        at_most("metastable cells, Holdfast", area(mine), 0),
        must_exceed("metastable cells, no limit", area(none), 0),
    ]


PHASE = (
    Scenario("S14", "metastability: load by trigger, clients that retry three times", whole),
    Scenario("S14q", "the same, a few cells", part, quick=True),
)
