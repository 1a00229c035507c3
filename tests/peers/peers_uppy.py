"""Uppy and its plugin for tus, in a real browser, with a page of our own server."""

import shutil
from collections.abc import Iterator

import httpx2
import pytest
from node_packages import MODULES, SPECIFICATION, version
from playwright.sync_api import Page, sync_playwright
from uploading import SOURCE, TUS, Shop, noise, serving

PATIENCE_MS = 30_000
LARGE = noise(6_000_000, 80)
PAGES = """
import pathlib

TYPES = {".html": b"text/html; charset=utf-8", ".mjs": b"text/javascript"}


async def pages(scope, receive, send):
    if scope["type"] != "http" or not scope["path"].startswith("/static/"):
        await app_without_pages(scope, receive, send)
        return
    path = pathlib.Path("static") / pathlib.Path(scope["path"]).name
    headers = [(b"content-type", TYPES[path.suffix])]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": path.read_bytes()})


app_without_pages, app = app, pages
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("uppy")
    (folder / "static").mkdir()
    shutil.copy(SPECIFICATION / "uppy.html", folder / "static")
    shutil.copy(MODULES / "uppy" / "dist" / "uppy.min.mjs", folder / "static")
    with serving(folder, SOURCE + PAGES) as running:
        yield Shop(running, folder)


@pytest.fixture(scope="module")
def page(served) -> Iterator[Page]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("there is no Chromium; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        print(f"uppy {version('uppy')}, @uppy/tus {version('@uppy/tus')}, Chromium {browser.version}")
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


@pytest.fixture
def opened(page: Page, served: Shop) -> Page:
    page.goto(f"{served.running.url}/static/uppy.html")
    page.wait_for_function("window.uppy")
    return page


def choose(page: Page, *files: tuple[str, bytes]) -> None:
    """Choose files, which begins to upload them."""
    named = [{"name": name, "mimeType": "application/octet-stream", "buffer": data} for name, data in files]
    page.set_input_files("input", named)


def result(page: Page) -> list[tuple[str, str]]:
    """The name and the address of each upload, once all are through."""
    page.wait_for_function("window.result")
    found = page.evaluate("window.result")
    assert found["failed"] == []
    return [(name, url) for name, url in found["successful"]]


def slowed(page: Page, bytes_a_second: int, *, offline: bool = False) -> None:
    """Let uploads have no more than this; -1 for no limit."""
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    limits = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second}
    network.send("Network.emulateNetworkConditions", limits)


def kept(served: Shop, url: str) -> bytes:
    """The file that came of an upload."""
    return served.content(httpx2.head(url, headers=TUS).headers["holdfast-file-id"])


def test_uppy_uploads_several_files_at_once(served, opened):
    files = {f"file {number}.bin": noise(1_300_000, 81 + number) for number in range(4)}
    choose(opened, *files.items())
    found = result(opened)
    assert {name: kept(served, url) for name, url in found} == files


def test_uppy_goes_on_where_it_was_after_the_network_was_gone(served, opened):
    slowed(opened, 1_500_000)
    choose(opened, ("large.bin", LARGE))
    opened.wait_for_function("window.answers.filter(([method]) => method === 'PATCH').length >= 2")
    slowed(opened, -1, offline=True)
    opened.wait_for_timeout(500)
    slowed(opened, -1)
    ((_, url),) = result(opened)
    assert kept(served, url) == LARGE
    assert opened.evaluate("window.answers.filter(([method]) => method === 'POST').length") == 1


def test_uppy_goes_on_where_it_was_after_the_page_was_loaded_anew(served, opened, tmp_path):
    data = noise(6_000_000, 90)
    file = tmp_path / "again.bin"  # Uppy knows it again by the time of its last change, too
    file.write_bytes(data)
    slowed(opened, 1_500_000)
    opened.set_input_files("input", file)
    opened.wait_for_function("window.answers.filter(([method]) => method === 'PATCH').length >= 2")
    opened.reload()
    opened.wait_for_function("window.uppy")
    slowed(opened, -1)
    opened.set_input_files("input", file)
    ((_, url),) = result(opened)
    assert kept(served, url) == data
    methods = opened.evaluate("window.answers.map(([method]) => method)")
    assert methods[0] == "HEAD"
    assert "POST" not in methods


def test_uppy_removes_an_upload_that_is_cancelled(served, opened):
    slowed(opened, 700_000)
    choose(opened, ("cancelled.bin", noise(6_000_000, 91)))
    opened.wait_for_function("window.answers.some(([method]) => method === 'PATCH')")
    url = opened.evaluate("window.uppy.getFiles()[0].tus.uploadUrl")
    opened.evaluate("window.uppy.cancelAll()")
    opened.wait_for_function("window.answers.some(([method, status]) => method === 'DELETE' && status === 204)")
    slowed(opened, -1)
    assert httpx2.head(url, headers=TUS).status_code in {404, 410}
