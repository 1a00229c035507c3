"""Reports that are files: made in the background, fetched in parts, removed, and never half there."""

import base64
import hashlib
import secrets
import signal

import polars as pl
import pytest
from reporting import FORMS, ask, big, locked, made, prepared
from running import wait_until
from stores import s3_servers


def bytes_in(depot, one: dict) -> bytes:
    answer = depot.http.get(f"/api/exports/{one['id']}/content")
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.parametrize("form", FORMS)
def test_a_report_is_made_a_file_and_fetched_as_often_as_one_likes(depot, form: str) -> None:
    big(depot, 20_000)
    one = prepared(depot, "records", form)
    assert (one["kept"], one["rows"], one["report"], one["form"]) == (True, 20_000, "records", form)
    first = depot.http.get(f"/api/exports/{one['id']}/content")
    assert first.headers["content-disposition"] == f'attachment; filename="records.{form}"'
    streamed = depot.http.get(f"/api/reports/records.{form}")
    assert first.headers["content-type"] == streamed.headers["content-type"]
    assert (len(first.content), hashlib.sha256(first.content).hexdigest()) == (one["bytes"], one["sha256"])
    assert first.headers["etag"] == f'"{one["sha256"]}"'
    digest = base64.b64encode(bytes.fromhex(one["sha256"])).decode()
    assert first.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert "sandbox" in first.headers["content-security-policy"]
    assert bytes_in(depot, one) == first.content
    if form in {"csv", "ndjson", "json"}:
        assert first.content == streamed.content


