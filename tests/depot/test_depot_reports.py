"""Reports: every format of them, one moment in each, clients that are slow or leave, and what is told of them."""

import asyncio
import csv
import io
import json
import signal
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import duckdb
import openpyxl
import polars as pl
import pytest
import python_calamine
from reporting import FORMS, Reader, ask, big, made
from running import wait_until

from depot.leases import Leases
from holdfast import exports

TABLE = 'name,"odd, one",note\nJosé,"say ""hi""",=1+1\n"two\nlines",😀 \u200d,\n007,0.10,NULL\n'
Rows = list[dict[str, Any]]


def by_csv(content: bytes) -> Rows:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def by_openpyxl(content: bytes) -> Rows:
    head, *rows = openpyxl.load_workbook(io.BytesIO(content), read_only=True).active.values
    return [dict(zip(head, row, strict=True)) for row in rows]


def by_calamine(content: bytes) -> Rows:
    head, *rows = python_calamine.load_workbook(io.BytesIO(content)).get_sheet_by_index(0).to_python()
    return [dict(zip(head, row, strict=True)) for row in rows]


def by_duckdb(function: str, options: str = "") -> Callable[[bytes], Rows]:
    def read(content: bytes) -> Rows:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            found = duckdb.sql(f"SELECT * FROM {function}('{file.name}'{options})")
            return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]

    return read


def by_duckdb_of_json(function: str) -> Callable[[bytes], Rows]:
    read = by_duckdb(function, ", maximum_depth=1")
    return lambda content: [{name: value and json.loads(value) for name, value in row.items()} for row in read(content)]


READERS = [
    ("csv", by_csv),
    ("csv", lambda content: pl.read_csv(content, infer_schema=False).to_dicts()),
    ("csv", by_duckdb("read_csv", ", all_varchar=true")),
    ("ndjson", lambda content: [json.loads(line) for line in content.splitlines()]),
    ("ndjson", by_duckdb_of_json("read_ndjson")),
    ("json", json.loads),
    ("json", by_duckdb_of_json("read_json")),
    ("xlsx", by_openpyxl),
    ("xlsx", by_calamine),
    ("parquet", lambda content: pl.read_parquet(content).to_dicts()),
    ("parquet", by_duckdb("read_parquet")),
]


def told(value: object) -> object:
    """A value as every reader would tell it: some know of no numbers, none of the difference between none and empty."""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    if isinstance(value, str) and value.startswith("{"):
        return told(json.loads(value))
    return "" if value is None else str(int(value)) if isinstance(value, float) else str(value)


@pytest.mark.parametrize(("form", "read"), READERS)
def test_a_report_is_read_back_as_it_is_in_the_database_whatever_reads_it(depot, form: str, read) -> None:
    for name, content in (("table.csv", TABLE), ("lines.ndjson", '{"a": 1.50, "ü": [null, {"b": "c"}]}\n{"z": ""}\n')):
        depot.read(depot.send(name, content)["id"])
    mine = "account_no = (SELECT no FROM accounts WHERE name = ?)"
    sources = {
        "records": f'SELECT id, "row", data FROM records JOIN files ON no = file_no WHERE {mine} ORDER BY no, "row"',
        "files": "SELECT id, name, size, sha256, created, state, records, problems_total FROM files"
        f" WHERE {mine} ORDER BY no",
        "activity": f"SELECT at, '{depot.name}', action, file_id, name, request_id FROM activity"
        f" WHERE {mine} ORDER BY no",
    }
    for report, question in sources.items():
        answer = depot.http.get(f"/api/reports/{report}.{form}")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert answer.headers["content-disposition"] == f'attachment; filename="{report}.{form}"'
        assert [[told(value) for value in row.values()] for row in read(answer.content)] == [
            [told(value) for value in row] for row in ask(depot, question, depot.name)
        ], report


@pytest.mark.parametrize("form", FORMS)
def test_a_report_without_a_row_has_its_columns_all_the_same(depot, form: str) -> None:
    content = depot.http.get(f"/api/reports/files.{form}").content
    columns = ["id", "name", "size", "sha256", "created", "state", "records", "problems"]
    if form in {"json", "ndjson"}:
        assert content.split() in ([b"[", b"]"], [])
    elif form == "csv":
        assert next(csv.reader([content.decode()])) == columns
    elif form == "xlsx":
        assert [*openpyxl.load_workbook(io.BytesIO(content)).active.values] == [tuple(columns)]
    else:
        assert pl.read_parquet(content).columns == columns


