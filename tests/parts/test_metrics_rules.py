import pytest

from holdfast.decide import metrics as rules
from holdfast.decide.metrics import Place, place
from holdfast.parts.metrics import FAMILIES


@pytest.mark.parametrize(
    ("where", "installed", "health", "found"),
    [
        ("auto", True, True, Place.HEALTH),
        ("auto", True, False, Place.APP),
        ("auto", False, True, Place.NOWHERE),
        ("auto", False, False, Place.NOWHERE),
        ("app", True, True, Place.APP),
        ("app", False, False, Place.APP),
        ("health", True, True, Place.HEALTH),
        ("health", True, False, Place.HEALTH),
        ("off", True, True, Place.NOWHERE),
    ],
)
def test_metrics_are_answered_at_the_health_address_rather_than_on_a_port_that_is_open_to_all(
    where, installed, health, found
):
    assert place(where, installed=installed, health=health) is found


def test_a_method_that_somebody_made_up_is_other():
    assert [rules.method_label(method) for method in ("GET", "QUERY", "get", "BREW", "")] == [
        "GET",
        "QUERY",
        "other",
        "other",
        "other",
    ]


def test_routes_are_told_apart_up_to_a_number():
    known: set[str] = set()
    found = [rules.route_label(f"/{number}", known) for number in range(rules.MOST_ROUTES + 10)]
    assert found[: rules.MOST_ROUTES] == [f"/{number}" for number in range(rules.MOST_ROUTES)]
    assert set(found[rules.MOST_ROUTES :]) == {"other"}
    assert rules.route_label("/0", known) == "/0"


@pytest.mark.parametrize(
    ("route", "label"),
    [
        (None, "none"),
        ("/teas/{name}", "/teas/{name}"),
        ("/tée", "/tée"),
        ("/" + "x" * 500, "other"),
        ("/a\nb", "other"),
        ("/a\x00", "other"),
        ("/\udcff", "other"),
    ],
)
def test_a_route_that_no_programmer_wrote_is_other(route, label):
    assert rules.route_label(route, set()) == label


def test_once_there_are_too_many_kinds_of_requests_the_outcome_alone_is_told():
    known = {("GET", f"/{number}", "200", "ok"): [0.0] for number in range(rules.MOST_SERIES)}
    assert rules.request_labels(("GET", "/1", "200", "ok"), known) == ("GET", "/1", "200", "ok")
    assert rules.request_labels(("GET", "/1", "500", "failed"), known) == ("other", "other", "other", "failed")
    spreads = {("GET", f"/{number}"): [0.0] for number in range(rules.MOST_SPREADS)}
    assert rules.spread_labels(("GET", "/1"), spreads) == ("GET", "/1")
    assert rules.spread_labels(("POST", "/1"), spreads) == ("other", "other")


def test_numbers_are_added_by_family_and_labels_and_the_one_that_is_added_stays_as_it_is():
    numbers = {"a": {("x",): [1.0]}, "b": {(): [0.5, 1.0, 0.0]}}
    more = {"a": {("x",): [2.0], ("y",): [3.0]}, "b": {(): [0.25, 0.0, 4.0]}, "c": {(): [1.0]}}
    rules.added(numbers, more)
    rules.added(numbers, {"c": {(): [1.0]}, "b": {(): [1.0, 1.0]}})  # the last has other buckets
    assert numbers == {"a": {("x",): [3.0], ("y",): [3.0]}, "b": {(): [0.75, 1.0, 4.0]}, "c": {(): [2.0]}}
    assert more["a"][("y",)] == [3.0]
    assert more["c"][()] == [1.0]


PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ([], False),
        (["*/*"], False),
        ([PROMETHEUS], True),
        (["text/plain; version=0.0.4", "application/openmetrics-text; q=0.5"], False),
        (["text/plain; q=0.1", "Application/OpenMetrics-Text;q=0.5"], True),
        (["application/openmetrics-text; q=high"], False),
        (["application/openmetrics-text; q=nan, text/plain; q=-1"], False),
        (["," * 60_000 + "application/openmetrics-text"], False),
        (["text/html,application/xhtml+xml,*/*;q=0.8"], False),
    ],
)
def test_the_format_is_the_one_that_is_preferred(accept, openmetrics):
    assert rules.wants_openmetrics(accept) is openmetrics


# -- what the names promise: https://prometheus.io/docs/practices/naming/ --


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_name_says_whose_it_is_what_it_is_and_in_which_unit(family):
    assert family.name.startswith("holdfast_")
    assert family.name.islower()
    assert family.name.endswith("_total") == (family.kind == "counter")
    assert not {"ms", "milliseconds", "minutes", "kb", "mb"} & set(family.name.split("_"))
    assert (family.kind == "histogram") == bool(family.bounds)
    if family.bounds:
        assert family.name.endswith("_seconds")
        assert list(family.bounds) == sorted(set(family.bounds))
    assert family.help.endswith(".")
    assert "\n" not in family.help
    assert "\\" not in family.help
    assert not {"le", "quantile", "job", "instance", "pid"} & set(family.labels)


def test_no_two_families_share_a_name():
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
