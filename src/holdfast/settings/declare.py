"""How settings are declared: once, as a class with one typed and documented attribute per setting."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    ClassVar,
    Literal,
    Union,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)
from weakref import WeakKeyDictionary

from holdfast.settings.secret import Secret
from holdfast.settings.values import READERS, Kind, Limits, fits, shown

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_PREFIX = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_TITLE = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Option:
    """What a setting says of itself besides its type; made by `option`."""

    doc: str
    limits: Limits
    choices: tuple[object, ...]
    also: str | None
    default: str | None


def option(
    doc: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
    pattern: str | None = None,
    pattern_words: str | None = None,
    choices: Sequence[object] = (),
    also: str | None = None,
    default: str | None = None,
) -> Option:
    """Describe a setting, inside `Annotated[TYPE, option(...)]`.

    `doc` is one sentence for the operator, with the unit. A number is kept to `ge` <= value <= `le` and
    `gt` < value < `lt`; a text or secret to `min_length` characters and, as a whole, to the regular expression
    `pattern`, which `pattern_words` says in words; a list to `min_length` items, and each item to the rest.
    `choices` are the only values allowed. `also` is a second variable, read when the first is not set. `default`
    describes a default that differs from machine to machine, for the documentation.
    """
    return Option(doc, Limits(ge, gt, le, lt, min_length, pattern, pattern_words), tuple(choices), also, default)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(dataclasses.field, dataclasses.Field))
class Settings:
    """The settings of one part, as a class of at most a handful of attributes.

    A subclass names its `prefix` (the start of its variables) and its `title` (its table in the settings file),
    and becomes a frozen dataclass with keyword arguments:

        class Mail(Settings, prefix="SHOP_MAIL", title="mail"):
            \"\"\"How mail leaves.\"\"\"

            host: Annotated[str, option("The server that takes mail.")] = "localhost"   # SHOP_MAIL_HOST, [mail] host

    A setting that cannot be one (no option, an unsupported type, a default outside its limits) is a TypeError here.
    An instance made by hand, as tests do, is not checked against the limits; `load` checks.
    """

    settings_prefix: ClassVar[str] = ""
    settings_title: ClassVar[str] = ""

    def __init_subclass__(cls, *, prefix: str = "", title: str = "") -> None:
        """Make the subclass a frozen dataclass. A prefix or title that is left out is the parent's."""
        super().__init_subclass__()
        cls.settings_prefix = prefix or cls.settings_prefix
        cls.settings_title = title or cls.settings_title
        if not _PREFIX.fullmatch(cls.settings_prefix) or not _TITLE.fullmatch(cls.settings_title):
            msg = f"{cls.__name__}: name its prefix='LIKE_THIS' and its title='like-this'"
            raise TypeError(msg)
        dataclass(frozen=True, kw_only=True)(cls)
        hints = get_type_hints(cls, include_extras=True)
        _classes[cls] = tuple(_declared(cls, field, hints[field.name]) for field in _fields(cls))


@dataclass(frozen=True, slots=True)
class Declared:
    """One setting of one class, with everything that reading and describing it needs."""

    title: str
    key: str
    variable: str
    also: str | None
    doc: str
    kind: Kind
    default: Callable[[], object] | None
    """What makes the default; None when the setting is required."""
    default_words: str
    """The default as the documentation shows it."""

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables it is read from, the first that is set."""
        return (self.variable, self.also) if self.also else (self.variable,)


# Every class that was declared properly, as long as it is alive, with its settings in their order.
_classes: "WeakKeyDictionary[type[Settings], tuple[Declared, ...]]" = WeakKeyDictionary()


def options_of(cls: type[Settings]) -> tuple[Declared, ...]:
    """List the settings that `cls` declares, in their order."""
    return _classes[cls]


def declared(package: str | None = None) -> list[type[Settings]]:
    """List the Settings classes that imported modules declare, by title; only those of `package` when it is given."""
    found = list(_classes)
    if package is not None:
        found = [cls for cls in found if f"{cls.__module__}.".startswith(f"{package}.")]
    return sorted(found, key=lambda cls: (cls.settings_title, cls.__module__, cls.__qualname__))


def _fields(cls: type[Settings]) -> tuple[dataclasses.Field[object], ...]:
    # A subclass of Settings is a dataclass by __init_subclass__, which a type checker cannot follow.
    return dataclasses.fields(cast("type[DataclassInstance]", cls))


def _declared(cls: type[Settings], field: dataclasses.Field[object], hint: object) -> Declared:
    said = [part for part in get_args(hint)[1:] if isinstance(part, Option)] if get_origin(hint) is Annotated else []
    if len(said) != 1:
        msg = f"{cls.__name__}.{field.name}: declare it as Annotated[TYPE, option(...)]"
        raise TypeError(msg)
    kind = kind_of(f"{cls.__name__}.{field.name}", get_args(hint)[0], said[0])
    default = _default(field)
    if default is not None and not fits(kind, default()):
        msg = f"{cls.__name__}.{field.name}: its default is outside its own limits"
        raise TypeError(msg)
    if default is not None and kind.secret and default() is not None:
        msg = f"{cls.__name__}.{field.name}: a secret has no default but None, for the default would stand in the code"
        raise TypeError(msg)
    words = said[0].default or (shown(default()) if default else "required")
    variable = f"{cls.settings_prefix}_{field.name.upper()}"
    return Declared(cls.settings_title, field.name, variable, said[0].also, said[0].doc, kind, default, words)


def _default(field: dataclasses.Field[object]) -> Callable[[], object] | None:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory
    if field.default is not dataclasses.MISSING:
        return lambda: field.default
    return None


# -- from an annotation to a kind --


def kind_of(name: str, annotation: object, said: Option) -> Kind:
    """Read what `annotation` and the option take. Raises TypeError that names `name` for an unsupported type."""
    members = get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)
    real = [member for member in members if member is not NoneType]
    optional = len(real) < len(members)
    if len(real) != 1:
        raise _unsupported(name, annotation)
    inner, many = real[0], False
    if get_origin(inner) is tuple:
        items = get_args(inner)
        if len(items) != 2 or items[1] is not Ellipsis:
            raise _unsupported(name, annotation)
        inner, many = items[0], True
    of, choices = _with_choices(inner, said.choices)
    if of is None or not (issubclass(of, Enum) or of in READERS):
        raise _unsupported(name, annotation)
    if not all(isinstance(choice, of) for choice in choices) or (choices and of is Secret):
        raise _unsupported(name, annotation)
    return Kind(of, many=many, optional=optional, choices=choices, limits=said.limits)


def _with_choices(annotation: object, choices: tuple[object, ...]) -> tuple[type[object] | None, tuple[object, ...]]:
    """Return the type that `annotation` stands for, if it is one, and the only values that it leaves."""
    if get_origin(annotation) is Literal:
        literals: tuple[object, ...] = get_args(annotation)
        return type(literals[0]), literals
    if not isinstance(annotation, type):
        return None, ()
    of = cast("type[object]", annotation)
    return of, choices or (tuple(of) if issubclass(of, Enum) else ())


def _unsupported(name: str, annotation: object) -> TypeError:
    return TypeError(
        f"{name}: {annotation} is not supported; use str, int, float, bool, Path, Secret, Literal, an Enum, "
        "tuple[TYPE, ...] of one of them, or one of them with None"
    )
