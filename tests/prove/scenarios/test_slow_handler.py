"""Quick requests beside other work."""

import asyncio

import pytest
from proving import proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.props.meanwhile import Pace
from holdfast.prove.scenarios.slow_handler import SCENARIO, During, SlowHandler, charts, judge

SHOP = """
    import asyncio, time

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        if scope["path"] == "/report":
            %s
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})
"""


def pace(shown: str = "GET /health", p50: float = 2.0, p97: float = 5.0, asked: int = 50, **more: int) -> Pace:
    return Pace(shown, asked, more.get("good", asked), more.get("refused", 0), more.get("hung", 0), p50, p97, p97)


def facts(*during: During, before: tuple[Pace, ...] = (pace(),)) -> SlowHandler:
    return SlowHandler(well="yes", fault="yes", before=before, during=during)


def work(what: str = "GET /report", *paces: Pace, done: int = 3) -> During:
    return During(what, done, 3, 100.0, paces or (pace(),))


@pytest.mark.parametrize(
    "during",
    [
        pytest.param(pace(), id="as before"),
        pytest.param(pace(p97=240.0), id="a little slower"),
        pytest.param(pace(p50=115.0, p97=200.0), id="half of them slower, as on a busy machine"),
        pytest.param(pace(good=40, refused=10), id="some refused"),
    ],
)
def test_what_nobody_would_feel_is_kept(during):
    assert judge(facts(work("GET /report", during))).verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("during", "said"),
    [
        (pace(p97=1900.0), "took 1900 ms (97 of 100 within; 5 ms before)"),
        (pace(p50=300.0, p97=240.0), "took 300 ms (half of them longer; 2 ms before)"),
        (pace(good=20, hung=30), "30 of 50 requests for GET /health had no good answer"),
    ],
)
def test_what_held_them_up_is_named(during, said):
    found = judge(facts(work("GET /items"), work("POST /login", during)))
    assert found.verdict is Verdict.BROKEN
    assert found.why.startswith("While POST /login ran, ")
    assert said in found.why


def test_a_route_that_waits_for_a_lock_is_no_loop_that_stands_still():
    both = (pace("GET /files"), pace("GET /ready"))
    waiting = work("POST /files", pace("GET /files", p50=500.0, p97=700.0), pace("GET /ready", p97=8.0))
    assert judge(facts(waiting, before=both)).verdict is Verdict.KEPT
    for_long = work("POST /files", pace("GET /files", p50=1500.0, p97=1700.0), pace("GET /ready", p97=8.0))
    assert judge(facts(for_long, before=both)).verdict is Verdict.BROKEN


def test_work_that_failed_all_of_the_time_proves_nothing():
    assert judge(facts(work(done=0))).verdict is Verdict.NOT_PROVEN


def test_without_work_nothing_is_proven_and_it_is_said_what_to_say():
    found = judge(facts())
    assert found.verdict is Verdict.NOT_PROVEN
    assert "slow = [" in found.mend


def test_with_more_patience_only_what_no_busy_machine_explains_is_broken():
    assert judge(facts(work("GET /report", pace(p97=1900.0))), patience=8).verdict is Verdict.KEPT
    assert judge(facts(work("GET /report", pace(p97=4000.0))), patience=8).verdict is Verdict.BROKEN


def test_the_chart_has_a_point_for_each_kind_of_work():
    [chart] = charts(facts(work("GET /a"), work("GET /b")))
    assert [len(one.points) for one in chart.series] == [2, 2]
    assert chart.names == ("GET /a", "GET /b")


def real(tmp_path, handler: str) -> SlowHandler:
    async def main() -> SlowHandler:
        async with proving(tmp_path, SHOP % handler, read="GET /", slow=["GET /report"]) as stage:
            return await SCENARIO.gather(stage)

    return asyncio.run(main())


def test_a_handler_that_waits_holds_nothing_up(tmp_path):
    found = verdict(SCENARIO, real(tmp_path, "await asyncio.sleep(0.4)"))
    assert found.verdict is Verdict.KEPT or "machine" in found.why, found.why


def test_a_handler_that_blocks_holds_everything_up(tmp_path):
    found = verdict(SCENARIO, real(tmp_path, "time.sleep(0.9)"))
    assert found.verdict is Verdict.BROKEN or "machine" in found.why, found.why
    assert "While GET /report ran, GET / took" in found.why
