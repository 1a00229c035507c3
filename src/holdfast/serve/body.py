"""What comes of a request's body, and how whoever waits for it is woken."""

import asyncio
from typing import Literal, Self


class Flag(asyncio.Event):
    """An event that makes what waiting needs only once somebody waits: most requests are whole when they are read."""

    def __init__(self) -> None:
        """Not set."""
        self._on = False
        self._waited_for: asyncio.Event | None = None

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._on

    def set(self) -> None:
        """Wake whoever waits."""
        self._on = True
        if self._waited_for is not None:
            self._waited_for.set()

    def clear(self) -> None:
        """Let whoever comes wait again."""
        self._on = False
        if self._waited_for is not None:
            self._waited_for.clear()

    async def wait(self) -> Literal[True]:
        """Return once it is set."""
        if not self._on:
            self._waited_for = self._waited_for or asyncio.Event()
            await self._waited_for.wait()
        return True


class Body:
    """What came of a body and was not handed on. Pieces are handed on as they are; only several are put together."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        """Nothing has come."""
        self._pieces: list[bytes] = []
        self._size = 0

    def __iadd__(self, piece: bytes) -> Self:
        self._pieces.append(piece)
        self._size += len(piece)
        return self

    def __len__(self) -> int:
        return self._size

    def taken(self) -> bytes:
        """All of it, which is not here any more."""
        pieces, self._pieces, self._size = self._pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
