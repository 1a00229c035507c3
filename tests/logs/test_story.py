import gzip
import io
import json

import pytest

from holdfast.logs.console import render
from holdfast.logs.story import CannotRead, find_in_files

ID, OTHER = "01900000-0000-7000-8000-000000000001", "01900000-0000-7000-8000-000000000002"


def line(second: float, event: str, request_id: str = ID, **fields) -> str:
    return json.dumps(
        {"time": f"2026-11-22T10:00:{second:09.6f}Z", "level": "info", "event": event}
        | {"request_id": request_id}
        | fields
    )


REQUEST = {
    "method": "POST",
    "path": "/api/files",
    "status": 201,
    "outcome": "ok",
    "duration_ms": 12.5,
    "actor": "alice",
    "action": "file.upload",
    "client_request_id": "order-7",
}


def written(tmp_path, *lines: str, name: str = "app.log"):
    path = tmp_path / name
    data = "".join(one + "\n" for one in lines).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(path)


def story(request_id: str, *names: str, **options) -> tuple[int, str]:
    out = io.StringIO()
    return find_in_files(request_id, names, out, **options), out.getvalue()


def test_the_story_is_told_in_the_order_of_time_across_files(tmp_path):
    first = written(tmp_path, line(2, "stored"), "no json at all", line(1, "other", OTHER))
    second = written(tmp_path, line(1.5, "received"), line(3, "request", **REQUEST), name="older.log.gz")
    code, told = story(ID, first, second)
    assert code == 0
    assert told.splitlines()[0] == f"POST /api/files (file.upload) by alice: 201, ok, 12.5 ms, {ID}"
    assert told.index("received") < told.index("stored") < told.index("12.5 ms ok")
    assert "other" not in told
    assert "+500.0ms" in told


def test_a_clients_own_id_leads_to_the_whole_story(tmp_path):
    name = written(tmp_path, line(1, "received"), line(2, "request", **REQUEST))
    code, told = story("order-7", name)
    assert code == 0
    assert "received" in told


def test_the_lines_themselves_can_be_had(tmp_path):
    name = written(tmp_path, line(2, "b"), line(1, "a"))
    _, told = story(ID, name, as_json=True)
    assert [json.loads(one)["event"] for one in told.splitlines()] == ["a", "b"]


def test_a_request_that_has_no_canonical_line_is_said_so(tmp_path):
    _, told = story(ID, written(tmp_path, line(1, "received")))
    assert "has not ended" in told


def test_nothing_found_is_exit_code_1(tmp_path):
    assert story("nobody", written(tmp_path, line(1, "a")))[0] == 1


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(CannotRead, match="nowhere.log"):
        story(ID, "nowhere.log")


def test_an_id_inside_another_field_is_not_the_request(tmp_path):
    assert story(ID, written(tmp_path, line(1, f"saw {ID}", OTHER)))[0] == 1


def test_a_line_for_people_shows_a_traceback_below_and_no_control_characters():
    shown = render(
        {
            "time": "2026-11-22T10:00:00.000000Z",
            "level": "error",
            "event": "a\x1b[2Jb",
            "exception": {"traceback": "x\ny"},
        },
        colour=False,
    )
    assert shown == "10:00:00.000 error    a\\x1b[2Jb\n  x\n  y\n"
