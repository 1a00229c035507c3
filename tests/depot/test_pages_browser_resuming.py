"""Uploads that break off go on where they were, in a browser: without the network, without the depot, on a new page."""

import hashlib
import json
import os
import random
import re
import signal
import sys
from pathlib import Path

import browser
import httpx2
import pytest
from browser import PHONE, Line, Network, findings, left, listed, queued, send, sign_in, too_wide
from conftest import PASSWORD, TOKEN, Depot
from playwright.sync_api import Page, Request, expect
from running import Running, free_port, wait_until

chromium, visit, page = browser.chromium, browser.visit, browser.page  # fixtures
MEGABYTE = 1_000_000
LARGE = 64 * MEGABYTE


def made(path: Path, size: int) -> str:
    """A file of `size` bytes of chance; its SHA-256."""
    content = random.Random(size).randbytes(size)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def kept(depot: Depot) -> dict:
    """The one file that the depot has."""
    (file,) = depot.http.get("/api/files").json()["items"]
    return file


class Requests:
    """What a page asks of uploads, as it asks it."""

    def __init__(self, page: Page) -> None:
        self._all: list[Request] = []
        page.on("request", lambda request: self._all.append(request) if "/api/uploads" in request.url else None)

    def of(self, method: str) -> list[Request]:
        return [request for request in self._all if request.method == method]

    def offsets(self) -> list[int]:
        """Where each body began."""
        return [int(request.headers["upload-offset"]) for request in self.of("PATCH")]


def under_way(page: Page, name: str, part: float = 0.3) -> None:
    """Wait until so much of a file has left."""
    page.wait_for_function(
        "([name, part]) => [...document.querySelectorAll('#queue li')]"
        ".some((line) => line.textContent.includes(name) && line.querySelector('progress').value >= part)",
        arg=[name, part],
    )


# -- a depot that goes away --


