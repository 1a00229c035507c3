"""Sending files from the page, in a real browser: many, large ones, dropped ones, and what goes wrong on the way."""

import contextlib
import re

import browser
import pytest
from browser import Network, findings, listed, queued, send, sign_in, too_wide
from conftest import PASSWORD, running_depot
from playwright.sync_api import Page, expect

chromium, visit, page = browser.chromium, browser.visit, browser.page  # fixtures
MEGABYTE = 1_000_000
LARGE = 60 * MEGABYTE


def small(name: str, content: str = "a,b\n1,2\n") -> dict:
    return {"name": name, "mimeType": "text/csv", "buffer": content.encode()}


def drop(page: Page, *names: str) -> None:
    """Drop files of these names onto the page, as a mouse would bring them from elsewhere."""
    carried = page.evaluate_handle(
        "names => { const all = new DataTransfer();"
        " for (const name of names) all.items.add(new File(['a,b\\n1,2\\n'], name)); return all; }",
        names,
    )
    page.dispatch_event("main", "dragenter", {"dataTransfer": carried})
    assert page.locator("body.dropping").count() == 1
    page.dispatch_event("main", "drop", {"dataTransfer": carried})
    assert page.locator("body.dropping").count() == 0


def test_many_files_are_sent_at_once_and_become_ready_before_ones_eyes(depot, page):
    send(page, *(small(f"orders {number}.csv") for number in range(12)), small("empty.csv", ""))
    expect(page.locator("#list tbody tr[data-state=ready]")).to_have_count(13)
    expect(page.locator("#queue")).to_be_hidden()
    expect(page.get_by_text("No files yet")).to_have_count(0)
    expect(listed(page, "orders 7.csv")).to_contain_text("Ready")
    expect(page.locator("#voice")).to_have_text(re.compile("is ready, with [01] record|news"))
    names = {"empty.csv", *(f"orders {number}.csv" for number in range(12))}
    assert {file["name"] for file in depot.http.get("/api/files").json()["items"]} == names


def test_files_are_dropped_anywhere_and_their_names_are_text(page):
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    hostile = "<img src=x onerror=alert(1)>.csv"
    drop(page, hostile, "b.csv")
    for name in (hostile, "b.csv"):
        expect(listed(page, name)).to_contain_text("Ready")
    assert page.locator("img").count() == 0
    assert dialogs == []


def test_a_large_file_shows_how_far_it_is_and_can_be_cancelled_and_sent_again(depot, page, tmp_path):
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(LARGE)
    network = Network(page)
    network.slow(12_000_000)
    send(page, large)
    line = queued(page, "large.bin")
    expect(line.locator(".under")).to_have_text(re.compile(r"^\d+(\.\d)? MB of 60 MB, \d+(\.\d)? MB/s, \d+ s left$"))
    far = line.get_by_role("progressbar").evaluate("bar => bar.position")
    assert 0 < far < 1
    expect(page.locator(".queue-sum")).to_have_text(re.compile(r"^0 of 1 file sent · .* of 60 MB · .*MB/s · .*left$"))
    assert (findings(page), too_wide(page)) == ([], 0)
    line.get_by_role("button", name="Cancel").click()
    expect(line).to_contain_text("Cancelled. Nothing of it was kept.")
    assert depot.http.get("/api/files").json()["items"] == []
    network.free()
    line.get_by_role("button", name="Try again").click()
    expect(listed(page, "large.bin")).to_contain_text("60 MB")
    (kept,) = depot.http.get("/api/files").json()["items"]
    assert kept["size"] == LARGE


def test_leaving_asks_first_while_something_is_sent(page):
    network = Network(page)
    network.slow(100_000)
    send(page, small("slow.csv", "a\n" * 1_000_000))
    expect(queued(page, "slow.csv")).to_contain_text("of 2.0 MB")
    with page.expect_event("dialog") as asked:
        page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()
    queued(page, "slow.csv").get_by_role("button", name="Cancel").click()


