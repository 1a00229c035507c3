"""What runs amount to, and what a promise's scenarios amount to together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decide.verdicts import (
    Verdict,
    broken,
    exit_code,
    kept,
    not_asked,
    not_proven,
    repeated,
    shown,
    together,
)

JUDGEMENTS = st.sampled_from(
    [kept("k"), broken("b"), broken("c", certain=True), not_proven("n"), not_asked("a", mend="say")]
)


def test_what_was_not_seen_to_happen_is_not_proven():
    assert shown(kept("fine"), well="200", fault="").verdict is Verdict.NOT_PROVEN
    assert shown(broken("slow"), well="", fault="cut").verdict is Verdict.NOT_PROVEN
    assert shown(kept("fine"), well="200", fault="cut") == kept("fine")


def test_the_machines_own_limits_excuse_what_is_slow_but_not_what_is_lost():
    assert shown(broken("slow"), well="200", fault="load", limit="late").verdict is Verdict.NOT_PROVEN
    lost = broken("3 bytes differ", certain=True)
    assert shown(lost, well="200", fault="killed", limit="late") == lost


def test_runs_that_disagree_are_flaky_and_not_rounded():
    judgement, flaky = repeated([broken("slow"), kept("fine"), kept("fine")])
    assert flaky
    assert judgement.verdict is Verdict.NOT_PROVEN
    assert "1 of 3" in judgement.why


def test_a_lost_byte_stands_though_it_was_lost_once_only():
    judgement, flaky = repeated([broken("lost", certain=True), kept("fine")])
    assert flaky
    assert judgement.verdict is Verdict.BROKEN
    assert "1 of 2" in judgement.why


def test_runs_that_agree_are_not_flaky():
    assert repeated([broken("first"), broken("second")]) == (broken("first"), False)
    assert repeated([kept("fine")]) == (kept("fine"), False)


def test_what_does_not_apply_takes_nothing_from_what_was_kept():
    assert together([not_asked("no upload"), kept("exports")]) == kept("exports")
    assert together([not_asked("no upload"), not_asked("no export")]) == not_asked("no upload")


@given(st.lists(JUDGEMENTS, min_size=1))
def test_a_promise_is_kept_only_if_all_that_applies_was(judgements):
    applying = {one.verdict for one in judgements if one.applies}
    found = together(judgements).verdict
    assert (found is Verdict.KEPT) == (applying == {Verdict.KEPT})
    assert (found is Verdict.BROKEN) == (Verdict.BROKEN in applying)


@pytest.mark.parametrize(
    ("verdicts", "required", "code"),
    [
        ([Verdict.KEPT, Verdict.NOT_PROVEN], [], 0),
        ([Verdict.KEPT, Verdict.NOT_PROVEN], [Verdict.NOT_PROVEN], 3),
        ([Verdict.BROKEN, Verdict.NOT_PROVEN], [Verdict.NOT_PROVEN], 1),
        ([Verdict.KEPT], [Verdict.KEPT], 0),
    ],
)
def test_the_exit_code_tells_broken_from_what_was_required_and_not_proven(verdicts, required, code):
    assert exit_code(verdicts, required) == code
