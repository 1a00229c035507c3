"""Reading an export whose end is marked, and refusing one that is not whole."""

import hashlib
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from holdfast.decide.exports.ends import LONGEST, End, end_of
from holdfast.decide.exports.errors import Truncated

_PIECE: Final = 1 << 20


def contents(source: Path | str | IO[bytes] | Iterable[bytes]) -> Generator[bytes, None, End]:
    """The content of a marked export, in pieces, without its mark; at the end it returns what the mark says.

    `source` is a path, an open file, or pieces as they arrive, uncompressed. Raises Truncated after the last piece if
    the mark is missing, or is not of these bytes: so what was made of the pieces counts only once there are no more.
    """
    digest = hashlib.sha256()
    last = b""
    for piece in _pieces(source):
        last += piece
        ready, last = last[:-LONGEST], last[-LONGEST:]
        if ready:
            digest.update(ready)
            yield ready
    found = end_of(last)
    if found is None:
        raise Truncated
    at = len(last) - found.size
    digest.update(last[: at + found.summed])
    if at:
        yield last[:at]
    if digest.hexdigest() != found.end.sha256:
        raise Truncated("The export was changed: its SHA-256 is another.")
    return found.end


def verify(source: Path | str | IO[bytes] | Iterable[bytes]) -> End:
    """Read a marked export through, as `contents`, and say how many rows it has. Raises Truncated."""
    walk = contents(source)
    while True:
        try:
            next(walk)
        except StopIteration as stop:
            return stop.value


def _pieces(source: Path | str | IO[bytes] | Iterable[bytes]) -> Iterator[bytes]:
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            yield from _read(file)
    elif hasattr(source, "read"):
        yield from _read(source)  # pyright: ignore[reportArgumentType] - what can be read is a file
    else:
        yield from source


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece
