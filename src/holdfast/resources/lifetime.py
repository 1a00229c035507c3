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
from typing import Any, Final, TypeGuard

from holdfast.errors import HoldfastError, ResourceFailed, ResourceNotClosed
from holdfast.resources.providers import Declaration

_LOG = logging.getLogger("holdfast.resources")
_GIVE_UP_S: Final = 1.0
"""How long a cancelled task has for its end before nobody waits for it any more."""


class Lifetime:
    """One resource that is opened, held and closed."""

    __slots__ = (
        "_asked",
        "_declared",
        "_entered",
        "_error",
        "_failure",
        "_gone",
        "_late",
        "_leave",
        "_settled",
        "_timer",
        "_unwinding",
        "task",
    )

    def __init__(
        self,
        declared: Declaration,
        manager: AbstractAsyncContextManager[object],
        unwinding: set[asyncio.Task[Any]],
    ) -> None:
        """Start to enter `manager`, which `declared` made; the task is in `unwinding` while it leaves."""
        loop = asyncio.get_running_loop()
        self._declared = declared
        self._unwinding = unwinding
        self._entered: asyncio.Future[object] = loop.create_future()
        self._leave: asyncio.Future[BaseException | None] = loop.create_future()
        self._gone: asyncio.Future[None] = loop.create_future()
        self._asked = False
        self._late = False
        self._settled = False
        self._error: BaseException | None = None
        self._failure: BaseException | None = None
        self.task: asyncio.Task[None] = loop.create_task(self._live(manager), name=f"resource {declared.wire.label}")
        self.task.add_done_callback(self._settle)
        self._timer = loop.call_later(declared.open_within, self._open_too_late)

    # -- inside the task --

    async def _live(self, manager: AbstractAsyncContextManager[object]) -> None:
        try:
            value = await manager.__aenter__()
        except BaseException as error:
            if self._entered.done():
                return
            told = error if isinstance(error, Exception) else RuntimeError("it was cancelled from inside")
            self._entered.set_exception(told)
            if told is error:
                return
            raise
        self._timer.cancel()
        error = await self._held(value)
        if error is None:
            await manager.__aexit__(None, None, None)
        else:
            await manager.__aexit__(type(error), error, error.__traceback__)

    async def _held(self, value: object) -> BaseException | None:
        """Wait until it is to be left; with which exception."""
        if self._entered.done():
            return asyncio.CancelledError()  # nobody waits for it any more
        self._entered.set_result(value)
        try:
            return await self._leave
        except asyncio.CancelledError as cancelled:  # by a task group inside the resource, or by the end of the loop
            return cancelled

    # -- outside --

    @property
    def broken(self) -> bool:
        """Whether it ended though nobody closed it."""
        return self.task.done() and not self._asked

    async def opened(self) -> object:
        """Wait until it is open and return what it yields.

        Raises what the provider raised, or TimeoutError. Where it is not waited for to the end, what is half open is
        closed by itself.
        """
        try:
            return await self._entered
        except asyncio.CancelledError:
            self._abandon()
            raise

    def _open_too_late(self) -> None:
        if not self._entered.done():
            self._entered.set_exception(TimeoutError(f"not open within {self._declared.open_within:g} s"))
            self._abandon()

    def _abandon(self) -> None:
        self._ask()
        self.task.cancel()

    async def close(self, error: BaseException | None) -> BaseException | None:
        """Close it, and return what went wrong in doing so, which is logged too.

        `error` is raised inside the provider at its `yield`. Never takes longer than the resource's own deadline and
        a second. Who is cancelled in waiting for it goes on at once, and so does the closing.
        """
        if not self.task.done():
            self._error = error
            self._ask()
            if not self._leave.done():  # the task can have been cancelled, and the future with it
                self._leave.set_result(error)
            self._timer = asyncio.get_running_loop().call_later(self._declared.close_within, self._close_too_late)
            await self._gone
        return self._failure

    def _ask(self) -> None:
        self._asked = True
        if not self.task.done():
            self._unwinding.add(self.task)

    def _close_too_late(self) -> None:
        self._late = True
        self.task.cancel()
        self._timer = asyncio.get_running_loop().call_later(_GIVE_UP_S, self._settle, self.task)

    def _settle(self, task: asyncio.Task[None]) -> None:
        """It has ended, or nobody waits for its end any more."""
        self._timer.cancel()
        self._unwinding.discard(task)
        failure = _failure(task)
        if self._settled:
            return
        self._settled = True
        label = self._declared.wire.label
        if self._late:
            failure = ResourceNotClosed(f"{label} did not close within {self._declared.close_within:g} s")
        self._failure = None if failure is self._error else failure
        if self.broken:
            if self._entered_well():
                _LOG.error("a resource ended by itself", exc_info=self._failure, extra={"resource": label})
        elif self._failure is not None:
            _LOG.error("a resource did not close", exc_info=self._failure, extra={"resource": label})
        if not self._gone.done():
            self._gone.set_result(None)

    def _entered_well(self) -> bool:
        return self._entered.done() and not self._entered.cancelled() and self._entered.exception() is None


def _failure(task: asyncio.Task[None]) -> BaseException | None:
    if not task.done():
        return None
    return asyncio.CancelledError() if task.cancelled() else task.exception()


async def opened(
    declared: Declaration, arguments: dict[str, object], unwinding: set[asyncio.Task[Any]]
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
            lifetime = Lifetime(declared, made, unwinding)
        elif inspect.iscoroutine(made):
            lifetime = Lifetime(declared, _awaited(made, enter=declared.enter), unwinding)
        else:
            return made, None
        return await lifetime.opened(), lifetime
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
