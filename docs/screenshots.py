# ruff: noqa: INP001 - a script beside the pages, not a package
"""Take pictures of the depot's pages for docs/depot.md; `make pictures` runs it.

    python docs/screenshots.py [FOLDER]

A depot is started in a folder that goes away afterwards, and filled with files of a tea shop. Each page is taken in
light, in dark, and as wide as a phone, to docs/pictures or FOLDER. Needs Chromium; on Debian: apt-get install chromium.
"""

import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx2
from playwright.sync_api import Page, expect, sync_playwright

PICTURES: Final = Path(__file__).parent / "pictures"
TOKEN: Final = "a-token-for-pictures"  # noqa: S105 - of a depot that is gone in a minute
PASSWORD: Final = "a-password-for-pictures"  # noqa: S105 - as above
DESK: Final = {"width": 1080, "height": 640}
PHONE: Final = {"width": 360, "height": 720}
TALLEST: Final = 900
LOOKS: Final = {"light": ("light", DESK), "dark": ("dark", DESK), "phone": ("light", PHONE)}
TEAS: Final = ("Assam", "Sencha", "Oolong", "Darjeeling", "Gyokuro", "Lapsang", "Keemun", "Matcha")
CITIES: Final = ("Bremen", "Ankara", "Kyoto", "Lisbon", "Tromsø", "Genoa", "Porto", "Riga")
NOTES: Final = ("", "", "gift wrap", "call before delivery")


# -- a depot with something in it --


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(folder: Path, port: int) -> Iterator[str]:
    """Run a depot with everything it keeps in `folder`, and kill it at the end; its address."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HOLDFAST_", "DEPOT_", "PORT"))}
    environ = {**kept, "DEPOT_DATA": str(folder / "data"), "DEPOT_FIRST_TOKEN": TOKEN, "DEPOT_FIRST_PASSWORD": PASSWORD}
    command = [sys.executable, "-m", "holdfast", "run", "depot.app:app", "--port", str(port)]
    with (folder / "depot.log").open("a") as log:
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)  # noqa: S603 - our own command
        try:
            wait(lambda: answers(f"http://127.0.0.1:{port}/-/ready"))
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    """Whether a request is answered with 200."""
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.HTTPError:
        return False


def wait(holds, seconds: float = 30) -> None:  # noqa: ANN001 - a function without arguments
    """Wait until something holds. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


def orders(rows: int) -> str:
    """Orders as CSV."""
    chance = random.Random(7)  # noqa: S311 - samples, not secrets
    lines = (
        f"2026-{chance.randint(1, 11):02}-{chance.randint(1, 28):02},{chance.choice(TEAS)},"
        f"{chance.randint(1, 40)},{chance.choice(CITIES)},{chance.choice(NOTES)}"
        for _ in range(rows)
    )
    return "day,tea,packets,city,note\n" + "\n".join(lines) + "\n"


def hours(station: int) -> dict[str, object]:
    """A record with many fields."""
    warmth = {f"hour_{hour:02}": 12 + (station * hour) % 17 for hour in range(24)}
    return {"station": f"Assam {station}", **warmth}


def fill(url: str) -> dict[str, str]:
    """Send files of every kind; their IDs by their names."""
    faulty = orders(4_000).replace("Oolong,", "Oolong", 3).replace(",Riga,", ",Riga,,", 4)
    weather = "".join(json.dumps(hours(n)) + "\n" for n in range(1, 9))
    files = {
        "contract with the harbour.pdf": b"%PDF-1.7\n" + bytes(range(256)) * 900,
        "label.csv": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400,
        "weather.ndjson": weather.encode(),
        "orders-2025.csv": orders(60_000).encode(),
        "orders-2026-10.csv": faulty.encode(),
    }
    ids = {}
    with httpx2.Client(base_url=url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=60) as client:
        for name, content in files.items():
            sent = client.post("/api/files", params={"name": name}, content=content).json()
            ids[name] = sent["id"]
            wait(lambda sent=sent: client.get(f"/api/files/{sent['id']}").json()["state"] in {"ready", "failed"})
        client.get("/api/reports/records.csv", params={"file": ids["orders-2025.csv"]})
        client.get(f"/api/files/{ids['label.csv']}/content")
    return ids


# -- pictures --


class Camera:
    """Takes a page in each look."""

    def __init__(self, page: Page, folder: Path) -> None:
        self._page = page
        self._folder = folder

    def take(self, name: str) -> None:
        """Take what the page shows."""
        for look, (scheme, size) in LOOKS.items():
            self._page.emulate_media(color_scheme=scheme)
            self._page.set_viewport_size(size)
            height = min(self._page.evaluate("document.documentElement.scrollHeight"), TALLEST)
            clip = {"x": 0, "y": 0, "width": size["width"], "height": height if size is DESK else size["height"]}
            path = self._folder / f"{name}-{look}.png"
            self._page.screenshot(path=path, clip=clip, full_page=True, animations="disabled", scale="css")
        self._page.set_viewport_size(DESK)


