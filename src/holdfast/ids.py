"""Request IDs: UUIDv7 (RFC 9562), which sort by the time they were made."""

import os
import time
from typing import Final

_POOL_SIZE: Final = 256
_DIGITS: Final = 20
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class _Pool:
    """The random part of the IDs to come, fetched from the system many at a time."""

    __slots__ = ("millisecond", "prefix", "tails")

    def __init__(self) -> None:
        self.tails: list[str] = []
        self.millisecond = 0
        self.prefix = ""

    def refill(self) -> None:
        digits = os.urandom(_POOL_SIZE * _DIGITS // 2).hex()
        self.tails.extend(
            f"-7{digits[i : i + 3]}-{_VARIANT[digits[i + 3]]}{digits[i + 4 : i + 7]}-{digits[i + 7 : i + 19]}"
            for i in range(0, len(digits), _DIGITS)
        )


_pool = _Pool()
os.register_at_fork(after_in_child=_pool.tails.clear)  # a child must not repeat its parent's IDs


def uuid7() -> str:
    """A new UUIDv7 in its usual form of 36 characters. Safe to call from any thread."""
    pool = _pool
    try:
        tail = pool.tails.pop()
    except IndexError:
        pool.refill()
        return uuid7()
    millisecond = time.time_ns() // 1_000_000
    if millisecond != pool.millisecond:
        digits = f"{millisecond:012x}"
        pool.prefix = f"{digits[:8]}-{digits[8:]}"
        pool.millisecond = millisecond
    return pool.prefix + tail
