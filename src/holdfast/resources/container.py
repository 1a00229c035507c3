"""A container: the resources of one request, or of one block of code; and one for those of the application."""

import asyncio
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from holdfast.decide.wiring import Key, Scope, circle, outlives
from holdfast.errors import ResourceError
from holdfast.resources.lifetime import Lifetime, opened
from holdfast.resources.providers import Declaration

T = TypeVar("T")

_trail: ContextVar[tuple[Key, ...]] = ContextVar("holdfast_resources_being_opened", default=())
_holding: Final[set["Container"]] = set()


def open_containers() -> list["Container"]:
    """The containers of this process that hold something open now."""
    return list(_holding)


@dataclass(slots=True)
class _Held:
    declared: Declaration
    value: object
    lifetime: Lifetime | None
    claimed: bool = False


@dataclass(slots=True)
class House:
    """What all containers of one registry share."""

    declared: Callable[[Key], Declaration]
    """The declaration for a key, as it stands now. Raises ResourceUnknown."""
    provided: Callable[[Key], bool]
    check: Callable[[], None]
    """Raises ResourceError if the wiring as a whole is wrong."""
    root: "Container | None" = None
    """The application's container, while it is open."""
    unwinding: set[asyncio.Task[Any]] = field(default_factory=set["asyncio.Task[Any]"])
    """What is closing though nobody waits for it; the end of the application does."""


