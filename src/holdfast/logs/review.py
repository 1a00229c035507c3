"""Looking through logs for what should not be there, and telling where it came from without showing it."""

import gzip
import re
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, NamedTuple, TextIO, cast

import msgspec

from holdfast.decide.redaction import Redactor

_WINDOW: Final = 60 * 1024
_OVERLAP: Final = 4 * 1024
_GZIP: Final = b"\x1f\x8b"
_VARYING: Final = re.compile(r"\b[0-9a-f]{8,}(?:-[0-9a-f]{4,})*\b|\d+")
_WHERE: Final = frozenset(("time", "level", "logger", "source", "request_id", "trace_id", "span_id"))
_LONGEST_CELL: Final = 48


class Place(NamedTuple):
    """Where a leak comes from. Nothing here is the value, and all of it is redacted."""

    kind: str
    """What kind of secret it is, or why it may be one."""
    logger: str
    event: str
    field: str
    """The field that holds it, with dots between levels; and the name before it in a text, after a colon."""
    source: str


@dataclass
class Leak:
    """All lines that leak the same thing from the same place."""

    place: Place
    certain: bool
    """False where only the name or the look of the value speaks for a leak."""
    first: str
    """Where it was found first: `file:line`, or the line's number alone."""
    lines: int = 0


@dataclass
class Review:
    """What was found: how many lines were looked at, how many leak for certain, and the leaks by their places."""

    lines: int = 0
    leaking: int = 0
    leaks: dict[Place, Leak] = field(default_factory=dict[Place, Leak])

    @property
    def certain(self) -> list[Leak]:
        """The leaks that a log of Holdfast would have redacted, the most frequent first."""
        return sorted((leak for leak in self.leaks.values() if leak.certain), key=lambda leak: -leak.lines)

    @property
    def likely(self) -> list[Leak]:
        """The leaks that only look like ones, the most frequent first."""
        return sorted((leak for leak in self.leaks.values() if not leak.certain), key=lambda leak: -leak.lines)


def review(lines: Iterable[str], redactor: Redactor, *, into: Review | None = None, name: str = "") -> Review:
    """Look through log lines: JSON objects field by field, anything else as text.

    The result is added to `into` if that is given; `name` is the file's, for the place of the first line.
    """
    result = into if into is not None else Review()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        result.lines += 1
        found = set(_places(line, redactor))
        result.leaking += any(certain for _, certain in found)
        for place, certain in found:
            leak = result.leaks.get(place)
            if leak is None:
                leak = result.leaks[place] = Leak(place, certain, f"{name}:{number}" if name else str(number))
            leak.lines += 1
    return result


def review_files(paths: list[str], out: TextIO, redactor: Redactor | None = None) -> int:
    """Review files, plain or gzip (`-` is the standard input), and write what was found to `out`.

    Returns what the process should exit with: 2 where a file cannot be read, else 1 where something leaks for certain,
    else 0; what only looks like a leak is told, but is no failure.
    """
    result = Review()
    unreadable = False
    for path in paths:
        try:
            with _opened(path) as lines:
                review(lines, redactor or Redactor(), into=result, name="" if path == "-" else path)
        except (OSError, EOFError, gzip.BadGzipFile) as error:
            unreadable = True
            out.write(f"{path}: cannot be read: {error}\n")
    out.write(render(result))
    if unreadable:
        return 2
    return 1 if result.leaking else 0


def render(result: Review) -> str:
    """The review as text: a table of what leaks, one of what may, and what to do."""
    lines = "1 line" if result.lines == 1 else f"{result.lines} lines"
    text = f"{lines}, {result.leaking} of them with something that should not be there\n"
    if result.certain:
        text += "\n" + _table("leak", result.certain)
        text += "\nMend it where it is logged, or let Holdfast write the line: it redacts all of these.\n"
    if result.likely:
        text += "\n" + _table("may be", result.likely)
        text += "\nDeclare the name of a field that is secret: HOLDFAST_LOG_REDACT=name,name\n"
    return text


