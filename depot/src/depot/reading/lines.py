"""The lines of a text, with a bound on how much may belong to one record."""

from collections.abc import Iterator
from functools import partial
from typing import Final, TextIO

RECORD_LIMIT: Final = 1 << 18


class RecordTooLong(Exception):
    """One record is longer than RECORD_LIMIT characters."""


class Lines:
    """The lines of a text, to be iterated again after RecordTooLong.

    Whoever takes the lines calls `record_ends` after each record; so a line without an end, or a quotation that is
    never closed, costs at most RECORD_LIMIT of memory.
    """

    __slots__ = ("_limit", "_read", "number", "size")

    def __init__(self, text: TextIO) -> None:
        """Read from where `text` stands."""
        self._read = partial(text.readline, RECORD_LIMIT)
        self._limit = RECORD_LIMIT
        self.number = 0
        """How many lines were taken."""
        self.size = 0
        """How many characters were taken."""

    def record_ends(self) -> None:
        """The next line begins a new record."""
        self._limit = self.size + RECORD_LIMIT

    def __iter__(self) -> Iterator[str]:
        for line in iter(self._read, ""):
            self.number += 1
            self.size += len(line)
            if self.size >= self._limit:
                self._skip_rest_of(line)
                raise RecordTooLong
            yield line

    def _skip_rest_of(self, line: str) -> None:
        while line and line[-1] not in "\r\n":
            line = self._read()
            self.size += len(line)
