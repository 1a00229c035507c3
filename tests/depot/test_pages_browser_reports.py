"""The page of reports in a real browser: how far each is, live; files that are prepared, fetched and removed."""

import re

import browser
import polars as pl
import pytest
import python_calamine
from browser import DESK, PHONE, findings, sign_in, too_wide
from conftest import PASSWORD
from playwright.sync_api import Locator, Page, expect
from reporting import Reader, big, prepared

chromium, visit = browser.chromium, browser.visit  # fixtures


def opened(depot, visit, **options) -> Page:
    """The page of reports."""
    page = visit(f"{depot.running.url}/reports", **options)
    sign_in(page, depot.name, PASSWORD)
    page.evaluate("window.kept = true")
    return page


def listed(page: Page, name: str) -> Locator:
    """The row of a report."""
    return page.locator(f'#made tbody tr[data-name="{name}"]')


def wish(page: Page, report: str, form: str) -> None:
    """Ask for a file."""
    card = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=report))
    card.get_by_label("Prepare as a file").select_option(form)
    card.get_by_role("button", name=f"Prepare {report} as a file").click()


def test_how_far_a_report_is_shows_without_loading_the_page_again(depot, visit):
    big(depot)
    with Reader(depot, "/api/reports/records.ndjson") as reader:
        page = opened(depot, visit)
        row = listed(page, "records.ndjson")
        expect(row.locator(".chip")).to_have_text("Being sent")
        expect(row).to_contain_text("100,000")
        expect(row.get_by_role("button")).to_have_count(0)
        reader.rest()
        expect(row.locator(".chip")).to_have_text("Sent")
        expect(page.locator("#voice")).to_have_text("records.ndjson: Sent, 100,000 rows.")
    assert page.evaluate("window.kept")
    assert page.locator("#made tbody tr").count() == 1


def test_a_report_that_breaks_off_shows_live_with_the_request_id_for_the_operator(depot, visit):
    big(depot)
    with Reader(depot, "/api/reports/records.json"):
        page = opened(depot, visit)
        expect(listed(page, "records.json").locator(".chip")).to_have_text("Being sent")
    row = listed(page, "records.json")
    expect(row.locator(".chip")).to_have_text("Cut off")
    request_id = row.locator("code").inner_text()
    assert depot.running.request_line(request_id)["route"] == "/api/reports/records.{form}"


def test_what_is_downloaded_from_the_page_shows_in_its_list(depot, visit):
    depot.read(depot.send("a.csv", "n\n1\n2\n")["id"])
    page = opened(depot, visit, accept_downloads=True)
    expect(page.locator("#made")).to_be_hidden()
    with page.expect_download() as download:
        page.get_by_role("link", name="Records as Parquet").click()
    assert download.value.suggested_filename == "records.parquet"
    assert pl.read_parquet(download.value.path()).height == 2
    row = listed(page, "records.parquet")
    expect(row.locator(".chip")).to_have_text("Sent")
    expect(row.locator("td").nth(2)).to_have_text("2")
    assert page.evaluate("window.kept")


def test_a_file_is_prepared_shown_live_downloaded_and_removed(depot, visit):
    big(depot)
    page = opened(depot, visit, accept_downloads=True)
    wish(page, "Records", "Excel")
    page.evaluate("window.kept = true")
    row = listed(page, "records.xlsx")
    expect(row.locator(".chip")).to_have_text("Ready")
    expect(row).to_contain_text("100,000")
    expect(row).to_contain_text(re.compile(r"Here until \d+ \w+ \d{4}, \d\d:\d\d"))
    with page.expect_download() as download:
        row.get_by_role("link", name="Download records.xlsx").click()
    assert download.value.suggested_filename == "records.xlsx"
    assert python_calamine.load_workbook(download.value.path()).get_sheet_by_index(0).height == 100_001
    assert page.evaluate("window.kept")
    row.get_by_role("button", name="Remove records.xlsx").click()
    expect(page.locator("#made")).to_be_hidden()
    page.get_by_role("link", name="What I did", exact=True).click()
    expect(page.locator(".activity tbody .main")).to_have_text(
        ["Removed", "Downloaded", "Asked for a file", "Signed in", "Sent"]
    )


