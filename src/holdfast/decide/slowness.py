"""How slowly a request may arrive."""

from typing import Final

WINDOW_S: Final = 10.0
"""Over how long the rate of a body is looked at, in seconds of waiting for the client."""


class Arrival:
    """How a body arrives. Only time counts in which the application waits for more of it."""

    __slots__ = ("_bytes", "_waited_s")

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._bytes = 0
        self._waited_s = 0.0

    def came(self, size: int) -> None:
        """Note that so many bytes came."""
        self._bytes += size

    def waited(self, seconds: float, *, min_rate: int) -> bool:
        """Note that the client was waited for. Says whether it brought less than `min_rate` bytes a second."""
        self._waited_s += seconds
        if self._waited_s < WINDOW_S:
            return False
        slow = self._bytes < min_rate * self._waited_s
        self._bytes, self._waited_s = 0, 0.0
        return slow
