"""Every scenario has a page, and every promise that can be seen from outside a scenario."""

from pathlib import Path

import pytest

from holdfast.promises import BY_NAME, CATALOGUE
from holdfast.prove.discovery import LINES
from holdfast.prove.scenarios import ALL

PAGES = Path(__file__).parents[2] / "docs" / "scenarios"
UNSEEN = {"typed", "replaceable", "tested"}


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_a_scenario_has_a_page_and_proves_a_promise(scenario):
    assert (PAGES / f"{scenario.name}.md").exists()
    assert scenario.promise in BY_NAME
    assert set(scenario.needs) <= set(LINES)


def test_names_are_unique():
    names = [scenario.name for scenario in ALL]
    assert len(set(names)) == len(names)
    assert set(names).isdisjoint(BY_NAME)


def test_every_promise_that_can_be_seen_from_outside_has_a_scenario():
    assert {promise.name for promise in CATALOGUE} - UNSEEN == {scenario.promise for scenario in ALL}
