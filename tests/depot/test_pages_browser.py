"""The depot's pages as people use them, in a real browser: with the keyboard, without scripts, on a phone."""

import csv
import io
import re
from pathlib import Path

import browser
import pytest
from browser import DESK, PHONE, findings, sign_in, too_wide
from conftest import PASSWORD
from playwright.sync_api import expect

chromium, visit = browser.chromium, browser.visit  # fixtures

HOSTILE = "<img src=x onerror=alert(1)>.csv"
PEOPLE = "name,city\nAnn,Köln\nBob,Ankara\nCem\nDana,Wien\n"
WIDE = ",".join(f"field_{number}" for number in range(25)) + "\n" + ",".join("v" * 40 for _ in range(25)) + "\n"


@pytest.fixture
def filled(depot):
    """A user with files in every state that lasts."""
    sent = {
        "people": depot.send("people.csv", PEOPLE),
        "wide": depot.send("wide.csv", WIDE),
        "failed": depot.send("picture.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
        "hostile": depot.send(HOSTILE, "a,b\n1,<b>bold</b>\n"),
        "long": depot.send("x" * 250 + ".csv", "a\n" + "y" * 5000 + "\n"),
        "faulty": depot.send("faulty.csv", "a,b\n" + "1\n" * 150),
        "plain": depot.send("notes.txt", "no table\n"),
    }
    depot.ids = {name: file["id"] for name, file in sent.items()}
    for file_id in depot.ids.values():
        depot.read(file_id)
    return depot


def test_somebody_signs_in_and_finds_the_way_with_the_keyboard_alone(depot, visit):
    page = visit(f"{depot.running.url}/records?q=Ann", refused=True)
    assert "/sign-in?next=" in page.url
    keys = page.keyboard
    keys.type(depot.name)
    keys.press("Tab")
    keys.type("not the password of it")
    keys.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("no account of this name with this password")
    expect(page.get_by_label("Account")).to_have_value(depot.name)
    keys.type(PASSWORD)
    keys.press("Enter")
    page.wait_for_url("**/records?q=Ann")
    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    keys.press("Enter")
    keys.press("Tab")
    expect(page.get_by_label("Search in all values")).to_be_focused()
    for name in ("What I did", "Reports", "Files"):
        page.get_by_role("link", name=name, exact=True).focus()
        keys.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
    page.wait_for_load_state()  # the scripts arrange the form as they begin
    page.locator("#file").focus()
    expect(page.locator("label[for=file]")).to_have_css("outline-style", "solid")


def walk(page, depot, tmp_path):
    """All that can be done without a script: sign in, send, see, search, download, delete, sign out."""
    sign_in(page, depot.name, PASSWORD)
    expect(page.get_by_text("No files yet")).to_be_visible()
    assert too_wide(page) == 0
    (tmp_path / HOSTILE).write_text(PEOPLE)
    page.get_by_label(re.compile("^Choose")).set_input_files(tmp_path / HOSTILE)
    if page.get_by_role("button", name="Send").is_visible():
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("status").first).to_contain_text(f"{HOSTILE} has arrived")
        assert too_wide(page) == 0
    page.get_by_role("link", name=HOSTILE, exact=True).click()
    depot.read(page.url.rsplit("/", 1)[1])
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    expect(page.locator(".state-line")).to_have_text(re.compile(r"Ready\s+3 records, 1 problem\."))
    expect(page.locator(".problems tbody tr")).to_have_text(re.compile("4.*1 field instead of 2", re.DOTALL))
    with page.expect_download() as download:
        page.get_by_role("link", name="The file as sent").click()
    assert download.value.path().read_text() == PEOPLE
    page.get_by_role("link", name="See its records").click()
    page.get_by_label("Search in all values").fill("ANK")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".records tbody tr")).to_have_count(1)
    expect(page.locator("mark")).to_have_text("Ank")
    assert too_wide(page) == 0
    page.get_by_label("Search in all values").fill("nowhere to be found")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("Nothing found")).to_be_visible()
    page.get_by_role("link", name="Reports").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Records as CSV").click()
    rows = list(csv.reader(io.StringIO(download.value.path().read_text())))
    assert [row[1] for row in rows] == ["row", "1", "2", "4"]
    page.get_by_role("link", name="Files", exact=True).click()
    page.get_by_role("link", name=HOSTILE, exact=True).click()
    page.get_by_text("Delete this file").click()
    page.get_by_role("button", name="Delete it for good").click()
    expect(page.get_by_text("No files yet")).to_be_visible()
    page.get_by_role("link", name="What I did").click()
    did = page.locator(".activity tbody .main")
    expect(did).to_have_text(["Deleted", "Took a report", "Downloaded", "Sent", "Signed in"])
    page.get_by_role("link", name=depot.name).click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


