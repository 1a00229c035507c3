"""A real browser: Debian's Chromium, driven by Playwright. Without it the tests that want one are skipped, and say why.

A test opens pages with `visit`. Whatever a page complains about in its console, such as a violation of its policy, an
exception of a script or a file that is missing, fails the test at its end.
"""

import contextlib
import shutil
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from conftest import PASSWORD, Depot
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

MISSING = "there is no Chromium; on Debian: apt-get install chromium"
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 800}
PATIENCE_MS = 15_000
Visit = Callable[..., Page]


def installed() -> str | None:
    """The path of Chromium, if it is there."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


# A module's, not the session's: while Playwright runs, so does an event loop in this thread, and tests of async
# functions could not start theirs.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser."""
    path = installed()
    if path is None:
        pytest.skip(MISSING)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Open a page in a browser of its own: `visit(url)`; options are those of a context.

    With `refused=True` the console may say that an answer had a status from 400 on, or that the network was gone.
    """
    complaints: list[str] = []
    with contextlib.ExitStack() as stack:

        def opened(url: str, *, refused: bool = False, **options: Any) -> Page:
            context = stack.enter_context(chromium.new_context(**{"viewport": DESK, **options}))
            context.set_default_timeout(PATIENCE_MS)
            context.on("weberror", lambda error: complaints.append(f"{url}: {error.error}"))
            context.on("console", lambda message: complaints.extend(_complaint(message, refused)))
            page = context.new_page()
            page.goto(url)
            return page

        yield opened
    assert complaints == []


def _complaint(message: ConsoleMessage, refused: bool) -> Iterator[str]:
    expected = refused and message.text.startswith("Failed to load resource:")
    if message.type in {"error", "warning"} and not expected:
        yield f"{message.location['url']}: {message.text}"


def sign_in(page: Page, name: str, password: str) -> None:
    """Fill in the form of the sign-in page that `page` shows."""
    page.get_by_label("Account").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)


def findings(page: Page) -> list[str]:
    """What axe finds fault with on a page, of any impact."""
    page.evaluate(AXE_SCRIPT)
    violations = page.evaluate("axe.run({resultTypes: ['violations']}).then((results) => results.violations)")
    return [f"{one['impact']}: {one['help']}: {[node['target'] for node in one['nodes']]}" for one in violations]


def too_wide(page: Page) -> int:
    """How many pixels of a page lie beyond the edge of its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


# -- the page of files --


@pytest.fixture
def page(depot: Depot, visit: Visit) -> Page:
    """The page of files of a new user."""
    page = visit(f"{depot.running.url}/files", refused=True)
    sign_in(page, depot.name, PASSWORD)
    return page


def send(page: Page, *files: dict[str, Any] | Path) -> None:
    """Choose files."""
    with page.expect_file_chooser() as chooser:
        page.get_by_text("Choose files").click()
    chooser.value.set_files(files)


def listed(page: Page, name: str) -> Locator:
    """The line of a file in the list."""
    return page.locator("#list tbody tr").filter(has=page.get_by_role("link", name=name, exact=True))


def queued(page: Page, name: str) -> Locator:
    """The line of a file in the queue."""
    return page.locator("#queue li").filter(has_text=name)


def left(page: Page, name: str) -> Locator:
    """The line of a file among those that can be continued."""
    return page.locator("#left li").filter(has_text=name)


class Network:
    """What a page has of the network. One for each page: of two, neither heeds the other."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Network.enable")

    def slow(self, bytes_a_second: int) -> None:
        """Let uploads have no more than this."""
        self._emulate(bytes_a_second)

    def free(self) -> None:
        """Give it back, without a limit."""
        self._emulate(-1)

    def _emulate(self, upload: int) -> None:
        limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": upload}
        self._session.send("Network.emulateNetworkConditions", limits)


class Line:
    """A way to a depot, which can be slow, and cut.

    Chromium's own offline mode cuts no request that is under way: it fails for the page, and arrives all the same.
    """

    def __init__(self, port: int, bytes_a_second: int, hold_at: int) -> None:
        """The way to `port` of this machine. Connections bring no more than so many bytes there.

        One that brought `hold_at` bytes brings nothing more until the line is cut or mended.
        """
        self._to = port
        self._rate = bytes_a_second
        self._hold_at = hold_at
        self._moved = threading.Event()
        self._ends: list[socket.socket] = []
        self._down = False
        self._door = socket.create_server(("127.0.0.1", 0))
        self._door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut(self) -> None:
        """Break off what is open, and let nothing in."""
        self._down = True
        self._moved.set()
        for end in self._ends:
            _reset(end)
        self._ends.clear()

    def mend(self) -> None:
        """Let everything through from now on, as fast as it can."""
        self._rate = 0
        self._down = False
        self._moved.set()

    def close(self) -> None:
        """Remove it."""
        self.cut()
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._door.accept()
                if self._down:
                    _reset(here)
                    continue
                there = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [here, there]
                for way in ((here, there, True), (there, here, False)):
                    self._threads.append(threading.Thread(target=self._carry, args=way))
                    self._threads[-1].start()

    def _carry(self, source: socket.socket, target: socket.socket, slowly: bool) -> None:
        carried = 0
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 15):
                target.sendall(piece)
                carried += len(piece)
                if slowly and self._rate:
                    time.sleep(len(piece) / self._rate)
                if slowly and carried >= self._hold_at:
                    self._moved.wait()
            target.shutdown(socket.SHUT_WR)


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
    end.close()
