"""Who is let in by the pages, and what else a browser may be made to send: over real sockets."""

import contextlib
import importlib
import pkgutil
import re
import secrets
import sqlite3
from http.cookies import SimpleCookie

import httpx2
import pytest
from conftest import PASSWORD
from fastapi.routing import APIRoute
from reporting import made, prepared
from running import wait_until

import depot.pages
from depot.__main__ import main

FORM = {"content-type": "application/x-www-form-urlencoded"}
MODULES = [importlib.import_module(f"depot.pages.{found.name}") for found in pkgutil.iter_modules(depot.pages.__path__)]
ROUTES = [route for module in MODULES if hasattr(module, "router") for route in module.router.routes]
UNSAFE = {route.path for route in ROUTES if isinstance(route, APIRoute) and not route.methods <= {"GET", "HEAD"}}


def set_by(answer: httpx2.Response) -> SimpleCookie:
    cookies = SimpleCookie()
    for header in answer.headers.get_list("set-cookie"):
        cookies.load(header)
    return cookies


def elsewhere() -> dict[str, str]:
    """The header of a client at an address that no other test comes from."""
    return {"x-forwarded-for": f"198.18.{secrets.randbelow(256)}.{secrets.randbelow(256)}"}


# -- cookies --


def test_the_cookie_of_a_session_is_out_of_reach(depot) -> None:
    browser = depot.browser()
    before = set_by(browser.get("/sign-in"))["__Host-depot-form"]
    after = set_by(browser.sign_in(depot.name))["__Host-depot"]
    for cookie in (before, after):
        assert (cookie["secure"], cookie["httponly"], cookie["path"], cookie["domain"]) == (True, True, "/", "")
        assert cookie["samesite"].lower() == "lax"
        assert len(cookie.value) == 43
    assert (before["max-age"], after["max-age"]) == ("", str(30 * 24 * 3600))
    gone = set_by(browser.fill_in("/sign-out"))["__Host-depot"]
    assert (gone.value, gone["max-age"], gone["secure"]) == ("", "0", True)


def test_every_sign_in_begins_a_session_of_its_own_and_ends_the_one_before(depot) -> None:
    browser = depot.browser()
    planted = secrets.token_urlsafe(32)
    cookie = {"cookie": f"__Host-depot={planted}"}
    assert browser.get("/files", headers=cookie).status_code == 303
    form = re.search(r'name="csrf" value="(\w+)"', browser.get("/sign-in").text)[1]
    fields = {"csrf": form, "name": depot.name, "password": PASSWORD}
    headers = {"cookie": f"__Host-depot={planted}; __Host-depot-form={browser.cookie('__Host-depot-form')}"}
    first = set_by(browser.post("/sign-in", data=fields, headers=headers))["__Host-depot"].value
    assert first != planted
    assert browser.get("/files", headers=cookie).status_code == 303
    second = set_by(browser.post("/sign-in", data=fields))["__Host-depot"].value
    for value, status in ((first, 303), (second, 200)):
        assert browser.get("/files", headers={"cookie": f"__Host-depot={value}"}).status_code == status


def test_a_cookie_is_worth_nothing_after_signing_out(depot) -> None:
    browser, other = depot.signed_in(), depot.signed_in()
    cookie = {"cookie": f"__Host-depot={browser.cookie()}"}
    browser.fill_in("/sign-out")
    assert browser.get("/files", headers=cookie).status_code == 303
    assert browser.get("/api/files", headers={**cookie, "accept": "*/*"}).json()["status"] == 401
    assert other.get("/files").status_code == 200


def test_signing_out_everywhere_ends_every_session_at_once(depot, shared) -> None:
    browsers = [depot.browser(**{"user-agent": "Mozilla/5.0 (X11; Linux) Firefox/140.0"}), depot.signed_in()]
    browsers[0].sign_in(depot.name)
    stranger = shared.signed_in()
    page = browsers[0].get("/account").text
    assert [page.count(text) for text in ("Firefox on Linux", "This browser", "127.0.0.1")] == [1, 1, 2]
    assert browsers[0].fill_in("/sign-out-everywhere").status_code == 303
    for browser in browsers:
        assert browser.get("/files").status_code == 303
        assert browser.get("/api/files").status_code == 401
    assert stranger.get("/files").status_code == 200
    assert depot.http.get("/api/files").status_code == 200


# -- requests that another site has a browser send --


