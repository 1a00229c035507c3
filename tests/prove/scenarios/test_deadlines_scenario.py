"""Deadlines, and work that nobody waits for."""

import asyncio

import pytest
from proving import HOLDFAST, UVICORN, proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.props.leaving import Left
from holdfast.prove.scenarios.deadlines import SCENARIO, Deadlines, Hung, charts, judge

SHOP = """
    import asyncio, os
    from urllib.parse import urlsplit

    async def called():
        where = urlsplit(os.environ["RATES_URL"])
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            writer.write(b"GET / HTTP/1.1\\r\\nHost: rates\\r\\nConnection: close\\r\\n\\r\\n")
            return await reader.read()
        finally:
            writer.close()

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        status = 200
        if scope["path"] == "/rates":
            try:
                await asyncio.wait_for(called(), TIMEOUT)
            except TimeoutError:
                status = 503
        if scope["path"] == "/year":
            for _ in range(200):
                sum(range(100_000))
                await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})
"""


def left(**more: object) -> Left:
    said = {"what": "GET /year", "one_s": 1.0, "one_cpu_s": 0.2, "left": 40, "read_before_ms": 3.0, **more}
    return Left(**{"read_after_ms": 5.0, **said})


def facts(*gone: Left, **more: object) -> Deadlines:
    return Deadlines(**{"well": "yes", "fault": "yes", "left": gone, **more})


def hung(took_s: float = 3.0, status: int = 504, header: str = "") -> Hung:
    return Hung("GET /rates", header, status, took_s)


def test_what_is_answered_and_stops_is_kept():
    found = judge(facts(left(spent_s=0.3), hung=(hung(),), reached=True, called=3, waited_s=3.1))
    assert found.verdict is Verdict.KEPT
    assert "GET /rates was answered with 504 after 3.0 s. 3 calls to it were given up within 3.1 s." in found.why
    assert "40 clients left GET /year, and 0.3 s of CPU time were spent after that, of 8.0 s for all of it" in found.why


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (facts(hung=(hung(12.0, 0),), reached=True), "had no answer after 12 s while what it depends on hung"),
        (facts(hung=(hung(),), reached=True, called=4, waiting=3), "3 of 4 calls to what hung were waiting still"),
        (facts(left(spent_s=7.0)), "spent 7.0 s of CPU time on it after that; all of it would have cost 8.0 s"),
        (facts(left(spent_s=3.0, idle=False)), "spent 3.0 s of CPU time on it after that"),
        (facts(left(one_cpu_s=0.0, calls=20, calls_later=19)), "19 of 20 calls to what it depends on went on"),
        (facts(left(read_after_ms=3000.0)), "an ordinary request took 3000 ms (3 ms before)"),
    ],
)
def test_what_breaks_it_is_told_with_its_number(found, said):
    judgement = judge(found)
    assert judgement.verdict is Verdict.BROKEN
    assert said in judgement.why
    assert judgement.mend


def test_a_client_that_says_how_long_it_waits_and_is_heard_is_told():
    found = judge(facts(hung=(hung(), hung(1.0, header="grpc-timeout")), reached=True))
    assert "(and 1.0 s where grpc-timeout asked for 1 s)" in found.why


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(left(one_cpu_s=0.001, spent_s=0.0), id="too cheap"),
        pytest.param(left(spent_s=3.5), id="neither stopped nor done"),
        pytest.param(left(spent_s=1.0, idle=False), id="busy still when it was not waited for any more"),
        pytest.param(left(left=0), id="answered before they could leave"),
    ],
)
def test_what_cannot_be_told_is_not_proven(gone):
    assert judge(facts(gone)).verdict is Verdict.NOT_PROVEN


def test_a_dependency_that_was_not_called_proves_nothing():
    assert judge(facts(hung=(hung(12.0, 0),), reached=False)).verdict is Verdict.NOT_PROVEN


def test_with_nothing_known_nothing_is_asked():
    assert not judge(Deadlines()).applies


def test_the_chart_shows_what_was_spent_beside_all_of_it():
    [chart] = charts(facts(left(spent_s=0.5)))
    assert [one.points for one in chart.series] == [((0.0, 0.5),), ((0.0, 8.0),)]


def real(tmp_path, source: str, serve: str, **said: object) -> Deadlines:
    async def main() -> Deadlines:
        async with proving(tmp_path, source, serve=serve, read="GET /", **said) as stage:
            return await SCENARIO.gather(stage)

    return asyncio.run(main())


CALLS = {"calls_out": "POST /rates", "dependencies": {"RATES_URL": "stand-in"}}


def test_a_call_with_a_timeout_is_kept(tmp_path):
    found = verdict(SCENARIO, real(tmp_path, SHOP.replace("TIMEOUT", "1.0"), UVICORN, **CALLS))
    assert found.verdict is Verdict.KEPT, found.why
    assert "POST /rates was answered with 503" in found.why


def test_a_call_without_one_is_broken(tmp_path):
    found = verdict(SCENARIO, real(tmp_path, SHOP.replace("TIMEOUT", "None"), UVICORN, **CALLS))
    assert found.verdict is Verdict.BROKEN, found.why
    assert "POST /rates had no answer after 8 s" in found.why


def test_work_that_ends_when_the_client_leaves_is_kept(tmp_path):
    found = verdict(SCENARIO, real(tmp_path, SHOP.replace("TIMEOUT", "1.0"), HOLDFAST, slow=["GET /year"]))
    assert found.verdict is Verdict.KEPT or "machine" in found.why, found.why


def test_work_that_goes_on_is_broken(tmp_path):
    found = verdict(SCENARIO, real(tmp_path, SHOP.replace("TIMEOUT", "1.0"), UVICORN, slow=["GET /year"]))
    assert found.verdict is Verdict.BROKEN or "machine" in found.why, found.why
