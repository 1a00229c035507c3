"""A process that opens what it is told to, a line each, and answers when it has."""

import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

held = {"files": [], "sockets": [], "threads": [], "memory": [], "databases": [], "children": [], "locks": []}
over = threading.Event()
SILENT = "exec {} <&- >&- 2>&-"  # without descriptors of its own


def files(folder: str) -> None:
    held["files"] += [open(Path(folder) / f"file-{number}", "w") for number in range(7)]
    (Path(folder) / "file-6").unlink()


def sockets(port: str) -> None:
    import socket

    held["sockets"] += [socket.create_connection(("127.0.0.1", int(port))) for _ in range(5)]


def threads() -> None:
    held["threads"] += [threading.Thread(target=over.wait) for _ in range(3)]
    for thread in held["threads"]:
        thread.start()


def memory(size: str) -> None:
    held["memory"].append(b"\1" * int(size))


def spike(size: str, seconds: str) -> None:
    spiked = b"\1" * int(size)
    time.sleep(float(seconds))
    del spiked


def write(path: str) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    held["databases"].append(database)
    database.execute("BEGIN IMMEDIATE")


def children() -> None:
    held["children"] += [subprocess.Popen(["sh", "-c", SILENT.format("sleep 60")]) for _ in range(2)]


def zombie() -> None:
    held["children"].append(subprocess.Popen(["sh", "-c", SILENT.format("true")]))


def orphan() -> int:
    return int(subprocess.check_output(["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"]))


def lock(path: str) -> None:
    held["locks"].append(open(path, "r+"))
    fcntl.lockf(held["locks"][-1], fcntl.LOCK_EX)


def want(path: str) -> None:
    threading.Thread(target=lock, args=(path,), daemon=True).start()


def close() -> None:
    over.set()
    for thread in held["threads"]:
        thread.join()
    for child in held["children"]:
        child.kill()
        child.wait()
    for name in ("files", "sockets", "databases", "locks"):
        for one in held[name]:
            one.close()
    for several in held.values():
        several.clear()
    over.clear()


if __name__ == "__main__":
    print(os.getpid(), flush=True)
    for line in sys.stdin:
        name, *arguments = line.split()
        print(globals()[name](*arguments) or "", flush=True)
