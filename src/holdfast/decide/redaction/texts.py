"""What in a text must not be shown: all findings of all kinds, put in order."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from holdfast.decide.redaction import opaque
from holdfast.decide.redaction.named import named
from holdfast.decide.redaction.names import Meaning, Names
from holdfast.decide.redaction.shapes import Finding, shaped, vendor_keys

# Texts of everyday that can hold no secret: words, paths, addresses, numbers and times, with a UUID among them.
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_EVERYDAY: Final = re.compile(
    rf"(?:/(?:[a-z_.-]{{1,40}}|\d{{1,8}}|[a-z]\d{{1,2}}|{_UUID}|$))+"
    rf"|[A-Z]?(?:[a-z/_.{{}} ,]|-(?!-))*(?:(?<![0-9a-z]){_UUID}(?:[a-z/_.{{}}]|-(?![-0-9]))*)?"
    rf"|(?:user|account|admin|tenant|team|org|group|role|service|job|task|worker|file|order|item|id):(?:\d{{1,11}}|{_UUID})"
    r"|[A-Z]{1,10}|\d{1,11}|\d{1,6}\.\d{1,6}|\d{1,3}(?:\.\d{1,3}){3}|\d{4}-\d\d-\d\dT[\d:.]{5,15}(?:Z|[+-]\d\d:\d\d)?"
)
_EVERYDAY_LENGTH: Final = 160
_GAP: Final = "\"'`:=>([ \t"
_OPENERS: Final = "\"'`([{<,;"
_CUT: Final = re.compile(r"[=:&?,;]")
_NAME: Final = re.compile(r"[\w.$-]+")
_LONGEST_GAP: Final = 5
_LOOKED_BACK: Final = 64


def is_everyday(text: str) -> bool:
    """Whether one look shows that `text` holds nothing to hide."""
    return len(text) <= _EVERYDAY_LENGTH and _EVERYDAY.fullmatch(text) is not None


def findings(text: str, names: Names, meaning: Meaning = Meaning.PLAIN, name: str = "") -> list[Finding]:
    """What must not be shown in `text`, the value of the field `name`, which has that `meaning`: in order."""
    return _in_order(_all(text, names, meaning, name))


def _all(text: str, names: Names, meaning: Meaning, field: str) -> Iterator[Finding]:
    yield from shaped(text)
    yield from named(text, names)
    has_keys = False
    for match in opaque.RUN.finditer(text):
        run = match[0]
        said, name = _said_before(text, match.start(), names) or (meaning, field)
        if opaque.is_secret_after(said, name, run) and not opaque.is_path(run):
            yield Finding(match.start(), match.end(), "opaque", name)
        elif not opaque.is_dull(run):
            has_keys = has_keys or opaque.may_hold_key(run)
            yield from _of_run(match, names, Meaning.LABEL if opaque.is_digest(run) else said)
    if has_keys:
        yield from vendor_keys(text)


def _of_run(match: re.Match[str], names: Names, meaning: Meaning) -> Iterator[Finding]:
    """What must not be shown of a long run that no word before it explains."""
    run, start = match[0], match.start()
    if meaning is not Meaning.LABEL and opaque.is_base64(run):
        yield Finding(start, match.end(), "opaque")
        return
    for piece in opaque.PIECE.finditer(run):
        kind = _kind(piece[0], names, meaning)
        if kind:
            yield Finding(start + piece.start(), start + piece.end(), kind)


def _kind(piece: str, names: Names, meaning: Meaning) -> str:
    if opaque.is_identifier(piece):
        return ""
    if opaque.is_named_key(piece, names):
        return "key"
    if meaning is not Meaning.LABEL and opaque.is_random(piece):
        return "opaque"
    hidden = opaque.wrapped(piece) if len(piece) >= 20 else ""
    return "encoded" if hidden and _hides(hidden, names) else ""


def _said_before(text: str, start: int, names: Names) -> tuple[Meaning, str] | None:
    """What the last word before a run says of it, or the last two; nothing where they say nothing."""
    window = text[max(0, start - _LOOKED_BACK) : start]
    before = window.rstrip(_GAP)
    if not before or not 1 <= len(window) - len(before) <= _LONGEST_GAP:
        return None
    head, _, last = before.rpartition(" ")
    last = _CUT.split(last.lstrip(_OPENERS))[-1]
    if not _NAME.fullmatch(last):
        return None
    both = f"{head.rpartition(' ')[2].lstrip(_OPENERS)} {last}" if head else last
    meaning = names.meaning(last)
    if meaning in {Meaning.PLAIN, Meaning.KEY} and both != last:
        together = names.meaning(both)
        if together in {Meaning.SECRET, Meaning.LABEL}:
            return together, both
    return None if meaning is Meaning.PLAIN else (meaning, last)


def _hides(text: str, names: Names) -> bool:
    return any(True for find in (shaped(text), named(text, names), vendor_keys(text)) for _ in find)


def _in_order(found: Iterable[Finding]) -> list[Finding]:
    """Findings by position; those that overlap become one, of the kind of the first."""
    # In scheme://user:pass@host, pass@host is no address: the host stays.
    ordered: list[Finding] = []
    for finding in sorted(found):
        last = ordered[-1] if ordered else None
        if last is None or finding.start >= last.end:
            ordered.append(finding)
        elif finding.end > last.end and (finding.kind, last.kind) != ("email", "url-credentials"):
            ordered[-1] = last._replace(end=finding.end)
    return ordered
