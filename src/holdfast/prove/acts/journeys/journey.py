"""What the log tells of a request by its ID: which answers carry one, what stands in its lines. Pure."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from holdfast.prove.http import Answer

HEADERS: Final = (
    "x-request-id",
    "request-id",
    "x-correlation-id",
    "correlation-id",
    "x-trace-id",
    "x-amzn-requestid",
    "x-amzn-trace-id",
    "traceresponse",
    "traceparent",
)
"""Where an answer may have its ID, the most usual first."""
_TRACE: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-")
_TIME: Final = re.compile(r"\d{1,2}:\d{2}:\d{2}|(?<!\d)1[6-9]\d{8}(?!\d{4,})|\d{4}-\d{2}-\d{2}T")
_FAILURE: Final = re.compile(r"Traceback|\w(?:Error|Exception)\b|\bpanic|\bexception\b|\bstack\b", re.IGNORECASE)


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """One request, and what was found of it."""

    kind: str
    """What was asked, in words."""
    status: int = 0
    """0: it had no answer, as was meant."""
    id: str = ""
    """By which it was looked up: its answer's, or, where it had none, the one that the client gave."""
    lines: int = 0
    """Lines of the log that have the ID."""
    untold: tuple[str, ...] = ()
    """What these do not tell: `status`, `path`, `time`, `failure`."""
    given: bool = False
    """Whether the ID is the client's own."""
    door: bool = False
    """Whether it was refused before there was a request: then it needs no ID, but one that it has is to be found."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request, before it is looked up."""

    kind: str
    path: str
    """As it was sent, without the query."""
    answer: Answer | None = None
    """None where the client left before it came."""
    given: str = ""
    """The ID that the client gave."""
    door: bool = False
    """Whether it is no request: bytes that are no HTTP, or too many for a head."""


def id_of(answer: Answer) -> str:
    """The ID that an answer carries; empty where it has none."""
    for name in HEADERS:
        value = answer.headers.get(name, "").strip()
        if value:
            trace = _TRACE.match(value)
            return trace[1] if trace else value
    return ""


def looked_up(asked: Asked, lines: Sequence[str]) -> Journey:
    """What `lines`, those of the log that have its ID, tell of it."""
    answer = asked.answer
    status = answer.status if answer else 0
    text = "\n".join(lines)
    untold: list[str] = []
    if lines:
        if status and not re.search(rf"(?<![\d.]){status}(?!\d|\.\d)", text):
            untold.append("status")
        if not asked.door and not any(piece in text for piece in _path_pieces(asked.path)):
            untold.append("path")
        if not _TIME.search(text):
            untold.append("time")
        if status == 500 and not _FAILURE.search(text):
            untold.append("failure")
    return Journey(
        kind=asked.kind,
        status=status,
        id=id_of(answer) if answer else asked.given,
        lines=len(lines),
        untold=tuple(untold),
        given=answer is None,
        door=asked.door,
    )


def _path_pieces(path: str) -> list[str]:
    """Of which one must stand in the log: the path, or all of it but its last piece, as a route's template has it."""
    path = path.partition("?")[0]
    before = path.rpartition("/")[0]
    return [path, path.replace("/", "\\/"), *([before] if len(before) > 1 else [])]
