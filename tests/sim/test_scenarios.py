"""The quick scenarios meet their criteria; the seeds are fixed, so they do so each time. `make sim` runs all."""

import io

import pytest

from holdfast.sim.__main__ import main, table
from holdfast.sim.phase import LOADS, TRIGGERS, Cell
from holdfast.sim.pictures import goodput_picture, phase_picture
from holdfast.sim.runs import MIDDLE
from holdfast.sim.scenarios.check import Check, Scenario, at_least, at_most, must_exceed, must_fail
from holdfast.sim.scenarios.every import SCENARIOS


@pytest.mark.parametrize("scenario", [each for each in SCENARIOS if each.quick], ids=lambda each: each.name)
def test_a_quick_scenario_meets_its_criteria(scenario):
    assert [check for check in scenario.run() if not check.passed] == []


def test_every_scenario_has_a_name_of_its_own():
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)
    assert {f"S{number}" for number in range(1, 20)} <= set(names)


def test_the_table_counts_what_is_not_met():
    def run():
        return [
            at_least("a", 1, 2),
            at_most("b", 1, 2, "ms"),
            must_fail("c", 3, 2),
            must_exceed("d", 3, 2),
            Check("e", 123.4, "s", "", passed=True),
        ]

    out = io.StringIO()
    assert table([Scenario("X", "shows", run)], out) == 2
    assert out.getvalue().count(" NO ") == 2
    assert "control: c" in out.getvalue()


def test_the_command_says_by_its_exit_code_whether_all_was_met(capsys):
    assert main(["S12"]) == 0
    assert "all met" in capsys.readouterr().out


def test_the_pictures_are_drawn_for_light_and_dark():
    cells = [Cell(load, trigger, load) for load in LOADS for trigger in TRIGGERS]
    drawn = phase_picture(dict.fromkeys(("Holdfast", "no limit"), cells))
    assert drawn.count("<rect") == 2 * len(cells) + 3
    curves = dict.fromkeys(("Holdfast", "Gradient2", "fixed 100", "success AIMD"), [0.5] * 10)
    for picture in (drawn, goodput_picture(curves, MIDDLE)):
        assert "prefers-color-scheme: dark" in picture
        assert picture.startswith("<svg")
