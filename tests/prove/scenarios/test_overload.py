"""Past its capacity."""

import asyncio

import msgspec
import pytest
from proving import HOLDFAST, UVICORN, proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.acts.overload.crowd import Crowd
from holdfast.prove.acts.overload.importance import Share, classes
from holdfast.prove.acts.overload.levels import Level
from holdfast.prove.acts.overload.refusals import Refusals, Seen
from holdfast.prove.http import Answer
from holdfast.prove.load import Template
from holdfast.prove.props.canary import fair
from holdfast.prove.scenarios.overload import SCENARIO, Overload, _hopeless, charts, judge, possible

SHOP = """
    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        sum(range(150_000))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})
"""


def level(times: float, good: int, refused: int = -1, lost: int = 0, **more: float) -> Level:
    """One second at so many times a capacity of 100; who is neither served nor lost is refused."""
    asked = round(100 * times)
    refused = asked - good - lost if refused < 0 else refused
    return Level(times, asked, good, refused, lost, 1.0, 100.0, more.get("refusal_ms", 5.0), more.get("cpu_s", 1.0))


EASY, FULL = level(0.5, 50), level(1.0, 96)


def facts(*levels: Level, back_s: float | None = 0.0, **more: object) -> Overload:
    said = {"well": "yes", "fault": "yes", "route": "GET /items", "capacity": 100.0, "serve_ms": 10.0, **more}
    return Overload(levels=levels, back_s=back_s, **said)


def test_what_serves_on_and_tells_the_rest_is_kept():
    found = judge(facts(EASY, FULL, level(2, 92), level(5, 88), level(10, 80)))
    assert found.verdict is Verdict.KEPT
    assert "At 10.0 times its capacity of 100 a second it served 80" in found.why


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ([EASY, level(5, 10, cpu_s=0.2)], "At 5.0 times its capacity it served 10 a second in time, and 100 without"),
        ([EASY, level(2, 90), level(5, 3, lost=497)], "it served 3 a second"),
        ([EASY, level(5, 90, lost=400)], "400 of these learned nothing within a second"),
        ([EASY, level(5, 90, refusal_ms=900.0)], "half of the refusals took more than 900 ms"),
        ([level(0.5, 30), level(5, 90)], "At half of its capacity it refused 20 of 50 requests."),
    ],
)
def test_what_breaks_it_is_told_with_its_number(levels, said):
    found = judge(facts(*levels))
    assert found.verdict is Verdict.BROKEN
    assert said in found.why
    assert found.mend


def test_a_goodput_between_is_neither():
    assert judge(facts(EASY, level(5, 50, cpu_s=0.5))).verdict is Verdict.NOT_PROVEN


@pytest.mark.parametrize("back_s", [None, 2.5])
def test_what_does_not_come_back_is_broken(back_s):
    assert "served half of it again" in judge(facts(EASY, level(5, 90), back_s=back_s)).why


def test_what_is_dead_afterwards_is_broken():
    found = judge(facts(EASY, level(5, 90), alive=False))
    assert found.verdict is Verdict.BROKEN
    assert "did not answer any more" in found.why


@pytest.mark.parametrize(
    ("found", "excused"),
    [
        (facts(EASY, level(2, 0, lost=200), level(5, 0, lost=500), back_s=None), False),
        (facts(EASY, level(2, 20), level(5, 0, lost=500), back_s=None), True),
        (facts(EASY, level(5, 0, lost=500), back_s=1.0), True),
    ],
)
def test_a_busy_machine_excuses_all_but_a_backend_that_is_lost(found, excused):
    assert bool(fair(found, judge, "it was busy.", _hopeless).limit) is excused


def test_what_refusing_costs_is_taken_off():
    costly = facts(EASY, level(2, 70, cpu_s=1.0))
    assert possible(costly, costly.levels[-1]) == pytest.approx(0.7)
    assert judge(costly).verdict is Verdict.KEPT


def test_a_level_at_which_refusing_takes_all_says_nothing():
    assert judge(facts(EASY, level(2, 70, cpu_s=1.0), level(10, 5, cpu_s=1.0))).verdict is Verdict.KEPT


def test_where_refusing_takes_all_at_each_level_nothing_is_proven():
    found = judge(facts(EASY, level(5, 10, cpu_s=1.0)))
    assert found.verdict is Verdict.NOT_PROVEN
    assert "A refusal costs 18% of what serving GET /items does" in found.why


def test_a_load_that_is_served_whole_was_no_overload():
    found = judge(facts(EASY, level(5, 500), fault=""))
    assert found.verdict is Verdict.NOT_PROVEN
    assert "that was no overload" in found.why


@pytest.mark.parametrize("more", [{"capacity": 0.0}, {"capacity": 4000.0}])
def test_without_a_capacity_or_a_load_nothing_is_proven(more):
    assert judge(facts(EASY, FULL, **more)).verdict is Verdict.NOT_PROVEN


def test_the_bound_in_the_chart_is_no_higher_than_what_is_offered():
    goodput, _ = charts(facts(EASY, FULL, level(5, 90)))
    assert dict(goodput.series[1].points)[0.5] == 50.0


