"""Where rows come from: what every source does. A source belongs to one export and is used by one thread or task."""

from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

from holdfast.decide.exports.columns import Columns
from holdfast.parts.exports.formats.csv import Csv
from holdfast.parts.exports.formats.encoding import Rows


class Source(Protocol):
    """Rows that are waited for in a thread, which is the same from `open` to `close`."""

    @property
    def plain(self) -> bool:
        """Once it is open: whether its values are those of SQLite, as in `Encoder.batch`."""
        ...

    def open(self) -> Columns:
        """Begin, and say what the columns are. Raises what the source raises, ColumnsMismatch, SourceUnsuited."""
        ...

    def fetch(self, most: int) -> Rows:
        """The next rows, at most so many, fewer where they come slowly; none at the end."""
        ...

    def interrupt(self) -> None:
        """From another thread: end a call that is under way, if it can be ended."""
        ...

    def close(self) -> None:
        """Let go of what it holds, whatever happened; a second time there is nothing left to do."""
        ...


class AsyncSource(Protocol):
    """Rows that are waited for on the loop. A call that is under way is ended by cancelling it."""

    async def open(self) -> Columns:
        """As in Source."""
        ...

    async def fetch(self, most: int) -> Rows:
        """As in Source."""
        ...

    async def close(self) -> None:
        """As in Source."""
        ...


@runtime_checkable
class WritesCsv(Protocol):
    """A source whose server can write CSV itself."""

    def writes(self, dialect: Csv) -> bool:
        """Whether it can write this dialect of it."""
        ...

    def copy(self, dialect: Csv, put: Callable[[bytes], None]) -> int:
        """Instead of `fetch`, after `open`: hand on all rows as CSV, and say how many there were."""
        ...


@runtime_checkable
class AsyncWritesCsv(Protocol):
    """The same on the loop."""

    def writes(self, dialect: Csv) -> bool:
        """As in WritesCsv."""
        ...

    async def copy(self, dialect: Csv, put: Callable[[bytes], Awaitable[None]]) -> int:
        """As in WritesCsv."""
        ...
