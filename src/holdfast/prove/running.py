"""A backend that is started for a proof: its process, its log, how to reach it, and its end."""

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from holdfast.errors import HoldfastError
from holdfast.prove.config import Config
from holdfast.prove.http import Answer, Client
from holdfast.prove.neighbours import Neighbour
from holdfast.prove.sending import filled, found_in, request

_LOOK_S: Final = 0.03
_TAIL: Final = 12
_TAIL_BYTES: Final = 65_536
MOST_LOG: Final = 256 << 20
"""A log that grows beyond this ends the scenario."""
HOST: Final = "127.0.0.1"
_OPEN: Final = {"host", "accept"}
"""Headers of ours that are no secret."""
_SECRET: Final = 8
"""What is shorter stands in any text."""


class AppFailed(HoldfastError):
    """The backend could not be proven."""

    code = "prove-app-failed"
    advice = "Start it by hand with the same command; what it wrote last is above."


class NotReady(AppFailed):
    """The backend did not get ready."""

    code = "prove-not-ready"
    advice = (
        "See what it wrote, above. If it only needs longer, say ready-within-s = 120 in [tool.holdfast.prove]; "
        'if another path says that it is ready, say ready = "/path".'
    )


class SignInFailed(AppFailed):
    """Signing in failed."""

    code = "prove-sign-in-failed"
    advice = "Correct sign-in in [tool.holdfast.prove]: what is sent, and where the answer has the token."


class CommandWrong(AppFailed):
    """The command that starts the backend cannot be run."""

    code = "prove-command-wrong"
    advice = 'Say how it is started: holdfast prove module:app, or --serve "uvicorn module:app --port {port}".'


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def command(config: Config, names: Mapping[str, str]) -> list[str]:
    """What starts the backend. Raises CommandWrong."""
    if config.serve:
        if "{port}" not in config.serve:
            raise CommandWrong(f"The command {config.serve!r} does not say where the port goes: write {{port}} in it.")
        return [filled(each, names) for each in shlex.split(config.serve)]
    if not config.app:
        raise CommandWrong("It is not said which backend is to be proven.")
    return [sys.executable, "-m", "holdfast", "run", config.app, "--host", HOST, "--port", names["port"]]


