"""A real server process around a small application, for tests that look at it from outside."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2

PATIENCE_S = 20.0


def wait_until(holds: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait until `holds` is true; fail with `what` if it never is."""
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, f"not within {timeout_s} s: {what}"
        time.sleep(0.01)


class Running:
    """A process that serves, its output, and ways to talk to it."""

    def __init__(self, command: list[str], cwd: Path, env: dict[str, str], port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.output: list[str] = []
        self.errors: list[str] = []
        self.process = subprocess.Popen(
            command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.output), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stderr, self.errors), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream, into: list[str]) -> None:
        for line in stream:
            into.append(line)

    @property
    def lines(self) -> list[dict]:
        """The log so far."""
        return [json.loads(line) for line in list(self.output) if line.startswith("{")]

    def events(self, event: str) -> list[dict]:
        return [line for line in self.lines if line["event"] == event]

    def request_line(self, request_id: str) -> dict:
        """The canonical line of a request, once it is written."""
        found: list[dict] = []

        def look() -> bool:
            found[:] = [line for line in self.events("request") if line["request_id"] == request_id]
            return bool(found)

        wait_until(look, f"a canonical line for {request_id}")
        return found[0]

    def wait_ready(self) -> "Running":
        def ready() -> bool:
            assert self.process.poll() is None, "".join(self.output + self.errors)
            with contextlib.suppress(httpx2.HTTPError):
                return httpx2.get(f"{self.url}/-/ready", timeout=5).status_code == 200
            return False

        wait_until(ready, "ready")
        return self

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for the end; the exit code."""
        code = self.process.wait(timeout_s)
        for reader, stream in zip(self._readers, (self.process.stdout, self.process.stderr), strict=True):
            reader.join(5)
            stream.close()
        return code

    def stop(self) -> int:
        """Interrupt it, as a keyboard would; the exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGINT)
        return self.ended()

    def raw(self, data: bytes, *, timeout_s: float = 10) -> bytes:
        """Send bytes on a new connection, and read until the server closes it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as connection:
            connection.sendall(data)
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(65536):
                    received += piece
            return received


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(folder: Path, source: str, *arguments: str, ready: bool = True, **environ: str) -> Iterator[Running]:
    """`holdfast run` on an application whose source is `source`, which names it `app`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.py").write_text(textwrap.dedent(source))
    port = free_port()
    env = {key: value for key, value in os.environ.items() if not key.startswith("HOLDFAST_")}
    env |= {"PYTHONUNBUFFERED": "1", "HOLDFAST_DRAIN_DELAY_S": "0", **environ}
    command = [sys.executable, "-m", "holdfast", "run", "shop:app", "--port", str(port), *arguments]
    running = Running(command, folder, env, port)
    try:
        yield running.wait_ready() if ready else running
    finally:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGINT)
            try:
                running.ended(10)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.ended()
