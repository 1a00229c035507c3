"""Bounded: exports of more and more rows, and the memory of whoever gives them out."""

import pytest
from keeping import EXPORT, SOURCE
from proving import proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.props.growth import MB, Peak
from holdfast.prove.props.rows import Counting, pieces
from holdfast.prove.scenarios.growing_export import SCENARIO, Exported, GrowingExport, charts, gather

pytestmark = pytest.mark.anyio


def facts(*over_mb: float, phase: str = "exporting", looks: int = 20, **more) -> GrowingExport:
    sizes = {1000: 2, 15_000: 30, 50_000: 100}
    exported = tuple(
        Exported(rows, mb * MB, 0.01, 1.0, (rows, rows)) for (rows, mb), _ in zip(sizes.items(), over_mb, strict=False)
    )
    peaks = tuple(Peak(phase, one.bytes / MB, over, looks) for one, over in zip(exported, over_mb, strict=True))
    return GrowingExport(**{"well": "whole", "fault": "looked at", "exported": exported, "peaks": peaks, **more})


@pytest.mark.parametrize(
    ("over_mb", "expected"),
    [
        ((3, 45, 65), Verdict.KEPT),
        ((3, 30, 60), Verdict.NOT_PROVEN),
        ((3, 30, 100), Verdict.BROKEN),
        ((3, 100, 330), Verdict.BROKEN),
        ((3,), Verdict.NOT_PROVEN),
        ((), Verdict.NOT_PROVEN),
    ],
)
def test_growth_decides(over_mb, expected):
    assert verdict(SCENARIO, facts(*over_mb)).verdict is expected


def test_what_mends_it_depends_on_what_grew():
    assert "holdfast.exports" in verdict(SCENARIO, facts(3, 30, 100)).mend
    assert "batches" in verdict(SCENARIO, facts(3, 30, 100, phase="filling in")).mend


@pytest.mark.parametrize("wrong", [{"counted": (1000, 999)}, {"counted": (1000,), "doubled": 3}])
def test_a_wrong_number_of_rows_is_broken_for_certain(wrong):
    exported = Exported(**{"rows": 1000, "bytes": 2 * MB, "first_s": 0.1, "took_s": 1.0, **wrong})
    found = verdict(SCENARIO, facts(3, 45, 65, exported=(exported,), limit="busy"))
    assert (found.verdict, found.certain) == (Verdict.BROKEN, True)


def test_without_a_way_to_fill_in_rows_it_says_the_line():
    found = verdict(SCENARIO, facts(3, filled=False))
    assert found.verdict is Verdict.NOT_PROVEN
    assert "fill = " in found.mend


def test_too_few_rows_say_why():
    found = verdict(SCENARIO, facts(3, stopped="15000 rows: POST /rows said 413"))
    assert "413" in found.why


def test_there_are_two_charts():
    assert [chart.y for chart in charts(facts(3, 45, 65))] == ["MB", "s"]
    assert charts(facts()) == ()


@pytest.mark.parametrize("size", [1, 7, 64, 5000])
def test_rows_are_counted_wherever_the_pieces_are_cut(size):
    whole = b"".join(pieces(1200, "0123456789ab", 30)) + b"77,prove-0123456789ab-0000003\n"
    counting = Counting()
    for begin in range(0, len(whole), size):
        counting(whole[begin : begin + size])
    assert (counting.once("0123456789ab"), counting.doubled("0123456789ab")) == (1200, 1)
    assert counting.once("ffffffffffff") == 0


async def proved(tmp_path, mode: str, export: object = EXPORT):
    async with proving(tmp_path, SOURCE, environment={"SHOP_MODE": mode}, export=export) as stage:
        found = await gather(stage)
        return found, verdict(SCENARIO, found)


async def test_a_backend_that_reads_and_sends_batch_by_batch_is_kept(tmp_path):
    found, judged = await proved(tmp_path, "well")
    assert judged.verdict is Verdict.KEPT, (judged, found)
    assert [one.rows for one in found.exported] == [1000, 3000, 20_000]
    assert all(set(one.counted) == {one.rows} for one in found.exported)


@pytest.mark.parametrize("mode", ["all-rows", "whole-table"])
async def test_a_backend_that_has_all_rows_at_once_is_broken(tmp_path, mode):
    found, judged = await proved(tmp_path, mode)
    assert judged.verdict is Verdict.BROKEN, (judged, found)


async def test_without_fill_what_is_there_is_exported_and_nothing_proven(tmp_path):
    found, judged = await proved(tmp_path, "well", {"request": "GET /rows.csv"})
    assert judged.verdict is Verdict.NOT_PROVEN
    assert len(found.exported) == 1


async def test_rows_that_never_come_are_not_proven_and_told(tmp_path):
    _, judged = await proved(
        tmp_path, "well", {"request": "GET /files", "fill": {"request": "POST /rows", "body": "csv"}}
    )
    assert judged.verdict is Verdict.NOT_PROVEN
    assert "of 1000 rows 0 came" in judged.why