def test_a_file_that_broke_off_is_gone_on_with(depot) -> None:
    big(depot, 20_000)
    one = prepared(depot, "records", "parquet")
    path, half = f"/api/exports/{one['id']}/content", one["bytes"] // 2
    with depot.http.stream("GET", path) as answer:
        begun = next(answer.iter_raw(half))
    more = {"range": f"bytes={half}-", "if-range": answer.headers["etag"]}
    rest = depot.http.get(path, headers=more)
    assert (rest.status_code, rest.headers["content-range"]) == (206, f"bytes {half}-{one['bytes'] - 1}/{one['bytes']}")
    assert pl.read_parquet(begun + rest.content).height == 20_000
    assert depot.http.get(path, headers={**more, "if-range": '"another"'}).status_code == 200
    assert depot.http.get(path, headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    assert depot.http.get(path, headers={"range": f"bytes={one['bytes']}-"}).status_code == 416
    assert depot.http.get(path, headers={"range": "lines=1"}).status_code == 400


def test_anothers_file_is_not_there(depot, shared) -> None:
    one = prepared(depot, "files", "csv")
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        theirs = shared.http.request(method, f"/api/exports/{one['id']}{path}")
        nobodys = shared.http.request(method, f"/api/exports/{'0' * 32}{path}")
        assert (theirs.status_code, nobodys.status_code) == (404, 404)
        assert theirs.json()["detail"].replace(one["id"], "") == nobodys.json()["detail"].replace("0" * 32, "")
    assert one["id"] not in {other["id"] for other in made(shared)}
    assert depot.http.get(f"/api/files/{one['id']}/content").status_code == 404
    assert bytes_in(depot, one)


def test_a_file_is_removed_with_its_bytes_and_what_was_sent_is_no_file(depot) -> None:
    one = prepared(depot, "files", "xlsx")
    assert one["id"] in depot.stored()
    path = f"/api/exports/{one['id']}"
    assert depot.http.delete(path).status_code == 204
    assert {depot.http.get(path).status_code, depot.http.delete(path).status_code} == {404}
    assert depot.http.get(f"{path}/content").status_code == 404
    wait_until(lambda: one["id"] not in depot.stored(), "the bytes removed")
    wait_until(lambda: not ask(depot, "SELECT no FROM exports WHERE id = ?", one["id"]), "the row removed")
    depot.http.get("/api/reports/files.csv")
    (sent,) = made(depot)
    assert depot.http.delete(f"/api/exports/{sent['id']}").status_code == 409
    assert depot.http.get(f"/api/exports/{sent['id']}/content").status_code == 409


def test_a_file_that_is_removed_while_it_is_made_is_made_no_further(depot) -> None:
    big(depot, 400_000)
    one = prepared(depot, "records", "xlsx", "running")
    assert depot.http.get(f"/api/exports/{one['id']}/content").status_code == 409
    assert depot.http.delete(f"/api/exports/{one['id']}").status_code == 204
    assert made(depot) == []
    wait_until(lambda: not ask(depot, "SELECT no FROM exports WHERE id = ?", one["id"]), "the row removed")
    assert one["id"] not in depot.stored() | depot.arriving()


def test_what_was_asked_for_fetched_and_removed_is_noted(depot) -> None:
    one = prepared(depot, "activity", "json")
    bytes_in(depot, one)
    depot.http.delete(f"/api/exports/{one['id']}")
    mine = "account_no = (SELECT no FROM accounts WHERE name = ?)"
    assert ask(depot, f"SELECT action, name FROM activity WHERE {mine}", depot.name) == [
        (f"export.{done}", "activity.json") for done in ("prepare", "download", "delete")
    ]


@pytest.mark.parametrize("wish", [{"report": "records", "form": "pdf"}, {"report": "secrets", "form": "csv"}, {}])
def test_a_wish_for_what_there_is_not_is_refused(depot, wish) -> None:
    assert depot.http.post("/api/exports", params=wish).status_code == 422
    assert made(depot) == []


def test_files_of_reports_count_towards_no_quota_and_there_is_a_bound_of_their_own(start) -> None:
    with start(DEPOT_QUOTA_MB="1") as depot:
        depot.read(depot.send("a.csv", "n\n" + "1\n" * 100_000)["id"])
        assert prepared(depot, "records", "json")["bytes"] > 1 << 20
        assert depot.http.post("/api/files", params={"name": "b.txt"}, content=b"x" * 500_000).status_code == 201
        answers = [depot.http.post("/api/exports", params={"report": "files", "form": "csv"}) for _ in range(50)]
        assert [answer.status_code for answer in answers] == [202] * 49 + [409]
        depot.stop()


def test_a_file_that_was_being_made_when_the_process_died_is_cut_and_nothing_of_it_is_left(start) -> None:
    with start() as depot:
        kept = {big(depot, 400_000)}
        one = prepared(depot, "records", "xlsx", "running")
        with locked(depot):  # so that it cannot be done before it is killed
            depot.stop(signal.SIGKILL)
        assert ask(depot, "SELECT state FROM exports") == [("running",)]
    with start() as depot:
        wait_until(lambda: [other["state"] for other in made(depot)] == ["cut"], "cut")
        assert depot.http.get(f"/api/exports/{one['id']}/content").status_code == 409
        assert (depot.stored(), depot.arriving()) == (kept, set())
        assert prepared(depot, "records", "csv")["rows"] == 400_000
        depot.stop()


def test_a_file_whose_process_died_just_before_it_was_told_of_is_cut_with_its_bytes(start) -> None:
    with start() as depot:
        kept = {big(depot, 1_000)}
        one = prepared(depot, "records", "csv")
        assert depot.stop() == 0
        ask(depot, "UPDATE exports SET state = 'running', ended = NULL")
        assert depot.stored() == {one["id"], *kept}
    with start() as depot:
        wait_until(lambda: [other["state"] for other in made(depot)] == ["cut"], "cut")
        assert depot.stored() == kept
        depot.stop()


def test_a_process_that_is_stopped_leaves_the_file_to_the_next(start) -> None:
    with start() as depot:
        big(depot, 400_000)
        one = prepared(depot, "records", "xlsx", "running")
        assert depot.stop() == 0
        assert ask(depot, "SELECT state FROM exports") in ([("waiting",)], [("ready",)])
    with start() as depot:
        wait_until(lambda: [other["state"] for other in made(depot)] == ["ready"], "ready")
        assert hashlib.sha256(bytes_in(depot, one)).hexdigest() == made(depot)[0]["sha256"]
        depot.stop()


def test_files_and_what_is_told_of_reports_go_after_a_while(start) -> None:
    with start() as depot:
        one = prepared(depot, "files", "csv")
        depot.http.get("/api/reports/files.csv")
        depot.stop()
    with start(DEPOT_REPORTS_KEPT_HOURS="0.00001") as depot:
        wait_until(lambda: not ask(depot, "SELECT no FROM exports"), "all forgotten")
        assert one["id"] not in depot.stored()
        depot.stop()


def test_where_files_lie_in_a_bucket_reports_do_too(start, seaweed) -> None:
    with start(**seaweed.environ(), DEPOT_BLOBS=f"s3://{s3_servers.BUCKET}/{secrets.token_hex(4)}") as depot:
        big(depot, 200_000)  # as CSV more than what is one part there
        one = prepared(depot, "records", "csv")
        content = bytes_in(depot, one)
        assert content == depot.http.get("/api/reports/records.csv").content
        path = f"/api/exports/{one['id']}/content"
        part = depot.http.get(path, headers={"range": f"bytes={len(content) - 10}-"})
        assert (part.status_code, part.content) == (206, content[-10:])
        depot.http.delete(f"/api/exports/{one['id']}")
        wait_until(lambda: not ask(depot, "SELECT no FROM exports WHERE id = ?", one["id"]), "removed")
        depot.stop()


def test_two_workers_make_each_file_once(start) -> None:
    with start("--workers", "2") as depot:
        big(depot, 20_000)
        wishes = [depot.http.post("/api/exports", params={"report": "records", "form": form}) for form in FORMS * 2]
        assert {wish.status_code for wish in wishes} == {202}
        wait_until(lambda: {one["state"] for one in made(depot)} == {"ready"}, "all ready")
        wait_until(lambda: len(depot.running.events("report made")) >= len(wishes), "all logged")
        done = [line["export_id"] for line in depot.running.events("report made")]
        assert sorted(done) == sorted(wish.json()["id"] for wish in wishes)
        assert {(one["rows"], len(bytes_in(depot, one)) == one["bytes"]) for one in made(depot)} == {(20_000, True)}
        depot.stop()