def test_text_that_a_spreadsheet_would_run_is_text_unless_a_program_asks(depot) -> None:
    depot.send("=cmd|' /C calc'!A0", "x")
    people, program = (
        by_csv(depot.http.get("/api/reports/files.csv", params=params).content) for params in ({}, {"machine": "1"})
    )
    assert people[0]["name"] == "'=cmd|' /C calc'!A0"
    assert program[0]["name"] == "=cmd|' /C calc'!A0"


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_marked_report_proves_that_it_is_whole(depot, form: str) -> None:
    depot.read(depot.send("a.csv", "n\n1\n2\n3\n")["id"])
    content = depot.http.get(f"/api/reports/records.{form}", params={"marked": "1"}).content
    assert exports.verify([content]).rows == 3
    with pytest.raises(exports.Truncated):
        exports.verify([content.replace(b"2", b"")])
    unmarked = depot.http.get(f"/api/reports/records.{form}").content
    with pytest.raises(exports.Truncated):
        exports.verify([unmarked])
    assert content.startswith(unmarked)


@pytest.mark.parametrize("name", ["records.pdf", "files.CSVX", "activity.tar.gz", "records.%00"])
def test_an_unknown_format_is_told_with_those_that_there_are(depot, name: str) -> None:
    answer = depot.http.get(f"/api/reports/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["type"] == "urn:holdfast:problem:unknown-format"
    assert answer.json()["formats"] == [*FORMS]
    assert made(depot) == []


def test_the_description_of_the_api_names_the_formats_and_their_media_types(depot) -> None:
    for report in ("records", "files", "activity"):
        told = depot.http.get("/openapi.json").json()["paths"][f"/api/reports/{report}.{{form}}"]["get"]
        form = next(one for one in told["parameters"] if one["name"] == "form")
        assert form["schema"]["enum"] == [*FORMS]
        types = {depot.http.get(f"/api/reports/{report}.{one}").headers["content-type"].split(";")[0] for one in FORMS}
        assert set(told["responses"]["200"]["content"]) == types


# -- one moment --


def test_a_report_shows_the_moment_at_which_it_began(depot) -> None:
    first, gone, last = (big(depot, rows, f"{rows}.csv") for rows in (1_000, 100_000, 500))
    with Reader(depot, "/api/reports/records.ndjson") as reader:
        depot.read(depot.send("late.csv", "n\n1\n")["id"])
        for file_id in (gone, last):
            assert depot.http.delete(f"/api/files/{file_id}").status_code == 204
        wait_until(lambda: {gone, last}.isdisjoint(depot.stored()), "the contents removed")
        content = unchunked(reader.rest().partition(b"\r\n\r\n")[2])
    found = [(one["file_id"], one["row"]) for one in map(json.loads, content.splitlines())]
    assert found == [
        (file_id, row) for file_id, rows in ((first, 1_000), (gone, 100_000), (last, 500)) for row in range(1, rows + 1)
    ]


def unchunked(body: bytes) -> bytes:
    pieces, at = [], 0
    while at < len(body):
        end = body.index(b"\r\n", at)
        start, size = end + 2, int(body[at:end], 16)
        pieces.append(body[start : start + size])
        at = start + size + 2
    return b"".join(pieces)


def test_under_writes_no_row_is_missing_or_there_twice(depot) -> None:
    ids = [big(depot, 2_000, f"{number}.csv") for number in range(6)]

    async def ask_while_others_write() -> list[list[tuple[str, int]]]:
        async with depot_client(depot) as client:

            async def write() -> None:
                for number, file_id in enumerate(ids[1:5]):
                    await client.post("/api/files", params={"name": f"late {number}.csv"}, content=b"n\n1\n2\n")
                    await client.delete(f"/api/files/{file_id}")

            async def report() -> list[tuple[str, int]]:
                answer = await client.get("/api/reports/records.ndjson")
                return [(one["file_id"], one["row"]) for one in map(json.loads, answer.text.splitlines())]

            writing = asyncio.create_task(write())
            found = [await report() for _ in range(12)]
            await writing
            return found

    for rows in asyncio.run(ask_while_others_write()):
        assert len(rows) == len(set(rows))
        sizes = {file_id: sum(one == file_id for one, _ in rows) for file_id in {one for one, _ in rows}}
        assert {size for file_id, size in sizes.items() if file_id in ids} == {2_000}
        assert {size for file_id, size in sizes.items() if file_id not in ids} <= {2}


def depot_client(depot):
    import httpx2

    return httpx2.AsyncClient(base_url=depot.running.url, headers=depot.http.headers, timeout=60, verify=False)


def test_while_five_slow_clients_have_big_reports_open_others_are_served_as_usual(depot, shared) -> None:
    big(depot, 150_000)
    with ExitStack() as stack:
        for form in ("csv", "ndjson", "json", "csv?marked=1", "xlsx"):
            stack.enter_context(Reader(depot, f"/api/reports/records.{form}").slowly(1000))
        sent = shared.send("other.csv", "n\n1\n2\n")["id"]
        assert shared.read(sent)["records"] == 2
        assert [one["row"] for one in shared.records(file=sent)] == [1, 2]
        wait_until(lambda: {one["rows"] for one in made(depot)} == {150_000}, "all rows read")
        assert {one["state"] for one in made(depot)} - {"done"} == {"running"}
        assert shared.http.delete(f"/api/files/{sent}").status_code == 204
    wait_until(lambda: "running" not in {one["state"] for one in made(depot)}, "all have left")


# -- what is told of them --


def test_a_report_is_told_of_while_it_is_sent_and_afterwards(depot) -> None:
    big(depot)
    with Reader(depot) as reader:
        wait_until(lambda: made(depot)[0]["rows"] == 100_000, "all rows told")
        (one,) = made(depot)
        assert (one["report"], one["form"], one["kept"]) == ("records", "csv", False)
        assert (one["state"], one["ended"]) == ("running", None)
        reader.rest()
        assert reader.whole
        wait_until(lambda: made(depot)[0]["state"] == "done", "done")
    (one,) = made(depot)
    assert (one["rows"], one["ended"] >= one["started"]) == (100_000, True)
    assert one["bytes"] == len(depot.http.get("/api/reports/records.csv").content)
    assert depot.running.request_line(one["request_id"])["route"] == "/api/reports/records.{form}"


def test_a_report_whose_client_leaves_is_told_to_be_cut(depot) -> None:
    big(depot)
    with Reader(depot):
        wait_until(lambda: [one["state"] for one in made(depot)] == ["running"], "running")
    wait_until(lambda: made(depot)[0]["state"] == "cut", "cut")
    assert made(depot)[0]["ended"]


def test_a_report_that_fails_before_its_first_row_is_answered_as_every_error_is_and_told_to_be_cut(start) -> None:
    with start() as depot:
        ask(depot, "ALTER TABLE records RENAME TO elsewhere")
        answer = depot.http.get("/api/reports/records.csv")
        assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
        assert [(one["state"], one["rows"], one["request_id"]) for one in made(depot)] == [
            ("cut", 0, answer.json()["request_id"])
        ]


def test_what_a_process_that_died_was_sending_is_cut(start) -> None:
    with start() as depot:
        big(depot)
        with Reader(depot):
            wait_until(lambda: made(depot)[0]["rows"] == 100_000, "all rows told")
            depot.stop(signal.SIGKILL)
        assert ask(depot, "SELECT state FROM exports") == [("running",)]
    with start() as depot:
        wait_until(lambda: [one["state"] for one in made(depot)] == ["cut"], "cut")
        assert made(depot)[0]["ended"]
        assert list((depot.data / "depot-leases").iterdir()) == []
        depot.stop()


def test_an_account_has_so_many_reports_at_once_and_no_more(depot) -> None:
    leases = Leases(depot.data / "depot-leases")
    with ExitStack() as stack:
        for _ in range(16):
            export_id, lease = leases.take_new()
            stack.enter_context(lease)
            ask(
                depot,
                "INSERT INTO exports (id, account_no, name, form, kept, state, rows, bytes, started)"
                " SELECT ?, no, 'records', 'csv', 0, 'running', 0, 0, '' FROM accounts WHERE name = ?",
                export_id,
                depot.name,
            )
        refused = depot.http.get("/api/reports/files.csv")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        assert depot.http.get("/api/exports").status_code == 200
