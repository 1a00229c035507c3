"""Against power loss: what was on the disk when it was acknowledged, as the system calls tell it."""

import shutil

import pytest
from keeping import RESUMABLE, SOURCE, UPLOAD, WRITE
from proving import proving, verdict

from holdfast.decide.durability import Danger
from holdfast.decide.verdicts import Verdict
from holdfast.prove.scenarios.power_loss import SCENARIO, PowerLoss, Step, gather, judge

pytestmark = pytest.mark.anyio
seen_by_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def step(*unsafe: tuple[str, Danger], what: str = "POST /files", **more) -> Step:
    return Step(what=what, status=201, seen=True, files=("files/a",), unsafe=unsafe, syncs=2, **more)


def facts(*steps: Step, **more) -> PowerLoss:
    return PowerLoss(**{"well": "200", "fault": "strace saw it", "steps": steps, **more})


UNSYNCED = ("files/a", Danger.UNSYNCED)


def test_what_is_synced_each_time_is_kept():
    found = verdict(SCENARIO, facts(step(), step(), step()))
    assert found.verdict is Verdict.KEPT
    assert "3 of 3 synced" in found.number


def test_what_is_unsynced_each_time_is_broken_and_says_which_file():
    found = verdict(SCENARIO, facts(step(UNSYNCED), step(UNSYNCED), step(UNSYNCED)))
    assert found.verdict is Verdict.BROKEN
    assert "3 of 3 times POST /files was answered, files/a was not synced" in found.why
    assert "fsync" in found.mend


def test_what_is_unsynced_now_and_then_may_have_been_another_request():
    assert verdict(SCENARIO, facts(step(UNSYNCED), step(), step())).verdict is Verdict.NOT_PROVEN


def test_once_is_not_enough():
    assert verdict(SCENARIO, facts(step(UNSYNCED))).verdict is Verdict.NOT_PROVEN


def test_one_kind_of_request_that_is_unsafe_decides():
    tries = [step(), step(("shop.sqlite", Danger.UNSYNCED), what="POST /notes")] * 3
    found = verdict(SCENARIO, facts(*tries))
    assert found.verdict is Verdict.BROKEN
    assert "POST /notes" in found.why


def test_data_that_goes_elsewhere_is_not_proven_and_says_where():
    gone = step(unseen="what was sent was not seen in any write to a file", elsewhere=("10.0.0.7:5432",))
    found = verdict(SCENARIO, facts(gone, gone, gone))
    assert found.verdict is Verdict.NOT_PROVEN
    assert "10.0.0.7:5432" in found.why


def test_requests_that_are_refused_show_nothing():
    refused = Step(what="POST /files", status=422)
    found = judge(facts(refused, refused))
    assert found.verdict is Verdict.NOT_PROVEN
    assert "422" in found.why


def test_nothing_to_keep_is_not_asked():
    assert not judge(facts()).applies


async def proved(tmp_path, mode: str, **said):
    async with proving(tmp_path, SOURCE, environment={"SHOP_MODE": mode}, **said) as stage:
        return verdict(SCENARIO, await gather(stage))


@seen_by_strace
async def test_a_backend_that_syncs_files_names_and_database_is_kept(tmp_path):
    found = await proved(tmp_path, "well", upload=UPLOAD, write=WRITE)
    assert found.verdict is Verdict.KEPT, found


@seen_by_strace
@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("unsynced", "was not synced after it was last written"),
        ("nameless", "the folder of that name was not synced"),
        ("early", "was written after the answer"),
    ],
)
async def test_a_backend_that_does_not_wait_for_the_disk_is_broken(tmp_path, mode, why):
    found = await proved(tmp_path, mode, upload=UPLOAD)
    assert found.verdict is Verdict.BROKEN, found
    assert why in found.why
    assert "files/" in found.why


@seen_by_strace
async def test_a_removal_that_is_answered_before_it_is_made_is_broken(tmp_path):
    found = await proved(tmp_path, "removed-later", upload=UPLOAD)
    assert found.verdict is Verdict.BROKEN, found
    assert "DELETE /files/{id} was answered, " in found.why
    assert "was written after the answer" in found.why


