"""What every format is: bytes to begin with, bytes for each batch of rows, bytes to end with."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

Rows: TypeAlias = Sequence[Sequence[Any]]
"""Some rows; each has a value for every column, in their order."""


class Encoder(Protocol):
    """Turns rows into bytes. It belongs to one export, blocks, and is called by one thread at a time."""

    def head(self) -> bytes:
        """What comes before the first row."""
        ...

    def batch(self, rows: Rows, *, plain: bool = False) -> bytes:
        """Some rows, at least one; what cannot be written yet comes with a later batch or the tail.

        `plain` rows are tuples with as many values as there are columns, and each is an int, a float, a str, bytes,
        a date, a datetime or None, as sqlite3 has them: what is looked for elsewhere cannot be in them.
        """
        ...

    def tail(self) -> bytes:
        """What comes after the last row. Without it the export is not whole."""
        ...


@runtime_checkable
class Dense(Encoder, Protocol):
    """One that compresses or holds back, so that what it gives says nothing of what its rows take."""

    weight: int
    """About how many bytes its rows had so far, before that."""
