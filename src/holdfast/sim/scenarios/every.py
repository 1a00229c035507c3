"""All scenarios, in order."""

from typing import Final

from holdfast.sim.phase import PHASE
from holdfast.sim.scenarios.check import Scenario
from holdfast.sim.scenarios.fleets import FLEETS
from holdfast.sim.scenarios.load import LOAD
from holdfast.sim.scenarios.neighbours import NEIGHBOURS
from holdfast.sim.scenarios.odd import ODD
from holdfast.sim.scenarios.people import PEOPLE

SCENARIOS: Final[tuple[Scenario, ...]] = tuple(
    sorted(
        (*LOAD, *PEOPLE, *NEIGHBOURS, *FLEETS, *ODD, *PHASE),
        key=lambda scenario: (int("".join(filter(str.isdigit, scenario.name))), scenario.name),
    )
)
