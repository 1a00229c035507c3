"""The database: its tables, and a session for each request."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends
from sqlalchemy import ForeignKey, Text, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from twin.settings import DATABASE_URL

engine = create_engine(DATABASE_URL, connect_args={"check_same_thread": False})
SessionLocal = sessionmaker(bind=engine)


class Base(DeclarativeBase):
    """All tables."""


class User(Base):
    """Who may sign in."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    password: Mapped[str]


class Token(Base):
    """A sign-in."""

    __tablename__ = "tokens"

    token: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))


class File(Base):
    """An uploaded file, and how far it is read."""

    __tablename__ = "files"

    id: Mapped[str] = mapped_column(primary_key=True, default=lambda: uuid.uuid4().hex)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str]
    size: Mapped[int]
    sha256: Mapped[str]
    created: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
    state: Mapped[str] = mapped_column(default="stored")
    records: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]


class Record(Base):
    """A row of a file, as JSON."""

    __tablename__ = "records"

    id: Mapped[int] = mapped_column(primary_key=True)
    file_id: Mapped[str] = mapped_column(ForeignKey("files.id"), index=True)
    row: Mapped[int]
    data: Mapped[str] = mapped_column(Text)


class Note(Base):
    """A few words that somebody wrote down."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    text: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))


def get_db() -> Iterator[Session]:
    """Open a session for a request and close it afterwards."""
    db = SessionLocal()
    try:
        yield db
    finally:
        db.close()


Db = Annotated[Session, Depends(get_db)]
