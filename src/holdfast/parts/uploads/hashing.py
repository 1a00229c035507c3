"""Digests of what arrives, made in threads beside the writing."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from holdfast.decide.uploads.vocabulary import Digest

_NAMES: Final = {"sha-256": "sha256", "sha-512": "sha512", "sha1": "sha1", "sha": "sha1", "md5": "md5"}
"""What hashlib calls the algorithms. The weak ones are checked where a client sends them; they protect nothing."""
_INLINE: Final = 32 * 1024
"""Less than this is hashed faster than a thread is reached."""
SHA256: Final = "sha-256"

_threads = ThreadPoolExecutor(min(4, len(os.sched_getaffinity(0))), "holdfast-digest")


def _forget() -> None:
    global _threads  # noqa: PLW0603 - a forked child has none of its parent's threads
    _threads = ThreadPoolExecutor(min(4, len(os.sched_getaffinity(0))), "holdfast-digest")


os.register_at_fork(after_in_child=_forget)


class Hashes:
    """Digests of the first bytes of something, in the algorithms that are asked for."""

    def __init__(self, algorithms: Collection[str]) -> None:
        """Nothing is hashed yet. Raises KeyError for an algorithm that is not known here."""
        self._hashes: dict[str, Any] = {name: hashlib.new(_NAMES[name], usedforsecurity=False) for name in algorithms}
        self.offset: int = 0
        """How many bytes were hashed."""

    def copy(self) -> "Hashes":
        """The same, to go on from here another way."""
        made = Hashes(())
        made._hashes = {name: found.copy() for name, found in self._hashes.items()}
        made.offset = self.offset
        return made

    async def update(self, pieces: Sequence[bytes]) -> None:
        """Go on with `pieces`, in a thread if they are large."""
        size = sum(map(len, pieces))
        self.offset += size
        if size <= _INLINE:
            self._update(pieces)
        elif self._hashes:
            await asyncio.get_running_loop().run_in_executor(_threads, self._update, pieces)

    async def read(self, source: AsyncIterator[bytes]) -> "Hashes":
        """Go on with everything that `source` has."""
        async for piece in source:
            await self.update((piece,))
        return self

    def _update(self, pieces: Sequence[bytes]) -> None:
        for made in self._hashes.values():
            for piece in pieces:
                made.update(piece)

    def has(self, algorithms: Collection[str]) -> bool:
        """Whether each of these is made."""
        return all(name in self._hashes for name in algorithms)

    def hexadecimal(self, algorithm: str = SHA256) -> str:
        """A digest in hexadecimal."""
        return self._hashes[algorithm].hexdigest()

    def wrong(self, digests: Sequence[Digest]) -> list[Digest]:
        """Those of `digests` that are not of these bytes."""
        return [digest for digest in digests if self._hashes[digest.algorithm].digest() != digest.value]
