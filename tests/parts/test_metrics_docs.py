"""The page on metrics and the alerting rules name what is there."""

import re
from pathlib import Path

import yaml

from holdfast.decide.metrics import MOST_ROUTES, MOST_SERIES, MOST_SPREADS
from holdfast.decide.supervision import Why
from holdfast.events import Outcome
from holdfast.parts.metrics import FAMILIES, process

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = (DOCS / "metrics.md").read_text()
RULES = [
    rule for group in yaml.safe_load((DOCS / "deploy" / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
QUESTIONS = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
EXPRESSIONS = [*QUESTIONS, *(rule["expr"] for rule in RULES)]
SERIES = {
    name: set(family.labels) | ({"le"} if name.endswith("_bucket") else set())
    for family in FAMILIES
    for name in (
        [f"{family.name}_bucket", f"{family.name}_count", f"{family.name}_sum"]
        if family.kind == "histogram"
        else [family.name]
    )
}
FOUND_BY_PROMETHEUS = {"instance", "job"}


def test_every_question_and_every_alert_asks_for_what_there_is():
    asked = set()
    for expression in EXPRESSIONS:
        names = set(re.findall(r"\bholdfast_\w+", expression))
        assert names <= set(SERIES), expression
        assert names or expression.startswith("up{")
        asked |= names
        labels = {label for name in names for label in SERIES[name]} | FOUND_BY_PROMETHEUS
        grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
        matched = set(re.findall(r"[{,]\s*(\w+)\s*(?:=|!)", expression))
        assert grouped | matched <= labels, expression
        assert expression.count("(") == expression.count(")")
    assert {"holdfast_http_requests_total", "holdfast_loop_delay_seconds_bucket", "holdfast_worker_ends_total"} <= asked


def test_what_is_matched_are_words_that_there_are():
    words = {value for key, value in vars(Outcome).items() if not key.startswith("_")}
    reasons = {reason.replace(" ", "_") for reason in Why}
    for expression in EXPRESSIONS:
        for label, values in re.findall(r'(outcome|reason)[=!]~"([^"]*)"', expression):
            assert set(values.split("|")) <= (words if label == "outcome" else reasons), expression


def test_a_counter_is_never_looked_at_but_through_its_rate():
    counters = "|".join(name for name in SERIES if name.endswith(("_total", "_bucket")))
    for expression in EXPRESSIONS:
        bare = re.sub(rf"(?:rate|increase)\(\s*(?:{counters})(?:{{[^}}]*}})?\[", "", expression)
        assert not re.search(counters, bare), expression


def test_every_alert_says_what_is_wrong_and_where_to_look():
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["annotations"]["description"].endswith(".")


def test_the_numbers_on_the_page_are_those_of_the_code():
    assert f"Beyond {MOST_ROUTES} templates" in PAGE
    assert f"Once there are {MOST_SERIES:,} sets of labels for requests, or {MOST_SPREADS:,} for durations" in PAGE
    assert f"not made within {process._ANSWER_S:.0f} s" in PAGE
    assert process._LOOKS_A_FLUSH * process._LOOK_S == 1.0
    assert f"{len(next(family.bounds for family in FAMILIES if 'duration' in family.name)) + 1} buckets" in PAGE
