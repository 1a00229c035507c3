"""Whether a run of characters looks drawn by lot, as keys are, or made of words, numbers and identifiers.

Random letters and digits change class (small, capital, digit) at about 0.6 of their places; `CamelCaseNames2` and
`release-2024-01-15` at far fewer. Hexadecimal text is never judged by its looks: a hash and a key look the same.
"""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from typing import Final

from holdfast.decide.redaction.names import Meaning

RUN: Final = re.compile(r"[A-Za-z0-9_+~-]{16,}+={0,2}")
_WORDS: Final = re.compile(r"[a-z]+(?:[_-]+[a-z]+)*|[A-Z]+(?:[_-]+[A-Z]+)*|[\d_+-]+|[_+~-]+")
UUID: Final = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_HEX: Final = re.compile(r"(?:0x)?(?:[0-9a-f]+|[0-9A-F]+)(?:-\d{1,5})?")
_TIMED: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}|\d{8}T\d{6,12}Z?")
_PIECE: Final = re.compile(r"[A-Za-z0-9]{10,}")
_CREDENTIAL_WORD: Final = re.compile(
    r"(?:^|.*[_-])(?:sk|pat|api|apikey|key|tok|tkn|token|secret|pw|oauth|live|prod|private|priv|access|auth)[_-]"
    r"([A-Za-z0-9]{20,})={0,2}"
)
_CHANGES_AT: Final = 0.33
_ALONE: Final = 32


def is_wordy(run: str) -> bool:
    """Whether `run` is words joined by `_` or `-` in one case, or only digits: no key, at a glance."""
    return _WORDS.fullmatch(run) is not None


def is_identifier(run: str) -> bool:
    """Whether `run` has the form of a UUID, a hash, a ULID or a time, and must stay readable unless its name forbids."""
    return (
        UUID.fullmatch(run) is not None or _HEX.fullmatch(run) is not None or _TIMED.fullmatch(run) is not None
    )


def is_random(run: str) -> bool:
    """Whether `run`, with nothing around it that tells, looks like a key: long, of three classes, in no order."""
    tail = run.rstrip("=")
    head, _, last = tail.rpartition("_")
    if head.islower() and head.isalpha():
        tail = last  # user_2NNEqL2nrIRd... is an identifier of somebody: only what follows the word counts
    return len(tail) >= _ALONE and _mixed(tail)


def is_named_key(run: str) -> bool:
    """Whether `run` says of itself that it is a key: `acme_api_1f3k...`, `prod-token-...`."""
    match = _CREDENTIAL_WORD.fullmatch(run)
    return match is not None and _has_both(match[1]) and not is_identifier(match[1])


def is_key_like(run: str) -> bool:
    """Whether `run`, after a name such as `key`, may be one: letters and digits mingled in one long piece."""
    if len(run) < 16 or is_identifier(run):
        return False
    return any(_has_both(piece) for piece in _PIECE.findall(run)) or _mixed(run)


def is_secret_after(meaning: Meaning, name: str, run: str) -> bool:
    """Whether `run` is secret where it stands after `name`, with or without a sign between them."""
    if meaning is Meaning.SECRET:
        return len(run) >= 16 and _has_both(run)
    if meaning is not Meaning.KEY:
        return False
    if is_key_like(run):
        return True
    # weatherstack_key=5d41... opens something; "the key 5d41..." may be the key of a row or of a cache
    return name.lower() != "key" and len(run) >= 24 and _has_both(run) and UUID.fullmatch(run) is None


def wrapped(run: str) -> str:
    """The text that `run` is the base64 form of, or the empty string."""
    padded = run.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        text = b64decode(padded + "=" * (-len(padded) % 4), validate=True).decode("ascii")
    except (NotBase64, ValueError):
        return ""
    return text if text.isprintable() else ""


def _has_both(run: str) -> bool:
    return any(char.isdigit() for char in run) and any(char.isalpha() for char in run)


def _mixed(run: str) -> bool:
    classes = [1 if char.islower() else 2 if char.isupper() else 3 if char.isdigit() else 0 for char in run]
    if min(classes.count(1), classes.count(2)) < 2 or classes.count(3) < 1:
        return False
    changes = sum(1 for left, right in zip(classes, classes[1:], strict=False) if left != right)
    return changes >= _CHANGES_AT * len(run)