def take_all(page: Page, camera: Camera, folder: Path) -> None:
    """Go through all pages, with a depot in `folder` that is killed while files are sent, and comes back."""
    port = free_port()
    with tempfile.TemporaryDirectory() as there:
        with running(folder, port) as url:
            ids = fill(url)
            take_sign_in(page, camera, url)
            sending = Sending(page, camera, Path(there))
            sending.take()
        sending.take_waiting()
        with running(folder, port):
            sending.take_reading()
            for name, path in {
                "file": f"/files/{ids['orders-2026-10.csv']}",
                "records": "/records?q=ky",
                "fields": f"/records?file={ids['weather.ndjson']}",
                "activity": "/activity",
                "account": "/account",
                "error": "/no-such-page",
            }.items():
                page.goto(url + path)
                camera.take(name)
            take_reports(page, camera, url)


def take_reports(page: Page, camera: Camera, url: str) -> None:
    """One that is sent, one that is ready, one that was sent."""
    access = {"authorization": f"Bearer {TOKEN}"}
    with (
        httpx2.Client(base_url=url, headers=access, timeout=60) as client,
        client.stream("GET", "/api/reports/records.ndjson"),
    ):
        asked = client.post("/api/exports", params={"report": "records", "form": "parquet"}).json()
        wait(lambda: client.get(f"/api/exports/{asked['id']}").json()["state"] == "ready")
        page.goto(f"{url}/reports")
        camera.take("reports")


def take_sign_in(page: Page, camera: Camera, url: str) -> None:
    """The form, which is then filled in."""
    page.goto(f"{url}/sign-in")
    camera.take("sign-in")
    page.get_by_label("Account").fill("first")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/files")


class Sending:
    """The page of files while some are sent, go on, wait for the depot, and are read."""

    def __init__(self, page: Page, camera: Camera, folder: Path) -> None:
        """Make the files in `folder`."""
        self._page = page
        self._camera = camera
        self._session = page.context.new_cdp_session(page)
        self._session.send("Network.enable")
        names = ("tastings.mov", "orders-2026-11.csv", "harvest.mov", "garden.mov")
        self._paths = [folder / name for name in names]
        for path, megabytes in zip(self._paths, (48, 0, 31, 26), strict=True):
            path.write_bytes(bytes(megabytes * 1_000_000) or orders(700_000).encode())

    def take(self) -> None:
        """Four are sent, then three are left by the page, and two of them go on."""
        page = self._page
        self._slow(6_000_000)
        self._choose(*self._paths)
        expect(page.locator("#queue .queue-sum")).to_have_text(
            re.compile("^0 of 4 .* ([2-9]|1[0-9]) s left"), timeout=30_000
        )
        page.wait_for_timeout(2_500)
        self._camera.take("sending")
        self._give_up("garden.mov")
        page.on("dialog", lambda dialog: dialog.accept())
        page.reload()
        expect(page.locator("#left li").filter(has_text="kept until")).to_have_count(3)
        self._choose(self._paths[0], self._paths[2])
        expect(page.locator("#queue li").filter(has_text="s left, continued at")).to_have_count(2, timeout=30_000)
        self._camera.take("continued")

    def take_waiting(self) -> None:
        """The depot is gone."""
        expect(self._page.locator("#queue li[data-state=broken]")).to_have_count(2)
        self._camera.take("waiting")

    def take_reading(self) -> None:
        """It is back, and reads one that is gone on with."""
        page = self._page
        for path in (self._paths[0], self._paths[2]):
            self._give_up(path.name)
        self._slow(-1)
        self._choose(self._paths[1])
        expect(page.locator("#list tr[data-state=reading]")).to_have_count(1, timeout=60_000)
        expect(page.locator("#list tr[data-state=reading] [data-part=records]")).to_have_text(re.compile(r"\d,\d"))
        self._camera.take("files")

    def _choose(self, *paths: Path) -> None:
        self._page.locator("#file").set_input_files(paths)

    def _give_up(self, name: str) -> None:
        self._page.get_by_role("button", name=f"Cancel {name}").click()
        self._page.get_by_role("button", name=f"Remove {name}").click()

    def _slow(self, bytes_a_second: int) -> None:
        limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second}
        self._session.send("Network.emulateNetworkConditions", limits)


def main() -> int:
    """Take all pictures; the exit code."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stderr.write("There is no Chromium; on Debian: apt-get install chromium\n")
        return 1
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as there, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(viewport=DESK, timezone_id="Europe/Berlin").new_page()
        take_all(page, Camera(page, folder), Path(there))
        browser.close()
    size = sum(path.stat().st_size for path in folder.glob("*.png"))
    sys.stdout.write(f"{len(list(folder.glob('*.png')))} pictures, {size / 1e6:.1f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
