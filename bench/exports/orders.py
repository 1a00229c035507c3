"""The table that is exported: eight columns, the same rows on PostgreSQL and on SQLite."""

import datetime as dt
import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import BigInteger, DateTime, Integer, Numeric, Select, Text, column, func, select, table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

POSTGRES: Final = os.environ.get("BENCH_POSTGRES", "")
SQLITE: Final = os.environ.get("BENCH_SQLITE", "")
"""Where the servers find them."""

NAMES: Final = ("id", "name", "email", "qty", "amount", "status", "created", "active")
SQL: Final = f"SELECT {', '.join(NAMES)} FROM orders LIMIT {{}}"
FIRST: Final = ("Anna", "Ben", "Chloé", "David", "Elif", "Søren", "Grace", "山田", "Iván", "Jane", "Мария")
LAST: Final = ("Smith", "Müller", "Johnson", "García", "Brown", "太郎", "O'Neill", "Nováková", "Lee", "Williams")
STATUSES: Final = ("new", "paid", "shipped, in parts", "delivered", "returned, refunded", "cancelled")
BEGINNING: Final = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


class Base(DeclarativeBase):
    """What SQLAlchemy wants."""


class Order(Base):
    """An order on PostgreSQL."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)
    qty: Mapped[int]
    amount: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    status: Mapped[str] = mapped_column(Text)
    created: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))
    active: Mapped[bool]


class LiteBase(DeclarativeBase):
    """The same for the other database."""


class LiteOrder(LiteBase):
    """An order on SQLite, in the types that SQLite itself has."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)
    qty: Mapped[int]
    amount: Mapped[float]
    status: Mapped[str] = mapped_column(Text)
    created: Mapped[str] = mapped_column(Text)
    active: Mapped[int] = mapped_column(Integer)


def again_and_again(order: Any, rows: int) -> Select[Any]:
    """As many rows as are wanted, however few are in the table."""
    copies = table("copies", column("copy"))
    return select(*order.__table__.c).select_from(copies.join(order, copies.c.copy > 0)).limit(rows)


def wide(rows: int) -> Select[Any]:
    """Rows of about 64 KiB, of which some characters take two bytes or three, from SQLite."""
    texts, copies = table("texts", column("content")), table("copies", column("copy"))
    number = copies.c.copy
    return select(number.label("id"), func.substr(texts.c.content, number % 997, 60_000).label("content")).limit(rows)


def orders(count: int) -> Iterator[tuple[Any, ...]]:
    """The rows, as PostgreSQL has them."""
    for number in range(1, count + 1):
        yield (
            number,
            f"{FIRST[number % len(FIRST)]} {LAST[number % len(LAST)]}",
            f"customer{number}@example.com",
            number % 90 + 1,
            Decimal(number * 7919 % 10_000_000) / 100,
            STATUSES[number % len(STATUSES)],
            BEGINNING + dt.timedelta(seconds=number * 31, microseconds=number * 7919 % 1_000_000),
            number % 3 > 0,
        )


def lite_orders(count: int) -> Iterator[tuple[Any, ...]]:
    """The same rows, as SQLite has them."""
    for number, name, email, qty, amount, status, created, active in orders(count):
        yield number, name, email, qty, float(amount), status, created.isoformat(), int(active)