class Mortal:
    """A depot that is killed, and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._running: list[Running] = []
        self._depot: Depot | None = None

    def start(self) -> Depot:
        env = {key: value for key, value in os.environ.items() if not key.startswith(("HOLDFAST_", "DEPOT_", "PORT"))}
        env |= {"DEPOT_DATA": str(self._folder / "data"), "PORT": str(self._port), "PYTHONUNBUFFERED": "1"}
        env["HOLDFAST_UPLOADS_PACE_CHECKPOINT_S"] = "0.3"  # so that something is safe by the time that it is killed
        env |= {"DEPOT_FIRST_TOKEN": TOKEN, "DEPOT_FIRST_PASSWORD": PASSWORD}
        command = [sys.executable, "-m", "holdfast", "run", "depot.app:app"]
        self._running.append(Running(command, self._folder, env, self._port))
        self._depot = Depot(self._running[-1].wait_ready(), self._folder)
        return self._depot

    def kill(self) -> None:
        """As a power cut, or the kernel when memory is short."""
        if self._depot is not None:
            self._depot.close()
        self._running[-1].signal(signal.SIGKILL)
        self._running[-1].ended()

    def close(self) -> None:
        if self._running and self._running[-1].process.poll() is None:
            self.kill()


@pytest.fixture
def mortal(tmp_path):
    depot = Mortal(tmp_path)
    yield depot
    depot.close()


def test_a_depot_that_is_killed_in_the_middle_and_comes_back_gets_the_rest_by_itself(mortal, visit, tmp_path):
    digest = made(tmp_path / "large.bin", LARGE)
    depot = mortal.start()
    page = visit(f"{depot.running.url}/files", refused=True)
    sign_in(page, "first", PASSWORD)
    asked = Requests(page)
    network = Network(page)
    network.slow(24 * MEGABYTE)
    send(page, tmp_path / "large.bin")
    under_way(page, "large.bin")
    (address,) = addresses(page)
    wait_until(lambda: safe(depot, address) > 0, "something safe")
    mortal.kill()
    expect(queued(page, "large.bin")).to_contain_text(re.compile(r"the depot does not answer; next try in \d+ s"))
    expect(page.locator(".queue-sum")).to_contain_text("waiting for the depot")
    assert (findings(page), too_wide(page)) == ([], 0)
    network.free()
    depot = mortal.start()
    expect(listed(page, "large.bin")).to_contain_text("64 MB", timeout=45_000)
    file = kept(depot)
    assert (file["size"], file["sha256"]) == (LARGE, digest)
    assert len(asked.of("POST")) == 1
    first, last = asked.offsets()[0], asked.offsets()[-1]
    assert first == 0
    assert last > 0
    content = depot.http.get(f"/api/files/{file['id']}/content").content
    assert hashlib.sha256(content).hexdigest() == digest
    assert remembered(page) == []


def remembered(page: Page) -> list[str]:
    """What the browser remembers of uploads."""
    return page.evaluate("Object.values(localStorage)")


def addresses(page: Page) -> list[str]:
    """The paths of the uploads that it remembers."""
    return [json.loads(text)["path"] for text in remembered(page)]


def safe(depot: Depot, address: str) -> int:
    """How many bytes of an upload the depot has acknowledged."""
    return int(asked_of(depot, "HEAD", address).headers["upload-offset"])


def asked_of(depot: Depot, method: str, address: str) -> httpx2.Response:
    return depot.http.request(method, address, headers={"Tus-Resumable": "1.0.0"})


# -- a network that goes away --


@pytest.fixture
def line(depot):
    line = Line(depot.running.port, 12 * MEGABYTE, hold_at=12 * MEGABYTE)
    yield line
    line.close()


def test_without_the_network_it_waits_and_goes_on_where_it_was(depot, visit, line, tmp_path):
    digest = made(tmp_path / "trip.bin", 24 * MEGABYTE)
    page = visit(f"{line.url}/files", refused=True)
    sign_in(page, depot.name, PASSWORD)
    asked = Requests(page)
    send(page, tmp_path / "trip.bin")
    under_way(page, "trip.bin", 0.5)
    (address,) = addresses(page)
    wait_until(lambda: safe(depot, address) > 0, "something safe")
    page.context.set_offline(True)
    line.cut()
    expect(queued(page, "trip.bin")).to_contain_text(re.compile(r"1\d MB of 24 MB, waiting for the network"))
    expect(page.locator("#voice")).to_contain_text("trip.bin has stopped. It goes on by itself.")
    assert findings(page) == []
    line.mend()
    page.context.set_offline(False)
    expect(listed(page, "trip.bin")).to_contain_text("24 MB")
    assert kept(depot)["sha256"] == digest
    assert len(asked.of("POST")) == 1
    first, second = asked.offsets()
    assert first == 0
    assert 0 < second < 24 * MEGABYTE


# -- another page --


def test_after_a_reload_the_same_file_goes_on_and_no_other(depot, page, tmp_path):
    digest = made(tmp_path / "film.bin", 12 * MEGABYTE)
    (tmp_path / "other.bin").write_bytes(b"other")
    network = Network(page)
    network.slow(6 * MEGABYTE)
    send(page, tmp_path / "film.bin")
    under_way(page, "film.bin", 0.5)
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    line = left(page, "film.bin")
    expect(line).to_contain_text(re.compile(r"^.*[\d.]+ MB of 12 MB are there, kept until \d", re.DOTALL))
    expect(page.locator("#voice")).to_have_text("film.bin can be continued.")
    assert (findings(page), too_wide(page)) == ([], 0)
    (note,) = remembered(page)
    assert "film.bin" in note
    assert len(note) < 500
    choose_again(page, "film.bin", tmp_path / "other.bin")
    expect(line).to_contain_text("That is another file: other.bin.")
    asked = Requests(page)
    choose_again(page, "film.bin", tmp_path / "film.bin")
    expect(listed(page, "film.bin")).to_contain_text("12 MB")
    expect(page.locator("#left")).to_be_hidden()
    assert kept(depot)["sha256"] == digest
    (offset,) = asked.offsets()
    assert 0 < offset < 12 * MEGABYTE
    assert int(asked.of("PATCH")[0].all_headers()["content-length"]) == 12 * MEGABYTE - offset
    assert asked.of("POST") == []


def choose_again(page: Page, name: str, path: Path) -> None:
    """Choose a file by the button of one that can be continued."""
    with page.expect_file_chooser() as chooser:
        left(page, name).get_by_role("button", name="Choose it again").click()
    chooser.value.set_files(path)


def test_what_one_tab_sends_no_other_takes_until_it_is_closed(depot, page, tmp_path):
    for name in ("late.bin", "unwanted.bin"):
        made(tmp_path / name, 4 * MEGABYTE)
    network = Network(page)
    network.slow(MEGABYTE)
    send(page, tmp_path / "late.bin", tmp_path / "unwanted.bin")
    for name in ("late.bin", "unwanted.bin"):
        under_way(page, name, 0.1)
    other = page.context.new_page()
    other.set_viewport_size(PHONE)
    other.goto(page.url)
    other.wait_for_function("navigator.locks.query().then((all) => all.held.length === 2 && all.pending.length === 2)")
    expect(other.locator("#left")).to_be_hidden()
    page.goto("about:blank")  # what slows the page would go before its uploads do, were it closed
    for name in ("late.bin", "unwanted.bin"):
        expect(left(other, name)).to_contain_text("of 4.0 MB are there")
    assert (findings(other), too_wide(other)) == ([], 0)
    with other.expect_request(lambda request: request.method == "DELETE") as discarded:
        left(other, "unwanted.bin").get_by_role("button", name="Discard").click()
    expect(left(other, "unwanted.bin")).to_have_count(0)
    assert asked_of(depot, "HEAD", discarded.value.url).status_code == 404

    # and the other one the depot does not have any more
    (address,) = addresses(other)
    assert asked_of(depot, "DELETE", address).status_code == 204
    other.reload()
    expect(left(other, "late.bin")).to_contain_text("It was not continued in time, and nothing of it is kept.")
    left(other, "late.bin").get_by_role("button", name="Remove").click()
    expect(other.locator("#left")).to_be_hidden()
    assert remembered(other) == []
    assert depot.http.get("/api/files").json()["items"] == []


def take_over(depot: Depot, address: str) -> int:
    """Go on with an upload from elsewhere, with nothing to add; the status of the answer."""
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(safe(depot, address))}
    headers["Content-Type"] = "application/offset+octet-stream"
    return depot.http.patch(address, headers=headers, content=b"").status_code


def test_what_another_browser_takes_over_is_left_to_it_until_somebody_says_otherwise(depot, page, tmp_path):
    digest = made(tmp_path / "taken.bin", 12 * MEGABYTE)
    network = Network(page)
    network.slow(4 * MEGABYTE)
    send(page, tmp_path / "taken.bin")
    under_way(page, "taken.bin", 0.2)
    (address,) = addresses(page)
    wait_until(lambda: take_over(depot, address) == 204, "taken over")
    expect(queued(page, "taken.bin").locator(".why")).to_contain_text("It goes on elsewhere")
    network.free()
    queued(page, "taken.bin").get_by_role("button", name="Try again").click()
    expect(listed(page, "taken.bin")).to_contain_text("12 MB")
    assert kept(depot)["sha256"] == digest
