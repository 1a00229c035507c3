"""Reading /proc, in which everything can be gone, or be another user's, at any moment."""

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from holdfast.decide.counts import Memory

PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
T = TypeVar("T")


class NotLinux(RuntimeError):
    """What is counted is read from /proc, which Linux alone has."""


class Hidden(Exception):
    """It is there, and may not be seen."""


class Gone(Exception):
    """It is not there any more."""


def on_linux() -> None:
    """Raises NotLinux where nothing can be counted."""
    if sys.platform != "linux" or not (PROC / "self" / "stat").exists():
        raise NotLinux(f"Counting from outside needs Linux with /proc, and this is {sys.platform}.")


class Stat(NamedTuple):
    """What /proc/PID/stat says (proc_pid_stat(5))."""

    pid: int
    name: str
    state: str
    parent: int
    group: int
    session: int
    cpu_s: float
    threads: int
    born: int


def reading(pid: int, read: Callable[[], T]) -> T:
    """Do `read`, of something of the process `pid`. Raises Hidden, Gone."""
    try:
        return read()
    except PermissionError as error:
        state = "X"
        with contextlib.suppress(Gone):
            state = stat(pid).state
        if state in {"Z", "X"}:  # who has just ended is not to be seen either, and has nothing any more
            raise Gone from error
        raise Hidden(str(error.strerror).lower()) from error
    except (FileNotFoundError, ProcessLookupError) as error:
        raise Gone from error


def stat(pid: int) -> Stat:
    """What a process does. Everybody may see it. Raises Gone."""
    try:
        text = (PROC / str(pid) / "stat").read_bytes()
    except OSError as error:
        raise Gone from error
    head, _, tail = text.rpartition(b")")  # the name may have anything in it
    fields = tail.split()
    return Stat(
        pid=pid,
        name=head.partition(b"(")[2].decode(errors="replace"),
        state=fields[0].decode(),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS,
        threads=int(fields[17]),
        born=int(fields[19]),
    )


def stats() -> dict[int, Stat]:
    """All processes of this machine that can be seen."""
    found: dict[int, Stat] = {}
    for name in os.listdir(PROC):  # noqa: PTH208 - iterdir would make a path of each
        if name.isdigit():
            with contextlib.suppress(Gone):
                found[int(name)] = stat(int(name))
    return found


def memory(pid: int) -> Memory:
    """What a process has in memory. It takes the kernel longer the more that is. Raises Hidden, Gone."""
    rollup = reading(pid, (PROC / str(pid) / "smaps_rollup").read_text)
    status = reading(pid, (PROC / str(pid) / "status").read_text)
    sizes = {**_sizes(rollup), **_sizes(status, only="VmHWM:")}
    names = ("Rss:", "Pss:", "Pss_Anon:", "SwapPss:", "VmHWM:")
    return Memory(*(sizes.get(name, 0) for name in names))


def _sizes(text: str, only: str = "") -> dict[str, int]:
    rows = [line.split() for line in text.splitlines() if line.endswith(" kB") and line.startswith(only)]
    return {row[0]: int(row[1]) * 1024 for row in rows}


def targets(pid: int) -> dict[int, str]:
    """Where the open descriptors of a process lead. Raises Hidden, Gone."""
    folder = f"{PROC}/{pid}/fd"
    found: dict[int, str] = {}
    for name in reading(pid, lambda: os.listdir(folder)):  # noqa: PTH208 - as above
        with contextlib.suppress(Gone):
            found[int(name)] = reading(pid, lambda name=name: os.readlink(f"{folder}/{name}"))  # noqa: PTH115 - many thousands at once
    return found
