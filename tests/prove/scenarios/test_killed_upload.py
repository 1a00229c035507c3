"""Against kill: uploads around kill -9, looked up after the restart."""

import pytest
from keeping import EXPORT, RESUMABLE, SOURCE, UPLOAD
from proving import proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.acts.killed_upload.listing import listed
from holdfast.prove.scenarios.killed_upload import SCENARIO, KilledUpload, gather

pytestmark = pytest.mark.anyio


def facts(**more) -> KilledUpload:
    return KilledUpload(
        **{
            "well": "it came back",
            "fault": "3 times it ended by SIGKILL",
            "rounds": 3,
            "acknowledged": 20,
            "under_way": 9,
            "resumable": 4,
            "resumed": 4,
            "rows": 6000,
            **more,
        }
    )


def test_all_there_is_kept_and_counts_what_was_looked_up():
    found = verdict(SCENARIO, facts())
    assert found.verdict is Verdict.KEPT
    assert "all 20 acknowledged files" in found.why
    assert "6000 rows" in found.why


@pytest.mark.parametrize(
    ("more", "number"),
    [
        ({"lost": ("9 bytes: 404",)}, "1 of 20 lost"),
        ({"changed": ("3 bytes came back for 9",)}, "1 of 20 changed"),
        ({"half": ("3 of 9 bytes",)}, "1 of 9 half"),
        ({"forgotten": ("3 bytes are there, 7 of 9 were acknowledged",)}, "1 of 4 forgotten"),
        ({"spoiled": ("it went on at 3",)}, "1 of 4 spoiled"),
        ({"rows_doubled": 12}, "12 rows doubled"),
    ],
)
def test_what_no_chance_can_cause_is_broken_for_certain(more, number):
    found = verdict(SCENARIO, facts(**more, limit="the machine was busy"))
    assert (found.verdict, found.certain, found.number) == (Verdict.BROKEN, True, number)
    assert found.mend


def test_rows_that_never_come_are_broken_but_may_only_be_slow():
    found = verdict(SCENARIO, facts(rows_missing=1500))
    assert (found.verdict, found.certain) == (Verdict.BROKEN, False)
    assert "1500 of 6000 rows" in found.why


def test_what_was_not_answered_in_time_is_broken_but_may_only_be_slow():
    found = verdict(SCENARIO, facts(unsure=("9 bytes: no whole answer within 20 s",)))
    assert (found.verdict, found.certain, found.number) == (Verdict.BROKEN, False, "1 of 24 not there")
    assert verdict(SCENARIO, facts(unsure=("9 bytes: 503",), lost=("9 bytes: 404",))).certain


def test_no_restart_is_broken():
    found = verdict(SCENARIO, facts(restart="The backend ended with exit code 3 before it was ready."))
    assert found.verdict is Verdict.BROKEN
    assert "exit code 3" in found.why


def test_what_cannot_be_looked_up_is_not_proven():
    found = verdict(SCENARIO, KilledUpload(unknown="it is not known how a file is fetched"))
    assert found.verdict is Verdict.NOT_PROVEN


def test_no_acknowledgement_and_no_kill_prove_nothing():
    assert verdict(SCENARIO, facts(acknowledged=0, resumable=0, resumed=0)).verdict is Verdict.NOT_PROVEN
    assert verdict(SCENARIO, facts(fault="")).verdict is Verdict.NOT_PROVEN


def test_a_file_is_found_in_a_list_by_its_name():
    several = {"items": [{"id": 7, "name": "prove-1.csv"}, {"id": 8, "meta": {"id": 9, "file": "prove-2.csv"}}]}
    assert listed(several, "prove-1", "id") == "7"
    assert listed(several, "prove-2", "id") == "9"
    assert listed(several, "prove-3", "id") == ""


async def proved(tmp_path, mode: str, **said):
    async with proving(tmp_path, SOURCE, environment={"SHOP_MODE": mode}, **said) as stage:
        found = await gather(stage)
        return found, verdict(SCENARIO, found)


async def test_a_backend_that_stores_before_it_answers_is_kept(tmp_path):
    found, judged = await proved(tmp_path, "well", upload=RESUMABLE, export=EXPORT)
    assert judged.verdict is Verdict.KEPT, judged
    assert found.rounds == 2
    assert found.acknowledged > 0
    assert found.under_way > 0
    assert found.rows >= 6000
    assert found.unlooked == ""


@pytest.mark.parametrize(
    ("mode", "said", "why"),
    [
        ("early", {"upload": UPLOAD}, "acknowledged files were gone"),
        ("forgetful", {"upload": RESUMABLE}, "had less than was acknowledged"),
        ("dropped", {"upload": UPLOAD, "export": EXPORT}, "never came"),
        ("twice", {"upload": UPLOAD, "export": EXPORT}, "twice or more"),
        ("never-again", {"upload": UPLOAD}, "did not start again"),
    ],
)
async def test_a_backend_that_forgets_is_broken(tmp_path, mode, said, why):
    _, judged = await proved(tmp_path, mode, **said)
    assert judged.verdict is Verdict.BROKEN, judged
    assert why in judged.why


HALF = """
    import json, os
    from pathlib import Path

    FILES = Path(os.environ["SHOP_DATA"]) / "files"
    FILES.mkdir(exist_ok=True)

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            return
        path, status, body = FILES / scope["path"].rpartition("/")[2], 200, b""
        if scope["method"] == "PUT":
            with path.open("wb", buffering=0) as file:
                more = True
                while more:
                    message = await receive()
                    file.write(message.get("body", b""))
                    more = message.get("more_body", False)
        elif path.is_file():
            body = path.read_bytes()
        elif path != FILES:
            status = 404
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
"""


async def test_half_a_file_under_the_name_of_a_whole_one_is_broken(tmp_path):
    upload = {"request": "PUT /files/{name}", "content": "/files/{name}"}
    async with proving(tmp_path, HALF, upload=upload) as stage:
        found = verdict(SCENARIO, await gather(stage))
    assert found.verdict is Verdict.BROKEN, found
    assert "given out as if they were whole" in found.why


async def test_without_a_way_to_fetch_it_is_not_proven(tmp_path):
    _, judged = await proved(tmp_path, "well", upload={"request": "POST /files", "id": "id"})
    assert judged.verdict is Verdict.NOT_PROVEN
    assert "how a file is fetched" in judged.why