@pytest.mark.parametrize(
    ("scripts", "size"), [(True, DESK), (False, PHONE)], ids=["with scripts", "without, on a phone"]
)
def test_the_whole_walk(depot, visit, tmp_path, scripts, size):
    page = visit(depot.running.url, java_script_enabled=scripts, viewport=size, accept_downloads=True)
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    walk(page, depot, tmp_path)
    assert dialogs == []


def test_signing_out_everywhere_ends_other_browsers_too(depot, visit):
    one, other = visit(depot.running.url), visit(depot.running.url)
    sign_in(one, depot.name, PASSWORD)
    sign_in(other, depot.name, PASSWORD)
    other.get_by_role("link", name=depot.name).click()
    expect(other.locator(".sessions li")).to_have_count(2)
    expect(other.locator(".sessions li").filter(has_text="This browser")).to_have_count(1)
    other.get_by_role("button", name="Sign out everywhere").click()
    expect(other.get_by_role("heading", level=1)).to_have_text("Sign in")
    one.goto(f"{depot.running.url}/activity")
    assert one.url.endswith("/sign-in?next=%2Factivity")


def test_a_huge_value_and_many_fields_and_problems_are_folded_away(filled, visit):
    page = visit(f"{filled.running.url}/records?file={filled.ids['long']}")
    sign_in(page, filled.name, PASSWORD)
    whole = page.locator(".huge-all")
    expect(whole).to_be_hidden()
    page.get_by_text("Show the first 2,000 characters").click()
    expect(whole).to_have_text("y" * 2000 + "…")
    page.goto(f"{filled.running.url}/records?file={filled.ids['wide']}")
    expect(page.get_by_text("field_24")).to_be_hidden()
    page.get_by_text("13 more fields").click()
    expect(page.get_by_text("field_24")).to_be_visible()
    page.goto(f"{filled.running.url}/files/{filled.ids['faulty']}")
    expect(page.get_by_text("The first 100 of 150.")).to_be_visible()
    page.get_by_text("90 more problems").click()
    expect(page.locator(".problems tbody tr:visible")).to_have_count(100)


def paths(depot) -> list[str]:
    """Each page in each of its states that last."""
    ids = depot.ids
    records = [
        "",
        "?q=Ann",
        "?q=no-such-value",
        f"?file={ids['wide']}",
        f"?file={ids['long']}",
        f"?file={ids['plain']}",
    ]
    return [
        *["/files", "/files?after=1", f"/files?sent={ids['hostile']}", "/reports", "/activity", "/account"],
        *[f"/files/{ids[name]}" for name in ("people", "failed", "hostile", "long", "faulty", "plain")],
        *[f"/records{query}" for query in records],
        "/no-such-page",
    ]


@pytest.mark.parametrize(("scheme", "size"), [("light", DESK), ("dark", PHONE)], ids=["light", "dark and small"])
def test_every_page_fits_its_window_and_axe_finds_no_fault(filled, visit, scheme, size):
    page = visit(f"{filled.running.url}/sign-in", color_scheme=scheme, viewport=size, refused=True)
    faults = [("/sign-in", fault) for fault in findings(page)]
    sign_in(page, filled.name, PASSWORD)
    for path in paths(filled):
        page.goto(filled.running.url + path)
        page.evaluate("document.querySelectorAll('main details').forEach((one) => { one.open = true; })")
        faults += [(path, fault) for fault in findings(page)]
        if too_wide(page):
            faults.append((path, f"{too_wide(page)} pixels too wide"))
    assert faults == []


def test_the_first_page_of_somebody_new_fits_and_axe_finds_no_fault(depot, visit):
    page = visit(depot.running.url, viewport=PHONE)
    sign_in(page, depot.name, PASSWORD)
    for path in ("/files", "/records", "/reports", "/activity"):
        page.goto(depot.running.url + path)
        assert (path, findings(page), too_wide(page)) == (path, [], 0)


def test_times_are_in_the_readers_zone_and_the_page_says_which(depot, visit):
    sent = depot.send("a.csv", "a\n1\n")
    page = visit(depot.running.url, timezone_id="Asia/Tokyo")
    sign_in(page, depot.name, PASSWORD)
    expect(page.locator("[data-zone]")).to_have_text("Asia/Tokyo")
    hour = (int(sent["created"][11:13]) + 9) % 24
    expect(page.locator("tbody time")).to_have_text(re.compile(rf", {hour:02}:{sent['created'][14:16]}$"))


def test_every_picture_in_the_docs_is_there_and_is_shown():
    docs = Path(__file__).parents[2] / "docs"
    pages = [page.read_text() for page in docs.glob("*.md")]
    shown = {picture for page in pages for picture in re.findall(r'["(](pictures/[^")]+)[")]', page)}
    assert shown == {f"pictures/{path.name}" for path in (docs / "pictures").iterdir()}
