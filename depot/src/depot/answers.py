"""What the API answers with, as models: FastAPI checks what goes out against them and writes them into its OpenAPI."""

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, Field

from depot.models import STORED, Export, File

_IN_LISTS: Final = 5


class ProblemOut(BaseModel):
    """What was wrong in a file."""

    line: int | None = Field(description="The line, from 1; null if it is the file as a whole.")
    problem: str


class FileOut(BaseModel):
    """A file and how far it was read."""

    id: str
    name: str = Field(description="The sender's name for it.")
    size: int = Field(description="Bytes.")
    sha256: str = Field(description="Of the content, in hexadecimal.")
    created: str = Field(description="RFC 3339, UTC.", json_schema_extra={"format": "date-time"})
    state: Literal["stored", "reading", "ready", "failed"]
    records: int = Field(description="How many were read from it so far.")
    problems: list[ProblemOut] = Field(description="The first 100; in lists of files the first 5.")
    problems_total: int

    @classmethod
    def of(cls, file: File) -> Self:
        """As the outside sees `file`."""
        return cls.model_validate(file, from_attributes=True)

    @classmethod
    def sent(cls, file: File) -> Self:
        """As `of`, as the file came in: it may have been read since, and that is told when it is looked at."""
        return cls.of(file).model_copy(update={"state": STORED, "records": 0, "problems": [], "problems_total": 0})

    @classmethod
    def listed(cls, file: File) -> Self:
        """As `of`, short enough to be one of many."""
        out = cls.of(file)
        out.problems = out.problems[:_IN_LISTS]
        return out


class ExportOut(BaseModel):
    """A report that is being made, or was lately."""

    id: str
    report: str = Field(validation_alias="name", description="records, files or activity.")
    form: str = Field(description="What it is written as.")
    kept: bool = Field(description="Whether it is to be a file; else it is sent as it is made.")
    state: Literal["waiting", "running", "ready", "done", "cut"] = Field(
        description="`ready` is a file that can be fetched; `done` was sent to its end, `cut` broke off before."
    )
    rows: int = Field(description="How many were read so far.")
    bytes: int = Field(description="How many were made of them.")
    started: str = Field(description="RFC 3339, UTC.", json_schema_extra={"format": "date-time"})
    ended: str | None = Field(json_schema_extra={"format": "date-time"})
    request_id: str | None = Field(description="The request that asked for it.")
    sha256: str | None = Field(description="Of a file that is ready, in hexadecimal.")

    @classmethod
    def of(cls, export: Export) -> Self:
        """As the outside sees `export`."""
        return cls.model_validate(export, from_attributes=True)


class ExportList(BaseModel):
    """What is waiting, being made, or there to be fetched, and the last few that were sent or broke off."""

    items: list[ExportOut]


class FileList(BaseModel):
    """A page of files, the newest first."""

    items: list[FileOut]
    next: int | None = Field(description="The `after` of the next page; null after the last one.")


_PROBLEM: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail", "advice"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What went wrong this time."},
        "advice": {"type": "string", "description": "What can be done about it."},
        "request_id": {"type": ["string", "null"], "description": "What to give to the operator."},
    },
}
_MEANING: Final[Mapping[int, str]] = {
    400: "The request cannot be understood.",
    401: "No token and no session, or one that belongs to nobody.",
    403: "Sent with a session's cookie, but not by a page of the depot.",
    404: "There is no such thing, or it is another's.",
    409: "It is still being read, or made.",
    413: "More than is taken.",
    415: "A body of a kind that is not taken.",
    416: "The range lies outside of the file.",
    422: "A value is not valid.",
    429: "Too much at once.",
    503: "Too busy at the moment.",
    507: "No room on the disk.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may also answer with problems of these statuses."""
    content = {"application/problem+json": {"schema": dict(_PROBLEM)}}
    return {status: {"description": _MEANING[status], "content": content} for status in statuses}
