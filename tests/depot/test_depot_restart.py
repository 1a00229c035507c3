"""Restarts in the middle: nothing that was acknowledged is lost, and nothing is there twice."""

import contextlib
import os
import signal
import socket
import sqlite3
from pathlib import Path

from running import wait_until

ROWS = 80_000
BIG = "id,text\n" + "".join(f"{number},some text that is long enough\n" for number in range(ROWS))


def rows_in_database(depot) -> list[int]:
    """The rows of all records, whatever the depot tells of them."""
    with contextlib.closing(sqlite3.connect(depot.data / "depot.sqlite", timeout=30)) as connection:
        return [row for (row,) in connection.execute('SELECT "row" FROM records ORDER BY file_no, "row"')]


def test_a_kill_and_a_stop_in_the_middle_lose_nothing_and_double_nothing(start) -> None:
    with start() as depot:
        small = depot.send("small.txt", "acknowledged")["id"]
        big = depot.send("big.csv", BIG)["id"]
        with half_an_upload(depot):
            wait_until(lambda: depot.file(big)["records"] > 0, "some records")
            wait_until(depot.arriving, "a part of a file")
            depot.stop(signal.SIGKILL)
        assert 0 < len(rows_in_database(depot)) < ROWS
    with start() as depot:
        assert depot.file(big)["state"] == "reading"
        wait_until(lambda: depot.file(big)["records"] > 0, "some records again")
        assert depot.stop(signal.SIGTERM) == 0
        assert 0 < len(rows_in_database(depot)) < ROWS
    with start() as depot:
        read = depot.read(big)
        assert (read["state"], read["records"], read["problems_total"]) == ("ready", ROWS, 0)
        assert rows_in_database(depot) == list(range(1, ROWS + 1))
        assert depot.http.get(f"/api/files/{big}/content").text == BIG
        assert depot.http.get(f"/api/files/{small}/content").text == "acknowledged"
        assert depot.stored() == {small, big}
        assert [one["id"] for one in depot.http.get("/api/files").json()["items"]] == [big, small]
        assert depot.stop() == 0


def half_an_upload(depot) -> socket.socket:
    """A connection that has sent a part of a file, and sends no more."""
    connection = socket.create_connection(("127.0.0.1", depot.running.port))
    head = (
        "POST /api/files?name=half.csv HTTP/1.1\r\nHost: depot\r\n"
        f"Authorization: Bearer {depot.token}\r\nContent-Length: 5000000\r\n\r\n"
    )
    connection.sendall(head.encode() + b"x" * 1_000_000)
    return connection


def test_two_workers_share_the_work_and_outlive_the_death_of_one(start) -> None:
    with start("--workers", "2") as depot:
        ids = {depot.send(f"{number}.csv", f"n\n{number}\n")["id"]: str(number) for number in range(20)}
        big = depot.send("big.csv", BIG)["id"]
        wait_until(lambda: depot.file(big)["records"] > 0, "some records")
        reader = next(line for line in lock_holders(depot) if big in line[1])[0]
        os.kill(reader, signal.SIGKILL)
        depot.connect_anew()  # the old connection may have been to the one that died
        assert depot.read(big)["records"] == ROWS
        for file_id in ids:
            assert depot.read(file_id)["state"] == "ready"
        found = {one["file_id"]: one["data"]["n"] for one in depot.records() if one["file_id"] != big}
        assert found == ids
        assert len(rows_in_database(depot)) == ROWS + 20
        depot.stop()


def lock_holders(depot) -> list[tuple[int, str]]:
    """The workers that have contents open, and which."""
    children = Path(f"/proc/{depot.running.process.pid}/task/{depot.running.process.pid}/children").read_text()
    found = []
    for pid in map(int, children.split()):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append((pid, str(descriptor.readlink())))
    return found
