"""Reports as tests ask for them: clients that read slowly, files that are made, what the database says of both."""

import contextlib
import socket
import sqlite3
import threading
from collections.abc import Iterator
from typing import Self

from conftest import Depot
from running import wait_until

FORMS = ("csv", "ndjson", "json", "xlsx", "parquet")
TEXT = "some text and some more of it and so on so that a few rows are much"


def ask(depot: Depot, question: str, *values: object) -> list[tuple]:
    """What the database answers."""
    with contextlib.closing(sqlite3.connect(depot.data / "depot.sqlite", timeout=30)) as connection, connection:
        return connection.execute(question, values).fetchall()


def big(depot: Depot, rows: int = 100_000, name: str = "big.csv") -> str:
    """A file of 100 bytes a row that is ready; its ID."""
    file_id = depot.send(name, "number,text\n" + "".join(f"{number},{TEXT}\n" for number in range(rows)))["id"]
    depot.read(file_id)
    return file_id


def made(depot: Depot) -> list[dict]:
    """The exports that the depot tells its user of, the newest first."""
    answer = depot.http.get("/api/exports")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def prepared(depot: Depot, report: str = "records", form: str = "csv", state: str = "ready") -> dict:
    """Have a file made of a report, and wait until it is in that state."""
    answer = depot.http.post("/api/exports", params={"report": report, "form": form})
    assert answer.status_code == 202, answer.text
    path = f"/api/exports/{answer.json()['id']}"
    wait_until(lambda: depot.http.get(path).json()["state"] == state, f"{report}.{form} {state}")
    return depot.http.get(path).json()


class Reader:
    """A client that has asked for a report, and reads what it is told to. At the end of its block it has left."""

    def __init__(self, depot: Depot, path: str = "/api/reports/records.csv") -> None:
        self._connection = socket.socket()
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._connection.settimeout(30)
        self._connection.connect(("127.0.0.1", depot.running.port))
        head = f"GET {path} HTTP/1.1\r\nHost: depot\r\nAuthorization: Bearer {depot.token}\r\nConnection: close\r\n\r\n"
        self._connection.sendall(head.encode())
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None
        self.received = self._connection.recv(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        if self._thread is not None:
            self._thread.join(10)
        self._connection.close()

    def slowly(self, bytes_a_second: int = 1000) -> Self:
        """Read on, a little at a time, until the block ends."""

        def read() -> None:
            while not self._ends.wait(0.1):
                self.received += self._connection.recv(bytes_a_second // 10)

        self._thread = threading.Thread(target=read)
        self._thread.start()
        return self

    def rest(self) -> bytes:
        """Read everything that comes."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        with contextlib.suppress(ConnectionResetError):
            while piece := self._connection.recv(1 << 20):
                self.received += piece
        return self.received

    @property
    def whole(self) -> bool:
        """Whether the answer has come to its end."""
        return self.received.endswith(b"\r\n0\r\n\r\n")


@contextlib.contextmanager
def locked(depot: Depot) -> Iterator[None]:
    """Nobody else can read or write the database."""
    with contextlib.closing(sqlite3.connect(depot.data / "depot.sqlite", timeout=30, isolation_level=None)) as one:
        one.execute("BEGIN EXCLUSIVE")
        yield
        one.execute("ROLLBACK")