def test_a_file_is_prepared_fetched_and_removed_with_the_keyboard_alone(depot, visit):
    depot.send("a.txt", "x")
    page = opened(depot, visit, accept_downloads=True)
    keys = page.keyboard
    page.get_by_role("link", name="Files as Parquet").focus()
    keys.press("Tab")
    expect(page.locator("#form-files")).to_be_focused()
    keys.type("JSON")
    keys.press("Tab")
    expect(page.get_by_role("button", name="Prepare Files as a file")).to_be_focused()
    keys.press("Enter")
    link = page.get_by_role("link", name="Download files.json")
    expect(link).to_be_visible()
    link.focus()
    with page.expect_download() as download:
        keys.press("Enter")
    assert '"name":"a.txt"' in download.value.path().read_text()
    keys.press("Tab")
    expect(page.get_by_role("button", name="Remove files.json")).to_be_focused()
    keys.press("Enter")
    expect(page.locator("#made")).to_be_hidden()


def test_whoever_is_on_a_button_stays_there_while_the_row_changes(depot, visit):
    big(depot)
    with Reader(depot, "/api/reports/records.csv") as reader:
        prepared(depot, "files", "csv")
        page = opened(depot, visit)
        button = page.get_by_role("button", name="Remove files.csv")
        button.focus()
        reader.rest()
        expect(listed(page, "records.csv").locator(".chip")).to_have_text("Sent")
        expect(button).to_be_focused()


def test_all_of_it_can_be_done_without_scripts(depot, visit):
    depot.send("a.txt", "x")
    page = opened_without_scripts(depot, visit)
    wish(page, "Files", "CSV")
    prepared(depot, "activity", "csv")
    page.reload()
    row = listed(page, "files.csv")
    expect(row.locator(".chip")).to_have_text("Ready")
    assert "To see how far a report is by now, load this page again." in page.content()
    with page.expect_download() as download:
        row.get_by_role("link", name="Download files.csv").click()
    assert "a.txt" in download.value.path().read_text()
    row.get_by_role("button", name="Remove files.csv").click()
    expect(listed(page, "files.csv")).to_have_count(0)
    expect(listed(page, "activity.csv")).to_have_count(1)
    assert too_wide(page) == 0


def opened_without_scripts(depot, visit) -> Page:
    page = visit(f"{depot.running.url}/reports", java_script_enabled=False, viewport=PHONE, accept_downloads=True)
    sign_in(page, depot.name, PASSWORD)
    return page


def test_whoever_is_signed_out_meanwhile_is_told_and_goes_on_after_signing_in(depot, visit):
    big(depot)
    with Reader(depot, "/api/reports/records.csv") as reader:
        page = opened(depot, visit, refused=True)
        expect(listed(page, "records.csv").locator(".chip")).to_have_text("Being sent")
        depot.signed_in().fill_in("/sign-out-everywhere")
        expect(page.get_by_role("alert")).to_contain_text("You are signed out.")
        with page.context.expect_page() as tab:
            page.get_by_role("link", name="Sign in").click()
        sign_in(tab.value, depot.name, PASSWORD)
        expect(page.get_by_role("alert")).to_be_hidden()
        reader.rest()
        expect(listed(page, "records.csv").locator(".chip")).to_have_text("Sent")


@pytest.mark.parametrize(
    ("scheme", "size"),
    [("light", DESK), ("dark", DESK), ("light", PHONE), ("dark", PHONE), ("light", {"width": 800, "height": 900})],
)
def test_the_page_fits_its_window_in_every_state_and_axe_finds_no_fault(depot, visit, scheme, size):
    big(depot)
    prepared(depot, "records", "parquet")
    depot.http.get("/api/reports/activity.xlsx")
    with Reader(depot, "/api/reports/records.csv"):
        prepared(depot, "activity", "ndjson")
    with Reader(depot, "/api/reports/records.ndjson"):
        page = opened(depot, visit, color_scheme=scheme, viewport=size)
        expect(page.locator("#made tbody .chip")).to_have_text(["Being sent", "Ready", "Cut off", "Sent", "Ready"])
        assert (findings(page), too_wide(page)) == ([], 0)
