"""Everything that a run started is gone when it ends, however it ends.

`python -m holdfast.prove.keeper MARK FOLDER` waits until its standard input ends, which it does when the run ends, also
by kill -9. Then it ends all processes that have MARK in their environment, which children inherit, and removes the
folder.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MARK: Final = "HOLDFAST_PROVE"
"""The variable of the environment by which what a run started is known."""
_PATIENCE_S: Final = 5.0
_RUN: Final = "run.json"


def marked(mark: str) -> list[int]:
    """The processes that a run started, ourselves not among them."""
    wanted = f"{MARK}={mark}".encode()
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # another's, or ended already
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def end(mark: str, *, but: int = 0) -> int:
    """End all processes that a run started, `but` one, and what these still start. Returns how many there were."""
    ended: set[int] = set()
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        alive = [pid for pid in marked(mark) if pid != but]
        if not alive:
            break
        for pid in alive:
            ended.add(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGCONT)  # one that is stopped would never end
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return len(ended)


def begin(mark: str) -> Path:
    """Make the folder of a run, and note whose it is."""
    folder = Path(tempfile.mkdtemp(prefix=f"holdfast-prove-{os.getuid()}-{mark}-"))
    (folder / _RUN).write_text(json.dumps({"mark": mark, "pid": os.getpid(), "born": _born(os.getpid())}))
    return folder


def left_behind() -> Iterator[tuple[str, Path]]:
    """The marks and folders of runs of this user that have ended without cleaning up."""
    for folder in Path(tempfile.gettempdir()).glob(f"holdfast-prove-{os.getuid()}-*"):
        try:
            run = json.loads((folder / _RUN).read_text())
            mark, pid, born = str(run["mark"]), int(run["pid"]), int(run["born"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if folder.stat().st_uid == os.getuid() and _born(pid) != born:
            yield mark, folder


def clean() -> tuple[int, int]:
    """End and remove what earlier runs left behind. Returns how many processes and how many folders."""
    processes = folders = 0
    for mark, folder in list(left_behind()):
        processes += end(mark)
        shutil.rmtree(folder, ignore_errors=True)
        folders += 1
    return processes, folders


def _born(pid: int) -> int:
    """When a process began, in ticks since the machine did; 0 where there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def main() -> None:
    """Wait for the end of a run, and clean up after it."""
    mark, folder = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C goes to all of the terminal's processes
    with contextlib.suppress(OSError):
        sys.stdin.buffer.read()
    end(mark, but=os.getppid())  # after kill -9 the parent is another, and has no such mark
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
