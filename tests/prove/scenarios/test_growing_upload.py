"""Bounded: larger and larger uploads, and the memory of whoever takes them."""

import pytest
from keeping import RESUMABLE, SOURCE, UPLOAD
from proving import proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.acts.growing_upload.large_forms import PHASE as FORMS
from holdfast.prove.acts.growing_upload.long_lists import Listed
from holdfast.prove.acts.growing_upload.unread_log import PHASE as UNREAD
from holdfast.prove.props.growth import Peak
from holdfast.prove.scenarios.growing_upload import SCENARIO, GrowingUpload, Sent, charts, gather

pytestmark = pytest.mark.anyio


def facts(*over_mb: float, phase: str = "sending", sizes=(1, 8, 64, 192), looks: int = 20, **more) -> GrowingUpload:
    """Memory over the base, size by size."""
    peaks = tuple(Peak(phase, size, over, looks) for size, over in zip(sizes, over_mb, strict=False))
    sent = tuple(Sent(size, 201, 0.5) for size in sizes[: len(over_mb)])
    return GrowingUpload(**{"well": "taken", "fault": "looked at", "sent": sent, "peaks": peaks, **more})


@pytest.mark.parametrize(
    ("over_mb", "expected"),
    [
        ((2, 2, 3, 5), Verdict.KEPT),
        ((2, 20, 60, 62), Verdict.KEPT),  # buffers that are full
        ((2, 8, 40, 80), Verdict.KEPT),
        ((2, 10, 64, 120), Verdict.NOT_PROVEN),  # between
        ((2, 10, 66, 194), Verdict.BROKEN),
        ((2, 20, 200, 580), Verdict.BROKEN),
        ((2, 20), Verdict.KEPT),  # refused above: bounded by its limit
        ((2,), Verdict.NOT_PROVEN),
        ((), Verdict.NOT_PROVEN),
    ],
)
def test_growth_decides(over_mb, expected):
    assert verdict(SCENARIO, facts(*over_mb)).verdict is expected


def test_what_grows_is_told_with_its_number_and_what_mends_it():
    found = verdict(SCENARIO, facts(2, 10, 66, 194))
    assert found.number == "128 MB more for 128 MB"
    assert "holdfast.uploads" in found.mend
    assert "fetching" in verdict(SCENARIO, facts(2, 10, 66, 194, phase="fetching")).why


def test_the_worse_of_two_phases_decides():
    both = facts(2, 2, 3, 5), facts(2, 10, 66, 194, phase="fetching")
    found = facts(2, 2, 3, 5, peaks=both[0].peaks + both[1].peaks)
    assert verdict(SCENARIO, found).verdict is Verdict.BROKEN


def test_a_refusal_of_a_size_is_told_and_no_fault():
    found = verdict(SCENARIO, facts(2, 3, 3, told="192 MB: 413 after 9 ms"))
    assert found.verdict is Verdict.KEPT
    assert "413" in found.why


def test_what_was_hardly_looked_at_is_not_shown_to_be_flat_but_may_be_shown_to_grow():
    assert verdict(SCENARIO, facts(2, 2, 3, 5, looks=1)).verdict is Verdict.NOT_PROVEN
    assert verdict(SCENARIO, facts(2, 10, 66, 194, looks=1)).verdict is Verdict.BROKEN


def test_memory_that_cannot_be_seen_proves_nothing():
    assert verdict(SCENARIO, facts(2, 10, 66, 194, limit="it could not be seen")).verdict is Verdict.NOT_PROVEN


def test_other_bytes_are_broken_for_certain():
    sent = (Sent(1, 201, 0.1), Sent(8, 201, 0.1, "200 with 7 bytes", changed=True))
    found = verdict(SCENARIO, facts(2, 2, sent=sent, limit="busy"))
    assert (found.verdict, found.certain) == (Verdict.BROKEN, True)


def test_the_chart_has_a_line_for_each_phase_and_the_bound():
    (chart,) = charts(facts(2, 2, 3, 5))
    assert [series.name for series in chart.series] == ["sending", "all of it in memory"]
    assert charts(facts()) == ()


@pytest.mark.parametrize(
    ("phase", "in_mend"),
    [
        (f"{FORMS} to /login", "Refuse a form by its length"),
        (UNREAD, "Let only so much wait to be written"),
        ("sending faster than it is stored", "Pass the bytes on as they come"),
    ],
)
def test_what_else_must_not_grow_is_told_with_what_mends_it(phase, in_mend):
    peaks = (*facts(2, 2, 3, 5).peaks, Peak(phase, 8, 10.0), Peak(phase, 96, 150.0))
    found = verdict(SCENARIO, facts(2, 2, 3, 5, peaks=peaks))
    assert found.verdict is Verdict.BROKEN
    assert phase in found.why
    assert in_mend in found.mend


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (Listed("GET /files?limit=1000000", 50, 1040), Verdict.BROKEN),
        (Listed("GET /files?limit=1000000", 50, 500), Verdict.KEPT),  # so long may a page be
        (Listed("GET /files?limit=1000000", 1030, 1040), Verdict.KEPT),  # it has no pages, and says nothing of them
        (Listed("GET /files?limit=1000000", 50, 0), Verdict.KEPT),
    ],
)
def test_a_list_that_gives_all_that_there_is_is_broken(listed, expected):
    assert verdict(SCENARIO, facts(2, 2, 3, 5, lists=(listed,))).verdict is expected


async def proved(tmp_path, mode: str, upload: object = UPLOAD):
    async with proving(tmp_path, SOURCE, environment={"SHOP_MODE": mode}, upload=upload) as stage:
        found = await gather(stage)
        return found, verdict(SCENARIO, found)


async def test_a_backend_that_passes_on_what_comes_is_kept(tmp_path):
    found, judged = await proved(tmp_path, "well")
    assert judged.verdict is Verdict.KEPT, (judged, found)
    assert [one.mb for one in found.sent] == [1, 8, 64]
    assert not any(one.back for one in found.sent)


async def test_what_is_sent_by_tus_is_looked_at_too(tmp_path):
    found, judged = await proved(tmp_path, "greedy-tus", RESUMABLE)
    assert judged.verdict is Verdict.BROKEN, (judged, found)
    assert "while sending by tus" in judged.why


async def test_a_backend_that_reads_the_whole_body_is_broken(tmp_path):
    found, judged = await proved(tmp_path, "greedy")
    assert judged.verdict is Verdict.BROKEN, (judged, found)
    assert "while sending" in judged.why


async def test_a_backend_that_reads_the_whole_file_to_give_it_back_is_broken(tmp_path):
    found, judged = await proved(tmp_path, "greedy-back")
    assert judged.verdict is Verdict.BROKEN, (judged, found)
    assert "while fetching" in judged.why


async def test_an_upload_that_is_refused_shows_nothing(tmp_path):
    _, judged = await proved(tmp_path, "well", {"request": "PATCH /uploads/none", "headers": {"Upload-Offset": "0"}})
    assert judged.verdict is Verdict.NOT_PROVEN
    assert "No upload was taken" in judged.why