def test_signed_out_in_the_middle_nothing_is_lost(depot, page):
    network = Network(page)
    network.slow(MEGABYTE)
    send(page, small("kept.bin", "x" * 3 * MEGABYTE))
    expect(queued(page, "kept.bin")).to_contain_text("of 3.0 MB")
    with contextlib.closing(depot.signed_in()) as elsewhere:
        assert elsewhere.fill_in("/sign-out-everywhere", "/account").status_code == 303
    expect(page.get_by_role("alert")).to_contain_text("You are signed out.")
    expect(queued(page, "kept.bin")).to_contain_text("waiting until you have signed in")
    assert findings(page) == []
    network.free()
    with page.context.expect_page() as opened:
        page.get_by_role("alert").get_by_role("link", name="Sign in").click()
    sign_in(opened.value, depot.name, PASSWORD)
    expect(listed(page, "kept.bin")).to_contain_text("3.0 MB")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_depot_that_asks_for_a_pause_gets_it(page):
    paused = {"status": 503, "headers": {"Retry-After": "2"}}
    page.route("**/api/uploads", lambda route: route.fulfill(**paused), times=1)
    send(page, small("patient.csv"))
    expect(queued(page, "patient.csv")).to_contain_text(re.compile("the depot is busy; next try in [23] s"))
    expect(listed(page, "patient.csv")).to_contain_text("Ready")


def test_a_file_that_changes_while_it_is_sent_is_not_sent(depot, page, tmp_path):
    growing = tmp_path / "growing.csv"
    growing.write_text("a\n1\n")
    page.route("**/api/uploads", lambda route: [growing.write_text("a\n1\n2\n"), route.continue_()][1], times=1)
    send(page, growing)
    expect(queued(page, "growing.csv").locator(".why")).to_contain_text("It has changed on your disk")
    assert depot.http.get("/api/files").json()["items"] == []


def test_what_is_chosen_without_a_connection_is_sent_when_it_is_back(page):
    page.context.set_offline(True)
    send(page, small("later.csv"))
    expect(queued(page, "later.csv")).to_contain_text("waiting for the network")
    page.context.set_offline(False)
    expect(listed(page, "later.csv")).to_contain_text("Ready")


def test_the_state_of_one_file_is_followed_on_its_page(depot, page):
    rows = "".join(f"{number},some text that makes the row longer\n" for number in range(300_000))
    sent = depot.send("long.csv", f"number,text\n{rows}")
    page.goto(f"{depot.running.url}/files/{sent['id']}")
    expect(page.locator(".state-line")).to_contain_text("300,000 records.", timeout=30_000)
    expect(page.get_by_role("link", name="See its records")).to_be_visible()
    expect(page.locator("#voice")).to_contain_text("300,000 records")


@pytest.fixture(scope="module")
def strict(chromium, tmp_path_factory):
    """A depot that takes no more than 1 MiB."""
    folder = tmp_path_factory.mktemp("strict")
    with running_depot(folder, DEPOT_MAX_FILE_MB="1", DEPOT_FIRST_PASSWORD=PASSWORD) as depot:
        yield depot


def test_a_refused_file_says_why_what_to_do_and_its_request_id(strict, visit):
    page = visit(f"{strict.running.url}/files", refused=True)
    sign_in(page, strict.name, PASSWORD)
    send(page, small("large.csv", "a" * 1_100_000), small("small.csv"))
    refused = queued(page, "large.csv")
    expect(refused).to_contain_text("Too large")
    expect(refused).to_contain_text("Files of at most 1 MB are taken.")
    expect(listed(page, "small.csv")).to_contain_text("Ready")

    # a page that was loaded when the limit was another
    page.route("**/files", lambda route: route.fulfill(response=(found := route.fetch()), body=raised(found.text())))
    page.reload()
    send(page, small("large.csv", "a" * 1_100_000))
    why = queued(page, "large.csv").locator(".why")
    expect(why).to_contain_text("of at most 1048576 bytes are taken.")
    request_id = why.locator("code").inner_text()
    assert strict.running.request_line(request_id)["status"] == 413
    assert (findings(page), too_wide(page)) == ([], 0)
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#queue")).to_be_hidden()


def raised(text: str) -> str:
    return re.sub(r'data-max-bytes="\d+"', 'data-max-bytes="1000000000"', text)


def test_without_scripts_a_refused_file_is_told_of_on_a_page_with_the_request_id(strict, visit):
    page = visit(f"{strict.running.url}/files", refused=True, java_script_enabled=False)
    sign_in(page, strict.name, PASSWORD)
    page.get_by_label("Choose a file").set_input_files(small("large.csv", "a" * 3_000_000))
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("of at most 1048576 bytes are taken.")).to_be_visible()
    assert strict.running.request_line(page.locator("code").inner_text())["status"] == 413