@seen_by_strace
@pytest.mark.parametrize(("mode", "unsafe"), [("offset-first", [("shop.sqlite", Danger.EARLY)]), ("offset-after", [])])
async def test_how_far_an_upload_is_may_not_be_safe_before_its_bytes(tmp_path, mode, unsafe):
    async with proving(tmp_path, SOURCE, environment={"SHOP_MODE": mode}, upload=RESUMABLE) as stage:
        found = await gather(stage)
    pieces = [each for each in found.steps if each.what == "PATCH of a piece"]
    assert [list(each.unsafe) for each in pieces] == [unsafe] * 3
    assert all(each.counts and any("shop.sqlite" in file for file in each.files) for each in pieces)


@seen_by_strace
async def test_a_database_whose_journal_is_in_memory_is_broken(tmp_path):
    found = await proved(tmp_path, "memory-journal", write=WRITE)
    assert found.verdict is Verdict.BROKEN, found
    assert "shop.sqlite was changed with no journal beside it" in found.why


@seen_by_strace
@pytest.mark.parametrize(
    ("mode", "path"),
    [
        ("off", "shop.sqlite was not synced"),
        ("wal-normal", "shop.sqlite-wal was not"),
        ("undone", "shop.sqlite-journal"),
    ],
)
async def test_a_database_that_does_not_wait_for_the_disk_is_broken(tmp_path, mode, path):
    found = await proved(tmp_path, mode, write=WRITE)
    assert found.verdict is Verdict.BROKEN, found
    assert path in found.why
    assert "PRAGMA synchronous" in found.mend


@seen_by_strace
async def test_a_write_ahead_log_that_is_synced_is_kept(tmp_path):
    found = await proved(tmp_path, "wal", write=WRITE)
    assert found.verdict is Verdict.KEPT, found


@seen_by_strace
async def test_each_acknowledged_piece_of_an_upload_is_looked_at(tmp_path):
    async with proving(tmp_path, SOURCE, upload=RESUMABLE) as stage:
        found = await gather(stage)
    pieces = [each for each in found.steps if each.what == "PATCH of a piece"]
    assert len(pieces) == 3
    assert all(each.counts and each.files and not each.unsafe for each in pieces)


FORWARDING = """
    import http.client, os, urllib.parse

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            return
        if scope["method"] == "POST":
            body, more = b"", True
            while more:
                message = await receive()
                body, more = body + message.get("body", b""), message.get("more_body", False)
            connection = http.client.HTTPConnection(urllib.parse.urlsplit(os.environ["STORE"]).netloc)
            connection.request("POST", "/", body)
            connection.getresponse().read()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
"""


@seen_by_strace
async def test_a_backend_that_keeps_nothing_itself_is_not_proven(tmp_path):
    async with proving(tmp_path, FORWARDING, upload="POST /files", dependencies={"STORE": "stand-in"}) as stage:
        found = verdict(SCENARIO, await gather(stage))
    assert found.verdict is Verdict.NOT_PROVEN
    assert "its data went to 127.0.0.1:" in found.why


async def test_without_strace_it_says_what_to_install(tmp_path, monkeypatch):
    async with proving(tmp_path, SOURCE, upload=UPLOAD) as stage:
        monkeypatch.setenv("PATH", "")
        found = verdict(SCENARIO, await gather(stage))
    assert found.verdict is Verdict.NOT_PROVEN
    assert "apt-get install strace" in found.why


async def test_a_strace_that_may_not_trace_is_told(tmp_path, monkeypatch):
    (tmp_path / "strace").write_text("#!/bin/sh\necho 'strace: attach: Operation not permitted' >&2\nexit 1\n")
    (tmp_path / "strace").chmod(0o755)
    async with proving(tmp_path, SOURCE, upload=UPLOAD) as stage:
        monkeypatch.setenv("PATH", f"{tmp_path}")
        found = verdict(SCENARIO, await gather(stage))
    assert found.verdict is Verdict.NOT_PROVEN
    assert "Operation not permitted" in found.why
