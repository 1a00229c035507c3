"""From one raw value to a typed one, or to a refusal. Pure: no file and no environment is read here."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import cast

from holdfast.settings.secret import Secret


@dataclass(frozen=True, slots=True)
class Limits:
    """What a value must keep to, besides its type. Lengths count characters, or the items of a list."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    min_length: int | None = None
    pattern: str | None = None
    pattern_words: str | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """What one setting takes: values of type `of`, or a tuple of them when `many`, or None when `optional`."""

    of: type
    many: bool = False
    optional: bool = False
    choices: tuple[object, ...] = ()
    limits: Limits = Limits()

    @property
    def secret(self) -> bool:
        """Whether no output may show the value."""
        return self.of is Secret


@dataclass(frozen=True, slots=True)
class Taken:
    """The raw value is allowed, and means `value`."""

    value: object


@dataclass(frozen=True, slots=True)
class Refused:
    """The raw value is not allowed; `allowed(kind)` says what is."""


def judge(kind: Kind, raw: object) -> Taken | Refused:
    """Turn `raw`, a text or a value out of a TOML file, into what `kind` asks for."""
    try:
        value = _read(kind, raw)
    except (ValueError, OverflowError):
        return Refused()
    return Taken(value) if fits(kind, value) else Refused()


def fits(kind: Kind, value: object) -> bool:
    """Whether a `value` of the right type keeps to the limits of `kind`."""
    if value is None:
        return kind.optional
    items = cast("tuple[object, ...]", value) if kind.many else (value,)
    length = len(items) if kind.many else len(_plain(value))
    if length < (kind.limits.min_length or 0):
        return False
    return all(_item_fits(kind, item) for item in items)


def _item_fits(kind: Kind, item: object) -> bool:
    if kind.choices and item not in kind.choices:
        return False
    limits = kind.limits
    if limits.pattern is not None and not re.fullmatch(limits.pattern, _plain(item)):
        return False
    if not isinstance(item, int | float):
        return True
    return (
        (limits.ge is None or item >= limits.ge)
        and (limits.gt is None or item > limits.gt)
        and (limits.le is None or item <= limits.le)
        and (limits.lt is None or item < limits.lt)
    )


def _plain(value: object) -> str:
    """Return the text that a choice, a length or a pattern is about."""
    if isinstance(value, Secret):
        return value.reveal()
    return str(cast("object", value.value) if isinstance(value, Enum) else value)


# -- reading --


def _read(kind: Kind, raw: object) -> object:
    if kind.optional and _says_none(kind, raw):
        return None
    if not kind.many:
        return _read_item(kind, raw)
    if isinstance(raw, str):
        parts = (part.strip() for part in raw.split(","))
        return tuple(_read_item(kind, part) for part in parts if part)
    if isinstance(raw, list):
        return tuple(_read_item(kind, item) for item in cast("list[object]", raw))
    raise ValueError


def _says_none(kind: Kind, raw: object) -> bool:
    """Whether `raw` is the word none, where that cannot be a text or a path itself."""
    if kind.many or kind.of in {str, Path, Secret}:
        return False
    return isinstance(raw, str) and raw.strip().casefold() == "none"


def _read_item(kind: Kind, raw: object) -> object:
    if kind.choices:
        return _chosen(kind.choices, raw)
    if isinstance(raw, str):
        return READERS[kind.of](raw)
    if isinstance(raw, bool) or kind.of is bool:
        if isinstance(raw, bool) and kind.of is bool:
            return raw
        raise ValueError
    if isinstance(raw, int) and kind.of in {int, float}:
        return kind.of(raw)
    if isinstance(raw, float) and kind.of is float and math.isfinite(raw):
        return raw
    raise ValueError


def _chosen(choices: Sequence[object], raw: object) -> object:
    """Find the choice that `raw` names: exactly, or but for upper and lower case when that leaves one."""
    text = str(raw).strip() if isinstance(raw, str | int) else ""
    exact = [choice for choice in choices if _plain(choice) == text]
    near = [choice for choice in choices if _plain(choice).casefold() == text.casefold()]
    matches = exact or near
    if len(matches) != 1:
        raise ValueError
    return matches[0]


def _text(text: str) -> str:
    # Bytes that are not UTF-8 come out of os.environ as lone surrogates and would break the log line they reach.
    text.encode()
    return text


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+(_[0-9]+)*", text.strip()):
        raise ValueError
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", text.strip()):
        raise ValueError
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _truth(text: str) -> bool:
    word = text.strip().casefold()
    if word not in WORDS:
        raise ValueError
    return WORDS[word]


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError
    return Path(text)


def _secret(text: str) -> Secret:
    return Secret(_text(text))


READERS: Mapping[type, Callable[[str], object]] = {
    str: _text,
    int: _whole,
    float: _number,
    bool: _truth,
    Path: _path,
    Secret: _secret,
}


# -- saying --

NOUNS: Mapping[type, tuple[str, str]] = {
    str: ("a text", "texts"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false (1, 0, yes, no, on, off)", "true or false"),
    Path: ("a path", "paths"),
    Secret: ("a secret", "secrets"),
}


def allowed(kind: Kind) -> str:
    """Say what `kind` takes: "a number from 0 to 3600"."""
    one = _choices(kind) if kind.choices else NOUNS[kind.of][0] + _limits(kind.limits, many=kind.many)
    if kind.many:
        one = _list(kind)
    takes_none = kind.optional and _says_none(kind, "none")
    return f"{one}, or none" if takes_none else one


def _choices(kind: Kind) -> str:
    words = [_plain(choice) for choice in kind.choices]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _list(kind: Kind) -> str:
    least = kind.limits.min_length
    number = f"at least {least} " if least else ""
    if kind.choices:
        return f"{number or 'any number '}of {_choices(kind)}, separated by commas"
    return f"{number}{NOUNS[kind.of][1]}{_limits(kind.limits, many=True)}, separated by commas"


def _limits(limits: Limits, *, many: bool) -> str:
    if limits.ge is not None and limits.le is not None:
        words = [f"from {shown(limits.ge)} to {shown(limits.le)}"]
    else:
        bounds = {"of at least": limits.ge, "above": limits.gt, "of at most": limits.le, "below": limits.lt}
        words = [f"{word} {shown(bound)}" for word, bound in bounds.items() if bound is not None]
    if limits.min_length and not many:
        words.append(f"of at least {limits.min_length} character{'s' * (limits.min_length > 1)}")
    if limits.pattern is not None:
        words.append(f"that match{'es' * (not many)} {limits.pattern_words or limits.pattern}")
    return f" {' and '.join(words)}" if words else ""


_URL_LOGIN = re.compile(r"://\S*@")


def shown(value: object) -> str:
    """Return `value` as people read it, on one line; secrets and logins inside URLs are masked."""
    return _line(value) or "(empty)"


def _line(value: object) -> str:
    if isinstance(value, Secret):
        return "***"
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return ", ".join(_line(item) for item in cast("Sequence[object]", value))
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    masked = _URL_LOGIN.sub("://***@", _plain(value))
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in masked)


def quoted(raw: object, limit: int = 80) -> str:
    """Return a raw value as a fault shows it: texts in quotation marks, nothing longer than `limit`."""
    text = _line(raw)
    text = text if len(text) <= limit else f"{text[:limit]}…"
    return f'"{text}"' if isinstance(raw, str) else text
