"""What strace writes, read: each call once and whole, with the files and sockets that it names.

It is written by `strace -f -yy -ttt -o FILE`: one line for each call, or two where another thread got in between. With
`-yy` a descriptor carries the path or the connection that it stands for.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

_LINE: Final = re.compile(r"(?P<pid>\d+) +(?P<at>\d+\.\d+) (?P<rest>.*)")
_CALL: Final = re.compile(r"(?P<name>\w+)\((?P<rest>.*)", re.DOTALL)
_RESUMED: Final = re.compile(r"<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)", re.DOTALL)
_UNFINISHED: Final = " <unfinished ...>"
_RESULT: Final = re.compile(r"(?P<arguments>.*)\) += (?P<result>-?\d+|\?|0x[0-9a-f]+)(?P<more>.*)", re.DOTALL)
_DESCRIPTOR: Final = re.compile(r"(?P<number>\d+|AT_FDCWD)<(?P<what>.*?)>(?P<gone>\(deleted\))?(?=,|$)")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_KIND: Final = re.compile(r"<\w+ \d+:\d+>$")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "v": "\v", "f": "\f"}

DELETED: Final = " (deleted)"
"""What stands behind the path of a file that has no name any more."""


class Call(NamedTuple):
    """A system call that ended."""

    pid: int
    """Of the thread."""
    at: float
    """When it began, in seconds since 1970."""
    name: str
    arguments: str
    """As they are written."""
    result: int
    """-1 where it failed."""
    began: int
    ended: int
    """The numbers of the lines: what ends before another begins has a smaller one."""
    opened: str = ""
    """What a descriptor that it returned stands for."""

    @property
    def descriptors(self) -> list[tuple[str, str]]:
        """The descriptors among its arguments: their numbers, and what they stand for."""
        outside = _QUOTED.sub('""', self.arguments)
        return [(found["number"], _target(found["what"], found["gone"])) for found in _DESCRIPTOR.finditer(outside)]

    @property
    def paths(self) -> list[str]:
        """The paths among its arguments, absolute where strace knew the folder they are in."""
        found: list[str] = []
        for match in re.finditer(
            r'(?:(?:\d+|AT_FDCWD)(?:<(?P<folder>[^"]*?)>)?, )?"(?P<path>(?:[^"\\]|\\.)*)"', self.arguments
        ):
            path, folder = unescaped(match["path"]), match["folder"]
            found.append(path if path.startswith("/") or not folder else f"{unescaped(folder)}/{path}")
        return found


def calls(lines: Iterable[str]) -> Iterator[Call]:
    """The calls in what strace wrote, in the order in which they ended, but for those that never did."""
    waiting: dict[str, tuple[float, str, str, int]] = {}
    for number, line in enumerate(lines):
        read = _LINE.match(line)
        if read is None:
            continue
        pid, at, rest = read["pid"], float(read["at"]), read["rest"].rstrip("\n")
        began = number
        if (resumed := _RESUMED.match(rest)) is not None:
            if pid not in waiting:
                continue
            at, name, before, began = waiting.pop(pid)
            rest = before + resumed["rest"]
        elif (call := _CALL.match(rest)) is not None:
            name, rest = call["name"], call["rest"]
            if rest.endswith(_UNFINISHED):
                waiting[pid] = (at, name, rest.removesuffix(_UNFINISHED), number)
                continue
        else:
            continue
        ended = _RESULT.match(rest)
        if ended is not None:
            yield _made(int(pid), at, name, ended, (began, number))


def _made(pid: int, at: float, name: str, ended: "re.Match[str]", span: tuple[int, int]) -> Call:
    text = ended["result"]
    result = -1 if text == "?" else int(text, 16) if text.startswith("0x") else int(text)
    opened = re.match(r"<(.*?)>(\(deleted\))?(?: |$)", ended["more"])
    return Call(pid, at, name, ended["arguments"], result, *span, _target(opened[1], opened[2]) if opened else "")


def _target(what: str, gone: str | None) -> str:
    """What a descriptor stands for: `/dev/null<char 1:3>` is a path, too."""
    return unescaped(_KIND.sub("", what)) + (DELETED if gone else "")


def unescaped(text: str) -> str:
    """A text that strace has escaped."""
    if "\\" not in text:
        return text
    plain = re.sub(
        r"\\(?:x([0-9a-f]{2})|([0-7]{1,3})|(.))",
        lambda found: (
            chr(int(found[1], 16))
            if found[1]
            else chr(int(found[2], 8))
            if found[2]
            else _ESCAPES.get(found[3], found[3])
        ),
        text,
    )
    return plain.encode("latin-1", "replace").decode(errors="surrogateescape")
