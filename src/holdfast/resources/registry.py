"""Resources: the registry of what an application depends on."""

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from types import TracebackType
from typing import Final, Self, TypeVar, overload

from holdfast.decide.wiring import Key, Scope, Wire, faults, opening_order, unknown
from holdfast.errors import ResourceError, ResourceFailed
from holdfast.resources import placing
from holdfast.resources.container import Container, House
from holdfast.resources.health import Health, Pings
from holdfast.resources.providers import Declaration, Ping, Terms, declared, ready_made

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])
_UNWINDING_S: Final = 10.0


class Resources:
    """A typed registry of what an application depends on.

        resources = Resources()

        @resources.application()
        async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
            engine = create_async_engine(settings.url)
            yield engine
            await engine.dispose()

        @resources.request()
        async def session(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
            async with AsyncSession(engine) as session, session.begin():
                yield session

    A provider is an asynchronous generator function that yields once, or anything that returns the resource: what it
    returns is entered if it is an asynchronous context manager. Its parameters are resources too, found by their types.
    """

    def __init__(self) -> None:
        """An empty registry."""
        self._declared: dict[Key, Declaration] = {}
        self._overrides: dict[Key, Declaration] = {}
        self._checked = False
        self._pings = Pings()
        self._house = House(self._find, self._provides, self._check)

    def __repr__(self) -> str:
        state = "open" if self._house.root is not None else "not open"
        return f"<Resources {state}: {', '.join(str(key) for key in self._declared) or 'none declared'}>"

    # -- to declare --

    def application(
        self,
        *,
        type: object | None = None,  # noqa: A002 - the word for it
        name: str | None = None,
        enter: bool = True,
        ping: Ping | None = None,
        open_within: float = 30.0,
        close_within: float = 5.0,
    ) -> Callable[[F], F]:
        """Declare the provider of a resource that lives as long as the application: one in each process.

        `type` is what it is asked for by, where the annotation does not say; `name` tells apart several of one type.
        With `enter=False` what the provider returns is not entered. `ping` gets the resource and raises, or returns
        False, if it is not well. `open_within` and `close_within` are seconds. Raises ResourceError.
        """
        return self._declaring(Scope.APPLICATION, Terms(type, name, enter, ping, open_within, close_within))

    def request(
        self,
        *,
        type: object | None = None,  # noqa: A002 - the word for it
        name: str | None = None,
        enter: bool = True,
        open_within: float = 10.0,
        close_within: float = 5.0,
    ) -> Callable[[F], F]:
        """Declare the provider of a resource that each request has for itself; as `application`."""
        return self._declaring(Scope.REQUEST, Terms(type, name, enter, None, open_within, close_within))

    def _declaring(self, scope: Scope, terms: Terms) -> Callable[[F], F]:
        def declare(provider: F) -> F:
            self._declare(declared(provider, scope, terms))
            return provider

        return declare

    def value(self, key: type[T], value: T, *, name: str | None = None) -> None:
        """Declare an object that is ready made. Nothing closes it."""
        self._declare(ready_made(Key(key, name), value))

    def _declare(self, declaration: Declaration) -> None:
        key = declaration.wire.key
        if key in self._declared:
            raise ResourceError(
                f"{declaration.wire.label} provides {key}, as {self._declared[key].wire.label} does: "
                "give one of them a name=, or replace it in a test with `resources.override`"
            )
        self._declared[key] = declaration
        self._checked = False

    @overload
    def override(self, key: type[T], value: T, *, name: str | None = None) -> AbstractContextManager[None]: ...
    @overload
    def override(
        self, key: type[object], *, provider: Callable[..., object], name: str | None = None
    ) -> AbstractContextManager[None]: ...
    def override(
        self,
        key: type[object],
        value: object = None,
        *,
        provider: Callable[..., object] | None = None,
        name: str | None = None,
    ) -> AbstractContextManager[None]:
        """For a block of a test, let `key` be `value`, or what `provider` makes: `with resources.override(...):`.

        What is open already keeps what it has. Raises ResourceUnknown if `key` was never declared, and ResourceError
        if a provider comes too late: for an application resource when the application is open.
        """
        return self._override(Key(key, name), value, provider)

    @contextmanager
    def _override(self, key: Key, value: object, provider: Callable[..., object] | None) -> Generator[None, None, None]:
        real = self._declared.get(key)
        if real is None:
            raise unknown(key, "so there is nothing to override", self._wires())
        fake = ready_made(key, value)
        if provider is not None:
            if real.wire.scope is Scope.APPLICATION and self._house.root is not None:
                raise ResourceError(f"{real.wire.label} is open: override it before the start, or with a value")
            terms = Terms(key.type, key.name, open_within=real.open_within, close_within=real.close_within)
            fake = declared(provider, real.wire.scope, terms)
        before = self._overrides.get(key)
        self._overrides[key] = fake
        self._checked = False
        try:
            yield
        finally:
            self._checked = False
            if before is None:
                del self._overrides[key]
            else:
                self._overrides[key] = before

    # -- what is declared --

    def lives_long(self, key: type[object], *, name: str | None = None) -> bool:
        """Whether `key` is declared by now, and for the application: then nobody need let go of it."""
        found = self._declared.get(Key(key, name))
        return found is not None and found.wire.scope is Scope.APPLICATION

    def _find(self, key: Key) -> Declaration:
        found = self._overrides.get(key) or self._declared.get(key)
        if found is None:
            raise unknown(key, "it was asked for", self._wires())
        return found

    def _provides(self, key: Key) -> bool:
        return key in self._declared

    def _wires(self) -> Mapping[Key, Wire]:
        return {key: self._find(key).wire for key in self._declared}

    def _check(self) -> None:
        """Raise what is wrong with the wiring as a whole, before anything is opened."""
        if self._checked:
            return
        found = faults(self._wires())
        if found:
            raise type(found[0])("\n".join(fault.what for fault in found))
        self._checked = True

    # -- to ask --

    async def get(self, key: type[T], *, name: str | None = None) -> T:
        """The resource of type `key`; one of the request's own is opened when it is first asked for.

        It is closed when the answer starts. Raises ResourceUnknown, ResourceCycle, ResourceFailed, ResourceError
        outside a request, and the HTTP errors that a provider raises.
        """
        return await placing.place(self._house, Key(key, name)).get(key, name=name)

    async def claim(self, key: type[T], *, name: str | None = None) -> T:
        """As `get`; and it stays open until the answer has ended, for a body that needs it while it streams."""
        return await placing.place(self._house, Key(key, name)).claim(key, name=name)

    def container(self) -> AbstractAsyncContextManager[Container]:
        """Resources for a block of code outside a request: `async with resources.container() as container:`.

        Inside the block `resources.get` uses it too. At its end all of it is closed; an exception of the block is
        raised inside the providers first, and without one, the first failure of a closing is raised here.
        """
        return placing.block(self._house, placing.caller())

    def joined(self, *, claim: bool = False) -> AbstractAsyncContextManager[Container]:
        """The request's container, for a block that may be one of several, as a framework's injection makes them.

        What is open and not claimed closes with the last such block, and hears of an exception in it. With `claim`
        the block is one that lasts until the answer has ended. Without a request the first block makes the container.
        """
        return placing.joined(self._house, claimant=claim)

    # -- to open and close --

    async def __aenter__(self) -> Self:
        """Open the application resources, in the order they are declared in, each after what it needs.

        Raises ResourceError and its kin, which name the resource, after closing what was open by then.
        """
        if self._house.root is not None:
            raise ResourceError("the resources are open already")
        self._check()
        root = self._house.root = Container(self._house, Scope.APPLICATION, "the start of the application")
        try:
            for key in opening_order(self._wires()):
                await _open(root, self._find(key))
        except BaseException as error:
            self._house.root = None
            await root.end(error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the application resources, the last one first, each within its own deadline.

        An exception of the block is not raised inside them. One that fails to close is logged by `holdfast.resources`,
        and nothing is raised.
        """
        root = self._house.root
        if root is None:
            return
        if self._house.unwinding:
            await asyncio.wait(self._house.unwinding.copy(), timeout=_UNWINDING_S)
        await root.end(error)
        self._house.root = None

    async def ping(self, *, within: float = 1.5) -> dict[str, Health]:
        """Ask all application resources that can be asked, at once, each for at most `within` seconds.

        By the name of the resource, or of its provider.
        """
        return await self._pings.ask(self._house.root, [self._find(key) for key in self._declared], within)


async def _open(root: Container, declaration: Declaration) -> None:
    try:
        await root.value(declaration.wire.key)
    except ResourceError:
        raise
    except Exception as error:
        raise ResourceFailed(
            f"{declaration.wire.label} could not be opened: {type(error).__name__}: {error}"
        ) from error
