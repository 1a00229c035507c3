"""The way of every value to a log line: names and shapes looked at, containers walked, sizes bounded."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final, TypeAlias, cast

from holdfast.decide.redaction.names import Meaning, Names
from holdfast.decide.redaction.shapes import Finding
from holdfast.decide.redaction.suspicion import suspicion
from holdfast.decide.redaction.texts import findings, is_everyday
from holdfast.decide.redaction.values import is_said_nothing

_LONGEST: Final = 64 * 1024
_BEYOND: Final = 4 * 1024  # read past the cut, so that a secret that lies across it is recognised
_DEEPEST: Final = 24
_MOST_VALUES: Final = 4_000
_NO_KEY: Final = 14  # no vendor's key is as short
_PLAIN_NUMBER: Final = 10**12  # card numbers are longer
_FIELD: Final = "[redacted:field]"
_UNREADABLE: Final = "[redacted:unreadable]"
_SEQUENCES: Final = (list, tuple, set, frozenset)
# A value whose name stands beside it: validation errors, lists of variables or headers.
_BESIDE: Final = (("loc", "input"), ("name", "value"), ("key", "value"), ("field", "value"), ("header", "value"))

_Mapping: TypeAlias = Mapping[object, object]
_Sequence: TypeAlias = list[object] | tuple[object, ...] | set[object] | frozenset[object]


class Redactor:
    """Puts `[redacted:KIND]` in the place of what must not be shown. Never raises; immutable; thread-safe."""

    __slots__ = ("_names",)

    def __init__(self, names: Iterable[str] = ()) -> None:
        """`names` of fields are secret beside the built-in ones; a name after a minus sign (`-session_id`) is not."""
        self._names = Names(names)

    def text(self, value: str) -> str:
        """`value` without its secrets: the same object where it has none, and cut after 64 Ki characters."""
        if is_everyday(value):
            return value
        return _redacted(value, self._names, Meaning.PLAIN, "")

    def fields(self, values: Mapping[str, object]) -> dict[str, object]:
        """`values` as plain data without their secrets.

        Containers are walked 24 deep and for 4,000 values in all, and what is left out is marked. Bytes, exceptions
        and other objects become the redacted text of their `str()`.
        """
        try:
            return _Walk(self._names).mapping(cast("_Mapping", values), 0)
        except Exception:  # noqa: BLE001 - a mapping of the caller's own may raise anything
            return {"unreadable": _UNREADABLE}

    def findings(self, value: str, name: str = "") -> list[Finding]:
        """What is replaced in the first 64 Ki characters of `value`, the value of the field `name`, in order."""
        meaning = self._names.meaning(name)
        if meaning is Meaning.SECRET:
            return [Finding(0, len(value), "field", name)] if not is_said_nothing(value) else []
        return findings(value[:_LONGEST], self._names, meaning, name)

    def is_secret(self, name: str) -> bool:
        """Whether a field of that `name` is redacted whatever it holds."""
        return self._names.meaning(name) is Meaning.SECRET

    def suspicion(self, name: str, value: str) -> str:
        """Why `value` under `name` may be a leak although nothing redacts it: a few words, empty where it hardly is."""
        return suspicion(name, value, self._names)


class _Walk:
    """One passage through a record: how many values may still be visited, and which containers are open."""

    __slots__ = ("_left", "_names", "_open")

    def __init__(self, names: Names) -> None:
        self._names = names
        self._left = _MOST_VALUES
        self._open: set[int] = set()

    def mapping(self, values: _Mapping, depth: int) -> dict[str, object]:
        told: dict[str, object] = {}
        beside = _named_beside(values, self._names) if len(values) > 1 else None
        for key, value in islice(values.items(), self._left):
            name = key if type(key) is str else _as_text(key)
            plain = (len(name) < _NO_KEY and name.isidentifier()) or is_everyday(name)
            shown = name if plain else _redacted(name, self._names, Meaning.PLAIN, "")
            if shown in told:
                shown = f"{shown} ({len(told)})"
            told[shown] = _FIELD if name == beside else self._value(name, value, depth)
        if len(told) < len(values):
            told["[cut]"] = f"{len(values) - len(told)} more values"
        return told

    def _value(self, name: str, value: object, depth: int) -> object:
        self._left -= 1
        meaning = self._names.meaning(name)
        if meaning is Meaning.SECRET and _says_something(name, value):
            return _FIELD
        kind = type(value)
        if kind is str:
            text = cast("str", value)
            return text if is_everyday(text) else _redacted(text, self._names, meaning, name)
        if value is None or kind is bool or kind is float:
            return value
        if isinstance(value, int):
            return self._number(int(value))
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._container(name, cast("_Mapping | _Sequence", value), depth + 1)
        return _redacted(_as_text(value), self._names, meaning, name)

    def _number(self, value: int) -> object:
        if -_PLAIN_NUMBER < value < _PLAIN_NUMBER:
            return value
        text = _as_text(value)
        shown = _redacted(text, self._names, Meaning.PLAIN, "")
        return value if shown == text and -(2**63) <= value < 2**64 else shown

    def _container(self, name: str, value: _Mapping | _Sequence, depth: int) -> object:
        mark = id(value)
        if mark in self._open:
            return "[cut: it contains itself]"
        if depth > _DEEPEST or self._left <= 0:
            return f"[cut: {len(value)} values]"
        self._open.add(mark)
        try:
            return self.mapping(value, depth) if isinstance(value, Mapping) else self._sequence(name, value, depth)
        finally:
            self._open.discard(mark)

    def _sequence(self, name: str, values: _Sequence, depth: int) -> object:
        if len(values) == 2 and isinstance(values, list | tuple):
            first = values[0]
            if isinstance(first, str | bytes) and self._names.meaning(_as_text(first)) is Meaning.SECRET:
                return [_as_text(first), _FIELD]  # a header or a pair of a query
        told = [self._value(name, value, depth) for value in islice(values, self._left)]
        if len(told) < len(values):
            told.append(f"[cut: {len(values) - len(told)} more values]")
        return told


def _named_beside(values: _Mapping, names: Names) -> str | None:
    """The key whose value has its name beside it, where that name is secret: {"name": "token", "value": ...}."""
    for label, key in _BESIDE:
        if label in values and key in values:
            said = values[label]
            path = cast("list[object] | tuple[object, ...]", said) if isinstance(said, list | tuple) else (said,)
            last = path[-1] if path else None
            if isinstance(last, str | bytes) and names.meaning(_as_text(last)) is Meaning.SECRET:
                return key
    return None


def _says_something(name: str, value: object) -> bool:
    """Whether `value` under a secret name gives anything away; counts of tokens do not."""
    if value is None or value is True or value is False or value == "":
        return False
    return not (isinstance(value, int | float) and name.lower().endswith("tokens"))


def _as_text(value: object) -> str:
    """The text of any object; one whose `str()` raises is told as such."""
    try:
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, bytes | bytearray):
            return f"[cut: {len(value)} bytes]" if len(value) > _LONGEST else value.decode("utf-8", "backslashreplace")
        return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else str(value)
    except Exception:  # noqa: BLE001 - the str() of a foreign object may raise anything
        return f"[unprintable {type(value).__name__}]"


def _redacted(text: str, names: Names, meaning: Meaning, name: str) -> str:
    try:
        found = findings(text[: _LONGEST + _BEYOND], names, meaning, name)
    except Exception:  # noqa: BLE001 - what cannot be looked through is not shown
        return _UNREADABLE
    if not found and len(text) <= _LONGEST:
        return text
    parts: list[str] = []
    position = 0
    for finding in found:
        if finding.start >= _LONGEST:
            break
        parts += (text[position : finding.start], f"[redacted:{finding.kind}]")
        position = finding.end
    if len(text) <= _LONGEST:
        return "".join(parts) + text[position:]
    cut = max(position, _LONGEST)
    return f"{''.join(parts)}{text[position:cut]}[cut: {len(text) - cut} characters]"
