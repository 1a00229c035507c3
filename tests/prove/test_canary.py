"""Whether the machine let things run, and what that excuses."""

import asyncio
import re
import sys

import pytest

from holdfast.decide.verdicts import broken, kept
from holdfast.prove.props.canary import Lateness, Machine, Used, fair, watched_machine
from holdfast.prove.scenario import Facts


def machine(began: Used | None = None, ended: Used | None = None, *late: Lateness) -> Machine:
    made = Machine(cores=2)
    made.began, made.ended = began, ended
    made.latenesses.extend(late)
    return made


def test_a_machine_that_lets_all_run_excuses_nothing():
    quiet = machine(Used(0, 0, 0, 0, 0), Used(10, 8, 8, 5, 0.1))
    assert quiet.limit() == ""
    assert quiet.worst_s == quiet.taken == 0.0
    assert quiet.starved == pytest.approx(0.1 / 5.1)


def test_the_worst_lateness_counts():
    assert machine(None, None, Lateness(1.0, 0.02), Lateness(2.0, 0.4)).limit().startswith("for 400 ms this machine")


def test_others_that_have_the_cores_count():
    busy = machine(Used(0, 100, 3, 0, 0), Used(10, 120, 5, 2, 0))
    assert busy.taken == pytest.approx(0.9)
    assert "other programs had 90% of this machine's 2 cores" in busy.limit()


def test_a_backend_in_line_for_a_core_counts():
    starved = machine(Used(0, 0, 0, 0, 0), Used(10, 9, 9, 2, 6))
    assert starved.starved == pytest.approx(0.75)
    assert "the backend stood in line for a core in 75%" in starved.limit()


def test_before_the_end_only_lateness_is_known():
    assert machine(Used(0, 0, 0, 0, 0)).limit() == ""


@pytest.mark.parametrize(
    ("begin", "end", "late_s"), [(0.0, 1.0, 0.0), (1.0, 2.0, 0.5), (1.25, 1.5, 0.25), (0.0, 9.0, 0.8), (1.4, 5.2, 0.3)]
)
def test_lateness_within_a_time_is_what_falls_into_it(begin, end, late_s):
    seen = machine(None, None, Lateness(1.0, 0.5), Lateness(5.0, 0.3))
    assert seen.late_s(begin, end) == pytest.approx(late_s)


def test_a_thread_of_ours_sees_when_nothing_else_of_ours_runs():
    async def main() -> Machine:
        async with watched_machine() as seen:
            await asyncio.sleep(0.05)
            re.fullmatch(r"(a|aa)+b", "a" * 31)  # holds the interpreter for a while
            await asyncio.sleep(0.05)
        return seen

    assert asyncio.run(main()).worst_s > 0.05


def test_what_others_use_is_told_from_what_ours_use():
    async def main() -> Machine:
        busy = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
        try:
            async with watched_machine(busy.pid) as seen:
                await asyncio.sleep(0.6)
        finally:
            busy.kill()
            await busy.wait()
        return seen

    seen = asyncio.run(main())
    assert seen.began is not None
    assert seen.ended is not None
    assert seen.ended.backend_s > seen.began.backend_s
    assert 0.0 <= seen.taken <= 1.0
    assert 0.0 <= seen.starved <= 1.0


GOOD = Facts(well="yes", fault="yes")


def test_a_busy_machine_excuses_what_is_bad():
    excused = fair(GOOD, lambda _: broken("It was slow."), "the machine was busy.")
    assert excused.limit == "the machine was busy. What was seen: It was slow."


def test_a_busy_machine_does_not_spoil_what_is_good():
    assert fair(GOOD, lambda _: kept("It was quick."), "the machine was busy.") == GOOD


def test_a_quiet_machine_excuses_nothing():
    assert fair(GOOD, lambda _: broken("It was slow."), "") == GOOD


def test_what_chance_cannot_cause_is_not_excused():
    assert fair(GOOD, lambda _: broken("A byte is lost.", certain=True), "the machine was busy.") == GOOD


def test_what_no_busy_machine_explains_is_not_excused():
    bad = fair(GOOD, lambda _: broken("It hung."), "the machine was busy.", lambda _: broken("It hung."))
    assert bad == GOOD
    excused = fair(GOOD, lambda _: broken("It was slow."), "the machine was busy.", lambda _: kept("It was bearable."))
    assert excused.limit
