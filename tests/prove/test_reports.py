"""What a proof is told as."""

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from holdfast.decide.verdicts import Judgement, Verdict, broken, kept, not_proven
from holdfast.promises import CATALOGUE
from holdfast.prove.charts import Chart, Mark, Series
from holdfast.prove.record import Attempt, Proof, outcome, promised
from holdfast.prove.reports import changes, machines, terminal
from holdfast.prove.reports import json as json_report
from holdfast.prove.reports.drawing import drawing
from holdfast.prove.reports.page import page
from holdfast.prove.scenario import AnyScenario, Facts, Scenario

CHART = Chart(
    "Memory",
    "It stays flat.",
    "rows",
    "MB",
    (Series("peak", ((100, 3), (1000, 3.1))),),
    (Mark(500, "half"),),
    log_x=True,
)


async def nothing(_: object) -> Facts:
    raise AssertionError


def scenario(name: str, promise: str, judgement: Judgement) -> AnyScenario:
    return Scenario(
        name=name,
        promise=promise,
        title=f"does {name}",
        seconds=1,
        facts=Facts,
        gather=nothing,
        judge=lambda _: judgement,
        charts=lambda _: (CHART,),
    )


SEEN = Facts(well="200", fault="killed <3> times")
SCENARIOS = (
    scenario("drain", "graceful", kept("All 300 were answered.")),
    scenario(
        "killed", "durable", broken("2 of 3 files <are> gone: 50 %\nof them", "2 of 3", mend="Sync them.", certain=True)
    ),
    scenario("power", "durable", not_proven("strace is not there")),
)
PROOF = Proof(
    "shop:app",
    7,
    1_790_000_000.0,
    12.0,
    promised([outcome(each, [Attempt(SEEN, 1.5)]) for each in SCENARIOS]),
    {"cores": 2},
)


def test_the_document_has_every_promise_and_what_decided():
    found = json.loads(json_report.document(PROOF))["promises"]
    assert set(found) == {promise.name for promise in CATALOGUE}
    assert found["durable"]["verdict"] == "broken"
    assert found["durable"]["repeat"] == "holdfast prove shop:app --seed 7 --only killed"
    assert found["typed"]["verdict"] == "not proven"
    assert "holdfast check" in found["typed"]["why"]


def test_the_facts_of_a_document_are_judged_by_the_rules_of_today(tmp_path):
    file = tmp_path / "proof.json"
    file.write_bytes(json_report.document(PROOF))
    stricter = replace(SCENARIOS[0], judge=lambda _: broken("too slow"))
    found = json_report.again(file, (stricter, *SCENARIOS[1:]))
    assert {one.name: one.judgement.verdict for one in found.promises}["graceful"] is Verdict.BROKEN
    assert found.outcomes[0].attempts[0].facts == SEEN


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1}'])
def test_a_file_that_is_no_proof_is_refused_with_its_name(tmp_path, text):
    file = tmp_path / "proof.json"
    file.write_text(text)
    with pytest.raises(json_report.ProofUnreadable, match=r"proof\.json"):
        json_report.again(file, SCENARIOS)


def test_the_summary_fits_on_a_screen_and_says_what_mends():
    lines = terminal.summary(PROOF, columns=100).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    assert any("Sync them." in line for line in lines)
    assert "1 kept, 1 broken, 14 not proven" in lines[-1]


def test_the_page_needs_nothing_beside_itself_and_escapes_what_it_shows():
    text = page(PROOF)
    assert "http://" not in text
    assert "https://" not in text
    assert "&lt;are&gt; gone" in text
    assert "<are>" not in text
    assert "killed &lt;3&gt; times" in text
    assert "<svg" in text
    assert "holdfast prove shop:app --seed 7 --only killed" in text


@pytest.mark.parametrize(
    "points", [(), ((0, 0),), ((1, 5), (1, 5)), ((0, -1), (1e9, 1e-9)), tuple((x, x % 7) for x in range(5000))]
)
@pytest.mark.parametrize("log", [True, False])
def test_whatever_was_measured_can_be_drawn(points, log):
    text = drawing(CHART._replace(series=(Series("a", points),), log_x=log, log_y=log))
    assert "nan" not in text
    assert len(text) < 40_000


def test_kinds_that_stand_side_by_side_have_their_names_below_them():
    points = tuple((float(place), 1.0) for place in range(9))
    names = ("well", "<ill>", *(f"a name that is rather long, of number {number}" for number in range(7)))
    text = drawing(CHART._replace(series=(Series("a", points, "dots"),), names=names))
    assert ">well</text>" in text
    assert "&lt;ill&gt;" in text
    assert text.count("…</text>") == 7


def test_junit_has_a_case_for_each_promise():
    suite = ET.fromstring(machines.junit(PROOF))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("16", "1", "14")
    failure = suite.find("testcase[@name='durable']/failure")
    assert failure is not None
    assert "--only killed" in (failure.text or "")


def test_annotations_stay_on_their_line():
    lines = list(machines.annotations(PROOF))
    assert [line.partition("::")[2].split(" ")[0] for line in lines] == ["error", "notice"]
    assert all("\n" not in line for line in lines)
    assert "50 %25%0Aof them" in lines[0]


def test_a_baseline_shows_what_changed_and_nothing_else(tmp_path):
    file = tmp_path / "before.json"
    better = PROOF._replace(promises=promised([outcome(SCENARIOS[0], [Attempt(SEEN, 1.0)])]))
    file.write_bytes(json_report.document(better))
    assert changes.table(changes.changes(PROOF, file)).splitlines()[1:] == ["  durable      not proven -> broken"]
    assert "no verdict has changed" in changes.table(changes.changes(better, file))


def test_a_proof_has_an_age(tmp_path):
    for days in (9, 6, 3):
        changes.remember(PROOF._replace(began=PROOF.began - days * 86_400), tmp_path)
    ages = changes.ages(PROOF, tmp_path, PROOF.began)
    assert ages["graceful"] == "kept in 4 proofs, for 9 days."
    assert "typed" not in ages


def test_a_history_that_is_damaged_or_cannot_be_written_is_no_failure(tmp_path):
    changes.remember(PROOF, tmp_path)
    (tmp_path / changes.HISTORY).write_text('{"at": 1, "back\n\x00\n')
    assert changes.ages(PROOF, tmp_path, PROOF.began) == {}
    changes.remember(PROOF, tmp_path / "not" / "there")
