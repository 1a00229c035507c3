"""Results as JSON and back, so that an old run can be shown again, or several together."""

import collections.abc
import types
import typing
from typing import Any, TypeVar

Made = TypeVar("Made")


def plain(value: Any) -> Any:
    """Named tuples as objects by their fields."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: plain(one) for name, one in value._asdict().items()}
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def again(kind: type[Made], value: Any) -> Made:
    """What `plain` was made of, by the types of its fields; further names are left out, absent ones have defaults."""
    return typing.cast("Made", _again(kind, value))


def _again(kind: Any, value: Any) -> Any:
    if hasattr(kind, "_fields"):
        fields = typing.get_type_hints(kind)
        return kind(**{name: _again(fields[name], value[name]) for name in fields if name in value})
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in {types.UnionType, typing.Union}:
        return None if value is None else _again(inner[0], value)
    if origin in {list, collections.abc.Sequence}:
        return [_again(inner[0], one) for one in value]
    if origin is tuple:
        return tuple(value)
    if origin in {dict, collections.abc.Mapping}:
        return {name: _again(inner[1], one) for name, one in value.items()}
    return value
