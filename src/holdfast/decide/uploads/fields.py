"""Structured fields (RFC 9651): items and dictionaries, read strictly as its section 4.2 says, and what we write.

A field that cannot be read is None as a whole: the specifications that use it say "ignore the field".
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Final, NamedTuple, NoReturn, TypeAlias


class Token(str):
    """A word without quotes."""

    __slots__ = ()


class Date(int):
    """Seconds since the epoch."""

    __slots__ = ()


class Display(str):
    """Text of any script."""

    __slots__ = ()


Bare: TypeAlias = int | float | str | Token | bytes | bool | Date | Display


class Item(NamedTuple):
    """A value and its parameters."""

    value: Bare
    parameters: Mapping[str, Bare]


class Inner(NamedTuple):
    """An inner list and its parameters."""

    items: tuple[Item, ...]
    parameters: Mapping[str, Bare]


class _Unreadable(Exception):
    """The field is not well-formed."""


LONGEST: Final = 16_384
"""Characters of a field that are read; a longer one is not well-formed to us."""
_KEY: Final = re.compile(r"[a-z*][a-z0-9_.*-]*")
_NUMBER: Final = re.compile(r"-?(?:[0-9]{1,12}\.[0-9]{1,3}|[0-9]{1,15})(?![0-9.])")
_STRING: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_TOKEN: Final = re.compile(r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*")
_BYTES: Final = re.compile(r":((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}={0,2}|[A-Za-z0-9+/]{3}=?)?):")
_DATE: Final = re.compile(r"@(-?[0-9]{1,15})(?![0-9.])")
_DISPLAY: Final = re.compile(r'%"((?:[ !#$&-~]|%[0-9a-f]{2})*)"')
_SPACES: Final = re.compile(r" *")
_OPTIONAL_SPACE: Final = re.compile(r"[ \t]*")


def item(text: str | None) -> Item | None:
    """The item that a field holds; None if it holds none."""
    if text is None:
        return None
    try:
        reader = _Reader(text)
        found = reader.item()
        reader.end()
    except _Unreadable:
        return None
    return found


def integer(text: str | None) -> int | None:
    """The non-negative integer that a field holds, whatever its parameters; None if it holds none."""
    found = item(text)
    return found.value if found is not None and type(found.value) is int and found.value >= 0 else None


def boolean(text: str | None) -> bool | None:
    """The boolean that a field holds, whatever its parameters; None if it holds none."""
    found = item(text)
    return found.value if found is not None and isinstance(found.value, bool) else None


def dictionary(text: str | None) -> Mapping[str, Item | Inner] | None:
    """The dictionary that a field holds, in order; None if it is not well-formed or was not sent."""
    if text is None:
        return None
    try:
        return _Reader(text).dictionary()
    except _Unreadable:
        return None


def written(members: Mapping[str, int | bytes | bool]) -> str:
    """A dictionary as a field."""
    return ", ".join(key if value is True else f"{key}={_bare(value)}" for key, value in members.items())


def flag(value: bool) -> str:
    """A boolean as a field."""
    return "?1" if value else "?0"


def _bare(value: int | bytes | bool) -> str:
    if isinstance(value, bytes):
        return f":{b64encode(value).decode()}:"
    return flag(value) if isinstance(value, bool) else str(value)


class _Reader:
    """Reads a field from its start. Every method raises _Unreadable where the field is not well-formed."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST or not text.isascii():
            self._fail()
        self._text = text
        self._at = 0
        self._skip(_SPACES)

    def end(self) -> None:
        """Nothing but spaces may follow."""
        self._skip(_SPACES)
        if self._at < len(self._text):
            self._fail()

    def dictionary(self) -> Mapping[str, Item | Inner]:
        """The whole field is a dictionary, perhaps an empty one."""
        self._text = self._text.rstrip(" ")
        found: dict[str, Item | Inner] = {}
        while self._at < len(self._text):
            key = self._match(_KEY)
            found.pop(key, None)  # the last one counts, and stands where it came
            found[key] = self._member()
            self._skip(_OPTIONAL_SPACE)
            if self._at == len(self._text):
                break
            self._take(",")
            self._skip(_OPTIONAL_SPACE)
            if self._at == len(self._text):
                self._fail()  # a comma at the end
        return found

    def item(self) -> Item:
        """A value with its parameters."""
        return Item(self._value(), self._parameters())

    def _member(self) -> Item | Inner:
        if not self._next("="):
            return Item(value=True, parameters=self._parameters())
        return self._inner() if self._next("(") else self.item()

    def _inner(self) -> Inner:
        items: list[Item] = []
        while True:
            spaces = self._skip(_SPACES)
            if self._next(")"):
                return Inner(tuple(items), self._parameters())
            if items and not spaces:
                self._fail()
            items.append(self.item())

    def _parameters(self) -> Mapping[str, Bare]:
        found: dict[str, Bare] = {}
        while self._next(";"):
            self._skip(_SPACES)
            key = self._match(_KEY)
            found.pop(key, None)
            found[key] = self._value() if self._next("=") else True
        return found

    def _value(self) -> Bare:
        first = self._text[self._at : self._at + 1]
        if first == "?":
            return self._boolean()
        if first == '"':
            return re.sub(r"\\(.)", r"\1", self._match(_STRING, 1))
        if first == ":":
            return self._bytes()
        if first == "@":
            return Date(self._match(_DATE, 1))
        if first == "%":
            return self._display()
        if first.isdigit() or first == "-":
            number = self._match(_NUMBER)
            return float(number) if "." in number else int(number)
        return Token(self._match(_TOKEN))

    def _boolean(self) -> bool:
        self._take("?")
        if self._next("1"):
            return True
        self._take("0")
        return False

    def _bytes(self) -> bytes:
        coded = self._match(_BYTES, 1).rstrip("=")
        return b64decode(coded + "=" * (-len(coded) % 4))  # RFC 9651, 4.2.7: missing padding is put up with

    def _display(self) -> Display:
        coded = self._match(_DISPLAY, 1)
        raw = re.sub(rb"%([0-9a-f]{2})", lambda hexadecimal: bytes.fromhex(hexadecimal[1].decode()), coded.encode())
        try:
            return Display(raw.decode())
        except UnicodeDecodeError:
            self._fail()

    def _match(self, pattern: re.Pattern[str], group: int = 0) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            self._fail()
        self._at = found.end()
        return found[group]

    def _skip(self, pattern: re.Pattern[str]) -> int:
        start, found = self._at, pattern.match(self._text, self._at)
        self._at = start if found is None else found.end()
        return self._at - start

    def _next(self, character: str) -> bool:
        if not self._text.startswith(character, self._at):
            return False
        self._at += 1
        return True

    def _take(self, character: str) -> None:
        if not self._next(character):
            self._fail()

    def _fail(self) -> NoReturn:
        raise _Unreadable