def test_no_form_is_taken_without_its_token(depot) -> None:
    file_id = depot.send("kept.csv", "a\n1\n")["id"]
    browser = depot.signed_in()
    other = depot.signed_in().csrf()
    export_id = prepared(depot, "files", "csv")["id"]
    stored = depot.stored()
    assert len(UNSAFE) == 7
    for path in UNSAFE:
        for token in (None, "", "wrong", other):
            fields = {} if token is None else {"csrf": token}
            body = {"files": {**fields, "file": ("x", b"1")}} if path == "/files" else {"data": fields, "headers": FORM}
            answer = browser.post(path.format(file_id=file_id, export_id=export_id), **body)
            assert answer.status_code == 403, (path, token)
            assert answer.headers["x-request-id"] in answer.text
    assert browser.get(f"/files/{file_id}").status_code == 200
    assert [one["id"] for one in made(depot)] == [export_id]
    assert depot.stored() == stored


def test_an_upload_whose_token_comes_after_the_file_or_never_leaves_nothing(depot) -> None:
    browser = depot.signed_in()
    stored = depot.stored()
    late = {"file": ("x.csv", b"x" * 3_000_000), "csrf": (None, browser.csrf())}
    assert browser.post("/files", files=late).status_code == 403
    assert browser.post("/files", content=b"x", headers={"x-csrf-token": browser.csrf()}).status_code == 415
    assert browser.post("/files", files={"csrf": (None, browser.csrf())}).status_code == 422
    assert (depot.stored(), depot.http.get("/api/files").json()["items"]) == (stored, [])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[half"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "https://the-name-outside.example"}, 303),
        ({"origin": "{here}"}, 303),
        ({}, 303),
    ],
)
def test_what_a_page_of_another_site_sends_is_refused_even_with_the_token(depot, headers: dict, status: int) -> None:
    browser = depot.signed_in()
    headers = {name: value.format(here=depot.running.url) for name, value in headers.items()}
    files = {"csrf": (None, browser.csrf()), "file": ("x", b"1")}
    assert browser.post("/files", files=files, headers=headers).status_code == status
    through_api = browser.post("/api/files?name=x", headers={**headers, "x-csrf-token": browser.csrf()}, content=b"1")
    assert through_api.status_code == (201 if status == 303 else 403)
    signing_in = {"csrf": depot.browser().csrf("/sign-in"), "name": depot.name, "password": PASSWORD}
    assert depot.browser().post("/sign-in", data=signing_in, headers=headers).status_code == 403
    assert len(depot.http.get("/api/files").json()["items"]) == (2 if status == 303 else 0)


def test_nobody_is_signed_in_by_a_form_that_the_browser_did_not_ask_for(depot) -> None:
    attacker, victim = depot.browser(), depot.browser()
    fields = {"csrf": attacker.csrf("/sign-in"), "name": depot.name, "password": PASSWORD}
    alone = victim.post("/sign-in", data=fields)
    assert (alone.status_code, "must accept cookies" in alone.text) == (403, True)
    victim.get("/sign-in")
    assert victim.post("/sign-in", data=fields).status_code == 403
    assert victim.cookie() is None


# -- the API by cookie --


def test_scripts_of_the_pages_use_the_api_with_cookie_and_token(depot) -> None:
    browser = depot.signed_in(accept="application/json")
    token = {"x-csrf-token": browser.csrf()}
    listed = browser.get("/api/files")
    assert (listed.json()["items"], listed.headers["cache-control"]) == ([], "no-store")
    for wrong in ({}, {"x-csrf-token": "wrong"}, {"x-csrf-token": depot.signed_in().csrf()}):
        refused = browser.post("/api/files?name=x.csv", content=b"x" * 2_000_000, headers=wrong)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:holdfast:problem:foreign-request")
        assert "again" in refused.json()["advice"]
    file_id = browser.post("/api/files?name=x.csv", content=b"a,b\n1,2\n", headers=token).json()["id"]
    assert browser.delete(f"/api/files/{file_id}").status_code == 403
    assert browser.delete(f"/api/files/{file_id}", headers=token).status_code == 204


@pytest.mark.parametrize("wrong", ["Bearer wrong", "Bearer", "Basic YTpi", ""])
def test_a_wrong_token_is_not_replaced_by_a_good_cookie(depot, wrong: str) -> None:
    browser = depot.signed_in(accept="*/*")
    assert browser.get("/api/files").status_code == 200
    assert browser.get("/api/files", headers={"authorization": wrong}).status_code == 401
    token = {"authorization": f"Bearer {depot.token}", "cookie": "__Host-depot=wrong"}
    assert browser.post("/api/files?name=x", headers=token, content=b"1").status_code == 201


# -- attempts --


