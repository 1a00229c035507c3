"""The open descriptors of processes, by kind, with what is behind each."""

from collections.abc import Mapping
from typing import Final

from holdfast.decide.counts import Descriptor, Kind
from holdfast.prove.counters.proc import Gone, Hidden, targets
from holdfast.prove.counters.sockets import Known, sockets

_KINDS: Final = {
    "socket:": Kind.SOCKET,
    "pipe:": Kind.PIPE,
    "anon_inode:": Kind.ANONYMOUS,
    "/dev/shm/": Kind.FILE,  # noqa: S108 - nothing is written there
    "/dev/": Kind.DEVICE,
    "/": Kind.FILE,
}
"""By how a target begins, the first that fits."""


def kind_of(target: str) -> Kind:
    """What kind of thing a descriptor leads to."""
    return next((kind for start, kind in _KINDS.items() if target.startswith(start)), Kind.OTHER)


def described(open_by_pid: Mapping[int, Mapping[int, str]]) -> tuple[dict[int, list[Descriptor]], list[str]]:
    """The descriptors of processes whose targets were read before, and in words what could not be seen of them.

    The tables of sockets are read after the targets; what is in none of them by then is looked at again, for it may
    have been closed meanwhile.
    """
    known: dict[str, Known] = {}
    unseen: list[str] = []
    for pid, leads in open_by_pid.items():
        inodes = {_inode(target) for target in leads.values() if kind_of(target) is Kind.SOCKET}
        if not inodes <= known.keys():
            try:
                known.update(sockets(pid))
            except Hidden as why:
                unseen.append(f"the states of the sockets of {pid}: {why}")
    found = {pid: _of_process(pid, leads, known) for pid, leads in open_by_pid.items()}
    return found, unseen


def _of_process(pid: int, leads: Mapping[int, str], known: Mapping[str, Known]) -> list[Descriptor]:
    found: list[Descriptor] = []
    again: Mapping[int, str] | None = None
    for number, target in sorted(leads.items()):
        kind = kind_of(target)
        if kind is not Kind.SOCKET:
            found.append(Descriptor(number, kind, target))
        elif one := known.get(_inode(target)):
            found.append(Descriptor(number, one.kind, target, one.state, one.local, one.peer))
        else:
            again = _still(pid) if again is None else again
            if again.get(number) == target:
                found.append(Descriptor(number, kind, target))
    return found


def _inode(target: str) -> str:
    return target[len("socket:[") : -1]


def _still(pid: int) -> Mapping[int, str]:
    try:
        return targets(pid)
    except (Gone, Hidden):
        return {}
