"""Whether a run of characters looks drawn by lot, as keys are, or made of words, numbers and identifiers.

Random letters and digits change class (small, capital, digit) at about 0.6 of their places, `CamelCaseNames2` and
`release-2024-01-15` at far fewer. Hexadecimal text is never judged by its looks: a hash and a key look the same.
"""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from itertools import pairwise
from typing import Final

from holdfast.decide.redaction.names import Meaning, Names

RUN: Final = re.compile(r"[A-Za-z0-9_+/.~-]{16,}+={0,2}")
PIECE: Final = re.compile(r"[A-Za-z0-9_+~-]{16,}+={0,2}")
UUID: Final = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_DULL: Final = re.compile(r"[a-z_./+-]+|[A-Z_./+-]+|[\d_./+:-]+")
_HEX: Final = re.compile(r"(?:0x)?(?:[0-9a-f]+(?:-[0-9a-f]+)*|[0-9A-F]+(?:-[0-9A-F]+)*)(?:-\d{1,5})?")
_DIGEST: Final = re.compile(r"(?:sha|md)-?\d{1,3}[-=:].*|[0-9a-f]{1,8}-[A-Za-z0-9+/]{27}=?")
_TIMED: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}|\d{8}T\d{6,12}Z?")
_LONG_PART: Final = re.compile(r"[A-Za-z0-9]{10,}")
_WORD_PART: Final = re.compile(r"(?:^|[_./+-])[A-Z]?[a-z]{3,}(?=[_./+-]|$)")
_HEADED: Final = re.compile(r"([A-Za-z][A-Za-z_-]{0,60}?)[_-]+(?=[A-Za-z]{0,24}\d)(.{16,})")
_CREDENTIAL_WORDS: Final = frozenset(
    """
    sk pat tok tkn aat pw oauth live prod priv api rk
    """.split()
)
_CHANGES_AT: Final = 0.33
_ALONE: Final = 32
_BASE64: Final = 40
_DIGITS: Final = 6
_VOWELS: Final = 0.25


def is_dull(run: str) -> bool:
    """Whether `run` is words in one case, or digits, with signs between them: no key, at a glance."""
    return _DULL.fullmatch(run) is not None


def is_identifier(run: str) -> bool:
    """Whether `run` has the form of a UUID, a hash, a ULID or a time, and stays readable unless a name forbids it."""
    return UUID.fullmatch(run) is not None or _HEX.fullmatch(run) is not None or _TIMED.fullmatch(run) is not None


def may_hold_key(run: str) -> bool:
    """Whether a vendor's key may be in `run`: it has a long piece, and that is no identifier standing alone."""
    return any("." in run or not is_identifier(piece) for piece in PIECE.findall(run) if not is_dull(piece))


def is_digest(run: str) -> bool:
    """Whether `run` is a base64 digest that says so (`sha256-...`), or the ETag that is made of one (`1f4-...`)."""
    return _DIGEST.fullmatch(run) is not None


def is_random(run: str) -> bool:
    """Whether `run`, with nothing around it that tells, looks like a key: long, of several classes, in no order."""
    tail = run.rstrip("=")
    head, _, last = tail.rpartition("_")
    if head.isalpha() and head.islower():
        tail = last  # user_2NNEqL2nrIRd... is somebody's identifier: only what follows the word counts
    if len(tail) < _ALONE or is_identifier(tail):
        return False
    return _mixed(tail) or any(_dense(part) or _scrambled(part) for part in _LONG_PART.findall(tail))


def is_base64(run: str) -> bool:
    """Whether `run` is long base64 with `/` or `+` in it, and no path."""
    return len(run) >= _BASE64 and "." not in run and ("/" in run or "+" in run) and _mixed(run.rstrip("="))


def is_path(run: str) -> bool:
    """Whether `run` is a path or a dotted name, with words between its signs."""
    return run.startswith(("/", ".")) or (("/" in run or "." in run) and _WORD_PART.search(run) is not None)


def is_named_key(run: str, names: Names) -> bool:
    """Whether `run` says of itself that it is a key: `acme_api_1f3k...`, `prod-token-...`."""
    match = _HEADED.fullmatch(run)
    if match is None:
        return False
    head, tail = match[1], match[2]
    if len(head) > 3 and is_secret_after(names.meaning(head), head, tail):
        return True
    words = re.split(r"[_-]", head.lower())
    return not _CREDENTIAL_WORDS.isdisjoint(words) and len(tail) >= 20 and is_key_like(tail)


def is_key_like(run: str) -> bool:
    """Whether `run`, after a name such as `key`, may be one: letters and digits mingled in one long part."""
    if len(run) < 16 or is_identifier(run):
        return False
    return any(_has_both(part) for part in _LONG_PART.findall(run)) or _mixed(run)


def is_secret_after(meaning: Meaning, name: str, run: str) -> bool:
    """Whether `run` is secret where it stands after `name`, with or without a sign between them."""
    if meaning is Meaning.SECRET:
        return len(run) >= 16 and (_has_both(run) or (len(run) >= 20 and run.isalnum()))
    if meaning is not Meaning.KEY or UUID.fullmatch(run):
        return False
    if is_key_like(run):
        return True
    # weatherstack_key=5d41... opens something; "the key 5d41..." may be the key of a row or of a cache
    return name.lower() != "key" and len(run) >= 24 and run.isalnum()


def wrapped(run: str) -> str:
    """The text that `run` is the base64 form of, or the empty string."""
    padded = run.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        text = b64decode(padded + "=" * (-len(padded) % 4), validate=True).decode("ascii")
    except (NotBase64, ValueError):
        return ""
    return text if text.replace("\n", "").isprintable() else ""


def _has_both(run: str) -> bool:
    return any(char.isdigit() for char in run) and any(char.isalpha() for char in run)


def _dense(part: str) -> bool:
    """Whether `part` is one long piece of letters with many digits among them, and no hash."""
    digits = sum(1 for char in part if char.isdigit())
    return len(part) >= _ALONE and digits >= _DIGITS and len(part) - digits >= _DIGITS and not is_identifier(part)


def _scrambled(part: str) -> bool:
    """Whether `part` is one long piece of letters, hardly a digit among them, and no names run together.

    Of random letters 0.2 are vowels, and of English ones 0.4; CamelCase of short words changes case as often as chance.
    """
    vowels = sum(1 for char in part if char in "aeiouAEIOU")
    return len(part) >= _ALONE and vowels <= _VOWELS * len(part) and has_both_cases(part)


def _mixed(run: str) -> bool:
    classes = [1 if char.islower() else 2 if char.isupper() else 3 for char in run if char.isalnum()]
    small, capital, digits = classes.count(1), classes.count(2), classes.count(3)
    if digits < 2 or (min(small, capital) < 2 and digits < 5):
        return False
    changes = sum(1 for left, right in pairwise(classes) if left != right)
    return changes >= _CHANGES_AT * len(classes) and _WORD_PART.search(run) is None


def has_both_cases(run: str) -> bool:
    """Whether small and capital letters mingle in `run` as in a key, not as in CamelCase."""
    changes = sum(1 for left, right in pairwise(run) if left.islower() != right.islower())
    return changes >= _CHANGES_AT * len(run)
