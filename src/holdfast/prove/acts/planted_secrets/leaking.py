"""Finds made-up secrets in what a backend gave out, in whatever form they are there, and never shows them. Pure.

Texts and secrets are compared by their letters and digits alone, in lower case, so that no separator, no quoting and no
list of single characters hides anything. What was percent-encoded or escaped is looked at decoded, too; what was
encoded as base64 or hex is known by how the secret looks then.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote

import msgspec

PIECE: Final = 12
"""So many letters and digits of a secret in a row give it away."""
_HINT: Final = 6
_MOST: Final = 16 << 20
_LOCATED: Final = 40
"""So many are looked for line by line; of more it is only said that they are there."""
_SHOWN: Final = 150
_HERE: Final = "\0"
_ESCAPE: Final = re.compile(r"\\+u00([0-9a-fA-F]{2})|\\+x([0-9a-fA-F]{2})")
_OPAQUE: Final = re.compile(r"[A-Za-z0-9_+/=.-]{24,}")
"""What may be a secret that is not ours; none of it is shown."""
_NO_WORD: Final = re.compile(r"[^a-z0-9]+")


class Planted(NamedTuple):
    """A secret that was made up and sent."""

    value: str
    kind: str
    """In words: `password`."""
    place: str
    """Where it was: `the JSON of POST /items`."""
    number: int
    """Of the request that it was sent with."""
    personal: bool = False
    """Not secret, but of a person: its sender may read it, a log may not."""
    echoed: bool = False
    """Whether the answer to it may repeat it, as one that names a path does."""
    stored: bool = False
    """Whether it may be kept in a file, as what is written may."""


class Leak(msgspec.Struct, frozen=True):
    """A secret that was found where it must not be."""

    kind: str
    place: str
    output: str
    """Where it was found: `the log, line 17`."""
    shown: str = ""
    """What stands around it there."""


def folded(text: str) -> str:
    """Its letters and digits, in lower case."""
    return _NO_WORD.sub("", text.lower())


def needles(value: str) -> frozenset[str]:
    """What gives a secret away: its beginning and its end, as they are, as base64 and as hex."""
    raw = value.encode()
    forms = [folded(value), raw.hex()]
    for skipped in range(3):  # base64 looks different for each place that the secret may begin at
        encoded = (base64.b64encode(bytes(skipped) + raw), base64.urlsafe_b64encode(bytes(skipped) + raw))
        forms += [folded(each.decode()[(4 if skipped else 0) : -4]) for each in encoded]
    return frozenset(
        piece for form in forms if len(form) >= PIECE for piece in (form[:PIECE], form[-PIECE:], form[4 : 4 + PIECE])
    )


def variants(text: str) -> list[str]:
    """A text as it is, and decoded; folded."""
    text = text[:_MOST]
    found = [text]
    for _ in range(2):
        found.append(unquote(found[-1]))
    found.append(_ESCAPE.sub(lambda match: chr(int(match[1] or match[2], 16)), text))
    return list(dict.fromkeys(folded(each) for each in found))


def found_in_text(text: str, planted: Iterable[Planted]) -> list[Planted]:
    """Those that a text gives away."""
    looks = variants(text)
    return [one for one in planted if any(needle in look for needle in needles(one.value) for look in looks)]


def leaks_of_log(lines: Sequence[str], planted: Sequence[Planted]) -> Iterator[Leak]:
    """Each that the log gives away, with the first line that does."""
    found = found_in_text("\n".join(lines), planted)
    if not found:
        return
    looks = [variants(line) for line in lines]
    hints = _hints(planted)
    for count, one in enumerate(found):
        number = _first(looks, needles(one.value)) if count < _LOCATED else -1
        if number is None:
            yield Leak(one.kind, one.place, "the log, over several lines")
        elif number < 0:
            yield Leak(one.kind, one.place, "the log")
        else:
            yield Leak(one.kind, one.place, f"the log, line {number + 1}", _masked(lines[number], hints))


def _first(looks: Sequence[Sequence[str]], wanted: frozenset[str]) -> int | None:
    hits = (at for at, each in enumerate(looks) if any(piece in look for piece in wanted for look in each))
    return next(hits, None)


def _hints(planted: Iterable[Planted]) -> frozenset[str]:
    """What has to do with secrets, piece by piece."""
    return frozenset(
        piece[at : at + _HINT]
        for one in planted
        for piece in (folded(one.value), *needles(one.value))
        for at in range(len(piece) - _HINT + 1)
    )


def masked(text: str, planted: Iterable[Planted]) -> str:
    """What can be shown of a text: each word that has anything of a secret is replaced by ***; cut around the first."""
    return _masked(text, _hints(planted))


def _masked(text: str, hints: frozenset[str]) -> str:
    def hide(word: re.Match[str]) -> str:
        pieces = [each[at : at + _HINT] for each in variants(word[0]) for at in range(max(0, len(each) - _HINT + 1))]
        return _HERE if any(piece in hints for piece in pieces) else word[0]

    shown = _OPAQUE.sub("***", re.sub(r"[^\s\"'{}\[\](),;:=&?]+", hide, text.replace(_HERE, "")))
    if _HERE not in shown:
        return ""
    at = max(0, shown.index(_HERE) - _SHOWN // 2)
    cut = ("…" if at else "") + shown[at : at + _SHOWN] + ("…" if len(shown) > at + _SHOWN else "")
    return cut.replace(_HERE, "***")


def in_bytes(data: bytes, planted: Iterable[Planted]) -> list[Planted]:
    """Those that stand in a file as they are, or as base64."""
    return [
        one
        for one in planted
        if any(
            form in data
            for form in (
                one.value.encode(),
                base64.b64encode(one.value.encode()).rstrip(b"=")[:-1],
                one.value.encode("utf-16-le"),
            )
        )
    ]
