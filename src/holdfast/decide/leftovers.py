"""What is left over of what was opened: two counts of the same processes, and what the later one has more, in words."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from holdfast.decide.counts import Counts, Descriptor, Kind, Lock, Process, port_of

_MANY: Final = {Kind.PROCESS: "processes"}
_TOLD: Final = 20


class Left(NamedTuple):
    """Some things of a kind that are there and were not before."""

    kind: Kind
    what: str
    """Which, in words."""
    number: int

    def __str__(self) -> str:
        """As `3 sockets ESTABLISHED from 127.0.0.1:… on 127.0.0.1:8000`."""
        noun = self.kind.value if self.number == 1 else _MANY.get(self.kind, f"{self.kind.value}s")
        return f"{self.number} {noun} {self.what}".rstrip()


class Difference(NamedTuple):
    """What a later count has more than an earlier one."""

    left: Sequence[Left]
    unseen: Sequence[str] = ()
    """What could not be seen in one or the other: about this nothing is said."""
    died: bool = False
    """The process that was the root runs no more."""
    memory: int | None = None
    """Bytes of anonymous memory more; None: not known."""
    cpu_s: float = 0.0
    """What those processes used meanwhile that are in both."""

    @property
    def clean(self) -> bool:
        """Whether nothing is left over, and all was seen. Memory is not asked: it never comes back to the byte."""
        return not self.left and not self.unseen

    def words(self, limit: int = _TOLD) -> list[str]:
        """A line for each thing that is left or was not seen, at most `limit` of each."""
        lines = ["the process runs no more"] if self.died else []
        return lines + _some([str(one) for one in self.left], limit) + _some(self.unseen, limit)


def _some(lines: Sequence[str], limit: int) -> list[str]:
    more = len(lines) - limit
    return [*lines[:limit], f"and {more} more"] if more > 0 else list(lines)


def difference(before: Counts, after: Counts, ignoring: Collection[Kind] = ()) -> Difference:
    """What `after` has more than `before`, without the kinds that are to be ignored.

    Things are told apart by what they are, not by their numbers: a pool that has closed one connection and opened
    another to the same address has nothing more, and neither has a server whose worker was replaced.
    """
    listening = _listening(before) | _listening(after)
    more = Counter(_things(after, listening))
    more.subtract(Counter(_things(before, listening)))
    left = [Left(kind, what, count) for (kind, what), count in more.items() if count > 0 and kind not in ignoring]
    was, now = before.alive, after.alive
    return Difference(
        sorted(left, key=lambda one: (list(Kind).index(one.kind), -one.number, one.what)),
        unseen=tuple(dict.fromkeys([*before.unseen, *after.unseen, *_secret(before), *_secret(after)])),
        died=was is not None and (now is None or now.born != was.born),
        memory=_memory(before, after),
        cpu_s=_cpu_s(before.processes, after.processes),
    )


def _listening(counts: Counts) -> set[int]:
    return {port_of(one.local) for one in counts.of(Kind.SOCKET) if one.state == "LISTEN"}


def _secret(counts: Counts) -> list[str]:
    """The sessions that PostgreSQL does not show, by user."""
    users = sorted({one.user for one in counts.sessions or () if one.state is None})
    return [f"what the PostgreSQL sessions of {user} do: insufficient privilege" for user in users]


def _memory(before: Counts, after: Counts) -> int | None:
    was, now = before.memory, after.memory
    return None if was is None or now is None else now.anonymous - was.anonymous


def _cpu_s(before: Iterable[Process], after: Iterable[Process]) -> float:
    was = {(one.pid, one.born): one.cpu_s for one in before}
    return sum(one.cpu_s - was[key] for one in after if (key := (one.pid, one.born)) in was)


# -- what things are, in words --


def _things(counts: Counts, listening: Collection[int]) -> Iterable[tuple[Kind, str]]:
    for process in counts.processes:
        yield (Kind.ZOMBIE if process.state == "Z" else Kind.PROCESS), process.name
        for _ in range(process.threads - 1):
            yield Kind.THREAD, f"of {process.name}"
        for descriptor in process.open or ():
            yield descriptor.kind, _described(descriptor, listening)
    for lock in counts.locks or ():
        yield Kind.LOCK, _locked(lock)
    for folder in counts.folders:
        for stored in folder.files or ():
            yield Kind.STORED, f"{folder.path}/{stored.path}"
    for session in counts.sessions or ():
        yield Kind.SESSION, f"{session.state or ''} of {session.application or session.user}".lstrip()


def _described(one: Descriptor, listening: Collection[int]) -> str:
    if one.kind is Kind.SOCKET:
        return _connected(one, listening)
    if one.kind is Kind.UNIX:
        return one.local or "without a name"
    return "" if one.kind is Kind.PIPE else one.target.removeprefix("anon_inode:")


def _connected(one: Descriptor, listening: Collection[int]) -> str:
    """The end of a connection that is the same for all of its kind; the other has a port of its own each time."""
    if not one.local:
        return "without a connection"
    if not one.peer:
        return f"{one.state} on {one.local}"
    if port_of(one.local) in listening:
        return f"{one.state} from {one.peer.rpartition(':')[0]}:… on {one.local}"
    return f"{one.state} to {one.peer}"


def _locked(one: Lock) -> str:
    meaning = f" (SQLite: {one.sqlite})" if one.sqlite else ""
    return f"{'wanted' if one.waits else 'held'} to {one.mode.lower()} {one.path}{meaning}"
