"""The numbers of parts: each is used once, whoever sends it.

A request that was evicted may have a part on its way that arrives late, after another process has gone on. If both had
the same number, the late one would replace what was acknowledged. So whoever needs numbers writes down in the bucket
which, under a name of its own, and looks: if somebody else wrote the same at the same time, both take others.
"""

import secrets
from collections.abc import AsyncGenerator
from typing import Final

from holdfast.errors import TooLarge
from holdfast.stores.s3_client import Bucket
from holdfast.stores.s3_state import NUMBERS

_MOST: Final = 16


class Numbers:
    """The numbers that one opening of an upload may use."""

    def __init__(self, bucket: Bucket, folder: str, last: int) -> None:
        """Notes lie in `folder`; `last` is the last number that is known to be used."""
        self._bucket = bucket
        self._notes = f"{folder}numbers-"
        self._next: int = last + 1
        self._end: int = last + 1
        self._span = 1

    @property
    def upcoming(self) -> int:
        """The least that the next number can be."""
        return self._next

    async def next(self) -> int:
        """The next number, not yet taken: `take` it without waiting for anything in between. Raises TooLarge."""
        if self._next == self._end:
            self._next, self._end = await self._reserved()
            self._span = min(self._span * 2, _MOST)
        if self._next > NUMBERS:
            raise TooLarge("The upload has more parts than the store can number.")
        return self._next

    def take(self) -> None:
        """Use the number that `next` told."""
        self._next += 1

    async def _reserved(self) -> tuple[int, int]:
        while True:
            first = max([self._next, *[end async for _, end in self._noted()]])
            end = first + self._span
            mine = f"{self._notes}{first:06}-{end:06}-{secrets.token_hex(8)}"
            await self._bucket.put(mine, (), new=False)
            if not [note async for note in self._noted(but=mine) if note[0] < end and first < note[1]]:
                return first, end

    async def _noted(self, but: str = "") -> AsyncGenerator[tuple[int, int]]:
        """The numbers that were noted: the first, and the one behind the last."""
        async for found in self._bucket.listed(self._notes):
            if found.key != but:
                first, end, _ = found.key.removeprefix(self._notes).split("-")
                yield int(first), int(end)
