"""The pages as somebody without scripts walks through them, over real sockets."""

import contextlib
import html
import json
import re
import sqlite3

import pytest

ATTACKS = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'-alert(1)-'", "{{7*7}}</title>"]
PAGES = ["/files", "/records", "/reports", "/activity", "/account", "/sign-in"]


def link(page: str, label: str) -> str:
    """The address behind the first link of that name."""
    found = re.search(rf'href="([^"]+)"[^>]*>{re.escape(label)}<', page)
    assert found, page
    return html.unescape(found[1])


def test_somebody_signs_in_sends_looks_searches_fetches_deletes_and_signs_out(depot) -> None:
    browser = depot.browser()
    asked = browser.get("/records?q=assam")
    assert (asked.status_code, asked.headers["location"]) == (303, "/sign-in?next=%2Frecords%3Fq%3Dassam")
    entered = browser.sign_in(depot.name, next="/records?q=assam")
    assert (entered.status_code, entered.headers["location"]) == (303, "/records?q=assam")
    assert browser.get("/sign-in").headers["location"] == "/files"

    form = {"csrf": (None, browser.csrf()), "file": ("tea.csv", b"tea,cups\nAssam,3\nSencha,2\nOolong,1,cold\n")}
    sent = browser.post("/files", files=form)
    assert sent.status_code == 303
    list_page = browser.get(sent.headers["location"]).text
    assert "tea.csv</b> has arrived" in list_page
    file_id = re.search(r'href="/files/([0-9a-f]{32})"', list_page)[1]
    depot.read(file_id)

    one = browser.get(f"/files/{file_id}").text
    assert "3 fields instead of 2" in one
    found = browser.get("/records", params={"q": "ASSAM"}).text
    assert ("Sencha" in found, "<mark>Assam</mark>" in found) == (False, True)
    assert browser.get(f"/api/files/{file_id}/content").content.startswith(b"tea,cups")
    report = browser.get("/api/reports/records.ndjson")
    assert [json.loads(line)["row"] for line in report.text.splitlines()] == [1, 2]
    assert report.headers["cache-control"] == "no-store"
    assert 'href="/api/reports/records.csv"' in browser.get("/reports").text

    assert browser.fill_in(f"/files/{file_id}/delete").headers["location"] == "/files"
    gone = browser.get(f"/files/{file_id}")
    assert (gone.status_code, gone.headers["x-request-id"] in gone.text) == (404, True)

    activity = browser.get("/activity").text
    for done in ("Signed in", "Sent", "Downloaded", "Deleted", entered.headers["x-request-id"]):
        assert done in activity
    line = depot.running.request_line(entered.headers["x-request-id"])
    assert (line["actor"], line["action"]) == (depot.name, "session.sign-in")
    assert browser.fill_in("/sign-out").headers["location"] == "/sign-in"
    assert browser.get("/files").headers["location"] == "/sign-in?next=%2Ffiles"
    actions = [json.loads(line)["action"] for line in depot.http.get("/api/reports/activity.ndjson").text.splitlines()]
    assert actions[-2:] == ["session.sign-out", "report.activity.ndjson"]


def test_what_attackers_type_is_shown_and_never_run(depot) -> None:
    browser = depot.signed_in()
    for number, attack in enumerate(ATTACKS):
        line = json.dumps({attack: f"{attack} {number}"})
        file_id = depot.http.post("/api/files", params={"name": f"{attack}.ndjson"}, content=line).json()["id"]
        depot.read(file_id)
        for path in ("/files", f"/files/{file_id}", f"/files?sent={file_id}", "/records", "/activity"):
            page = browser.get(path).text
            assert attack not in page
            assert html.escape(attack) in page.replace("&#34;", "&quot;").replace("&#39;", "&#x27;"), path
        for query in ({"q": attack}, {"q": attack, "file": file_id}):
            page = browser.get("/records", params=query)
            assert (page.status_code, attack in page.text) == (200, False)
    assert (
        "alert(1)</script>" not in depot.browser().get("/sign-in", params={"next": "/<script>alert(1)</script>"}).text
    )


@pytest.mark.parametrize("path", PAGES)
def test_a_page_may_load_nothing_from_elsewhere_and_is_kept_by_nobody(depot, path: str) -> None:
    browser = depot.signed_in() if path != "/sign-in" else depot.browser()
    page = browser.get(path, headers={"x-forwarded-proto": "https"})
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    assert page.headers["strict-transport-security"] == "max-age=31536000"
    assert "strict-transport-security" not in browser.get(path).headers
    assert re.findall(r"\son\w+=|\sstyle=|javascript:|<style|<script>", page.text) == []
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text):
        asset = browser.get(address)
        assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
        again = browser.get(address, headers={"if-none-match": asset.headers["etag"]})
        assert (asset.status_code, again.status_code, again.content) == (200, 304, b"")
        other = browser.get(re.sub(r"[0-9a-f]{16}", "0" * 16, address))
        assert (other.content, other.headers["cache-control"]) == (asset.content, "no-cache")


