"""What is known of uploads, kept where all workers and replicas see it: what every such store promises."""

from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from holdfast.decide.uploads.room import Room
from holdfast.decide.uploads.vocabulary import Phase, Upload
from holdfast.stores.blobs import Saved


class Entry(NamedTuple):
    """An upload, and how far its bytes are safe."""

    upload: Upload
    saved: Saved


class Ledger(Protocol):
    """Keeps uploads. Each method is one transaction, durable when it returns; all may be called from many processes.

    It is entered once in each process before it is used, and left at the end. Every method raises Unavailable where
    the ledger cannot be reached in time, and InsufficientStorage where it has no room.
    """

    async def __aenter__(self) -> Self:
        """Open it, and make its tables where there are none."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        ...

    async def create(self, upload: Upload, reserve: int, room: Room) -> None:
        """Add an upload and reserve so many bytes for it, both or neither.

        Raises QuotaExceeded, TooManyUploads, and OutOfDate where `room` was read before something was released.
        """
        ...

    async def reserve(self, upload_id: str, turn: int, total: int, room: Room) -> None:
        """Change what an upload has reserved to `total` bytes. Raises QuotaExceeded, OutOfDate, Evicted."""
        ...

    async def released(self, owner: str) -> int:
        """How many uploads of an owner were finished so far: read before their quota is, for `Room.as_of`."""
        ...

    async def find(self, upload_id: str) -> Entry | None:
        """An upload; None if nothing is known of it."""
        ...

    async def claim(
        self, upload_id: str, expires: float, phase: Phase, *, over_at: float | None = None
    ) -> Entry | None:
        """Take the next turn of an upload in `phase`: whoever held it can save no more. It expires at `expires` then.

        None, and nobody's turn is over, if it is unknown or in another phase, or if its time is not over at `over_at`.
        """
        ...

    async def turns(self, upload_ids: Collection[str]) -> Mapping[str, int]:
        """The present turn of each that is still known: holders ask whether theirs is over."""
        ...

    async def save(
        self,
        upload_id: str,
        turn: int,
        saved: Saved,
        *,
        length: int | None,
        expires: float,
        phase: Phase | None = None,
    ) -> None:
        """Note how far the bytes are safe, and with `phase` that its end begins.

        Raises Evicted if the turn is over, or the upload is gone or finished.
        """
        ...

    async def advance(
        self,
        upload_id: str,
        turn: int,
        phase: Phase,
        *,
        sha256: str | None = None,
        result: str | None = None,
        problem: str | None = None,
        expires: float | None = None,
        holds: bool = False,
    ) -> None:
        """Go to another phase, once: from receiving on, or from finishing. Raises Evicted.

        What is None stays as it is. Finished and refused ones have nothing reserved any more, unless the upload still
        `holds` it: one that is whole, but only a part of a file.
        """
        ...

    async def remove(self, upload_id: str, *, expired_at: float | None = None) -> bool:
        """Forget an upload, and what it has reserved; with `expired_at` only if its time is over then. Says whether."""
        ...

    async def known(self, upload_ids: Collection[str]) -> set[str]:
        """Which of these are known."""
        ...

    async def expired(self, now: float, limit: int) -> Sequence[Entry]:
        """Uploads whose time is over, the oldest first; never one that is being finished."""
        ...

    async def finishing(self, now: float, limit: int) -> Sequence[Entry]:
        """Uploads whose end was begun, and whose time is over: whoever was at it has died."""
        ...
