"""The locks on files that processes hold or wait for, from /proc/locks."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import Final

from holdfast.decide.counts import Kind, Lock
from holdfast.prove.counters.descriptors import kind_of
from holdfast.prove.counters.proc import PROC

_ANYBODY: Final = -1
"""Where a lock belongs to an open file description, the kernel names no process."""


def locks(open_by_pid: Mapping[int, Mapping[int, str]]) -> list[Lock]:
    """The locks of processes whose descriptors' targets are given. Raises OSError where they cannot be seen.

    A lock of no single process counts if one of these has the file open.
    """
    lines = [line.split() for line in (PROC / "locks").read_text().splitlines()]
    rows = [_row(fields) for fields in lines]
    wanted = {int(row["pid"]) for row in rows}
    paths = _paths({pid: leads for pid, leads in open_by_pid.items() if pid in wanted or _ANYBODY in wanted})
    return [
        _lock(row, paths)
        for row in rows
        if int(row["pid"]) in open_by_pid or (int(row["pid"]) == _ANYBODY and _known(row["file"], paths))
    ]


def _row(fields: list[str]) -> dict[str, str]:
    """`1: -> POSIX ADVISORY WRITE 1234 fe:00:5678 0 EOF`, where the arrow stands for one that waits (proc_locks(5))."""
    waits = fields[1] == "->"
    kind, _, mode, pid, file, start, end = fields[2:9] if waits else fields[1:8]
    return {
        "kind": kind,
        "mode": mode,
        "pid": pid,
        "file": file,
        "start": start,
        "end": end,
        "waits": "waits" if waits else "",
    }


def _lock(row: Mapping[str, str], paths: Mapping[str, str]) -> Lock:
    return Lock(
        pid=int(row["pid"]),
        kind=row["kind"],
        mode=row["mode"],
        path=_known(row["file"], paths) or f"inode {row['file'].rpartition(':')[2]}",
        start=int(row["start"]),
        end=None if row["end"] == "EOF" else int(row["end"]),
        waits=bool(row["waits"]),
    )


def _known(file: str, paths: Mapping[str, str]) -> str:
    """The path of `MAJOR:MINOR:INODE`; the device may be another than a path shows (btrfs, overlays)."""
    return paths.get(file) or paths.get(file.rpartition(":")[2], "")


def _paths(open_by_pid: Mapping[int, Mapping[int, str]]) -> dict[str, str]:
    """Paths by `MAJOR:MINOR:INODE`, and by the inode alone."""
    found: dict[str, str] = {}
    for pid, number, target in _files(open_by_pid):
        with contextlib.suppress(OSError):
            seen = os.stat(f"{PROC}/{pid}/fd/{number}")  # noqa: PTH116 - no path object for each
            device = f"{os.major(seen.st_dev):02x}:{os.minor(seen.st_dev):02x}"
            found[f"{device}:{seen.st_ino}"] = found[str(seen.st_ino)] = target
    return found


def _files(open_by_pid: Mapping[int, Mapping[int, str]]) -> Iterable[tuple[int, int, str]]:
    for pid, leads in open_by_pid.items():
        for number, target in leads.items():
            if kind_of(target) is Kind.FILE:
                yield pid, number, target
