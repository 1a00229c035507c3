"""Rows from what can be walked through on the loop: async iterators, async generators, cursors of asyncpg.

One task opens, walks and closes, as what it walks through may be bound to a task. It walks on while rows are fetched.
"""

import asyncio
import inspect
from contextlib import AsyncExitStack
from typing import Any, Final

from holdfast.decide.exports.columns import Columns, Described
from holdfast.decide.exports.errors import SourceUnsuited
from holdfast.parts.exports.formats.encoding import Rows
from holdfast.parts.exports.sources.iterables import is_function
from holdfast.parts.exports.sources.rows import Shape, shaped, unshaped

_PATIENCE_S: Final = 0.05
"""Rows that are there are handed on after this, though more were asked for."""


class AsyncWalked:
    """Rows from an async iterable, or from a function that gives one."""

    def __init__(self, source: Any, described: Described | None) -> None:
        """Nothing is called or read before `open`."""
        self._source = source
        self._described = described
        self._walking: asyncio.Task[None] | None = None
        self._found: list[Any] = []
        self._most = 1
        self._came = asyncio.Event()
        self._room = asyncio.Event()
        self._error: BaseException | None = None
        self._ended = False
        self._shape: Shape | None = None

    async def open(self) -> Columns:
        """As AsyncSource."""
        self._walking = asyncio.create_task(self._walk())
        await self._some()
        if not self._found:
            self._fail()
            return unshaped(self._described)
        columns, self._shape = shaped(self._described, self._found[0])
        return columns

    async def fetch(self, most: int) -> Rows:
        """As AsyncSource."""
        self._most = most
        await self._some()
        await self._more()
        rows, self._found = self._found, []
        self._room.set()
        if not rows:
            self._fail()
            return []
        return self._shape(rows) if self._shape is not None else rows

    async def close(self) -> None:
        """As AsyncSource."""
        if self._walking is not None:
            self._walking.cancel()
            await asyncio.wait({self._walking})

    def _fail(self) -> None:
        if self._error is not None:
            raise self._error

    async def _some(self) -> None:
        """Wait for a row, or the end."""
        while not self._found and not self._ended:
            self._came.clear()
            await self._came.wait()

    async def _more(self) -> None:
        """Wait a little for as many as are wanted."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while len(self._found) < self._most and not self._ended:
                    self._room.set()
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            return

    # -- the task --

    async def _walk(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                await self._walk_through(await self._opened(stack))
        except BaseException as error:  # noqa: BLE001 - it is raised where rows are fetched, also when rows are cancelled
            self._error = error
        finally:
            self._ended = True
            self._came.set()

    async def _opened(self, stack: AsyncExitStack) -> Any:
        rows: Any = self._source() if is_function(self._source) else self._source
        if inspect.isawaitable(rows):
            rows = await rows
        if hasattr(rows, "__aenter__") and not hasattr(rows, "__aiter__"):
            rows = await stack.enter_async_context(rows)
        if hasattr(rows, "aclose"):
            stack.push_async_callback(rows.aclose)
        return rows

    async def _walk_through(self, rows: Any) -> None:
        if hasattr(rows, "forward") and hasattr(rows, "fetch"):  # an open cursor of asyncpg
            while some := await rows.fetch(self._most):
                await self._keep(some)
        elif hasattr(rows, "__aiter__"):
            async for row in rows:
                self._found.append(row)
                if len(self._found) >= self._most:
                    await self._keep(())
                else:
                    self._came.set()
        else:
            raise SourceUnsuited(f"Rows cannot be had from {type(rows).__name__}.")

    async def _keep(self, rows: Any) -> None:
        """Wait until what there is was fetched, so that no more is read than is wanted."""
        self._found.extend(rows)
        self._came.set()
        while len(self._found) >= self._most:
            self._room.clear()
            await self._room.wait()
