"""A real depot: its own process, its own folder, and a client that does what users do."""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from running import Running, free_port, wait_until

TOKEN = "a-token-for-tests"


class Depot:
    """A depot that runs, and a user of it."""

    def __init__(self, running: Running, folder: Path, token: str = TOKEN) -> None:
        self.running = running
        self.data = folder / "data"
        self.token = token
        self.http = self.client(token)

    def connect_anew(self) -> None:
        """Leave the connections that were kept alive."""
        self.http.close()
        self.http = self.client(self.token)

    def client(self, token: str) -> httpx2.Client:
        """A client of the account with that token."""
        return httpx2.Client(base_url=self.running.url, headers={"authorization": f"Bearer {token}"}, timeout=30)

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
        """The names in the folder of contents."""
        return {path.name for path in (self.data / "files").iterdir()}

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.http.close()
        self.running.signal(number)
        return self.running.ended()


@contextlib.contextmanager
def running_depot(folder: Path, *arguments: str, **environ: str) -> Iterator[Depot]:
    """`holdfast run depot.app:app` with everything it keeps in `folder`."""
    port = free_port()
    env = {key: value for key, value in os.environ.items() if not key.startswith(("HOLDFAST_", "DEPOT_", "PORT"))}
    env |= {"DEPOT_DATA": str(folder / "data"), "DEPOT_FIRST_TOKEN": TOKEN, "HOLDFAST_DRAIN_DELAY_S": "0"}
    env |= {"PYTHONUNBUFFERED": "1", "PORT": str(port), **environ}
    running = Running([sys.executable, "-m", "holdfast", "run", "depot.app:app", *arguments], folder, env, port)
    try:
        depot = Depot(running.wait_ready(), folder)
        yield depot
        depot.http.close()
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.ended()


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., contextlib.AbstractContextManager[Depot]]:
    """Start a depot of one's own; started twice in a test, it is the same one again."""
    return lambda *arguments, **environ: running_depot(tmp_path, *arguments, **environ)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depot]:
    """One depot for all tests that neither stop it nor count what is in it."""
    with running_depot(tmp_path_factory.mktemp("depot")) as depot:
        yield depot


_taken = iter(range(1_000_000))


@pytest.fixture
def depot(shared: Depot) -> Iterator[Depot]:
    """The shared depot, as a user with an account of their own, so that nothing else is in it."""
    token = add_account(shared, f"user-{next(_taken)}")
    user = Depot(shared.running, shared.data.parent, token)
    yield user
    user.http.close()


def add_account(depot: Depot, name: str) -> str:
    """Make an account; its token."""
    import sqlite3

    from depot.accounts import digest, new_token
    from depot.models import now

    token = new_token()
    with contextlib.closing(sqlite3.connect(depot.data / "depot.sqlite", timeout=30)) as connection, connection:
        row = (name, digest(token), now())
        connection.execute("INSERT INTO accounts (name, token_sha256, created) VALUES (?, ?, ?)", row)
    return token.reveal()