@pytest.mark.parametrize(
    "path", ["/static/x/../rendering.py", "/static/x/%2e%2e/rendering.py", "/static/x/none.js", "/static/x/"]
)
def test_of_the_static_files_nothing_else_is_to_be_had(depot, path: str) -> None:
    answer = depot.running.raw(f"GET {path} HTTP/1.1\r\nHost: depot\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/files?after=x", 422),
        ("/records?after=1", 422),
        ("/records?q=" + "x" * 201, 422),
        ("/activity?after=0", 422),
        ("/files/nothing", 404),
        ("/records?file=nothing", 404),
        ("/nothing", 404),
    ],
)
def test_a_problem_on_a_page_is_a_page(depot, path: str, status: int) -> None:
    answer = depot.signed_in().get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert answer.headers["x-request-id"] in answer.text


def test_lists_go_on_page_by_page(depot) -> None:
    sent = [depot.send(f"{number}.txt", "x")["id"] for number in range(26)]
    file_id = depot.send("rows.csv", "n\n" + "".join(f"{number}\n" for number in range(120)))["id"]
    depot.read(file_id)
    browser = depot.signed_in()
    for path, wanted, pattern in (
        ("/files", [file_id, *sent[::-1]], r'<tr data-id="([0-9a-f]{32})"'),
        ("/records", [str(number + 1) for number in range(120)], r'data-label="Row">(\d+)<'),
    ):
        seen: list[list[str]] = []
        while path:
            page = browser.get(path).text
            seen.append(re.findall(pattern, page))
            path = link(page, "Next page") if "Next page" in page else ""
        assert [one for page in seen for one in page] == wanted
        assert len(seen) == (2 if wanted[0] == file_id else 3)
    assert "Next page" not in browser.get("/activity").text
    for _ in range(25):
        depot.http.get(f"/api/files/{sent[0]}/content")
    first = browser.get("/activity").text
    second = browser.get(link(first, "Next page")).text
    ids = [re.findall(r'<code class="id">([^<]+)<', page) for page in (first, second)]
    assert (len(ids[0]), len(set(ids[0] + ids[1]))) == (50, 26 + 1 + 25)


# -- searching --


def rows_found(browser, **query: str) -> list[str]:
    return re.findall(r'data-label="Row">(\d+)<|Row (\d+)</p>', browser.get("/records", params=query).text)


def test_a_search_takes_what_is_typed_as_it_is(depot) -> None:
    table = 'name,note\nStraße,100%\nÄPFEL,a_b\nother,"say ""hi"""\nx,back\\slash\n'
    file_id = depot.send("table.csv", table)["id"]
    lines = '{"name": "stra\\u00dfe", "n": 1.50}\n{"plain": ["\\u00c4pfel", {"deep": true}]}\n'
    other = depot.send("lines.ndjson", lines)["id"]
    depot.read(file_id), depot.read(other)
    browser = depot.signed_in()
    for typed, rows in (
        ("strasse", 2), ("äpfel", 2), ("0%", 1), ("_b", 1), ("%", 1), ("name", 0), ("note", 0), ('"hi"', 1),
        ("k\\s", 1), ("1.50", 1), ("1.5000", 0), ("deep", 1), ('","', 0), ("  other ", 1), ("\\u00c4", 0),
        ("'; DROP TABLE records; --", 0),
    ):  # fmt: skip
        assert len(rows_found(browser, q=typed)) == rows, typed
    assert len(rows_found(browser, q="äpfel", file=other)) == 1
    assert len(rows_found(browser, file=file_id)) == 4
    assert len(rows_found(browser)) == 6


def test_of_others_nothing_is_found_whatever_the_address_says(depot, shared) -> None:
    file_id = depot.send("secret.csv", "a,b\n1,2\n")["id"]
    depot.read(file_id)
    with contextlib.closing(sqlite3.connect(depot.data / "depot.sqlite", timeout=30)) as connection:
        (no,) = connection.execute("SELECT no FROM files WHERE id = ?", [file_id]).fetchone()
    stranger = shared.signed_in()
    for path in (f"/files/{file_id}", f"/records?file={file_id}"):
        assert stranger.get(path).status_code == 404
    assert stranger.fill_in(f"/files/{file_id}/delete").status_code == 404
    for path in ("/records", f"/records?after={no}.0", f"/records?after={no - 1}.0", f"/files?sent={file_id}"):
        assert ("secret" in stranger.get(path).text, file_id in stranger.get(path).text) == (False, False), path


def test_a_search_through_very_many_records_says_how_far_it_got_and_goes_on(depot) -> None:
    file_id = depot.send("many.csv", "n\n1\n")["id"]
    depot.read(file_id)
    last = 110_000
    with contextlib.closing(sqlite3.connect(depot.data / "depot.sqlite", timeout=30)) as connection, connection:
        (no,) = connection.execute("SELECT no FROM files WHERE id = ?", [file_id]).fetchone()
        rows = ((no, row, f'{{"n":"row {row}"}}') for row in range(2, last + 1))
        connection.executemany("INSERT INTO records VALUES (?, ?, ?)", rows)
    browser = depot.signed_in()
    first = browser.get("/records", params={"q": f"ROW {last}"}).text
    assert "No hit in 100,000 records" in first
    second = browser.get(link(first, "Go on searching")).text
    assert "1 hit here, in 10,000 records" in second
    assert "Go on searching" not in second
    everywhere = browser.get("/records", params={"q": "row 9"}).text
    assert "50 hits here, in 938 records" in everywhere  # row 9, 90 to 99, and 39 of those from 900
    assert depot.http.delete(f"/api/files/{file_id}").status_code == 204