class App:
    """A running backend, and how to reach it."""

    def __init__(
        self,
        config: Config,
        cwd: Path,
        folder: Path,
        environ: Mapping[str, str],
        secret: str,
        output: int | None = None,
    ) -> None:
        """It is started in `cwd`, keeps what it keeps in `folder`, and has `environ` beside what is configured.

        What it writes goes to the descriptor `output`, where one is given, and not to its log.
        """
        self.config: Config = config
        self.folder: Path = folder
        self.log: Path = folder / "output.log"
        """What it writes on standard output and standard error, of all its lives."""
        self.port: int = free_port()
        self.started_in_s: float = 0.0
        """How long it took to be ready."""
        self.names: dict[str, str] = {"port": str(self.port), "folder": str(folder), "secret": secret}
        self.client: Client = Client(HOST, self.port, {k: filled(v, self.names) for k, v in config.headers.items()})
        """Signed in, if one has to."""
        self.stranger: Client = Client(HOST, self.port)
        """Not signed in, and without what is configured."""
        self.neighbours: Mapping[str, Neighbour] = {}
        """What it depends on, by the variables that name them."""
        self._cwd = cwd
        self._environ = dict(environ)
        self._output = output
        self._process: asyncio.subprocess.Process | None = None

    def without_secrets(self, text: str) -> str:
        """A text of the backend's, with what signs in and what was made up for the run blotted out."""
        secrets = {self.names.get("secret", ""), self.names.get("token", "")}
        signing = [value for name, value in self.client.headers.items() if name.lower() not in _OPEN]
        secrets |= {value.rpartition(" ")[2] for value in signing}
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, "***") if len(secret) >= _SECRET else text
        return text

    @property
    def pid(self) -> int:
        """Of the process that was started; its children are its own affair."""
        return self._running().pid

    @property
    def alive(self) -> bool:
        """Whether that process is there."""
        return self._process is not None and self._process.returncode is None

    @property
    def exit_code(self) -> int | None:
        """How it ended, if it has."""
        return self._running().returncode

    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "it was not started"  # noqa: S101 - a mistake of ours
        return self._process

    async def start(self) -> None:
        """Start it, wait until it is ready, sign in. Raises AppFailed."""
        began = time.monotonic()
        environ = {**os.environ, "PYTHONUNBUFFERED": "1", **self._environ}
        environ |= {name: filled(value, self.names) for name, value in self.config.environment.items()}
        environ |= {name: filled(value, self.names) for name, value in self._environ.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        line = command(self.config, self.names)
        with self.log.open("ab") as log:
            output = log if self._output is None else self._output
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *line,
                    cwd=self._cwd,
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            except OSError as error:
                raise CommandWrong(f"The command {line[0]!r} cannot be run: {error.strerror}.") from error
        await self._ready(began)
        self.started_in_s = time.monotonic() - began
        await self._sign_in()

    async def _ready(self, began: float) -> None:
        path = self.config.ready or "/"
        answer = Answer(0, {}, b"", 0.0, error="nothing was asked yet")
        while time.monotonic() - began < self.config.ready_within_s:
            if not self.alive:
                raise AppFailed(
                    f"The backend ended with exit code {self.exit_code} before it was ready.\n{self.tail()}"
                )
            answer = await self.stranger.ask("GET", path, timeout_s=5.0)
            if answer.status and (answer.good if self.config.ready else answer.status < 500):
                return
            await asyncio.sleep(_LOOK_S)
        said = f"GET {path} said: {answer.shown}"
        raise NotReady(f"The backend was not ready within {self.config.ready_within_s:g} s; {said}.\n{self.tail()}")

    async def _sign_in(self) -> None:
        signing = self.config.sign_in
        if signing is None:
            return
        sent = request(signing.request, self.names)
        answer = await self.client.ask(sent.method, sent.path, headers=sent.headers, body=sent.body)
        if not (answer.good or answer.status in {302, 303}):
            raise SignInFailed(
                f"{signing.request.shown} said: {answer.shown} {answer.body[:200].decode(errors='replace')}"
            )
        if signing.token:
            token = found_in(answer, signing.token)
            if not token:
                raise SignInFailed(f"The answer of {signing.request.shown} has no {signing.token!r}.")
            self.names["token"] = token
            name, _, value = signing.header.partition(":")
            self.client.headers[name.strip()] = value.strip().replace("{token}", token)
        elif "set-cookie" in answer.headers:
            self.client.headers["Cookie"] = answer.headers["set-cookie"].partition(";")[0]
        else:
            raise SignInFailed(
                f"{signing.request.shown} set no cookie, and sign-in.token does not say where a token is."
            )

    def lines(self) -> list[str]:
        """What it has written so far."""
        try:
            return self.log.read_bytes().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def tail(self) -> str:
        """The last lines of it, for a message."""
        lines: list[str] = []
        with contextlib.suppress(FileNotFoundError), self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()[-_TAIL:]
        return "\n".join(f"  | {line[:300]}" for line in lines) or "  | (it wrote nothing)"

    # -- its end --

    def signal(self, number: int) -> None:
        """Send a signal to the process that was started."""
        with contextlib.suppress(ProcessLookupError):
            self._running().send_signal(number)

    async def ended(self, within_s: float) -> bool:
        """Wait for its end; whether it came in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._running().wait()
        except TimeoutError:
            return False
        return True

    async def kill(self) -> None:
        """kill -9, the process and all of its group, at once."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def again(self) -> None:
        """Start it anew, where it was, with what it kept."""
        await self.kill()
        await self.start()


@asynccontextmanager
async def running(
    config: Config, cwd: Path, folder: Path, environ: Mapping[str, str], secret: str, output: int | None = None
) -> AsyncGenerator[App]:
    """A backend, ready and signed in; gone at the end of the block. Raises AppFailed."""
    app = App(config, cwd, folder, environ, secret, output)
    try:
        await app.start()
        yield app
    finally:
        await app.kill()
