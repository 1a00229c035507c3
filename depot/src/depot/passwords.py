"""Passwords: what is kept of one is a hash that is expensive to make, so that guessing is expensive too.

scrypt with parameters of OWASP's Password Storage Cheat Sheet: 32 MiB of memory and a quarter of a second. That is
calculation, so these are plain functions, and whoever calls them does it in a thread, a few at a time (`signing_in`).
The parameters stand in each hash (PHC string format), so that they can be raised: old hashes are still understood.
"""

import hashlib
import hmac
import re
import secrets
import unicodedata
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Final

from holdfast import Invalid, Secret

SHORTEST: Final = 15
"""Characters of a password that somebody chose: as NIST SP 800-63B asks where nothing else is asked for."""
_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"
_PHC: Final = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([\w+/]+=*)\$([\w+/]+=*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cost:
    """The parameters of scrypt: N as a power of two, the size of a block, and how many times over."""

    ln: int
    r: int
    p: int


COST: Final = Cost(ln=15, r=8, p=3)
"""What new hashes cost."""


def new_password() -> Secret:
    """A password that can be typed and not guessed: 20 characters of 32, so 100 bits."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))
    return Secret("-".join(groups))


def chosen(password: Secret) -> Secret:
    """A password that somebody chose, if it is long enough. Raises Invalid."""
    if len(password.reveal()) < SHORTEST:
        raise Invalid(f"A password has at least {SHORTEST} characters; a few words will do.")
    return password


def hashed(password: Secret, cost: Cost = COST) -> str:
    """The hash to be kept of a password, with a salt of its own. Takes a while: call it in a thread."""
    salt = secrets.token_bytes(16)
    return f"$scrypt$ln={cost.ln},r={cost.r},p={cost.p}${_text(salt)}${_text(_scrypt(password, salt, cost))}"


def matches(kept: str | None, password: Secret) -> bool:
    """Whether `kept` is the hash of `password`. Takes a while: call it in a thread.

    Without a hash the answer is no, after as much work: who asks cannot tell by the time whether there is one.
    """
    cost, salt, digest = _parts(kept or _NOBODYS)
    same = hmac.compare_digest(_scrypt(password, salt, cost), digest)
    return same and kept is not None


def is_current(kept: str) -> bool:
    """Whether the hash was made with the parameters of today."""
    return _parts(kept)[0] == COST


def _scrypt(password: Secret, salt: bytes, cost: Cost) -> bytes:
    typed = unicodedata.normalize("NFKC", password.reveal()).encode()  # an ä can be typed as one character or as two
    n = 1 << cost.ln
    room = 128 * cost.r * (n + cost.p + 2)
    return hashlib.scrypt(typed, salt=salt, n=n, r=cost.r, p=cost.p, maxmem=room, dklen=32)


def _parts(kept: str) -> tuple[Cost, bytes, bytes]:
    found = _PHC.fullmatch(kept)
    if found is None:
        msg = "what is kept of a password is not a hash of scrypt"
        raise ValueError(msg)
    ln, r, p, salt, digest = found.groups()
    return Cost(int(ln), int(r), int(p)), b64decode(salt), b64decode(digest)


def _text(data: bytes) -> str:
    return b64encode(data).decode()


_NOBODYS: Final = f"$scrypt$ln={COST.ln},r={COST.r},p={COST.p}${_text(bytes(16))}${_text(bytes(32))}"
