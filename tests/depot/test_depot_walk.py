"""The depot as its users walk through it, over real sockets."""

import asyncio
import csv
import hashlib
import io
import json
import os
from contextlib import AsyncExitStack

import httpx2
import pytest
from running import wait_until

NAMES = [
    "sales 2026 (final).csv",
    "Ümsätze, Köln.csv",
    "売上.csv",
    "../../../etc/passwd",
    "..\\..\\boot.ini",
    "a/b/c.csv",
    'quo"te;semi.csv',
    "-rf.csv",
    "%2e%2e%2fx.csv",
    "x" * 255,
    "CON",
    ".",
]


def test_a_file_becomes_records_and_a_report(depot) -> None:
    sent = depot.send("people.csv", "name,city\nAnn,Köln\nBob\nCem,Ankara\n")
    assert (sent["name"], sent["records"]) == ("people.csv", 0)
    assert sent["sha256"] == hashlib.sha256("name,city\nAnn,Köln\nBob\nCem,Ankara\n".encode()).hexdigest()
    read = depot.read(sent["id"])
    assert (read["state"], read["records"]) == ("ready", 2)
    assert (read["problems"], read["problems_total"]) == ([{"line": 3, "problem": "1 field instead of 2"}], 1)
    assert depot.records() == [
        {"file_id": sent["id"], "row": 1, "data": {"name": "Ann", "city": "Köln"}},
        {"file_id": sent["id"], "row": 3, "data": {"name": "Cem", "city": "Ankara"}},
    ]
    table = list(csv.reader(io.StringIO(depot.http.get("/api/reports/records.csv").text)))
    assert table[0] == ["file_id", "row", "data"]
    assert [(row[0], row[1], json.loads(row[2])["name"]) for row in table[1:]] == [
        (sent["id"], "1", "Ann"),
        (sent["id"], "3", "Cem"),
    ]


@pytest.mark.parametrize("how", ["form", "query", "disposition"])
def test_a_file_can_be_sent_in_three_ways(depot, how: str) -> None:
    content = b'{"a":1}\n'
    if how == "form":
        form = {"note": (None, b"not a file"), "file": ("x.ndjson", content, "text/html")}
        answer = depot.http.post("/api/files", files=form)
    elif how == "query":
        answer = depot.http.post("/api/files", params={"name": "x.ndjson"}, content=content)
    else:
        headers = {"content-disposition": "attachment; filename*=UTF-8''x%2Endjson"}
        answer = depot.http.post("/api/files", headers=headers, content=content)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["name"], answer.json()["size"]) == ("x.ndjson", len(content))
    assert depot.read(answer.json()["id"])["records"] == 1


def test_a_form_may_have_several_files(depot) -> None:
    parts = [("file", ("a.csv", b"a\n1\n")), ("note", (None, b"not a file")), ("file", ("b.txt", b"2"))]
    answer = depot.http.post("/api/files", files=parts)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert [(one["name"], one["size"]) for one in told["items"]] == [("a.csv", 4), ("b.txt", 1)]
    assert [one["id"] for one in depot.http.get("/api/files").json()["items"]] == [one["id"] for one in told["items"]][
        ::-1
    ]


def test_names_are_data_and_come_back_in_safe_downloads(depot) -> None:
    content = b"<script>alert(1)</script>"
    for name in NAMES:
        answer = depot.http.post("/api/files", params={"name": name}, content=content)
        assert answer.json()["name"] == name
        file_id = answer.json()["id"]
        fetched = depot.http.get(f"/api/files/{file_id}/content")
        assert fetched.content == content
        assert fetched.headers["content-type"] == "application/octet-stream"
        assert fetched.headers["content-disposition"].startswith("attachment; filename=")
        assert fetched.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in fetched.headers["content-security-policy"]
        assert fetched.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
        assert file_id in depot.stored()
    wild = depot.http.post("/api/files?name=a%00b%0d%0aX-Evil:%201%e2%80%ae.csv", content=content).json()
    assert wild["name"] == "a\ufffdb\ufffd\ufffdX-Evil: 1\ufffd.csv"


def test_a_part_of_a_file_can_be_fetched(depot) -> None:
    file_id = depot.send("x.txt", "0123456789")["id"]
    part = depot.http.get(f"/api/files/{file_id}/content", headers={"range": "bytes=2-4"})
    assert (part.status_code, part.text, part.headers["content-range"]) == (206, "234", "bytes 2-4/10")
    beyond = depot.http.get(f"/api/files/{file_id}/content", headers={"range": "bytes=50-"})
    assert (beyond.status_code, beyond.json()["status"]) == (416, 416)
    wrong = depot.http.get(f"/api/files/{file_id}/content", headers={"range": "lines=1"})
    assert (wrong.status_code, wrong.headers["content-type"]) == (400, "application/problem+json")


