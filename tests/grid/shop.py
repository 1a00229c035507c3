"""A shop of the grid as a running server, seen from outside."""

import contextlib
import copy
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from grid.client import PATIENCE_S, Answer, Connection, eventually
from running import Running, free_port

APPS = Path(__file__).parent / "apps"
FRAMEWORKS = ("bare", "fastapi", "starlette", "litestar", "django", "quart", "falcon", "blacksheep")
SERVERS = ("holdfast", "uvicorn")


def command(server: str, app: str, port: int, *arguments: str) -> list[str]:
    """The command that serves an application: the same event loop and parser under both servers."""
    if server == "holdfast":
        return [sys.executable, "-m", "holdfast", "run", app, "--port", str(port), *arguments]
    how = ["--loop", "uvloop", "--http", "httptools", "--ws", "websockets-sansio", "--no-access-log"]
    return [sys.executable, "-m", "uvicorn", app, "--port", str(port), *how, *arguments]


class Shop:
    """One framework's shop under one server."""

    def __init__(self, framework: str, server: str, running: Running) -> None:
        self.framework = framework
        self.server = server
        self.running = running
        self.patience_s = PATIENCE_S
        self.lives: dict[str, object] = {}
        """What processes of their own did, for the cells that need such."""
        self.log: list[dict] = []
        self._read = 0

    def hurried(self) -> "Shop":
        """The same, for a cell that is known not to hold: what does not come need not be waited for."""
        hurried = copy.copy(self)
        hurried.log = [*self.log]
        hurried.patience_s = 1.0
        return hurried

    @property
    def ours(self) -> bool:
        """Whether this is `holdfast run`."""
        return self.server == "holdfast"

    @property
    def told(self) -> list[str]:
        """All that the process has put out so far, line by line."""
        return [*self.running.output, *self.running.errors]

    # -- asking --

    def connect(self) -> Connection:
        connection = Connection(self.running.port)
        connection.socket.settimeout(self.patience_s)
        return connection

    def ask(self, method: str, path: str, *headers: str, body: bytes | None = None) -> Answer:
        with self.connect() as connection:
            return connection.ask(method, path, *headers, body=body)

    def get(self, path: str, *headers: str) -> Answer:
        return self.ask("GET", path, *headers)

    def websocket(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.running.port}{path}"

    # -- what the shop has noted --

    @staticmethod
    def key() -> str:
        """A key that nobody else uses."""
        return uuid.uuid4().hex

    def seen(self, key: str) -> object:
        return self.get(f"/seen/{key}").json["seen"]

    def release(self, key: str) -> None:
        assert self.ask("POST", f"/release/{key}", body=b"").status < 300

    def await_seen(self, key: str, *expected: object) -> object:
        """Wait until one of `expected` is noted under the key."""
        found: list[object] = []

        def look() -> bool:
            found.append(self.seen(key))
            return found[-1] in expected

        try:
            eventually(look, "", self.patience_s)
        except AssertionError:
            raise AssertionError(f"noted is {found[-1]!r}, not {expected!r}") from None
        return found[-1]

    # -- what is in the log --

    def found(self, fits: Callable[[dict], bool], what: str) -> list[dict]:
        """The lines of the log that fit, once there is one."""
        fitting: list[dict] = []

        def look() -> bool:
            output = self.running.output
            while self._read < len(output):
                line, self._read = output[self._read], self._read + 1
                self.log += [json.loads(line)] if line.startswith("{") else []
            fitting[:] = [line for line in self.log if fits(line)]
            return bool(fitting)

        eventually(look, what, self.patience_s)
        return fitting

    def line(self, request_id: str) -> dict:
        """The canonical line of a request, once it is there; there must be one only."""
        found = self.found(
            lambda line: line["event"] == "request" and line["request_id"] == request_id,
            f"a canonical line of {request_id}",
        )
        assert len(found) == 1, found
        return found[0]

    def line_of_path(self, path: str) -> dict:
        """The canonical line of the request for a path that was asked for once, by whoever had no answer."""
        found = self.found(
            lambda line: line["event"] == "request" and line["path"] == path, f"a canonical line of {path}"
        )
        assert len(found) == 1, found
        return found[0]

    def lines(self, request_id: str, text: str) -> list[dict]:
        """The other lines that carry an ID and have `text` in them, once there is one."""
        return self.found(
            lambda line: line.get("request_id") == request_id and line["event"] != "request" and text in str(line),
            f"a line of {request_id} with {text!r}",
        )


@contextlib.contextmanager
def opened(
    framework: str, server: str, *arguments: str, app: str | None = None, ready: bool = True, **environ: str
) -> Iterator[Shop]:
    """A shop that runs by itself until the block ends."""
    port = free_port()
    env = {key: value for key, value in os.environ.items() if not key.startswith(("HOLDFAST_", "SHOP_"))}
    env |= {"PYTHONUNBUFFERED": "1", "HOLDFAST_DRAIN_DELAY_S": "0", **environ}
    env |= {"SHOP_PLAIN": "1"} if server == "uvicorn" else {}
    running = Running(command(server, app or f"{framework}_app:app", port, *arguments), APPS, env, port)
    shop = Shop(framework, server, running)
    try:
        if ready:
            await_ready(shop)
        yield shop
    finally:
        if running.process.poll() is None:
            if "--workers" in arguments:  # a supervisor is given the time to end its workers
                running.process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.process.wait(3)
            running.process.kill()
            running.ended()


def await_ready(shop: Shop) -> None:
    """Wait until the shop answers."""

    def answers() -> bool:
        assert shop.running.process.poll() is None, "".join(shop.running.output + shop.running.errors)
        try:
            return shop.get("/request").status > 0
        except OSError:
            return False

    eventually(answers, "the shop answers", 20)
