"""The work that `offload_cost.py` has done elsewhere."""

import hashlib
import json
from functools import cache


def nothing() -> None:
    """Come and go."""


def calculate() -> int:
    """Calculate in Python for about a tenth of a second."""
    total = 0
    for number in range(1_500_000):
        total += number * number
    return total


@cache
def _document() -> str:
    return json.dumps([{"number": number, "name": f"item {number}"} for number in range(550_000)])


def parse() -> int:
    """One call into C that does not let go of the interpreter's lock."""
    return len(json.loads(_document()))


@cache
def _bytes() -> bytes:
    return bytes(64_000_000)


def digest() -> str:
    """One call into C that does let go of it."""
    return hashlib.sha256(_bytes()).hexdigest()
