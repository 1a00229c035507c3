"""What needs what: in which order resources are opened, and what is wrong with their wiring.

Two scopes. Application resources live as long as the process, request resources at most as long as a request; the long
lived may not need the short lived.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from holdfast.errors import ResourceCycle, ResourceError, ResourceUnknown


class Scope(StrEnum):
    """How long a resource lives."""

    APPLICATION = "application"
    REQUEST = "request"


class Key(NamedTuple):
    """What a resource is asked for by: its type, and a name where there are several of the type."""

    type: object
    name: str | None = None

    def __str__(self) -> str:
        shown = self.type.__qualname__ if isinstance(self.type, type) else repr(self.type)
        return f'{shown} "{self.name}"' if self.name else shown


class Need(NamedTuple):
    """One parameter of a provider."""

    parameter: str
    key: Key
    optional: bool
    """Whether the parameter has a default, which stands where nobody provides the type."""


class Wire(NamedTuple):
    """One resource, seen as a node of the graph."""

    key: Key
    scope: Scope
    label: str
    """The provider's name, for people."""
    needs: tuple[Need, ...] = ()


def needed(wire: Wire, wires: Mapping[Key, Wire]) -> Iterator[Need]:
    """The needs of `wire` that are to be filled: all but the optional ones that nobody provides."""
    return (need for need in wire.needs if not need.optional or need.key in wires)


def opening_order(wires: Mapping[Key, Wire]) -> list[Key]:
    """The application resources in the order they are declared in, each after what it needs.

    The wiring must be free of faults.
    """
    order: dict[Key, None] = {}

    def visit(wire: Wire) -> None:
        for need in needed(wire, wires):
            if need.key not in order:
                visit(wires[need.key])
        order[wire.key] = None

    for wire in wires.values():
        if wire.scope is Scope.APPLICATION and wire.key not in order:
            visit(wire)
    return list(order)


def faults(wires: Mapping[Key, Wire]) -> list[ResourceError]:
    """What would fail once it is asked for, in the order of declaration; empty if all is well."""
    return [*_loose_ends(wires), *_circles(wires)]


def _loose_ends(wires: Mapping[Key, Wire]) -> Iterator[ResourceError]:
    for wire in wires.values():
        for need in needed(wire, wires):
            end = wires.get(need.key)
            if end is None:
                yield unknown(need.key, f"{wire.label} needs it as `{need.parameter}`", wires)
            elif (wire.scope, end.scope) == (Scope.APPLICATION, Scope.REQUEST):
                yield outlives(wire, end)


def _circles(wires: Mapping[Key, Wire]) -> Iterator[ResourceError]:
    seen: set[Key] = set()

    def walk(wire: Wire, trail: tuple[Key, ...]) -> Iterator[ResourceError]:
        if wire.key in trail:
            yield circle([*trail[trail.index(wire.key) :], wire.key])
        elif wire.key not in seen:
            seen.add(wire.key)
            for need in needed(wire, wires):
                if need.key in wires:
                    yield from walk(wires[need.key], (*trail, wire.key))

    for wire in wires.values():
        yield from walk(wire, ())


def circle(trail: Sequence[Key]) -> ResourceCycle:
    """The error for resources that need each other; the last of `trail` is its first again."""
    return ResourceCycle("resources need each other in a circle: " + " -> ".join(map(str, trail)))


def outlives(wire: Wire, need: Wire) -> ResourceError:
    """The error for an application resource that needs a request resource."""
    return ResourceError(
        f"{wire.label} lives as long as the application and needs {need.label}, which lives as long as a request: "
        f"let it ask `resources.container()` for {need.key} when it has work to do"
    )


def unknown(key: Key, why: str, wires: Mapping[Key, Wire]) -> ResourceUnknown:
    """The error for a key that nobody provides; it names what is near."""
    near = [str(other) for other in wires if other.type is key.type]
    hint = f"; declared are {', '.join(near)}" if near else ""
    return ResourceUnknown(f"nothing provides {key}: {why}{hint}")
