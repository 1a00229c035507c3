"""Providers: what a function that makes a resource says about it with its annotations."""

import inspect
import types
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from holdfast.decide.wiring import Key, Need, Scope, Wire
from holdfast.errors import ResourceError

Ping = Callable[[Any], object]
"""Asks an open resource whether it is well: raises, or returns False, if it is not. May be asynchronous."""

_MANAGERS = (AsyncIterator, AsyncGenerator, AbstractAsyncContextManager)


@dataclass(frozen=True, slots=True)
class Named:
    """Asks for the resource of a type that was declared with this name: `Annotated[AsyncEngine, Named("replica")]`."""

    name: str


@dataclass(frozen=True, slots=True)
class Declaration:
    """One resource as it was declared."""

    wire: Wire
    make: Callable[..., object] | None
    """Called with the needs as keywords; None where `value` is the resource."""
    value: object = None
    enter: bool = True
    ping: Ping | None = None
    open_within: float = 0.0
    close_within: float = 0.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a declaration says beside its provider. Times are seconds."""

    type: object | None = None
    name: str | None = None
    enter: bool = True
    ping: Ping | None = None
    open_within: float = 10.0
    close_within: float = 5.0


def ready_made(key: Key, value: object) -> Declaration:
    """The declaration of an object that nobody need open."""
    return Declaration(Wire(key, Scope.APPLICATION, str(key)), None, value)


def declared(provider: Callable[..., object], scope: Scope, terms: Terms) -> Declaration:
    """Read `provider`. Raises ResourceError where its annotations do not say what it makes or needs."""
    label = f"{provider.__module__}.{provider.__qualname__}"
    if inspect.isgeneratorfunction(provider):
        raise ResourceError(f"{label} is a plain generator, which would hold up the loop: write `async def`")
    hints = _hints(provider, label)
    key = Key(terms.type if terms.type is not None else _made(provider, hints, label), terms.name)
    make = asynccontextmanager(provider) if inspect.isasyncgenfunction(provider) else provider
    return Declaration(
        wire=Wire(key, scope, label, tuple(_needs(provider, hints, label))),
        make=make,
        enter=terms.enter,
        ping=terms.ping,
        open_within=terms.open_within,
        close_within=terms.close_within,
    )


def _hints(provider: Callable[..., object], label: str) -> Mapping[str, object]:
    source = provider.__init__ if isinstance(provider, type) else provider
    try:
        return typing.get_type_hints(source, include_extras=True)
    except NameError as error:
        raise ResourceError(
            f"{label}: the annotation {error.name!r} means nothing when the program runs: "
            "import it outside `if TYPE_CHECKING`, and define it above"
        ) from error


def _made(provider: Callable[..., object], hints: Mapping[str, object], label: str) -> object:
    """The type that is asked for: what a generator yields, a manager enters to, a function returns, or the class."""
    if isinstance(provider, type):
        return provider
    made = hints.get("return")
    if get_origin(made) in _MANAGERS:
        made = get_args(made)[0]
    if made is None or made is types.NoneType:
        raise ResourceError(f"{label} does not say what it makes: annotate what it returns, or give type=")
    return made


def _needs(provider: Callable[..., object], hints: Mapping[str, object], label: str) -> typing.Iterator[Need]:
    try:
        parameters = inspect.signature(provider).parameters.values()
    except ValueError as error:
        raise ResourceError(f"{label} does not say what it needs: wrap it in a function that does") from error
    for parameter in parameters:
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise ResourceError(f"{label}: `{parameter.name}` cannot be given by name: remove the `/`")
        optional = parameter.default is not parameter.empty
        if parameter.name in hints:
            yield Need(parameter.name, _key(hints[parameter.name]), optional)
        elif not optional:
            raise ResourceError(f"{label}: `{parameter.name}` has no type, which says what to pass")


def _key(hint: object) -> Key:
    """The key that a parameter's annotation asks for."""
    name: str | None = None
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        name = next((note.name for note in notes if isinstance(note, Named)), None)
    if get_origin(hint) in {Union, types.UnionType}:
        members = [member for member in get_args(hint) if member is not types.NoneType]
        if len(members) == 1:
            return _key(members[0])._replace(name=name)
    return Key(hint, name)
