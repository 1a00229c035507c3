"""A real browser: Debian's Chromium, driven by Playwright. Without it the tests that want one are skipped, and say why.

A test opens pages with `visit`. Whatever a page complains about in its console, such as a violation of its policy, an
exception of a script or a file that is missing, fails the test at its end.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

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
