"""How important a request is: who is believed, what a route says, what hints may do."""

import pytest

from holdfast.decide.admission import Priority
from holdfast.decide.priorities import Said, priority, routes, word

CRITICAL, NORMAL, LOW, BACKGROUND = Priority


def test_nothing_said_is_normal():
    assert priority(Said()) is NORMAL


@pytest.mark.parametrize("text", ["critical", " Critical ", "CRITICAL"])
def test_a_trusted_peer_is_believed(text):
    assert priority(Said(asked=text, trusted=True), route=BACKGROUND) is CRITICAL


@pytest.mark.parametrize("asked", ["critical", "normal"])
def test_anybody_else_raises_nothing(asked):
    assert priority(Said(asked=asked), route=LOW) is LOW


def test_anybody_may_make_a_request_less_important():
    assert priority(Said(asked="background"), route=CRITICAL) is BACKGROUND


@pytest.mark.parametrize("text", ["", "urgent", "0", "critical;", None])
def test_what_is_no_word_says_nothing(text):
    assert word(text) is None
    assert priority(Said(asked=text, trusted=True), route=LOW) is LOW


def test_the_route_counts_before_the_principal():
    assert priority(Said(), route=CRITICAL, principal=LOW) is CRITICAL
    assert priority(Said(), principal=LOW) is LOW


@pytest.mark.parametrize("purpose", ["prefetch", "prefetch;prerender", "Prefetch"])
def test_what_is_fetched_beforehand_is_background(purpose):
    assert priority(Said(purpose=purpose), route=CRITICAL) is BACKGROUND


@pytest.mark.parametrize(
    ("urgency", "found"),
    [("u=0", NORMAL), ("u=5, i", NORMAL), ("u=6", LOW), ("i, u=7", BACKGROUND), ("u=9", NORMAL), ("menu=7", NORMAL)],
)
def test_the_urgency_that_browsers_send_lowers_only(urgency, found):
    assert priority(Said(urgency=urgency)) is found


def test_entries_name_what_they_mean():
    known = routes(["/pay/*=critical", "POST /reports = background"])
    assert known.find("GET", "/pay/1") == ("/pay/*", CRITICAL)
    assert known.find("POST", "/reports") == ("POST /reports", BACKGROUND)
    assert known.find("GET", "/reports") is None


@pytest.mark.parametrize("entry", ["", "/x=urgent", "critical=/x", "/x", "/x="])
def test_an_entry_that_is_none_is_told(entry):
    with pytest.raises(ValueError, match="is n"):
        routes([entry])
