"""Everything between the rows of an export and its outlet, except for the waiting: encode, gather, pack, count."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from holdfast.decide.exports.columns import Columns
from holdfast.decide.exports.ends import begun, ended
from holdfast.parts.exports.formats.csv import Csv, CsvEncoder
from holdfast.parts.exports.formats.encoding import Dense, Encoder, Rows
from holdfast.parts.exports.packing import Packer

_BLOCK: Final = 128 * 1024
"""Bytes that are worth a block of their own."""
_SLOW_S: Final = 0.1
"""After this, less is handed on as well."""
_FEW: Final = 64
_UNKNOWN: Final = 2.0 * _BLOCK
"""Bytes that a row is taken to have before one was seen: the first batch is one row, the next ones grow."""


@dataclass(slots=True)
class Progress:
    """How far an export is."""

    rows: int | None = 0
    """Rows that were read; None until the end where a server writes them and does not count aloud."""
    bytes: int = 0
    """Bytes that were made of them."""
    ended: bool = False
    """Whether that was all."""
    sha256: str | None = None
    """Of all those bytes, in hexadecimal: at the end, where it was wanted."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What becomes of rows."""

    encoder: Callable[[Columns], Encoder]
    packer: Callable[[], Packer]
    packs: bool
    """Whether the packer changes anything."""
    csv: Csv | None
    """The dialect, where it is CSV."""
    marker: str | None
    """The format whose end is marked, where that is wanted."""
    digest: bool
    """Whether the SHA-256 of everything is wanted."""

    @property
    def passes(self) -> bool:
        """Whether what a server has written goes on as it is."""
        return not (self.packs or self.marker or self.digest)


class Line:
    """The line of one export. It is used by one thread at a time."""

    def __init__(
        self,
        recipe: Recipe,
        columns: Columns,
        progress: Progress,
        *,
        written: Csv | None = None,
        plain: bool = False,
    ) -> None:
        """Begin with what comes before the rows. With `written` a server writes them, in this dialect.

        `plain` is as in `Encoder.batch`.
        """
        self._plain = plain
        self._recipe = recipe
        self._progress = progress
        self._encoder = recipe.encoder(columns) if written is None else CsvEncoder(columns, written)
        self._dense = self._encoder if isinstance(self._encoder, Dense) else None
        self._packer = recipe.packer()
        self._content = hashlib.sha256() if recipe.marker else None
        self._whole = hashlib.sha256() if recipe.digest else None
        self._row_bytes = _UNKNOWN
        self._gathered: list[bytes] = []
        self._size = 0
        self._since = 0.0
        if written is not None:
            progress.rows = None
        self._gather(self._encoder.head())  # it goes out with the first rows: until then an error has its own answer

    def rows_wanted(self, most: int) -> int:
        """How many rows are fetched next."""
        return max(1, min(most if self._dense is None else _FEW, int(2 * _BLOCK / self._row_bytes)))

    def rows(self, rows: Rows) -> bytes | None:
        """Encode rows; a block if there is enough for one."""
        before = 0 if self._dense is None else self._dense.weight
        made = self._encoder.batch(rows, plain=self._plain)
        weight = len(made) if self._dense is None else self._dense.weight - before
        self._row_bytes = max(weight / len(rows), self._row_bytes / 2)
        self._progress.rows = (self._progress.rows or 0) + len(rows)
        return self.add(made)

    def add(self, made: bytes) -> bytes | None:
        """Gather bytes; a block if there is enough for one, or it has taken long."""
        self._gather(made)
        now = time.monotonic()
        if self._size < _BLOCK and self._progress.bytes and now - self._since < _SLOW_S:
            return None
        self._since = now
        few = self._size < _BLOCK
        block = self._packer.pack(self._taken())
        return self._counted(block + self._packer.flush() if few else block)

    def end(self, rows: int | None = None) -> bytes:
        """What comes after the rows. `rows` is their number, where they were not encoded here."""
        if rows is not None:
            self._progress.rows = rows
        self._gather(self._encoder.tail())
        if self._recipe.marker is not None and self._content is not None:
            self._gather(begun(self._recipe.marker, self._progress.rows or 0))
            self._gathered.append(ended(self._recipe.marker, self._content.hexdigest()))
        block = self._counted(self._packer.pack(self._taken()) + self._packer.end())
        if self._whole is not None:
            self._progress.sha256 = self._whole.hexdigest()
        self._progress.ended = True
        return block

    def _gather(self, made: bytes) -> None:
        if self._content is not None:
            self._content.update(made)
        self._gathered.append(made)
        self._size += len(made)

    def _taken(self) -> bytes:
        gathered, self._gathered, self._size = self._gathered, [], 0
        return gathered[0] if len(gathered) == 1 else b"".join(gathered)

    def _counted(self, block: bytes) -> bytes:
        self._progress.bytes += len(block)
        if self._whole is not None:
            self._whole.update(block)
        return block
