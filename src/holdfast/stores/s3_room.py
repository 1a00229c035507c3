"""What uploads in S3 have in memory, counted for all of them together."""

import asyncio
from collections.abc import Sequence


class Room:
    """The memory that all uploads of a store take together."""

    def __init__(self, most: int) -> None:
        """At most about `most` bytes."""
        self._most = most
        self._used = 0
        self._sending = 0
        self._landed = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether it is used up."""
        return self._used > self._most

    @property
    def plenty(self) -> bool:
        """Whether most of it is free."""
        return self._used * 8 < self._most

    @property
    def sending(self) -> bool:
        """Whether parts are on their way, so that there will be more room."""
        return self._sending > 0

    def hold(self, size: int) -> None:
        """Use so many bytes more, or fewer."""
        self._used += size

    def begin(self) -> None:
        """A part is on its way."""
        self._sending += 1

    def end(self, size: int) -> None:
        """A part of so many bytes has landed, or was lost."""
        self._sending -= 1
        self._used -= size
        self._landed.set()

    async def change(self) -> None:
        """Wait until a part has landed."""
        self._landed.clear()
        await self._landed.wait()


def split(pieces: Sequence[bytes], size: int) -> tuple[list[bytes], list[bytes]]:
    """Split off the first `size` bytes of `pieces`, of which there are as many at least."""
    for number, piece in enumerate(pieces):
        if size < len(piece):
            return [*pieces[:number], piece[:size]], [piece[size:], *pieces[number + 1 :]]
        size -= len(piece)
        if not size:
            return list(pieces[: number + 1]), list(pieces[number + 1 :])
    return [], []
