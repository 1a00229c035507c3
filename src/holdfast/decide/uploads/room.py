"""How much may be reserved for uploads, and what is refused. Every ledger asks this, inside its transaction."""

from typing import NamedTuple

from holdfast.errors import QuotaExceeded, TooManyUploads


class Room(NamedTuple):
    """What may be reserved. None: no bound."""

    owner_bytes: int | None = None
    """What all unfinished uploads of an owner may have together."""
    owner_uploads: int | None = None
    """How many unfinished uploads an owner may have."""
    all_bytes: int | None = None
    """What all unfinished uploads may have together."""
    as_of: int | None = None
    """How many uploads of the owner were finished when this was read; None: it does not depend on that."""


class Used(NamedTuple):
    """What is reserved already, without the upload that asks."""

    owner_bytes: int
    owner_uploads: int
    all_bytes: int
    released: int
    """How many uploads of the owner were finished so far."""


class OutOfDate(Exception):
    """A file of the owner was finished since the room was read, so the room must be read again."""


def check(room: Room, used: Used, wanted: int) -> None:
    """Raise what stands against reserving `wanted` bytes: OutOfDate, TooManyUploads or QuotaExceeded."""
    if room.as_of is not None and used.released != room.as_of:
        raise OutOfDate
    if room.owner_uploads is not None and used.owner_uploads >= room.owner_uploads:
        raise TooManyUploads(headers={"retry-after": "60"})
    if room.owner_bytes is not None and used.owner_bytes + wanted > room.owner_bytes:
        raise QuotaExceeded
    if room.all_bytes is not None and used.all_bytes + wanted > room.all_bytes:
        raise QuotaExceeded("There is no room for more uploads at the moment.")
