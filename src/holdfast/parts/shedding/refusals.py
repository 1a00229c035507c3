"""The answers to those who are refused, made once."""

import random
from typing import Final

from holdfast.errors import Overloaded
from holdfast.problems import NOT_EXECUTED, Refusal

_RETRY_AFTER_S: Final = (1, 2, 3)
"""Those who are refused together must not come back together."""
REFUSALS: Final = tuple(
    Refusal(Overloaded(), NOT_EXECUTED, (b"retry-after", str(seconds).encode())) for seconds in _RETRY_AFTER_S
)
"""What is answered to those who are refused: one of these by chance."""
_chance: Final = random.Random()  # noqa: S311 - nothing depends on that nobody knows it


def refusal() -> Refusal:
    """The answer to one who is refused."""
    return REFUSALS[int(_chance.random() * len(REFUSALS))]