def test_lists_are_paged_the_newest_first(depot) -> None:
    sent = [depot.send(f"{number}.txt", "x")["id"] for number in range(7)]
    seen, after = [], {}
    while True:
        page = depot.http.get("/api/files", params={"limit": 3, **after}).json()
        seen.append([one["id"] for one in page["items"]])
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert [len(page) for page in seen] == [3, 3, 1]
    assert [one for page in seen for one in page] == sent[::-1]
    assert depot.http.get("/api/files", params={"after": 2**63}).status_code == 422


def test_another_accounts_file_is_not_there(depot, shared) -> None:
    file_id = depot.send("secret.csv", "a,b\n1,2\n")["id"]
    depot.read(file_id)
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        theirs = shared.http.request(method, f"/api/files/{file_id}{path}")
        nobodys = shared.http.request(method, f"/api/files/{'0' * 32}{path}")
        assert (theirs.status_code, nobodys.status_code) == (404, 404)
        assert theirs.json()["detail"].replace(file_id, "") == nobodys.json()["detail"].replace("0" * 32, "")
    assert shared.http.get("/api/reports/records.csv", params={"file": file_id}).status_code == 404
    for report in ("records", "files", "activity"):
        assert file_id not in shared.http.get(f"/api/reports/{report}.csv").text
    assert depot.file(file_id)["state"] == "ready"


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic YTpi", "Bearer", "Bearer \xff"])
def test_without_a_valid_token_nothing_is_told_or_kept(depot, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization.encode("latin-1")}
    before = depot.stored()
    with httpx2.Client(base_url=depot.running.url, headers=headers) as stranger:
        answers = [
            stranger.get("/api/files"),
            stranger.get("/api/reports/activity.csv"),
            stranger.delete("/api/files/x"),
        ]
        answers.append(stranger.post("/api/files?name=x.csv", content=b"x" * 5_000_000))
    for answer in answers:
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert depot.stored() == before


def test_a_deleted_file_is_gone_with_its_records(depot) -> None:
    kept, gone = (depot.send(name, "a,b\n1,2\n")["id"] for name in ("kept.csv", "gone.csv"))
    depot.read(kept)
    depot.read(gone)
    assert depot.http.delete(f"/api/files/{gone}").status_code == 204
    assert depot.http.delete(f"/api/files/{gone}").status_code == 404
    assert depot.http.get(f"/api/files/{gone}/content").status_code == 404
    assert [one["file_id"] for one in depot.records()] == [kept]
    wait_until(lambda: gone not in depot.stored(), "the content removed")
    assert kept in depot.stored()


def test_a_file_that_is_deleted_while_it_is_read_leaves_no_record(depot) -> None:
    gone = depot.send("big.csv", "a,b\n" + "1,2\n" * 400_000)["id"]
    wait_until(lambda: depot.file(gone)["records"] > 0, "some records")
    assert depot.file(gone)["state"] == "reading"
    assert depot.http.get("/api/reports/records.csv", params={"file": gone}).status_code == 409
    assert depot.records() == []
    assert depot.http.delete(f"/api/files/{gone}").status_code == 204
    wait_until(lambda: gone not in depot.stored(), "the content removed")
    assert rows_of(depot, "records") == rows_of_known_files(depot)


def rows_of(depot, table: str) -> int:
    return ask(depot, f"SELECT count(*) FROM {table}")


def rows_of_known_files(depot) -> int:
    return ask(depot, "SELECT count(*) FROM records WHERE file_no IN (SELECT no FROM files)")


def ask(depot, question: str) -> int:
    import contextlib
    import sqlite3

    with contextlib.closing(sqlite3.connect(depot.data / "depot.sqlite", timeout=30)) as connection:
        return connection.execute(question).fetchone()[0]


def test_the_activity_report_tells_what_was_done_under_which_request(depot) -> None:
    file_id = depot.send("x.txt", "x")["id"]
    fetched = depot.http.get(f"/api/files/{file_id}/content")
    depot.http.delete(f"/api/files/{file_id}")
    depot.http.get("/api/reports/files.csv")
    answer = depot.http.get("/api/reports/activity.ndjson")
    done = [json.loads(line) for line in answer.text.splitlines()]
    assert [(one["action"], one["file_id"], one["name"]) for one in done] == [
        ("file.upload", file_id, "x.txt"),
        ("file.download", file_id, "x.txt"),
        ("file.delete", file_id, "x.txt"),
        ("report.files.csv", None, None),
        ("report.activity.ndjson", None, None),
    ]
    assert done[1]["request_id"] == fetched.headers["x-request-id"]
    line = depot.running.request_line(done[1]["request_id"])
    assert (line["route"], line["action"]) == ("/api/files/{file_id}/content", "file.download")
    assert line["actor"] == done[1]["account"]
    assert "Bearer" not in "".join(depot.running.output)


