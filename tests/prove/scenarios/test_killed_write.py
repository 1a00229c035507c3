"""Against kill: writes around kill -9, looked up after the restart."""

import pytest
from keeping import SOURCE, WRITE
from proving import proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.scenarios.killed_write import SCENARIO, KilledWrite, gather

pytestmark = pytest.mark.anyio


def facts(**more) -> KilledWrite:
    return KilledWrite(
        **{"well": "found", "fault": "killed", "rounds": 3, "acknowledged": 90, "where": "/notes", **more}
    )


def test_all_there_is_kept():
    found = verdict(SCENARIO, facts())
    assert (found.verdict, found.number) == (Verdict.KEPT, "0 of 90 lost")


def test_one_that_is_gone_is_broken_for_certain():
    found = verdict(SCENARIO, facts(lost=("404 after 2 ms",)))
    assert (found.verdict, found.certain, found.number) == (Verdict.BROKEN, True, "1 of 90 lost")


@pytest.mark.parametrize("more", [{"unknown": "not found"}, {"acknowledged": 0}, {"fault": ""}, {"well": ""}])
def test_what_was_not_looked_up_or_not_killed_is_not_proven(more):
    assert verdict(SCENARIO, facts(**more)).verdict is Verdict.NOT_PROVEN


def test_no_restart_is_broken():
    assert verdict(SCENARIO, facts(restart="exit code 1")).verdict is Verdict.BROKEN


async def proved(tmp_path, mode: str, write: object = WRITE):
    async with proving(tmp_path, SOURCE, environment={"SHOP_MODE": mode}, write=write) as stage:
        found = await gather(stage)
        return found, verdict(SCENARIO, found)


async def test_a_backend_that_commits_before_it_answers_is_kept(tmp_path):
    found, judged = await proved(tmp_path, "well")
    assert judged.verdict is Verdict.KEPT, judged
    assert found.acknowledged >= 10


async def test_a_database_that_leaves_syncing_to_the_system_survives_kill(tmp_path):
    _, judged = await proved(tmp_path, "off")  # what the kernel has is not lost with the process
    assert judged.verdict is Verdict.KEPT, judged


async def test_a_backend_that_keeps_it_in_memory_is_broken(tmp_path):
    found, judged = await proved(tmp_path, "in-memory")
    assert judged.verdict is Verdict.BROKEN, judged
    assert len(found.lost) >= 10


async def test_where_a_write_is_found_need_not_be_said(tmp_path):
    found, judged = await proved(tmp_path, "well", {"request": "POST /notes", "json": {"text": "{name}"}})
    assert judged.verdict is Verdict.KEPT, judged
    assert found.where == "/notes"


async def test_a_write_that_is_found_nowhere_is_not_proven(tmp_path):
    _, judged = await proved(tmp_path, "well", {"request": "POST /notes", "json": {"text": "always the same"}})
    assert judged.verdict is Verdict.NOT_PROVEN
    assert "not found in /notes" in judged.why
