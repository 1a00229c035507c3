"""What an operator says of single routes: entries such as `/reports/*=120` or `POST /import=300`.

An entry is a path and what holds for it, after a method where it is meant for that alone. In the path `*` stands for
any text. The first entry that matches counts.
"""

import re
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

V = TypeVar("V")

_ENTRY = re.compile(r"(?:(?P<method>[A-Za-z]+)\s+)?(?P<path>/[^\s=]*)\s*=\s*(?P<value>\S.*)", re.DOTALL)


class Patterns(Generic[V]):
    """Entries in their order."""

    __slots__ = ("_entries",)

    def __init__(self, texts: Iterable[str], value_of: Callable[[str], V]) -> None:
        """Read entries; `value_of` reads what stands behind the sign. Raises ValueError for what is none."""
        self._entries: list[tuple[str | None, str, re.Pattern[str], str, V]] = []
        for text in texts:
            entry = _ENTRY.fullmatch(text.strip())
            if entry is None:
                raise ValueError(f"{text!r} is not a path, = and a value")
            method, path = entry["method"], entry["path"]
            name = f"{method.upper()} {path}" if method else path
            pattern = re.compile(".*".join(re.escape(part) for part in path.split("*")), re.DOTALL)
            value = value_of(entry["value"].strip())
            self._entries.append((method and method.upper(), path.partition("*")[0], pattern, name, value))

    def __bool__(self) -> bool:
        return bool(self._entries)

    def all(self) -> list[tuple[str, V]]:
        """Every entry, as it was written, and its value."""
        return [(name, value) for *_, name, value in self._entries]

    def find(self, method: str, path: str) -> tuple[str, V] | None:
        """The first entry for a request: its method and path as they were written, and its value."""
        for wanted, start, pattern, name, value in self._entries:
            if wanted in {None, method} and path.startswith(start) and pattern.fullmatch(path):
                return name, value
        return None