def _table(title: str, leaks: list[Leak]) -> str:
    rows = [(title, "lines", "first", "logger", "event", "field", "source")]
    for leak in leaks:
        place = leak.place
        kind = "secret by its name" if place.kind == "field" else place.kind
        first = leak.first if len(leak.first) <= _LONGEST_CELL else f"…{leak.first[1 - _LONGEST_CELL :]}"
        rows.append((kind, str(leak.lines), first, place.logger, place.event, place.field, place.source))
    cells = [[_short(cell) or "-" for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _short(text: str) -> str:
    clean = "".join(char if char.isprintable() else " " for char in text)
    return clean if len(clean) <= _LONGEST_CELL else clean[: _LONGEST_CELL - 1] + "…"


def _places(line: str, redactor: Redactor) -> Iterator[tuple[Place, bool]]:
    try:
        record: object = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        record = None
    if not isinstance(record, dict):
        for kind, name in _in_text(line, "", redactor):
            yield Place(kind, "", "", f"text: {name}" if name else "text", ""), True
        return
    fields = cast("dict[str, object]", record)
    logger, source = _told(fields.get("logger"), redactor), _told(fields.get("source"), redactor)
    event = _VARYING.sub("#", _told(fields.get("event") or fields.get("message") or fields.get("msg"), redactor))
    for path, name, value in _leaves(fields, redactor):
        shown = redactor.text(path)
        for kind, inner in _in_text(value, name, redactor):
            told = f"{shown}: {inner}" if inner and inner != name else shown
            yield Place(kind, logger, event, told, source), True
        if path not in _WHERE and path != "event":
            reason = redactor.suspicion(name, value)
            if reason:
                yield Place(reason, logger, event, shown, source), False


def _told(value: object, redactor: Redactor) -> str:
    return redactor.text(value) if isinstance(value, str) else ""


def _leaves(fields: dict[str, object], redactor: Redactor) -> Iterator[tuple[str, str, str]]:
    """Every value of a record as text, with its path and the name that says most about it."""
    waiting: list[tuple[str, str, object]] = [(key, key, value) for key, value in reversed(fields.items())]
    while waiting:
        path, name, value = waiting.pop()
        if isinstance(value, dict) and value:
            inner = cast("dict[str, object]", value)
            waiting += [(f"{path}.{key}", _heir(name, key, redactor), item) for key, item in reversed(inner.items())]
        elif isinstance(value, list):
            waiting += [(path, name, item) for item in reversed(cast("list[object]", value))]
        elif isinstance(value, str):
            yield path, name, value
        elif isinstance(value, int | float) and not isinstance(value, bool) and not name.lower().endswith("tokens"):
            yield path, name, str(value)


def _heir(parent: str, key: str, redactor: Redactor) -> str:
    """The name that a value inside a container is judged by: what stands under a secret name is secret."""
    return parent if redactor.is_secret(parent) else key


def _in_text(value: str, name: str, redactor: Redactor) -> set[tuple[str, str]]:
    """The kinds of what must not be in `value`, with the names that gave it away."""
    found: set[tuple[str, str]] = set()
    for start in range(0, len(value), _WINDOW):
        for finding in redactor.findings(value[start : start + _WINDOW + _OVERLAP], name):
            found.add((finding.kind, redactor.text(finding.name)))
    return found


@contextmanager
def _opened(path: str) -> Generator[Iterator[str]]:
    if path == "-":
        yield _decoded(sys.stdin.buffer)
        return
    with Path(path).open("rb") as file:
        if file.read(2) == _GZIP:
            file.seek(0)
            with gzip.open(file, "rb") as unpacked:
                yield _decoded(unpacked)
            return
        file.seek(0)
        yield _decoded(file)


def _decoded(file: IO[bytes] | gzip.GzipFile) -> Iterator[str]:
    for line in file:
        yield line.decode("utf-8", "backslashreplace")
