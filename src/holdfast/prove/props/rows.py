"""Rows that are known again: a table to fill a backend with, each row of which is told apart in what it gives out."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from holdfast.prove.config import Template
from holdfast.prove.sending import Request, Streamed, request, streamed

_TOKEN: Final = re.compile(rb"prove-([0-9a-f]{12})-(\d{7})")
_LONGEST: Final = 26
_BLOCK: Final = 500


def tables(fill: Template | None) -> bool:
    """Whether a template takes a table as a body or as a file."""
    return fill is not None and (fill.body == "csv" or bool(fill.file))


def _typed(fill: Template) -> Template:
    """As it is, with the type of a table where the whole body is one."""
    return fill if fill.file else fill._replace(headers={"Content-Type": "text/csv", **fill.headers})


def pieces(rows: int, tag: str, wide: int = 0) -> Iterator[bytes]:
    """A CSV table in pieces. Each row has a text with `tag`, which is 12 hexadecimal digits, and `wide` bytes more."""
    yield b"row,name,city,amount,note\n"
    more = "." * wide
    for begin in range(1, rows + 1, _BLOCK):
        numbers = range(begin, min(begin + _BLOCK, rows + 1))
        lines = (f"{n},Person {n},Town {n % 977},{n * 7 % 100_000},prove-{tag}-{n:07d} {more}\n" for n in numbers)
        yield "".join(lines).encode()


def filling(fill: Template, rows: int, tag: str, names: Mapping[str, str]) -> Request:
    """What fills a backend with so many rows."""
    return request(_typed(fill), {**names, "rows": str(rows)}, b"".join(pieces(rows, tag)))


def long_filling(fill: Template, rows: int, tag: str, wide: int, names: Mapping[str, str]) -> Streamed:
    """The same, made while it is sent."""
    size = sum(map(len, pieces(rows, tag, wide)))
    return streamed(_typed(fill), pieces(rows, tag, wide), size, {**names, "rows": str(rows)})


class Counting:
    """Counts the rows in what a backend gives out, in whatever form that leaves their texts as they were."""

    def __init__(self) -> None:
        """Give it each piece."""
        self._times: dict[str, dict[int, int]] = {}
        self._rest = b""

    def __call__(self, data: bytes) -> None:
        """Look at the next piece."""
        data = self._rest + data
        end = 0
        for found in _TOKEN.finditer(data):
            times = self._times.setdefault(found[1].decode(), {})
            row = int(found[2])
            times[row] = times.get(row, 0) + 1
            end = found.end()
        self._rest = data[max(end, len(data) - _LONGEST) :]

    def once(self, tag: str) -> int:
        """How many rows of a table are there, each counted once."""
        return len(self._times.get(tag, ()))

    def doubled(self, tag: str) -> int:
        """How many of them are there more than once."""
        return sum(times > 1 for times in self._times.get(tag, {}).values())