class Container:
    """Opens each resource once, when it is first asked for, and closes all of them, the last one first."""

    __slots__ = (
        "_claimants",
        "_error",
        "_held",
        "_house",
        "_pending",
        "_scope",
        "_users",
        "ended",
        "made_at",
        "outer",
    )

    def __init__(self, house: House, scope: Scope, made_at: str, outer: "Container | None" = None) -> None:
        """Hold resources of `scope`; `made_at` says where it comes from, for whoever finds it left open.

        `outer` is the container that this one stands before, which may be another registry's.
        """
        self._house = house
        self._scope = scope
        self._held: dict[Key, _Held] = {}
        self._pending: dict[Key, asyncio.Future[_Held]] = {}
        self._error: BaseException | None = None
        self.made_at: str = made_at
        self.outer: Container | None = outer
        self.ended: bool = False
        self._users = 0
        self._claimants = 0

    def __repr__(self) -> str:
        state = "ended" if self.ended else ", ".join(self.holds()) or "empty"
        return f"<Container {self._scope} made at {self.made_at}: {state}>"

    def belongs_to(self, house: House) -> bool:
        """Whether it serves what the registry of `house` declares."""
        return self._house is house

    def holds(self) -> list[str]:
        """The names of the providers whose resources are open here, in the order of their opening."""
        return [held.declared.wire.label for held in self._held.values() if held.lifetime is not None]

    def tasks(self) -> set[asyncio.Task[None]]:
        """The tasks in which what is open here is kept."""
        return {held.lifetime.task for held in self._held.values() if held.lifetime is not None}

    def broken(self, key: Key) -> bool | None:
        """Whether the resource of `key` ended though nobody closed it; None if it is not open here."""
        held = self._held.get(key)
        if held is None:
            return None
        return held.lifetime is not None and held.lifetime.broken

    # -- to ask --

    async def get(self, key: type[T], *, name: str | None = None) -> T:
        """The resource of type `key`, opened if it is not open yet.

        Raises ResourceUnknown, ResourceCycle, ResourceFailed, and the HTTP errors that a provider raises.
        """
        return cast("T", await self.value(Key(key, name)))

    async def claim(self, key: type[T], *, name: str | None = None) -> T:
        """As `get`; and this resource, with what it needs, stays open until the answer has ended."""
        wanted = Key(key, name)
        value = await self.value(wanted)
        self._claim(wanted)
        return cast("T", value)

    def _claim(self, key: Key) -> None:
        held = self._held.get(key)
        if held is not None:
            held.claimed = True
            for need in held.declared.wire.needs:
                self._claim(need.key)

    async def value(self, key: Key) -> object:
        """As `get`, for a key."""
        declared = self._house.declared(key)
        if declared.make is None:
            return declared.value
        home = self._home(declared)
        held = home._held.get(key)  # noqa: SLF001 - of this class too
        if held is None:
            held = await home._opened(declared)  # noqa: SLF001 - of this class too
        return held.value

    def _home(self, declared: Declaration) -> "Container":
        """The container that `declared` belongs in: this one, or the application's."""
        if self.ended:
            raise self._over(declared)
        if declared.wire.scope is self._scope:
            return self
        if declared.wire.scope is Scope.REQUEST:
            raise outlives(self._house.declared(_trail.get()[-1]).wire, declared.wire)
        if self._house.root is None:
            raise ResourceError(f"{declared.wire.label} is not open: enter `async with resources` first")
        return self._house.root

    def _over(self, declared: Declaration) -> ResourceError:
        return ResourceError(
            f"{declared.wire.label} was asked for after the end of {self.made_at}: "
            "work that goes on after its request needs `async with resources.container()`"
        )

    async def _opened(self, declared: Declaration) -> _Held:
        """Open it, or wait for whoever is opening it."""
        key = declared.wire.key
        while True:
            if (held := self._held.get(key)) is not None:
                return held
            pending = self._pending.get(key)
            if pending is None:
                return await self._open_first(declared)
            trail = _trail.get()
            if key in trail:
                raise circle([*trail[trail.index(key) :], key])
            await asyncio.wait((pending,))
            if not pending.cancelled():  # or whoever was opening it was stopped, and the next one tries
                return pending.result()

    async def _open_first(self, declared: Declaration) -> _Held:
        key = declared.wire.key
        pending = self._pending[key] = asyncio.get_running_loop().create_future()
        token = _trail.set((*_trail.get(), key))
        try:
            held = await self._open(declared)
        except Exception as error:
            pending.set_exception(error)
            pending.exception()  # it is told here; others need not ask
            raise
        except BaseException:
            pending.cancel()
            raise
        finally:
            _trail.reset(token)
            del self._pending[key]
        pending.set_result(held)
        return held

    async def _open(self, declared: Declaration) -> _Held:
        arguments: dict[str, object] = {}
        for need in declared.wire.needs:
            if not need.optional or self._house.provided(need.key):
                arguments[need.parameter] = await self.value(need.key)
        value, lifetime = await opened(declared, arguments, self._house.unwinding)
        held = _Held(declared, value, lifetime)
        if self.ended:
            await self._close([held], None)
            raise self._over(declared)
        self._held[declared.wire.key] = held
        if lifetime is not None:
            _holding.add(self)
        return held

    # -- to let go --

    def join(self, *, claimant: bool = False) -> None:
        """Count one more who needs what is open here, or, as a `claimant`, what is claimed. Each calls `left` once."""
        if claimant:
            self._claimants += 1
        else:
            self._users += 1

    async def left(self, error: BaseException | None, *, claimant: bool = False) -> BaseException | None:
        """One who joined needs it no longer. The last one closes what is not claimed; the last claimant all of it.

        Returns what went wrong in closing.
        """
        if claimant:
            self._claimants -= 1
        else:
            self._users -= 1
        if self._users or self._claimants:
            return await self.close_unclaimed(error)
        return await self.end(error)

    async def close_unclaimed(self, error: BaseException | None) -> BaseException | None:
        """Close what is not claimed, unless somebody needs it. Returns what went wrong in closing."""
        self._error = self._error or error
        if self._users:
            return None
        return await self._close([held for held in self._held.values() if not held.claimed], self._error)

    async def end(self, error: BaseException | None = None) -> BaseException | None:
        """Close all of it, for good. `error` is raised inside the providers of a request's resources.

        Returns what went wrong in closing.
        """
        self.ended = True
        return await self._close(list(self._held.values()), self._error or error)

    async def _close(self, chosen: Iterable[_Held], error: BaseException | None) -> BaseException | None:
        closing: list[Lifetime] = []
        for held in chosen:
            self._held.pop(held.declared.wire.key, None)
            if held.lifetime is not None:
                closing.append(held.lifetime)
        if not closing:
            return None
        if not self.holds():
            _holding.discard(self)
        nested = self._scope is Scope.REQUEST
        if len(closing) == 1:
            return await closing[0].close(error if nested else None)
        task = asyncio.create_task(_close_in_turn(closing, error, nested=nested), name=f"closing of {self.made_at}")
        self._house.unwinding.add(task)
        task.add_done_callback(self._house.unwinding.discard)
        return await asyncio.shield(task)


async def _close_in_turn(closing: list[Lifetime], error: BaseException | None, *, nested: bool) -> BaseException | None:
    """Close the last one first, and each whatever the others do. Returns the first failure.

    Those of a request are `nested`: as with blocks of `async with`, an exception reaches all that are around it. Those
    of the application are closed alike however it ended.
    """
    first: BaseException | None = None
    for lifetime in reversed(closing):
        failure = await lifetime.close((error or first) if nested else None)
        first = first or failure
    return first