def test_who_fails_too_often_waits_and_nobody_else_does(depot, shared) -> None:
    here = elsewhere()
    browser = depot.browser(**here)
    answers = [browser.sign_in(depot.name, "wrong" * 4) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {403}
    for password in ("wrong" * 4, PASSWORD):
        early = browser.sign_in(depot.name, password)
        assert (early.status_code, 10 <= int(early.headers["retry-after"]) <= 15) == (429, True)
        assert f"try again in {early.headers['retry-after']} seconds" in early.text
    assert browser.sign_in("first").status_code == 303
    assert depot.browser(**elsewhere()).sign_in(depot.name).status_code == 303


def test_whether_there_is_an_account_is_not_told(depot) -> None:
    browser = depot.browser(**elsewhere())
    answers = [browser.sign_in(name, "wrong" * 4) for name in (depot.name, "\0'; --" + "x" * 3_000)]
    assert {answer.status_code for answer in answers} == {403}
    texts = {re.search(r'role="alert".*?</div>', answer.text, re.DOTALL)[0] for answer in answers}
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"name=x&" * 100, FORM, 400),
        (b"name=" + b"x" * 20_000, FORM, 413),
        (b"\xff\xfe", FORM, 400),
        (b"{}", {"content-type": "application/json"}, 415),
        (b"", {}, 415),
        (b"", FORM, 403),
    ],
)
def test_a_broken_form_is_refused(depot, body: bytes, headers: dict, status: int) -> None:
    answer = depot.browser().post("/sign-in", content=body, headers=headers)
    assert (answer.status_code, answer.headers["x-request-id"] in answer.text) == (status, True)


def test_nobody_is_sent_elsewhere_after_signing_in(depot) -> None:
    browser = depot.browser()
    assert 'name="next" value="/files"' in browser.get("/sign-in", params={"next": "//evil.example"}).text
    assert browser.sign_in(depot.name, next="https://evil.example").headers["location"] == "/files"
    assert browser.get("/sign-in", params={"next": "/\\evil.example"}).headers["location"] == "/files"


# -- secrets, workers, restarts --


def test_two_workers_know_the_same_sessions_and_failures_and_so_does_the_next_start(start) -> None:
    secret = "never-in-the-log-" + secrets.token_hex(8)
    with start("--workers", "2", DEPOT_FIRST_PASSWORD=secret) as depot:
        browser = depot.browser()
        assert browser.sign_in("first", secret).status_code == 303
        cookie = {"cookie": f"__Host-depot={browser.cookie()}"}
        token = browser.csrf()
        failing = elsewhere()
        for status in [403] * 5 + [429] * 5:  # each on a connection of its own, so that both workers are asked
            assert depot.browser(**failing).sign_in(secret, secret).status_code == status
            assert depot.browser().get("/files", headers=cookie).status_code == 200
        assert depot.stop() == 0
    with contextlib.closing(sqlite3.connect(depot.data / "depot.sqlite")) as connection, connection:
        connection.execute(
            "INSERT INTO sessions (token_sha256, account_no, created, last_seen, expires, client, agent) "
            "SELECT 'x', no, '2026', '2026', '2026', '', '' FROM accounts"
        )
        connection.execute("INSERT INTO attempts (key, failures, last) VALUES ('x', 1, 0)")
    with start(DEPOT_FIRST_PASSWORD=secret) as again:
        wait_until(lambda: ended_by_themselves(again) == 0, "what has ended removed")
        assert again.browser(**failing).sign_in(secret, secret).status_code == 429
        returned = again.browser(**cookie)
        assert returned.fill_in("/sign-out-everywhere").status_code == 303
        assert returned.get("/files").status_code == 303
        again.stop()
    told = "".join([*depot.running.output, *depot.running.errors, *again.running.output, *again.running.errors])
    kept = (depot.data / "depot.sqlite").read_bytes()
    for planted in (secret, cookie["cookie"].partition("=")[2], token):
        assert (planted in told, planted.encode() in kept) == (False, False)


def ended_by_themselves(depot) -> int:
    with contextlib.closing(sqlite3.connect(depot.data / "depot.sqlite", timeout=30)) as connection:
        old = "SELECT (SELECT count(*) FROM sessions WHERE token_sha256 = 'x') + count(*) FROM attempts WHERE key = 'x'"
        return connection.execute(old).fetchone()[0]


def test_a_new_password_ends_the_sessions_of_an_account(depot, shared, monkeypatch, capsys) -> None:
    browser, other = depot.signed_in(), shared.signed_in()
    monkeypatch.setenv("DEPOT_DATA", str(depot.data))
    assert main(["accounts", "password", depot.name]) == 0
    assert (browser.get("/files").status_code, other.get("/files").status_code) == (303, 200)
    assert browser.sign_in(depot.name).status_code == 403
    assert browser.sign_in(depot.name, capsys.readouterr().out.strip()).status_code == 303
