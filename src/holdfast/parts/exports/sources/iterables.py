"""Rows from what can be walked through in a thread: lists, iterators, generators, DB-API cursors.

A function is called for them, in the thread that then walks: so what belongs to one thread, as a connection of sqlite3
does, is opened where it is used. What it gives may be a context manager around the rows; that is left when they are
read, not when the client has read them.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import islice
from typing import Any, Final

from holdfast.decide.exports.columns import Column, Columns, Described, columns_of, fitting
from holdfast.decide.exports.errors import SourceUnsuited
from holdfast.parts.exports.formats.encoding import Rows
from holdfast.parts.exports.sources.rows import Shape, shaped, unshaped

_CONVERTERS: Final = {"DATE", "TIMESTAMP"}
"""What sqlite3 has itself, and uses where a connection wants it."""
_PATIENCE_S: Final = 0.05
"""Rows that are there are handed on after this, though more were asked for."""


class Walked:
    """Rows from an iterable, or from a function that gives one."""

    def __init__(self, source: Any, described: Described | None) -> None:
        """Nothing is called or read before `open`."""
        self._source = source
        self._described = described
        self._stack = ExitStack()
        self._take: Callable[[int], list[Any]] = _nothing
        self._shape: Shape | None = None
        self._named: Columns = ()
        self._first: list[Any] = []
        self._interrupts = Interrupts()
        self.plain: bool = False
        """As Source."""

    def open(self) -> Columns:
        """As Source."""
        rows: Any = self._source() if is_function(self._source) else self._source
        if hasattr(rows, "__enter__") and not hasattr(rows, "fetchmany"):  # a cursor may be one too
            rows = self._stack.enter_context(rows)
        if hasattr(rows, "fetchmany") and hasattr(rows, "description"):
            return self._open_cursor(rows)
        if not hasattr(rows, "__iter__"):
            waited = hasattr(rows, "__aiter__") or hasattr(rows, "__await__")
            why = ": pass it itself, or the function that makes it, instead of one that calls that" if waited else ""
            raise SourceUnsuited(f"Rows cannot be had from {type(rows).__name__}{why}.")
        iterator: Iterator[Any] = iter(rows)
        for one in (rows, iterator) if hasattr(rows, "fetchmany") else (iterator,):  # a result of SQLAlchemy
            if callable(close := getattr(one, "close", None)):
                self._stack.callback(close)
        self._take = lambda most: _soon(iterator, most)
        self._first = list(islice(iterator, 1))
        if not self._first:
            return unshaped(self._described)
        columns, self._shape = shaped(self._described, self._first[0])
        return columns

    def _open_cursor(self, cursor: Any) -> Columns:
        """DB-API (PEP 249)."""
        self._stack.callback(cursor.close)
        connection = getattr(cursor, "connection", None)
        self._interrupts.by(connection)
        self.plain = gives_plain(cursor)
        self._take = cursor.fetchmany
        if cursor.description is None:
            raise SourceUnsuited("The cursor has no rows: execute a query with it first.")
        self._named = columns_of([Column(described[0]) for described in cursor.description])
        return self._named if self._described is None else fitting(columns_of(self._described), self._named)

    def fetch(self, most: int) -> Rows:
        """As Source."""
        rows, self._first = self._first or self._take(most), []
        if rows and self._shape is None:  # a cursor may give dicts or objects
            _, self._shape = shaped(self._named, rows[0])
        return self._shape(rows) if rows and self._shape is not None else rows

    def interrupt(self) -> None:
        """As Source."""
        self._interrupts.call()

    def close(self) -> None:
        """As Source."""
        self._interrupts.end()
        self._stack.close()


def gives_plain(cursor: Any) -> bool:
    """Whether a cursor is one of sqlite3 that makes nothing else of the database's values."""
    if not isinstance(cursor, sqlite3.Cursor) or cursor.row_factory is not None:
        return False
    return cursor.connection.text_factory is str and sqlite3.converters.keys() == _CONVERTERS


class Interrupts:
    """Ends what a connection is at, from another thread, as long as the connection is ours."""

    def __init__(self) -> None:
        """There is nothing to interrupt yet."""
        self._guard = threading.Lock()
        self._call: Callable[[], object] | None = None

    def by(self, connection: object) -> None:
        """Interrupt by what sqlite3 or psycopg have for it."""
        names = ("interrupt", "cancel_safe", "cancel")
        self._call = next(filter(None, (getattr(connection, name, None) for name in names)), None)

    def call(self) -> None:
        """Interrupt."""
        with self._guard, suppress(Exception):  # the application may have closed the connection meanwhile
            if self._call is not None:
                self._call()

    def end(self) -> None:
        """Interrupt no more: the next one to use the connection is somebody else."""
        with self._guard:
            self._call = None


def _nothing(_most: int) -> list[Any]:
    return []


def _soon(iterator: Iterator[Any], most: int) -> list[Any]:
    """Up to `most` items, fewer if they come slowly."""
    until = time.monotonic() + _PATIENCE_S
    found: list[Any] = []
    for item in islice(iterator, most):
        found.append(item)
        if time.monotonic() > until:
            break
    return found


def is_function(source: Any) -> bool:
    """Whether `source` is to be called for the rows, and is not the rows."""
    return callable(source) and not hasattr(source, "__iter__") and not hasattr(source, "__aiter__")
