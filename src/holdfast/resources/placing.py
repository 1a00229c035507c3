"""Which container a resource belongs in: that of the block or the request that is running; and when it closes."""

import inspect
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from holdfast.context import RequestContext, current
from holdfast.decide.wiring import Key, Scope
from holdfast.errors import ResourceError
from holdfast.resources.container import Container, House

_block: ContextVar[Container | None] = ContextVar("holdfast_container", default=None)


def place(house: House, key: Key) -> Container:
    """The container to ask for `key`. Raises ResourceError for a request's resource outside a request."""
    declared = house.declared(key)
    if declared.wire.scope is Scope.APPLICATION:
        return house.root or Container(house, Scope.REQUEST, "outside a request")
    container, record = _here(house), current()
    if container is not None:
        return container
    if record is not None:
        return _of_request(house, record)
    raise ResourceError(
        f"{declared.wire.label} was asked for outside a request: enter `async with resources.container()`"
    )


def _here(house: House) -> Container | None:
    """The container of the block that is running, or of the request, if there is one."""
    inner = _block.get()
    while inner is not None:
        if inner.belongs_to(house) and not inner.ended:
            return inner
        inner = inner.outer
    record = current()
    held = record.container if record is not None else None
    while isinstance(held, Container):
        if held.belongs_to(house):
            return held
        held = held.outer
    return None


def _of_request(house: House, record: RequestContext) -> Container:
    """A container that closes when the answer starts, and what is claimed when the answer has ended."""
    house.check()
    if record.over:
        raise ResourceError(f"a resource was asked for after its request, {record.id}, had ended")
    outer = record.container if isinstance(record.container, Container) else None
    container = Container(house, Scope.REQUEST, f"{record.method} {record.path}, request {record.id}", outer)
    container.join(claimant=True)  # the request itself, until its end
    record.container = container

    async def answering() -> None:
        # A framework answers for an exception from within its `except`: that is where the exception is to be seen.
        error = record.error or sys.exception()
        failure = await container.close_unclaimed(error)
        if failure is not None and error is None:
            raise failure

    async def ended() -> None:
        error = record.error or sys.exception()
        if error is None and record.kind == "http" and record.status and not record.ended:
            error = ConnectionAbortedError("the answer did not come to its end")
        await container.end(error)

    if record.kind == "http":  # a websocket is answered for as long as it is open
        record.exits = record.exits or []
        record.exits.append(answering)
    record.late_exits = record.late_exits or []
    record.late_exits.append(ended)
    return container


@asynccontextmanager
async def block(house: House, made_at: str) -> AsyncGenerator[Container, None]:
    """A container for a block of code."""
    house.check()
    container = Container(house, Scope.REQUEST, made_at, _block.get())
    container.join()
    token = _block.set(container)
    try:
        yield container
    except BaseException as error:
        await container.end(error)
        raise
    else:
        _raise(await container.end())
    finally:
        _block.reset(token)


@asynccontextmanager
async def joined(house: House, *, claimant: bool) -> AsyncGenerator[Container, None]:
    """The container that is here, or a new one, until the last who joined it has left."""
    container, record = _here(house), current()
    if container is None and record is not None:
        container = _of_request(house, record)
    if container is None:
        house.check()
        container = Container(house, Scope.REQUEST, "a framework's injection", _block.get())
        _block.set(container)  # for the rest of this task; it is passed over once it has ended
    container.join(claimant=claimant)
    try:
        yield container
    except BaseException as error:
        await container.left(error, claimant=claimant)
        raise
    else:
        _raise(await container.left(None, claimant=claimant))


def _raise(failure: BaseException | None) -> None:
    if failure is not None:
        raise failure


def caller() -> str:
    """The file and line that called the caller of this."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = frame.f_back if frame is not None else None
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "an unknown place"
