"""What an application brings to uploads: who may, how much, what is bad, and what becomes of a file."""

from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum
from typing import NamedTuple

from holdfast.asgi import Scope
from holdfast.decide.uploads.room import Room
from holdfast.decide.uploads.vocabulary import Upload


class Verdict(StrEnum):
    """What a scan found."""

    CLEAN = "clean"
    INFECTED = "infected"
    NOT_SCANNED = "not-scanned"
    """Nobody looked, for the file is too large for the scanner, say. It is never told of as clean."""
    FAILED = "failed"
    """The scanner could not do its work; it is asked again later, and nobody sees the file before."""


class Whole(NamedTuple):
    """A file that is whole, and durable."""

    upload: Upload
    size: int
    """Bytes."""
    sha256: str
    """Of its bytes, in hexadecimal."""
    media_type: str
    """What it is by its first bytes, whatever its sender says; `application/octet-stream` where they do not tell."""
    verdict: Verdict


Authorise = Callable[[Scope], Awaitable[str]]
"""Says who sends a request, by its head alone: the owner of what they upload. Raises Unauthorised, Forbidden.

Asked before anything else, and again when an upload ends."""

Quota = Callable[[str], Awaitable[Room]]
"""What an owner may have reserved now: `Room(owner_bytes=...)` with what they have left."""

Scan = Callable[[Upload, AsyncIterator[bytes]], Awaitable[Verdict]]
"""Looks into a whole file before anybody else can see it."""

Finished = Callable[[Whole], Awaitable[str | None]]
"""Takes over a file; returns what the application calls it, or None for the ID of the upload.

It may be called again for the same upload after a crash, and must then do nothing but return the same. A HoldfastError
below 500 refuses the file, and its bytes go; anything else is tried again later.
"""


class Hooks(NamedTuple):
    """All of them."""

    authorise: Authorise
    quota: Quota | None = None
    scan: Scan | None = None
    finished: Finished | None = None
