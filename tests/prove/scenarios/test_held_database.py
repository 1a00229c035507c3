"""Requests whose time is over, and requests that wait for a database which somebody else holds."""

import asyncio
import sqlite3

import pytest
from proving import UVICORN, proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.acts.deadlines.overdue import HOLDFAST, Overdue, Said
from holdfast.prove.acts.deadlines.punctuality import judged, told
from holdfast.prove.props.locking import databases, held
from holdfast.prove.scenarios.deadlines import SCENARIO, Deadlines, judge

PASSED = f"{HOLDFAST}deadline-passed"
MS, GRPC = "Holdfast-Timeout-Ms", "grpc-timeout"


def said(header: str = "", status: int = 504, took_s: float = 0.5, problem: str = PASSED, **more: object) -> Said:
    return Said("GET /items", header, status, took_s, problem, **more)


def facts(**more: object) -> Overdue:
    usual = {
        "databases": ("shop.sqlite",),
        "held_s": 3.0,
        "patience_s": 12.0,
        "over": (said(f"{MS}: 0", took_s=0.0, not_executed=True), said(f"{GRPC}: 0m", took_s=0.0, not_executed=True)),
        "waited": (said(took_s=3.0), said(f"{MS}: 500"), said(f"{GRPC}: 500m")),
        "read": "GET /items",
        "left": 3,
        "left_for_s": 2.8,
        "lines_s": (0.1, 0.1, 0.2),
    }
    return Overdue(**{**usual, **more})


def test_what_ends_in_time_is_told():
    assert judged(facts()) is None
    assert told(facts()) == [
        "While another process held its database, GET /items was answered with 504 after 3.0 s (and 0.5 s where "
        "Holdfast-Timeout-Ms asked for 0.5 s)",
        "what 3 clients had left was given up within 0.2 s",
    ]
    found = judge(Deadlines(well="yes", fault="yes", overdue=facts()))
    assert found.verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("found", "said"),
    [
        pytest.param(
            facts(waited=(said(status=0, took_s=12.0, problem=""),)), "no answer after 12 s while another", id="none"
        ),
        pytest.param(
            facts(over=(said(f"{MS}: 0", 200, 0.0, ""),), waited=(said(took_s=3.0), said(f"{MS}: 500", took_s=3.0))),
            "`Holdfast-Timeout-Ms: 0` was answered with 200, although its time was over",
            id="served although its time was over",
        ),
        pytest.param(
            facts(waited=(said(took_s=3.0), said(f"{MS}: 500", took_s=3.0))), "took 3.0 s, as long as", id="not heard"
        ),
        pytest.param(
            facts(over=(said(f"{MS}: 0", took_s=0.0),)), "without Holdfast-Not-Executed: it was begun", id="begun"
        ),
        pytest.param(facts(lines_s=(2.8, 2.8, 2.9)), "worked at for 2.8 s more", id="for those who have left"),
    ],
)
def test_what_breaks_it_is_told(found, said):
    judgement = judged(found)
    assert judgement is not None
    assert judgement.verdict is Verdict.BROKEN
    assert said in judgement.why
    assert judgement.mend
    assert judge(Deadlines(well="yes", fault="yes", overdue=found)).why == judgement.why


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(
            facts(
                over=(said(f"{MS}: 0", 200, 0.0, ""),),
                waited=(said(status=500, took_s=5.0, problem=""), said(f"{MS}: 500", 500, 5.0, "")),
                lines_s=(),
            ),
            id="knows no such header",
        ),
        pytest.param(facts(over=(said(f"{GRPC}: 0m", problem=""),)), id="refuses in its own words"),
        pytest.param(facts(waited=(said(took_s=0.01), said(f"{MS}: 500", took_s=0.01))), id="waits for no database"),
        pytest.param(facts(lines_s=(2.8,)), id="not all lines were found"),
        pytest.param(facts(lines_s=(0.1, 2.8, 2.8)), id="one was stopped"),
        pytest.param(Overdue(), id="nothing was asked"),
    ],
)
def test_what_others_do_breaks_nothing(found):
    assert judged(found) is None


def test_databases_are_known_by_how_they_begin_and_let_go_again(tmp_path):
    path = tmp_path / "data" / "shop"
    path.parent.mkdir()
    made = sqlite3.connect(path, timeout=0)
    made.execute("CREATE TABLE items (id INT)")
    made.commit()
    (tmp_path / "notes.sqlite").write_text("no database")

    async def main() -> None:
        assert databases(tmp_path) == [path]
        async with held([path], "IMMEDIATE") as taken:
            assert taken == [path]
            made.execute("SELECT * FROM items").fetchall()
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                made.execute("INSERT INTO items VALUES (1)")
        made.rollback()
        async with held([path]):
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                made.execute("SELECT * FROM items").fetchall()
        assert made.execute("SELECT * FROM items").fetchall() == []

    asyncio.run(main())


SHOP = """
    import asyncio, os, sqlite3
    from pathlib import Path

    WHERE = Path(os.environ["SHOP_DATA"]) / "shop.sqlite"
    with sqlite3.connect(WHERE) as once:
        once.execute("CREATE TABLE IF NOT EXISTS items (id INTEGER)")

    def items():
        connection = sqlite3.connect(WHERE, timeout=PATIENCE)
        try:
            return connection.execute("SELECT * FROM items").fetchall()
        finally:
            connection.close()

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        status = 200
        if scope["path"] == "/items":
            try:
                await asyncio.to_thread(items)
            except sqlite3.OperationalError:
                status = 503
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})
"""


def real(tmp_path, patience: str) -> Deadlines:
    async def main() -> Deadlines:
        async with proving(tmp_path, SHOP.replace("PATIENCE", patience), serve=UVICORN, read="GET /items") as stage:
            return await SCENARIO.gather(stage)

    return asyncio.run(main())


def test_a_backend_that_gives_up_its_database_is_kept(tmp_path):
    found = verdict(SCENARIO, real(tmp_path, "2.5"))
    assert found.verdict is Verdict.KEPT, found.why
    assert "GET /items was answered with 503 after 2." in found.why


def test_one_that_waits_for_ever_is_broken(tmp_path):
    found = verdict(SCENARIO, real(tmp_path, "60"))
    assert found.verdict is Verdict.BROKEN, found.why
    assert "GET /items had no answer after 8 s while another process held its database (shop.sqlite)" in found.why
