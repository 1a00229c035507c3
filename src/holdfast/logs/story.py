"""`holdfast logs find`: everything that happened under one request ID, in order."""

import gzip
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO, cast

import msgspec

from holdfast.errors import HoldfastError
from holdfast.logs.console import render

Line = dict[str, object]


class CannotRead(HoldfastError):
    """The log cannot be read."""

    code = "cannot-read"
    status = 404
    advice = "Name files that exist and may be read, or - for standard input."


@contextmanager
def opened(name: str) -> Generator[TextIO]:
    """The text of a log file, compressed (.gz) or not. Raises CannotRead."""
    try:
        file: TextIO = (
            gzip.open(name, "rt", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed below
            if name.endswith(".gz")
            else Path(name).open(encoding="utf-8", errors="replace")  # noqa: SIM115 - as above
        )
    except OSError as error:
        raise CannotRead(f"{name}: {error.strerror}.") from error
    with file:
        yield file


def find_in_files(request_id: str, names: Sequence[str], out: TextIO, *, as_json: bool = False) -> int:
    """Write the request's story, out of all the files, to `out`. Exit code 0, or 1 if there is none.

    A client's own ID may stand for several requests: the stories of all of them are told. Memory holds the lines that
    are found, whatever the size of the files.
    """
    with _readable(names) as files:
        ids = {request_id} | {str(line.get("request_id")) for line in _lines_with({request_id}, files)}
        found = sorted(_lines_with(ids, files), key=lambda line: str(line.get("time", "")))
    if not found:
        out.write(f"Nothing was found under {request_id}. Log files that were rotated away must be named too.\n")
        return 1
    if as_json:
        out.writelines(msgspec.json.encode(line).decode() + "\n" for line in found)
    else:
        out.write(tell(request_id, found, colour=out.isatty()))
    return 0


@contextmanager
def _readable(names: Sequence[str]) -> Generator[list[str]]:
    """The same names, with standard input (`-`) copied to a file, since it is read twice."""
    with tempfile.NamedTemporaryFile(prefix="holdfast-logs-") as copy:
        if "-" in names:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.flush()
        yield [copy.name if name == "-" else name for name in names]


def _lines_with(ids: Iterable[str], names: Iterable[str]) -> Iterator[Line]:
    """The lines of the files that carry one of the IDs, as ours or the client's; what is no JSON is passed over."""
    ids = set(ids)
    for name in names:
        with opened(name) as file:
            for text in file:
                line = _parsed(text) if any(wanted in text for wanted in ids) else None
                if line is not None and (line.get("request_id") in ids or line.get("client_request_id") in ids):
                    yield line


def _parsed(text: str) -> Line | None:
    try:
        line: object = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return cast("Line", line) if isinstance(line, dict) else None


def tell(request_id: str, lines: Sequence[Line], *, colour: bool) -> str:
    """The story for people: a heading for each request, then every line with the time since the first."""
    requests = [_heading(line) for line in lines if line.get("event") == "request"]
    headings = requests or [f"{request_id}: no canonical line, so it has not ended, or its line was lost"]
    start = _moment(lines[0])
    story = [f"{_since(start, line)}  {_shown(line, colour=colour)}" for line in lines]
    return "\n".join(headings) + "\n\n" + "".join(story)


def _heading(line: Line) -> str:
    who = f" by {line['actor']}" if line.get("actor") else ""
    what = f" ({line['action']})" if line.get("action") else ""
    return (
        f"{line.get('method')} {line.get('path')}{what}{who}: {line.get('status')}, {line.get('outcome')}, "
        f"{line.get('duration_ms')} ms, {line.get('request_id')}"
    )


def _shown(line: Line, *, colour: bool) -> str:
    return render({key: value for key, value in line.items() if key != "request_id"}, colour=colour)


def _since(start: datetime | None, line: Line) -> str:
    moment = _moment(line)
    if start is None or moment is None:
        return f"{'':>10}"
    return f"{(moment - start).total_seconds() * 1000:>+8.1f}ms"


def _moment(line: Line) -> datetime | None:
    try:
        return datetime.fromisoformat(str(line.get("time", "")))
    except ValueError:
        return None
