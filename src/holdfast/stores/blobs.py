"""Where the bytes of uploads lie: what every such store promises. One contract test holds for all of them."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self

UPLOAD_ID: Final = re.compile("[0-9a-f]{32}")


class Saved(NamedTuple):
    """What is safe: power loss and kill -9 take none of it."""

    offset: int
    """How many bytes."""
    state: str
    """What the store needs to go on from there, for the ledger to keep: opaque, of a few kilobytes; empty at first."""


Current = Callable[[], Awaitable[object]]
"""Asks the ledger whether a turn is still the newest. Raises Evicted if it is over."""


class Part(Protocol):
    """An upload that is being received, opened by the one who holds its turn.

    Every method raises Evicted once somebody else has opened the upload. After any other error the part is done for:
    nothing more can be written to it or saved, what was saved before stays safe, and whoever opens the upload anew goes
    on from there.
    """

    @property
    def offset(self) -> int:
        """How many bytes it has taken, safe or not."""
        ...

    async def write(self, pieces: Sequence[bytes]) -> None:
        """Take bytes. They are not safe yet. Raises InsufficientStorage, Unavailable, perhaps for an earlier write.

        They are taken at once, also if the call is cancelled; what it waits for is room for more. It may be called
        while `sync` is under way, but not by two at the same time.
        """
        ...

    async def sync(self) -> Saved:
        """Make all that was taken so far safe. Only what this returns may be acknowledged.

        To call it again, or `publish`, says that the ledger has kept what it returned last: what was needed only for
        going on from before that may be removed. Raises InsufficientStorage, Unavailable.
        """
        ...

    def read(self) -> AsyncGenerator[bytes]:
        """What was saved, from the start, in pieces; for a hash that has to be made anew, or a scan.

        Raises NotImplementedError where a store cannot read what is not published yet.
        """
        ...

    async def publish(self) -> None:
        """Make the whole visible under the upload's ID, at once and durably. The ledger has kept all of it as saved.

        Doing it twice, after a crash in between, does no harm. Raises InsufficientStorage, Unavailable; then it may or
        may not be visible, and is to be published again.
        """
        ...


class Blobs(Protocol):
    """A store of uploads and of the files that came of them.

    IDs are 32 hexadecimal digits, made here: no name from outside reaches it, and another one is an AssertionError.
    It is entered once in each process before it is used, and left at the end. Every method raises Unavailable where the
    store cannot be reached, or fails.
    """

    async def __aenter__(self) -> Self:
        """Open it."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of what it holds open: files, threads, connections."""
        ...

    def opened(self, upload_id: str, saved: Saved, current: Current | None = None) -> AbstractAsyncContextManager[Part]:
        """Open an upload to append behind what was saved; what is there beyond that is cut off.

        `saved` is what the ledger kept last: `Saved(0, "")` for a new one. Whoever had it open before, here or in
        another process, can write no more once this has opened it. `current` is asked when nobody else can write any
        more, and before anything is cut off: for a turn that is over by then has an old `saved`, and what others had
        acknowledged since would be lost.

        Raises Unavailable if whoever has it does not let go within a second or so, UploadGone if what was saved is not
        there, and what `current` raises. An upload that is published already can be opened, to be read and published
        again.
        """
        ...

    async def join(self, upload_id: str, parts: Sequence[tuple[str, Saved]]) -> Saved:
        """Begin an upload with the bytes of others, in order (tus concatenation). They stay.

        All of their bytes were saved, and they will get no more; a store that cannot read them otherwise publishes
        them. Doing it twice does no harm. Raises UploadGone if one is not there.
        """
        ...

    def read(self, upload_id: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """A published file, or the bytes from `start` up to `end` of it, in pieces. Raises NotFound.

        What lies behind the end of the file is left out.
        """
        ...

    async def size(self, upload_id: str) -> int | None:
        """The size of a published file; None if there is none."""
        ...

    async def remove(self, upload_id: str, saved: Saved | None = None) -> None:
        """Remove whatever there is under the ID, published or not. What is gone already is fine."""
        ...

    def leftovers(self, older_than: float) -> AsyncGenerator[str]:
        """The IDs of everything unpublished that nobody has touched since `older_than` (seconds since the epoch)."""
        ...

    async def free(self) -> int | None:
        """How many bytes still find room; None where that has no bound."""
        ...


def checked(upload_id: str) -> str:
    """Return `upload_id` if it is one; otherwise it is an AssertionError, for then it was not made here."""
    if UPLOAD_ID.fullmatch(upload_id) is None:
        raise AssertionError("an upload's ID is 32 hexadecimal digits")
    return upload_id
