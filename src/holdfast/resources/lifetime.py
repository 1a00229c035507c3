"""A lifetime: one resource from its opening to its closing, in a task of its own.

The task is what makes closing safe. A resource is entered and left in the same task, wherever in a request it was
asked for, as task groups and cancel scopes demand; a request that is cancelled does not cancel the closing; and a
closing that hangs can be given up without touching anything else.
"""

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, TypeGuard

from holdfast.errors import HoldfastError, ResourceFailed, ResourceNotClosed
from holdfast.resources.providers import Declaration

_LOG = logging.getLogger("holdfast.resources")
_GIVE_UP_S: Final = 1.0
"""How long a cancelled task has for its end before nobody waits for it any more."""


class Lifetime:
    """One resource that is opened, held and closed."""

    __slots__ = ("_asked", "_declared", "_entered", "_label", "_leave", "task")

    def __init__(self, declared: Declaration, manager: AbstractAsyncContextManager[object]) -> None:
        """Start to enter `manager`, which `declared` made. Needs a running loop."""
        loop = asyncio.get_running_loop()
        self._declared = declared
        self._label = declared.wire.label
        self._asked = False  # to close
        self._entered: asyncio.Future[object] = loop.create_future()
        self._leave: asyncio.Future[BaseException | None] = loop.create_future()
        self.task = loop.create_task(self._live(manager), name=f"resource {self._label}")

    async def _live(self, manager: AbstractAsyncContextManager[object]) -> None:
        self._entered.set_result(await manager.__aenter__())
        try:
            error = await self._leave
        except asyncio.CancelledError as cancelled:  # by a task group inside the resource, or by the end of the loop
            error = cancelled
        if error is None:
            await manager.__aexit__(None, None, None)
        else:
            await manager.__aexit__(type(error), error, error.__traceback__)

    @property
    def broken(self) -> bool:
        """Whether it ended though nobody closed it."""
        return self.task.done() and not self._asked

    async def opened(self, unwinding: set[asyncio.Task[None]]) -> object:
        """Wait until it is open and return what it yields.

        Raises what the provider raised, or TimeoutError. Where it is not waited for to the end, what is half open is
        closed by itself; its task is in `unwinding` as long.
        """
        try:
            await asyncio.wait(
                (self._entered, self.task),
                timeout=self._declared.open_within,
                return_when=asyncio.FIRST_COMPLETED,
            )
        except asyncio.CancelledError:
            self._abandon(unwinding)
            raise
        if self._entered.done():
            self.task.add_done_callback(self._note_an_end)
            return self._entered.result()
        if self.task.done():
            failure = _outcome(self.task)
            raise failure if isinstance(failure, Exception) else RuntimeError("it was cancelled from inside")
        self._abandon(unwinding)
        raise TimeoutError(f"not open within {self._declared.open_within:g} s")

    def _abandon(self, unwinding: set[asyncio.Task[None]]) -> None:
        self._asked = True
        self.task.cancel()
        unwinding.add(self.task)
        self.task.add_done_callback(unwinding.discard)
        self.task.add_done_callback(_outcome)  # or the loop would complain that nobody asked

    def _note_an_end(self, task: asyncio.Task[None]) -> None:
        if self._asked:
            return
        error = None if task.cancelled() else task.exception()
        _LOG.error("a resource ended by itself", exc_info=error, extra={"resource": self._label})

    async def close(self, error: BaseException | None) -> BaseException | None:
        """Close it, and return what went wrong in doing so.

        `error` is raised inside the provider at its `yield`. Never takes longer than the resource's own deadline and
        a second.
        """
        self._asked = True
        if not self._leave.done():  # the task can have been cancelled, and the future with it
            self._leave.set_result(error)
        await asyncio.wait((self.task,), timeout=self._declared.close_within)
        if not self.task.done():
            self.task.cancel()
            await asyncio.wait((self.task,), timeout=_GIVE_UP_S)
            return ResourceNotClosed(f"{self._label} did not close within {self._declared.close_within:g} s")
        failure = _outcome(self.task)
        return None if failure is error else failure


def _outcome(task: asyncio.Task[None]) -> BaseException | None:
    try:
        return task.exception()
    except asyncio.CancelledError as cancelled:
        return cancelled


async def opened(
    declared: Declaration, arguments: dict[str, object], unwinding: set[asyncio.Task[None]]
) -> tuple[object, Lifetime | None]:
    """Make the resource, and open it if it is one to be opened.

    An error that already is an answer (a HoldfastError, or one with an HTTP `status_code` as frameworks have them)
    comes through as it is where a request asked. Anything else raises ResourceFailed.
    """
    make = declared.make
    if make is None:
        return declared.value, None
    try:
        made = make(**arguments)
        if declared.enter and _is_manager(made):
            lifetime = Lifetime(declared, made)
        elif inspect.iscoroutine(made):
            lifetime = Lifetime(declared, _awaited(made, enter=declared.enter))
        else:
            return made, None
        return await lifetime.opened(unwinding), lifetime
    except Exception as error:
        if isinstance(error, HoldfastError) or hasattr(error, "status_code"):
            raise
        raise ResourceFailed(f"{declared.wire.label} could not be opened: {type(error).__name__}: {error}") from error


@asynccontextmanager
async def _awaited(coroutine: Coroutine[object, object, object], *, enter: bool) -> AsyncGenerator[object, None]:
    made = await coroutine
    if enter and _is_manager(made):
        async with made as value:
            yield value
    else:
        yield made


def _is_manager(made: object) -> TypeGuard[AbstractAsyncContextManager[object]]:
    return isinstance(made, AbstractAsyncContextManager)