# -- what refusals say, whom they meet, and who comes first --


SHED = facts(EASY, level(5, 90))


def said(**more: object) -> Overload:
    return msgspec.structs.replace(SHED, **more)


@pytest.mark.parametrize(
    ("refusals", "in_why"),
    [
        (Refusals(seen=40, silent=40), "Of 40 refusals 40 had no Retry-After"),
        (Refusals(seen=40, unmarked=40, marks=True), "40 had no Holdfast-Not-Executed"),
        (Refusals(seen=40, probe="/health", probed=50, probes_refused=12), "12 of 50 requests of GET /health"),
    ],
)
def test_a_refusal_that_says_too_little_or_meets_a_probe_is_broken(refusals, in_why):
    found = verdict(SCENARIO, said(refusals=refusals))
    assert found.verdict is Verdict.BROKEN
    assert found.certain is not bool(refusals.probes_refused)  # what is ready may be so no more
    assert in_why in found.why


def answered(body: bytes = b"", **headers: str) -> Answer:
    return Answer(503, {name.replace("_", "-"): value for name, value in headers.items()}, body, 0.0)


@pytest.mark.parametrize(
    ("refused", "silent"),
    [
        ([answered(b"Service Unavailable"), answered(b"Service Unavailable")], 0),
        ([answered(retry_after="1"), answered()], 1),
        ([answered(b'{"advice": "Send it again after the time in Retry-After."}')], 1),
    ],
)
def test_when_to_come_again_is_missed_only_where_the_backend_speaks_of_it(refused, silent):
    seen = Seen("")
    seen.refused += refused
    assert seen.found(marks=False).silent == silent


@pytest.mark.parametrize(
    "refusals",
    [
        Refusals(seen=40),
        Refusals(seen=2, silent=2),
        Refusals(seen=40, unmarked=40),  # it knows no such header
        Refusals(seen=40, probe="/health", probed=50, probes_refused=1),
    ],
)
def test_refusals_that_say_what_they_have_to_are_kept(refusals):
    assert verdict(SCENARIO, said(refusals=refusals)).verdict is Verdict.KEPT


def classed(ordinary: int, critical: int, background: int) -> tuple[Share, ...]:
    """So many of a hundred were served of each."""
    return (
        Share("", 1000, 10 * ordinary),
        Share("critical", 200, 2 * critical),
        Share("background", 200, 2 * background),
    )


MARKED = Refusals(seen=40, marks=True)


@pytest.mark.parametrize(
    ("shares", "more", "expected"),
    [
        (classed(20, 22, 20), {}, Verdict.KEPT),
        (classed(20, 96, 20), {}, Verdict.BROKEN),
        (classed(20, 96, 0), {"trusts": True}, Verdict.KEPT),  # who is a proxy is believed
        (classed(20, 21, 90), {"refusals": MARKED}, Verdict.BROKEN),
        (classed(20, 21, 20), {"refusals": MARKED}, Verdict.BROKEN),
        (classed(20, 21, 3), {"refusals": MARKED}, Verdict.KEPT),
        (classed(2, 2, 2), {"refusals": MARKED}, Verdict.KEPT),  # too little to be compared
    ],
)
def test_who_calls_himself_critical_is_not_believed_and_the_unimportant_come_last(shares, more, expected):
    assert verdict(SCENARIO, said(shares=shares, **more)).verdict is expected


def test_the_classes_of_a_load_differ_in_their_header_alone():
    plain, critical, background = classes(Template("/items", headers=(("Accept", "*/*"),)))
    assert plain.headers == (("Accept", "*/*"),)
    assert ("Holdfast-Priority", "critical") in critical.headers
    assert ("Holdfast-Priority", "background") in background.headers
    assert plain.weight > critical.weight + background.weight


@pytest.mark.parametrize(
    ("crowd", "expected"),
    [
        (Crowd("POST /login", 200, 30, 170), Verdict.KEPT),
        (Crowd("POST /login", 200, 195, 0), Verdict.KEPT),
        (Crowd("POST /login", 200, 20, 0), Verdict.BROKEN),
        (Crowd(), Verdict.KEPT),
    ],
)
def test_a_crowd_that_signs_in_is_let_in_or_told(crowd, expected):
    assert verdict(SCENARIO, said(crowd=crowd)).verdict is expected


def test_facts_are_json():
    found = facts(EASY, level(5, 90))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Overload) == found


def real(tmp_path, serve: str) -> Overload:
    async def main() -> Overload:
        async with proving(tmp_path, SHOP, serve=serve, read="GET /") as stage:
            return await SCENARIO.gather(stage)

    return asyncio.run(main())


def test_a_backend_that_sheds_is_kept(tmp_path):
    found = verdict(SCENARIO, real(tmp_path, HOLDFAST))
    assert found.verdict is Verdict.KEPT or "machine" in found.why or "neither a collapse" in found.why, found.why


def test_a_backend_that_begins_everything_is_broken(tmp_path):
    found = verdict(SCENARIO, real(tmp_path, UVICORN))
    assert found.verdict is Verdict.BROKEN or "machine" in found.why, found.why
