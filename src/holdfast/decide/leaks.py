"""Leaks: what was opened since a first look and is open still."""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Leak(NamedTuple):
    """One thing that was opened and not closed."""

    kind: str
    """`file`, `socket`, `pipe`, `task` or `container`."""
    what: str
    """The path, the two ends of the connection, the task, or what the container holds."""
    made_at: str | None
    """Where it was made, if that was noted: a file and line, or a request."""


class Descriptor(NamedTuple):
    """An open file descriptor."""

    number: int
    kind: str
    target: str
    """What it leads to, in the words of /proc: a path, or `socket:[12345]`."""


_KINDS: Final = {"socket:": "socket", "pipe:": "pipe", "anon_inode:": None, "/dev/": None, "/proc/": None, "/": "file"}
"""By how a target begins, the first that fits. What has no kind is the machinery of the process: its event loop's own
descriptors, its terminal."""


def kind_of(target: str) -> str | None:
    """What kind of thing a descriptor that leads to `target` is; None if it is none to speak of."""
    return next((kind for start, kind in _KINDS.items() if target.startswith(start)), None)


def left_open(before: Mapping[int, str], after: Mapping[int, str]) -> list[Descriptor]:
    """The descriptors of `after` that are not of `before`, or lead somewhere else by now; each by its number."""
    return [
        Descriptor(number, kind, target)
        for number, target in sorted(after.items())
        if before.get(number) != target and (kind := kind_of(target)) is not None
    ]


def frame_to_show(files: list[str], ours: str, standard: str) -> int | None:
    """Which of the `files` of a call stack, innermost first, tells a reader where something was made.

    The innermost of the application; without one, of a library; never of the standard library (below the folder
    `standard`) or of Holdfast (`ours`).
    """
    library: int | None = None
    for index, name in enumerate(files):
        if name.startswith(("<", ours)):
            continue
        if "site-packages" in name:
            library = index if library is None else library
        elif not name.startswith(standard):
            return index
    return library
