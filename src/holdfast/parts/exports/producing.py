"""From a source to an outlet: rows are fetched, encoded, packed and handed on, in a thread or by a task.

A slice of work is a few dozen rows, so that the event loop, which needs the interpreter too, never waits long for it.
"""

import asyncio
import logging
import threading
import time
from contextlib import suppress
from contextvars import copy_context
from typing import Final

from holdfast.parts.exports import threads
from holdfast.parts.exports.formats.encoding import Rows
from holdfast.parts.exports.line import Line, Progress, Recipe
from holdfast.parts.exports.outlet import Outlet, ReaderLeft
from holdfast.parts.exports.sources.source import AsyncSource, AsyncWritesCsv, Source, WritesCsv

_LOG = logging.getLogger("holdfast.exports")
_STOP_S: Final = 5.0
"""A source that cannot be interrupted has so long to end."""
_HEARD_S: Final = 0.05
_ROWS: Final = 64
"""Rows that are fetched and encoded at once in a thread, at most: each may have 64 KiB."""
_ROWS_FROM_LOOP: Final = 512
"""As many for a task: a round to a server, and one to a thread, are worth more of them."""


# -- by a thread --


class Threaded:
    """A source that blocks, worked off by a thread of its own."""

    def __init__(self, source: Source, recipe: Recipe, progress: Progress, outlet: Outlet) -> None:
        """Begin at once, with the context of the caller."""
        self._source = source
        self._recipe = recipe
        self._progress = progress
        self._outlet = outlet
        self._stopped = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        context = copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._work,), name="holdfast-export", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End it, wherever it is, and wait until the source is closed."""
        self._stopped.set()
        self._outlet.leave()
        until = time.monotonic() + _STOP_S
        while not self._over.done():
            await threads.run(self._source.interrupt)  # again: the call that it is about may not have begun
            await asyncio.wait({self._over}, timeout=0.02)
            if time.monotonic() > until:
                _left_alone()
                return

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            try:
                self._produce()
            finally:
                self._source.close()
        except BaseException as caught:  # noqa: BLE001 - it is raised where the export is read
            error = caught
        self._outlet.end(error)
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._told)

    def _told(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def _produce(self) -> None:
        source, dialect = self._source, self._recipe.csv
        columns = source.open()
        if dialect is not None and isinstance(source, WritesCsv) and source.writes(dialect):
            line = Line(self._recipe, columns, self._progress, written=dialect)
            rows: int | None = source.copy(dialect, lambda made: self._put(line.add(made)))
        else:
            line, rows = Line(self._recipe, columns, self._progress, plain=source.plain), None
            while some := source.fetch(line.rows_wanted(_ROWS)):
                self._put(line.rows(some))
        source.close()  # before the end is said, for it may fail; and what waits for room holds no connection
        self._put(line.end(rows))

    def _put(self, block: bytes | None) -> None:
        if self._stopped.is_set():
            raise ReaderLeft
        if block:
            self._outlet.put(block)


# -- by a task --


class Tasked:
    """A source on the loop, worked off by a task; what is calculated is calculated in threads."""

    def __init__(self, source: AsyncSource, recipe: Recipe, progress: Progress, outlet: Outlet) -> None:
        """Begin at once."""
        self._source = source
        self._recipe = recipe
        self._progress = progress
        self._outlet = outlet
        self._closing: asyncio.Future[None] | None = None
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """As Threaded.

        A source that is handing on a block hears there that nobody reads: drivers mind that less than being cancelled.
        """
        self._outlet.leave()
        await asyncio.wait({self._task}, timeout=_HEARD_S)
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=_STOP_S)
        if not self._task.done():
            _left_alone()

    async def _work(self) -> None:
        error: BaseException | None = None
        try:
            try:
                await self._produce()
            finally:
                await self._close()
        except BaseException as caught:  # noqa: BLE001 - it is raised where the export is read
            error = caught
        self._outlet.end(error)

    async def _produce(self) -> None:
        source, dialect = self._source, self._recipe.csv
        columns = await source.open()
        if dialect is not None and isinstance(source, AsyncWritesCsv) and source.writes(dialect):
            line = Line(self._recipe, columns, self._progress, written=dialect)
            rows: int | None = await source.copy(dialect, lambda made: self._pass(line, made))
        else:
            line, rows = await threads.run(Line, self._recipe, columns, self._progress), None
            await self._produce_rows(line)
        await self._close()  # as in Threaded
        await self._put(await threads.run(line.end, rows))

    async def _close(self) -> None:
        """Close the source, once, and wait for that also when cancelled."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._source.close())
        try:
            await asyncio.shield(self._closing)
        except asyncio.CancelledError:
            await asyncio.wait({self._closing})
            raise

    async def _produce_rows(self, line: Line) -> None:
        """Encode some rows while the next are fetched."""
        fetching = self._fetching(line)
        try:
            while some := await fetching:
                fetching = self._fetching(line)
                await self._put(await threads.run(line.rows, some))
        finally:
            if not fetching.done():
                fetching.cancel()
                await asyncio.wait({fetching})

    def _fetching(self, line: Line) -> asyncio.Future[Rows]:
        return asyncio.ensure_future(self._source.fetch(line.rows_wanted(_ROWS_FROM_LOOP)))

    async def _pass(self, line: Line, made: bytes) -> None:
        await self._put(line.add(made) if self._recipe.passes else await threads.run(line.add, made))

    async def _put(self, block: bytes | None) -> None:
        if block:
            await self._outlet.put_from_loop(block)


def _left_alone() -> None:
    _LOG.warning("the source of an export goes on although nobody reads it", extra={"seconds": _STOP_S})
