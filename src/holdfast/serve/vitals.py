"""What the system tells of a process, from /proc and from its control group."""

import os
from pathlib import Path
from typing import Final, NamedTuple

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")
_CGROUPS: Final = Path("/sys/fs/cgroup")


class Vitals(NamedTuple):
    """What a process does, and what it has done."""

    cpu_s: float
    """Processor time that all its threads have used."""
    state: str
    """A letter for what its main thread does: R runs, S sleeps, D waits for a disk, T is stopped, t is traced."""


def vitals(pid: int) -> Vitals:
    """How the process `pid` does; one that has gone is as one that has ended."""
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return Vitals(0.0, "X")
    fields = text.rpartition(b")")[2].split()  # the name before may have anything in it
    return Vitals((int(fields[11]) + int(fields[12])) / _TICKS, fields[0].decode())


def memory_mb(pid: int) -> float:
    """The memory that the process `pid` has for itself, in MB of 1,000,000 bytes; 0 for one that has gone.

    That is its anonymous memory, in RAM and swapped out: what is given back when it ends. Files that are mapped, such
    as libraries, are left out: the workers share them, and the system takes them back when it is short of memory.
    """
    found = _status(pid, "RssAnon", "VmSwap")
    return sum(int(value.split()[0]) for value in found.values()) * 1024 / 1_000_000


def catches(pid: int, number: int) -> bool:
    """Whether the process `pid` has something of its own that a signal calls, so that it does not end by it."""
    caught = _status(pid, "SigCgt").get("SigCgt", "0")
    return bool(int(caught, 16) >> (number - 1) & 1)


def _status(pid: int, *names: str) -> dict[str, str]:
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name: value.strip() for name, _, value in pairs if name in names}


def killed_for_memory(proc: Path = _PROC, groups: Path = _CGROUPS) -> int | None:
    """How many processes of our control group the system has killed for want of memory; None where it does not say."""
    try:
        ours = [line.split(":", 2) for line in (proc / "self" / "cgroup").read_text().splitlines()]
    except OSError:
        return None
    for number, controllers, path in ours:
        unified = number == "0"
        if not unified and "memory" not in controllers.split(","):
            continue
        root, name = (groups, "memory.events") if unified else (groups / "memory", "memory.oom_control")
        for folder in (root / path.lstrip("/"), root):  # in a container the path may be that of the world outside
            found = _oom_kills(folder / name)
            if found is not None:
                return found
    return None


def _oom_kills(file: Path) -> int | None:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
