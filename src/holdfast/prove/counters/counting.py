"""One count of everything."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from holdfast.decide.counts import Counts, Descriptor, Lock, Memory, Process
from holdfast.prove.counters.descriptors import described
from holdfast.prove.counters.folders import folder
from holdfast.prove.counters.locks import locks
from holdfast.prove.counters.proc import PROC, Gone, Hidden, Stat, memory, on_linux, stat, stats, targets
from holdfast.prove.counters.trees import tree_among

_Leads = Mapping[int, str]
"""Where descriptors lead, by their numbers."""


def counted(pid: int, folders: Sequence[str | Path] = ()) -> Counts:
    """What a process and all that belong to it have now, and what is in `folders`. Takes some milliseconds.

    A process that ends while it is read is left out, or a zombie; what may not be seen is named in `unseen`. Raises
    NotLinux.
    """
    on_linux()
    everybody = stats()
    found = tree_among(everybody, pid)
    unseen = [] if found.alive or not _hides(pid) else [f"the process {pid}: it runs, and /proc does not show it"]
    leads = {one: seen for one in found.pids if (seen := _leads(everybody[one], unseen)) is not None}
    open_by_pid, more = described(leads)
    processes = [
        process
        for one in found.pids
        if (process := _process(everybody[one], open_by_pid.get(one), unseen, beside=one in found.beside)) is not None
    ]
    held = _locks(leads, unseen)
    places = [folder(one) for one in folders]
    unseen += [*more, *(line for _, lines in places for line in lines)]
    return Counts(pid, processes, held, [one for one, _ in places], unseen=tuple(unseen))


def _hides(pid: int) -> bool:
    """Whether a process that /proc does not show is there all the same (`hidepid` in proc(5))."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not (PROC / str(pid)).exists()


def _leads(one: Stat, unseen: list[str]) -> _Leads | None:
    """None: not to be seen, or a process that has gone."""
    if one.state == "Z":
        return {}
    try:
        return targets(one.pid)
    except Hidden as why:
        unseen.append(f"the open descriptors of {one.pid} ({one.name}): {why}")
    except Gone:
        pass
    return None


def _process(one: Stat, open_now: Sequence[Descriptor] | None, unseen: list[str], *, beside: bool) -> Process | None:
    """The record of a process; None: it has gone."""
    held: Memory | None = None
    try:
        held = memory(one.pid) if one.state != "Z" else None
    except Hidden as why:
        unseen.append(f"the memory of {one.pid} ({one.name}): {why}")
    except Gone:
        try:
            one = stat(one.pid)
        except Gone:
            return None
        open_now = ()
    return Process(*_identity(one), one.threads, one.cpu_s, held, open_now, beside)


def _identity(one: Stat) -> tuple[int, int, int, int, str, str, int]:
    return one.pid, one.parent, one.group, one.session, one.name, one.state, one.born


def _locks(leads: Mapping[int, _Leads], unseen: list[str]) -> list[Lock] | None:
    try:
        return locks(leads)
    except OSError as error:
        unseen.append(f"the locks on files: {(error.strerror or '').lower()}")
    return None
