"""The tables. `migrations/` makes them; a test compares the two."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Float, ForeignKey, Index, Integer, MetaData, Table, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

STORED, READING, READY, FAILED = "stored", "reading", "ready", "failed"
"""The states of a file."""
WAITING, RUNNING, DONE, CUT, DOOMED = "waiting", "running", "done", "cut", "doomed"
"""The states of an export, and READY: a file to be had. DONE is what was sent as an answer, DOOMED what is removed."""


class Base(DeclarativeBase):
    """What all tables share: names for their constraints, so that a migration can refer to them."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_name)s",
        }
    )


class Account(Base):
    """Someone who may use the depot. Of the token and the password only hashes are kept."""

    __tablename__ = "accounts"

    no: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    token_sha256: Mapped[str] = mapped_column(unique=True)
    created: Mapped[str]
    password: Mapped[str | None]
    """As `passwords` writes it; None where nobody can sign in by the pages."""


class BrowserSession(Base):
    """A browser that is signed in. Of the token in its cookie only a hash is kept."""

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_account_no", "account_no", "no"), {"sqlite_autoincrement": True})

    no: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    token_sha256: Mapped[str] = mapped_column(unique=True)
    account_no: Mapped[int] = mapped_column(ForeignKey("accounts.no"))
    created: Mapped[str]
    last_seen: Mapped[str]
    """Written once a minute at most."""
    expires: Mapped[str]
    client: Mapped[str]
    """The address it signed in from."""
    agent: Mapped[str]
    """What the browser calls itself, in short."""


class Attempts(Base):
    """Attempts to sign in that failed, of one name from one address, or of all names from one address."""

    __tablename__ = "attempts"

    key: Mapped[str] = mapped_column(primary_key=True)
    """A hash: what is typed as a name is now and then a password."""
    failures: Mapped[int]
    last: Mapped[float] = mapped_column(Float, index=True)
    """Seconds since 1970."""


class File(Base):
    """A file that is whole and safe on disk, and how far it was read.

    `no` is the order of arrival and never used twice, `id` is what the outside knows.
    """

    __tablename__ = "files"
    __table_args__ = (
        Index("ix_files_account_no", "account_no", "no"),
        Index("ix_files_account_no_state", "account_no", "state", "no"),
        Index("ix_files_state", "state", "no"),
        {"sqlite_autoincrement": True},
    )

    no: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    account_no: Mapped[int] = mapped_column(ForeignKey("accounts.no"))
    name: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    created: Mapped[str]
    request_id: Mapped[str | None]
    state: Mapped[str] = mapped_column(default=STORED)
    records: Mapped[int] = mapped_column(default=0)
    problems: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    problems_total: Mapped[int] = mapped_column(default=0)


class Removal(Base):
    """A file that was deleted but whose content and records may still be there: a list of what is left to do."""

    __tablename__ = "removals"

    file_no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    file_id: Mapped[str]


class Export(Base):
    """A report that is being made, or was lately: sent as an answer, or kept as a file.

    Whoever makes it has the lease of its `id`, which is also the ID of its bytes in the store.
    """

    __tablename__ = "exports"
    __table_args__ = (
        Index("ix_exports_account_no", "account_no", "no"),
        Index("ix_exports_state", "state", "ended"),
        {"sqlite_autoincrement": True},
    )

    no: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    account_no: Mapped[int] = mapped_column(ForeignKey("accounts.no"))
    name: Mapped[str]
    """The report's."""
    form: Mapped[str]
    kept: Mapped[bool]
    """Whether it is to be a file."""
    state: Mapped[str]
    rows: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    started: Mapped[str]
    ended: Mapped[str | None]
    request_id: Mapped[str | None]
    media_type: Mapped[str | None]
    """Of a file that is READY, as its digest."""
    sha256: Mapped[str | None]

    @property
    def file_name(self) -> str:
        """What it is called where it is saved."""
        return f"{self.name}.{self.form}"


class Activity(Base):
    """What an account did, when, to which file, and the request ID under which the log tells more."""

    __tablename__ = "activity"
    __table_args__ = (Index("ix_activity_account_no", "account_no", "no"), {"sqlite_autoincrement": True})

    no: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    account_no: Mapped[int] = mapped_column(ForeignKey("accounts.no"))
    at: Mapped[str]
    action: Mapped[str]
    file_id: Mapped[str | None]
    name: Mapped[str | None]
    request_id: Mapped[str | None]


# A table without a class: its rows come and go by the thousand, and an object for each would cost more than the rest.
records = Table(
    "records",
    Base.metadata,
    Column("file_no", Integer, primary_key=True, autoincrement=False),
    Column("row", Integer, primary_key=True, autoincrement=False),
    Column("data", Text, nullable=False),
    sqlite_with_rowid=False,  # the rows lie in the order of the key, a file's together, as reports read them
)


def now() -> str:
    """The present time, as `rfc3339`."""
    return rfc3339(datetime.now(UTC))


def rfc3339(time: datetime) -> str:
    """A time in UTC as RFC 3339: SQLite has no type for it, and this text sorts as time does."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
