"""Which processes belong to one that was started: those below it, and those that have lost their parent on the way."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from holdfast.prove.counters.proc import Stat, on_linux, stats


class Tree(NamedTuple):
    """A process and its own."""

    root: int
    alive: bool
    """Whether the root is there; as a zombie it is too."""
    below: tuple[int, ...]
    """Its children, their children and so on."""
    beside: tuple[int, ...]
    """What was re-parented, and is in the session or process group of one of them; with what is below it."""

    @property
    def pids(self) -> tuple[int, ...]:
        """All of them."""
        return (*([self.root] if self.alive else []), *self.below, *self.beside)


def tree(pid: int) -> Tree:
    """The tree of a process now. Raises NotLinux.

    Who has lost its parent is found where the process, or one below it, leads a session or a process group, as one does
    that was started with `start_new_session=True`. Who has lost its parent and leads a session of its own is not found.
    """
    on_linux()
    return tree_among(stats(), pid)


def tree_among(everybody: Mapping[int, Stat], pid: int) -> Tree:
    """The tree of a process among `everybody`."""
    below = _below(everybody, {pid})
    known = {pid, *below}
    beside: set[int] = set()
    while joined := _joined(everybody, known):
        joined |= _below(everybody, joined) - known
        beside |= joined
        known |= joined
    return Tree(pid, pid in everybody, tuple(sorted(below)), tuple(sorted(beside)))


def _joined(everybody: Mapping[int, Stat], known: Collection[int]) -> set[int]:
    """Who is in a session or group that one of the known leads, and is not known yet."""
    return {
        one.pid for one in everybody.values() if (one.session in known or one.group in known) and one.pid not in known
    }


def _below(everybody: Mapping[int, Stat], above: Collection[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for one in everybody.values():
        children.setdefault(one.parent, []).append(one.pid)
    found: set[int] = set()
    waiting = list(above)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found
