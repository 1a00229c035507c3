"""The words of uploads: what a client may ask, in whichever dialect, and what is known of an upload.

Each dialect is parsed into these commands, a table in `rules` decides, one engine acts, and the dialect makes the
answer out of what came of it. A second dialect is a second parser, never a second engine.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Phase(StrEnum):
    """Where an upload stands."""

    RECEIVING = "receiving"
    """Bytes may be appended."""
    FINISHING = "finishing"
    """All bytes are safe; digests, the scan and the application's own part are under way, and survive a restart."""
    FINISHED = "finished"
    """Whole, visible, and the application knows it."""
    REFUSED = "refused"
    """It will never be whole: a wrong digest, a verdict, a quota that is gone. It says why until it expires."""


class Kind(StrEnum):
    """What an upload is to become (tus concatenation has all three)."""

    WHOLE = "whole"
    PARTIAL = "partial"
    """A piece of a final one; no file by itself."""
    FINAL = "final"
    """Made of partial ones that are whole."""


class Digest(NamedTuple):
    """What some bytes must hash to."""

    algorithm: str
    """As RFC 9530 writes it: sha-256, sha-512; tus adds sha1, md5."""
    value: bytes


@dataclass(frozen=True, slots=True)
class Upload:
    """What is known of an upload. The ledger keeps it."""

    id: str
    """32 hexadecimal digits of chance: ours, not to be guessed, and the name under which the bytes lie."""
    owner: str
    """Who created it, as the application's authorisation said. Only they may touch it."""
    created: float
    """Seconds since the epoch."""
    expires: float
    """When it may be removed if nobody goes on with it, in seconds since the epoch."""
    phase: Phase = Phase.RECEIVING
    offset: int = 0
    """How many bytes are safe."""
    length: int | None = None
    """How many there will be; None while that is not known."""
    name: str | None = None
    """The client's name for the file: data, never a path."""
    media_type: str | None = None
    """What the client says it is: data, never believed."""
    metadata: str = ""
    """What the client sent as tus Upload-Metadata, to be given back as it was."""
    kind: Kind = Kind.WHOLE
    parts: tuple[str, ...] = ()
    """The IDs that a final one is made of."""
    digests: tuple[Digest, ...] = ()
    """What the whole must hash to."""
    sha256: str | None = None
    """Of the whole, in hexadecimal, once it is finished."""
    result: str | None = None
    """What the application calls the file that came of it."""
    problem: str | None = None
    """The code of the problem, where it is refused."""
    turn: int = 0
    """Which claim holds it: each request that appends takes the next turn, and with an older one nothing is saved."""


# -- what a client may ask --


@dataclass(frozen=True, slots=True)
class Create:
    """A new upload, perhaps with its first bytes, or all of them."""

    length: int | None
    """How many bytes the whole has; None: told later."""
    name: str | None = None
    media_type: str | None = None
    metadata: str = ""
    kind: Kind = Kind.WHOLE
    parts: tuple[str, ...] = ()
    digests: tuple[Digest, ...] = ()
    """Of the whole."""
    has_content: bool = False
    """Whether the body of the request holds bytes of the file."""
    ends: bool | None = None
    """Whether the whole ends with this body. None: it does where it reaches its length (tus)."""
    content_length: int | None = None
    """Bytes of this body, where the request says so."""
    content_digests: tuple[Digest, ...] = ()
    """Of this body."""


@dataclass(frozen=True, slots=True)
class Append:
    """More bytes, from an offset on."""

    offset: int
    length: int | None = None
    """How many bytes the whole has, where it is told now."""
    ends: bool | None = None
    """Whether the whole ends with this body. None: it does where it reaches its length (tus)."""
    content_length: int | None = None
    content_digests: tuple[Digest, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """How far is it?"""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody wants it any more."""


Command = Create | Append | Look | Cancel