def test_the_files_report_lists_every_file(depot) -> None:
    ids = [depot.send(f"{number}.csv", "a,b\n1,2\n3\n")["id"] for number in range(3)]
    for file_id in ids:
        depot.read(file_id)
    found = list(csv.DictReader(io.StringIO(depot.http.get("/api/reports/files.csv").text)))
    assert [(one["id"], one["records"], one["problems"]) for one in found] == [(one, "1", "1") for one in ids]
    lines = [json.loads(line) for line in depot.http.get("/api/reports/files.ndjson").text.splitlines()]
    assert [{key: str(value) for key, value in one.items()} for one in lines] == found


def test_two_hundred_files_at_once_from_many_clients_are_found_again_and_exported(depot) -> None:
    contents = {f"file {number}.csv": f"n,text\n{number},{'x' * number}\n{number},end\n" for number in range(200)}

    async def send_all() -> dict[str, str]:
        async def post(client: httpx2.AsyncClient, name: str, content: str) -> httpx2.Response:
            if len(content) % 2:
                return await client.post("/api/files", files={"file": (name, content.encode())})
            return await client.post("/api/files", params={"name": name}, content=content.encode())

        async def send(client: httpx2.AsyncClient, name: str, content: str) -> tuple[str, str]:
            answer = await post(client, name, content)
            while answer.status_code == 503:  # so many at once are too many: it is told, and tries again
                assert answer.headers["holdfast-not-executed"] == "1"
                await asyncio.sleep(float(answer.headers["retry-after"]))
                answer = await post(client, name, content)
            assert answer.status_code == 201, answer.text
            return answer.json()["id"], name

        def client() -> httpx2.AsyncClient:
            return httpx2.AsyncClient(base_url=depot.running.url, headers=depot.http.headers, timeout=60, verify=False)

        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(client()) for _ in range(20)]
            sending = (send(clients[place % 20], *one) for place, one in enumerate(contents.items()))
            return dict(await asyncio.gather(*sending))

    names = asyncio.run(send_all())
    assert len(names) == 200

    def page() -> list[dict]:
        return depot.http.get("/api/files", params={"limit": 200}).json()["items"]

    wait_until(lambda: not ask(depot, "SELECT count(*) FROM files WHERE state <> 'ready'"), "200 files ready")
    assert {one["state"] for one in page()} == {"ready"}
    assert {one["id"]: one["name"] for one in page()} == names
    expected = [
        (file_id, row, {"n": name.split()[1][:-4], "text": text})
        for file_id, name in names.items()
        for row, text in ((1, "x" * int(name.split()[1][:-4])), (2, "end"))
    ]
    order = {one["id"]: place for place, one in enumerate(reversed(page()))}
    found = [(one["file_id"], one["row"], one["data"]) for one in depot.records()]
    assert found == sorted(expected, key=lambda one: (order[one[0]], one[1]))
    one_id = next(iter(names))
    assert depot.http.get(f"/api/files/{one_id}/content").text == contents[names[one_id]]


def test_a_large_file_is_read_and_exported_whole(depot) -> None:
    rows = 60_000
    content = "id,name\n" + "".join(f"{number},{'long name ' * (number % 7)}\n" for number in range(rows))
    sent = depot.send("large.csv", content)
    other = depot.send("other.csv", "a,b\n1,2\n")["id"]
    assert depot.read(sent["id"])["records"] == rows
    depot.read(other)
    found = depot.records()
    assert [one["row"] for one in found] == [*range(1, rows + 1), 1]
    assert [one["data"]["id"] for one in found[:-1]] == [str(number) for number in range(rows)]
    assert [one["file_id"] for one in depot.records(file=other)] == [other]


def test_a_binary_file_of_another_kind_is_kept_and_one_that_claims_to_be_a_table_fails(depot) -> None:
    image = b"\x89PNG\r\n\x1a\n" + os.urandom(4_000)
    kept = depot.read(depot.send("photo.png", image)["id"])
    assert (kept["state"], kept["records"], kept["problems_total"]) == ("ready", 0, 1)
    failed = depot.read(depot.send("photo.csv", image)["id"])
    assert (failed["state"], failed["records"], failed["problems_total"]) == ("failed", 0, 1)
    assert depot.http.get(f"/api/files/{failed['id']}/content").content == image
    assert depot.records() == []


def test_one_id_tells_of_an_upload_from_its_first_byte_to_its_last_record(depot) -> None:
    answer = depot.http.post("/api/files", params={"name": "tea.csv"}, content=b"tea,cups\nAssam,3\n")
    depot.read(answer.json()["id"])
    request_id = answer.headers["x-request-id"]
    wait_until(
        lambda: (
            {"request", "file read"}
            <= {line["event"] for line in depot.running.lines if line.get("request_id") == request_id}
        ),
        "the line of the request and that of the reading",
    )
