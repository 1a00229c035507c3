"""A real depot: its own process, its own folder, and a client that does what users do."""

import contextlib
import functools
import hashlib
import http.cookiejar
import json
import os
import re
import secrets
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from running import Running, free_port, wait_until
from stores import s3_servers

TOKEN = "a-token-for-tests"
PASSWORD = "a-password-for-tests"


class Depot:
    """A depot that runs, and a user of it: the account `name` with the password PASSWORD and a token."""

    def __init__(self, running: Running, folder: Path, token: str = TOKEN, name: str = "first") -> None:
        self.running = running
        self.data = folder / "data"
        self.token = token
        self.name = name
        self.http = self.client(token)
        self.browsers: list[Browser] = []

    def close(self) -> None:
        """Leave."""
        for client in (self.http, *self.browsers):
            client.close()

    def connect_anew(self) -> None:
        """Leave the connections that were kept alive."""
        self.http.close()
        self.http = self.client(self.token)

    def client(self, token: str) -> httpx2.Client:
        """A client of the account with that token."""
        headers = {"authorization": f"Bearer {token}"}
        return httpx2.Client(base_url=self.running.url, headers=headers, timeout=30, verify=False)  # made in no time

    def browser(self, **headers: str) -> "Browser":
        """A browser that nobody has signed in to yet."""
        browser = Browser(self.running.url, headers)
        self.browsers.append(browser)
        return browser

    def signed_in(self, **headers: str) -> "Browser":
        """A browser in which this user is signed in, without the time that a password takes."""
        browser = self.browser(**headers)
        browser.cookies.set("__Host-depot", add_session(self), domain="127.0.0.1")
        return browser

    def send(self, name: str, content: bytes | str) -> dict:
        """Upload a file as a form; what was answered."""
        body = content.encode() if isinstance(content, str) else content
        answer = self.http.post("/api/files", files={"file": (name, body)})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def file(self, file_id: str) -> dict:
        return self.http.get(f"/api/files/{file_id}").json()

    def read(self, file_id: str) -> dict:
        """Wait until the file is ready or has failed."""
        wait_until(lambda: self.file(file_id)["state"] in {"ready", "failed"}, f"{file_id} read")
        return self.file(file_id)

    def records(self, **narrowed: str) -> list[dict]:
        """The records report."""
        answer = self.http.get("/api/reports/records.ndjson", params=narrowed)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def stored(self) -> set[str]:
        """The IDs of the contents that are whole."""
        return {path.name for path in (self.data / "files").rglob("*") if path.is_file()} - self.arriving()

    def arriving(self) -> set[str]:
        """The IDs of the contents that are not whole yet."""
        return {path.name for path in (self.data / "files" / "incoming").iterdir()}

    @property
    def uploads(self) -> str:
        """Where uploads that can be gone on with begin."""
        return f"{self.running.url}/api/uploads"

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.close()
        self.running.signal(number)
        return self.running.ended()


class Browser(httpx2.Client):
    """What a browser does without scripts: it keeps cookies, and sends the forms of the page that it looks at."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        # Browsers take Secure cookies from this machine over plain HTTP; Python's jar would not give them back
        policy = http.cookiejar.DefaultCookiePolicy(secure_protocols=("http", "https"))
        jar = http.cookiejar.CookieJar(policy)
        super().__init__(
            base_url=url, headers={"accept": "text/html", **headers}, cookies=jar, timeout=30, verify=False
        )

    def csrf(self, path: str = "/files") -> str:
        """The token in the page at `path`."""
        page = self.get(path)
        found = re.search(r'name="csrf-token" content="([0-9a-f]{64})"', page.text)
        assert found, page.text
        return found[1]

    def fill_in(self, path: str, form: str = "/files", **fields: str) -> httpx2.Response:
        """Send the form of the page `form` to `path`."""
        return self.post(path, data={"csrf": self.csrf(form), **fields})

    def sign_in(self, name: str, password: str = PASSWORD, **fields: str) -> httpx2.Response:
        return self.fill_in("/sign-in", "/sign-in", name=name, password=password, **fields)

    def cookie(self, name: str = "__Host-depot") -> str | None:
        return {one.name: one.value for one in self.cookies.jar}.get(name)


@contextlib.contextmanager
def running_depot(folder: Path, *arguments: str, **environ: str) -> Iterator[Depot]:
    """`holdfast run depot.app:app` with everything it keeps in `folder`."""
    port = free_port()
    env = {key: value for key, value in os.environ.items() if not key.startswith(("HOLDFAST_", "DEPOT_", "PORT"))}
    env |= {"DEPOT_DATA": str(folder / "data"), "HOLDFAST_DRAIN_DELAY_S": "0"}
    env |= {"DEPOT_FIRST_TOKEN": TOKEN, "DEPOT_FIRST_PASSWORD": PASSWORD}
    env |= {"HOLDFAST_TRUSTED_PROXIES": "127.0.0.1"}  # so that a test can come from another address
    env |= {"PYTHONUNBUFFERED": "1", "PORT": str(port), **environ}
    running = Running([sys.executable, "-m", "holdfast", "run", "depot.app:app", *arguments], folder, env, port)
    try:
        depot = Depot(running.wait_ready(), folder)
        yield depot
        depot.close()
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.ended()


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., contextlib.AbstractContextManager[Depot]]:
    """Start a depot of one's own; started twice in a test, it is the same one again."""
    return lambda *arguments, **environ: running_depot(tmp_path, *arguments, **environ)


@pytest.fixture(scope="session")
def seaweed() -> Iterator[s3_servers.Server]:
    """An S3 server."""
    with s3_servers.seaweed() as server:
        yield server


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depot]:
    """One depot for all tests that neither stop it nor count what is in it."""
    with running_depot(tmp_path_factory.mktemp("depot")) as depot:
        yield depot


_taken = iter(range(1_000_000))


@pytest.fixture
def depot(shared: Depot) -> Iterator[Depot]:
    """The shared depot, as a user with an account of their own, so that nothing else is in it."""
    name = f"user-{next(_taken)}"
    user = Depot(shared.running, shared.data.parent, add_account(shared, name), name)
    yield user
    user.close()


def add_account(depot: Depot, name: str) -> str:
    """Make an account with PASSWORD; its token."""
    from depot.accounts import digest, new_token
    from depot.models import now

    token = new_token()
    with contextlib.closing(sqlite3.connect(depot.data / "depot.sqlite", timeout=30)) as connection, connection:
        row = (name, digest(token), now(), _hashed())
        connection.execute("INSERT INTO accounts (name, token_sha256, created, password) VALUES (?, ?, ?, ?)", row)
    return token.reveal()


def add_session(depot: Depot) -> str:
    """Begin a session of the depot's user; what is in its cookie."""
    cookie = secrets.token_urlsafe(32)
    digest, now = hashlib.sha256(cookie.encode()).hexdigest(), datetime.now(UTC)
    last_seen, expires = now.isoformat(), (now + timedelta(days=1)).isoformat()
    with contextlib.closing(sqlite3.connect(depot.data / "depot.sqlite", timeout=30)) as connection, connection:
        connection.execute(
            "INSERT INTO sessions (token_sha256, account_no, created, last_seen, expires, client, agent) "
            "SELECT ?, no, ?, ?, ?, '127.0.0.1', 'a test' FROM accounts WHERE name = ?",
            (digest, last_seen, last_seen, expires, depot.name),
        )
    return cookie


@functools.cache
def _hashed() -> str:
    """The hash of PASSWORD, which takes a while to make."""
    from depot.passwords import hashed
    from holdfast import Secret

    return hashed(Secret(PASSWORD))
