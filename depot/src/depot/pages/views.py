"""What templates are given, beside the models of the API."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A record, ready to be shown."""

    file_id: str
    file_name: str
    row: int
    fields: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Report:
    """A report that can be downloaded."""

    name: str
    title: str
    description: str
    rows: int | None
    """None where there are too many to count while somebody waits."""
    links: list[tuple[str, str]]
    """What each is called, and its address."""


@dataclass(frozen=True, slots=True)
class ExportRow:
    """A report that is being made, or was lately."""

    id: str
    file_name: str
    state: str
    kept: bool
    """Whether it is to be a file."""
    rows: int
    bytes: int
    started: str
    until: str | None
    """How long a file that is ready stays."""
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Done:
    """Something that an account did."""

    at: str
    action: str
    name: str | None
    file_id: str | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """A browser in which an account is signed in."""

    created: str
    last_seen: str
    client: str
    agent: str
    current: bool
