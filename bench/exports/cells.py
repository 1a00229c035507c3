"""Rows of ten columns of many kinds, from memory: making them takes nearly nothing."""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from orders import orders

NAMES: Final = ("number", "name", "email", "qty", "amount", "weight", "status", "created", "due", "active")


def _mixed() -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for number, name, email, qty, amount, status, created, active in orders(1000):
        weight = number / 7
        due = created.date() + dt.timedelta(days=30)
        moment = created.replace(tzinfo=None, microsecond=0)
        found.append((name, email, qty, Decimal(amount), weight, status, moment, due, active))
    return found


MIXED: Final = _mixed()


def cells(rows: int) -> Iterator[tuple[Any, ...]]:
    """So many rows."""
    for number in range(rows):
        yield (number, *MIXED[number % 1000])


def records(rows: int) -> Iterator[dict[str, Any]]:
    """The same as dicts."""
    for row in cells(rows):
        yield dict(zip(NAMES, row, strict=True))
