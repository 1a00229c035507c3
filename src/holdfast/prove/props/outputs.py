"""What a backend has written: its standard output and error, and what log files it keeps in its folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from holdfast.prove.running import App

_LOGS: Final = ("*.log", "*.log.*", "*.jsonl", "*.ndjson", "*.out", "*.err", "*.trace")
_MOST_FILE: Final = 64 << 20
_MOST_FILES: Final = 5_000


def log_files(app: App) -> list[Path]:
    """What it keeps a log in, its standard output first."""
    found = {path for pattern in _LOGS for path in app.folder.rglob(pattern) if path.is_file()}
    return [app.log, *sorted(found - {app.log})]


def log_lines(app: App) -> list[str]:
    """All lines of all of its logs."""
    lines = app.lines()
    for path in log_files(app)[1:]:
        lines += _bytes(path).decode(errors="replace").splitlines()
    return lines


def other_files(app: App) -> Iterator[tuple[Path, bytes]]:
    """What else it has in its folder, as far as it is not too much."""
    logs = set(log_files(app))
    for number, path in enumerate(app.folder.rglob("*")):
        if number >= _MOST_FILES:
            return
        if path not in logs and path.is_file() and not path.is_symlink():
            yield path, _bytes(path)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_FILE)
    except OSError:  # it has gone meanwhile
        return b""
