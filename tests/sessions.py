"""The sessions of a page of the documentation: commands, run in order, that must show what is written below them.

`...` stands for anything. What differs from run to run (IDs, times, durations) need only look alike; an ID that a later
command uses is the one that was really given. `make run` and `holdfast run` are started in the background, each on a
free port in the place of 8000; `$!` is the last of them.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
from running import free_port, wait_until

BIN = Path(sys.executable).parent
PATIENCE_S = 20.0
GIVEN = (
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b",  # a request ID
    r"\bdepot_[\w-]{43}",  # a token
    r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])",  # a file's ID
    r"\b[a-z2-9]{5}(?:-[a-z2-9]{5}){3}\b",  # a password
)
VARYING = (
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z",
    r"\b\d\d:\d\d:\d\d\.\d{3}\b",
    r" *\+\d+\.\dms",
    r"\b\d+(?:\.\d+)? ms\b",
)
DIFFERS = re.compile("|".join(f"({pattern})" for pattern in (*GIVEN, *VARYING)))


def clean_environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HOLDFAST_", "DEPOT_", "PORT"))}
    return {**kept, "PYTHONUNBUFFERED": "1", "PATH": f"{BIN}{os.pathsep}{kept.get('PATH', '')}"}


def steps_of(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a session, with what is shown below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command = re.match(r"(?:.*\\\n)*.*\n", part)
        assert command is not None
        yield command[0].replace("\\\n", "").strip(), part[command.end() :]


def compared(shown: str, seen: str) -> dict[str, str] | None:
    """What each ID in `shown` is in `seen`; None if the one is not like the other."""
    pattern, position, written = "", 0, list[str]()
    shown, seen = shown.strip("\n"), seen.strip("\n")
    for found in DIFFERS.finditer(shown):
        pattern += re.escape(shown[position : found.start()])
        position = found.end()
        which = found.lastindex or 0
        if which <= len(GIVEN):
            pattern += f"({GIVEN[which - 1]})"
            written.append(found[0])
        else:
            pattern += f"(?:{VARYING[which - 1 - len(GIVEN)]})"
    pattern += re.escape(shown[position:])
    match = re.fullmatch(pattern.replace(r"\.\.\.", ".*?"), seen, re.DOTALL)
    return dict(zip(written, match.groups(), strict=True)) if match else None


def only_looks(command: str) -> bool:
    """Whether a command may be repeated until it shows what it should."""
    return "logs find" in command or ("curl" in command and re.search(r" (-F|-X|-d|--data\S*) ", command) is None)


class Session:
    """A folder, the servers that were started in it, and what the written IDs and ports really are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / ".curlrc").write_text("silent\nshow-error\n")
        self.environ = {**clean_environment(), "CURL_HOME": str(folder)}
        self.real: dict[str, str] = {}
        self.servers: list[subprocess.Popen[str]] = []

    def step(self, command: str, shown: str) -> None:
        """Run one command and compare what it shows."""
        assigned = re.fullmatch(r"(\w+)=(\S+)", command)
        if assigned:
            self.environ[assigned[1]] = self.meant(assigned[2])
        elif re.match(r"(\w+=\S+ )*(holdfast|make) run\b", command):
            output = self.serve(command)
            self.expect(shown, output.read_text(), lambda: output.read_text(), command)
        else:
            command = self.meant(command)
            self.expect(
                shown, self.call(command), (lambda: self.call(command)) if only_looks(command) else None, command
            )

    def expect(self, shown: str, seen: str, again, command: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while (real := compared(self.meant(shown), seen)) is None and again is not None and time.monotonic() < end:
            time.sleep(0.05)
            seen = again()
        assert real is not None, f"$ {command}\nshows:\n{seen}\nand not:\n{shown}"
        self.real |= real

    def meant(self, text: str) -> str:
        """The text with the IDs and ports that are real here."""
        for written, real in self.real.items():
            text = text.replace(written, real)
        if self.servers:
            text = text.replace("$!", str(self.servers[-1].pid))
        return text.replace(".venv/bin/", f"{BIN}/")

    def call(self, command: str) -> str:
        ran = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=50,
        )
        return ran.stdout

    def serve(self, command: str) -> Path:
        """Start a server; the file that has what it prints."""
        port = self.real["8000"] = str(free_port())
        command = command.replace("make run", "holdfast run depot.app:app").removesuffix("&")
        output = self.folder / f"output-{port}"
        with output.open("w") as out:
            process = subprocess.Popen(
                ["bash", "-c", f"exec env {command}"],
                cwd=self.folder,
                env={**self.environ, "PORT": port, "DEPOT_DATA": str(self.folder / "data")},
                stdout=out,
                stderr=out,
                text=True,
            )
        self.servers.append(process)

        def ready() -> bool:
            assert process.poll() is None, "".join(log.read_text() for log in [output, *self.folder.glob("*.log")])
            with contextlib.suppress(httpx2.HTTPError):
                return httpx2.get(f"http://127.0.0.1:{port}/-/ready", timeout=10).status_code == 200
            return False

        wait_until(ready, f"{command} is ready")
        return output

    def end(self) -> list[int]:
        """Interrupt the servers; their exit codes."""
        codes: list[int] = []
        for process in self.servers:
            process.send_signal(signal.SIGINT)
        for process in self.servers:
            try:
                codes.append(process.wait(PATIENCE_S))
            except subprocess.TimeoutExpired:
                process.kill()
                codes.append(process.wait())
        self.servers = []
        return codes
