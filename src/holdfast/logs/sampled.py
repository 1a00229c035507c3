"""A line that stands for many: what happens often is told once a second at most, with how often it was."""

import logging
import time
from collections.abc import Mapping
from typing import Final

_EVERY_S: Final = 1.0


class Sampled:
    """One sort of line. The first is told at once, those that follow are counted."""

    __slots__ = ("_level", "_logger", "_told", "_untold", "total", "words")

    def __init__(self, logger: logging.Logger, words: str, level: int = logging.WARNING) -> None:
        """Tell `words` to `logger`."""
        self.words: str = words
        self.total: int = 0
        """How often it has happened."""
        self._logger = logger
        self._level = level
        self._untold = 0
        self._told = float("-inf")

    def happened(self, example: Mapping[str, object]) -> None:
        """Count one; tell of it, as the `example` of those since the last line, when it is time."""
        self.total += 1
        self._untold += 1
        now = time.monotonic()
        if now - self._told >= _EVERY_S:
            times, self._untold, self._told = self._untold, 0, now
            self._logger.log(self._level, self.words, extra={**example, "times": times})
