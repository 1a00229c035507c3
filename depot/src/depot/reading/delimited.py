"""CSV and its relatives: text to batches of records. Pure calculation, so plain functions: the caller runs them in a
thread, a batch at a time.

The first row is the header. A row becomes a record only if it has as many fields as the header; every other row is
named in the problems with its line. Values stay text: `007` is not 7, and what looks like a number may be a key.
"""

import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, TextIO

import msgspec

from depot.reading.lines import Lines, RecordTooLong
from depot.reading.problems import Problems, Unreadable

DELIMITERS: Final = ",;\t|"
BATCH_ROWS: Final = 5_000
BATCH_CHARS: Final = 1 << 20
MAX_COLUMNS: Final = 2_000
MAX_NAME: Final = 255

Record = tuple[int, str]
"""The number of the row in its file, from 1, and the record as JSON."""

Row = tuple[int, list[str] | None]
"""The line that a row begins on, and its fields; None if they cannot be told apart."""

_encoder = msgspec.json.Encoder()


def batches(text: TextIO, delimiter: str, problems: Problems, *, has_nul: bool) -> Iterator[list[Record]]:
    """Yield the records of a table in batches that are bounded in rows and in characters; a batch may be empty.

    Raises Unreadable if there is no header to go by.
    """
    lines = Lines(text)
    rows = _rows(lines, delimiter, problems)
    names = _header(rows, problems)
    if names is None:
        return
    most = max(1, min(BATCH_ROWS, BATCH_CHARS // sum(map(len, names))))  # a long header makes long records
    numbers: list[int] = []
    records: list[dict[str, str]] = []
    full_at = lines.size + BATCH_CHARS
    for number, (line, row) in enumerate(rows, 1):
        fault = None if row is None else _fault(row, len(names), has_nul=has_nul)
        if fault:
            problems.add(line, _on(line, lines.number, fault))
        elif row is not None:
            numbers.append(number)
            records.append(dict(zip(names, row, strict=True)))
        if len(records) >= most or lines.size >= full_at:
            yield _encoded(numbers, records)
            numbers, records = [], []
            full_at = lines.size + BATCH_CHARS
    yield _encoded(numbers, records)


def _encoded(numbers: list[int], records: list[dict[str, str]]) -> list[Record]:
    # JSON escapes line ends inside of strings, so that one call encodes the batch and a split takes it apart
    return list(zip(numbers, _encoder.encode_lines(records).decode().split("\n"), strict=False))


def _fault(row: list[str], width: int, *, has_nul: bool) -> str | None:
    if len(row) != width:
        return f"{len(row)} field{'' if len(row) == 1 else 's'} instead of {width}"
    if has_nul and any("\0" in value for value in row):
        return "a NUL character"
    return None


def _rows(lines: Lines, delimiter: str, problems: Problems) -> Iterator[Row]:
    """Yield each row. A blank line is none."""
    ended = False
    while not ended:
        line = lines.number + 1
        # `strict` refuses what would otherwise be mangled in silence: text after a closing quote, a quote left open
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            for row in reader:
                lines.record_ends()
                if row:
                    yield line, row
                line = lines.number + 1
            ended = True
        except (csv.Error, RecordTooLong) as error:
            lines.record_ends()
            what = "the record is too long" if isinstance(error, RecordTooLong) else str(error)
            problems.add(line, _on(line, lines.number, what))
            yield line, None


def _on(first: int, last: int, fault: str) -> str:
    """The fault; where it spans several lines, a stray quotation mark may have swallowed rows, so all are named."""
    return fault if last <= first else f"lines {first} to {last}, read as one row: {fault}"


def _header(rows: Iterator[Row], problems: Problems) -> list[str] | None:
    no_row: Row = (0, [])
    line, row = next(rows, no_row)
    if row and row[0].lower() == "sep=":
        line, row = next(rows, no_row)  # Excel's way of naming the delimiter
    if row is None:
        raise Unreadable("the header could not be read")
    if not row:
        problems.add(None, "the file is empty")
        return None
    if len(row) > MAX_COLUMNS:
        raise Unreadable(f"{len(row)} columns; at most {MAX_COLUMNS} are read")
    if max(map(len, row)) > MAX_NAME:
        raise Unreadable(f"a column name of {max(map(len, row))} characters; at most {MAX_NAME} are read")
    return _named(row, line, problems)


def _named(row: list[str], line: int, problems: Problems) -> list[str]:
    """Names that differ, made from a header in which some are empty or the same."""
    taken: dict[str, None] = {}
    for position, given in enumerate(row, 1):
        wanted = given.strip().replace("\0", "\ufffd") or f"column_{position}"
        name = wanted
        suffix = 1
        while name in taken:
            suffix += 1
            name = f"{wanted}_{suffix}"
        taken[name] = None
        if not given.strip():
            problems.add(line, f"column {position} has no name; it is called {name}")
        elif name != wanted:
            problems.add(line, f"column {position} has the name of another, {wanted!r}; it is called {name}")
    return list(taken)


# -- the delimiter --


def delimiter_of(sample: Sequence[str]) -> tuple[str, float]:
    """The delimiter of a table by its first lines, and the share of them that agree with the first, 0 to 1.

    A table of one column is (",", 0).
    """
    if sample and sample[0][:4].lower() == "sep=" and sample[0][4:5] in DELIMITERS:
        return sample[0][4], 1.0
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        score = _agreement(sample, delimiter)
        if score > best_score:
            best, best_score = delimiter, score
    return best, best_score[0]


def _agreement(sample: Sequence[str], delimiter: str) -> tuple[float, int]:
    widths: list[int] = []
    with suppress(csv.Error):  # what was taken apart until then is enough to judge by
        widths.extend(len(row) for row in csv.reader(sample, delimiter=delimiter) if row)
    if not widths or widths[0] == 1:
        return 0.0, 0
    return sum(width == widths[0] for width in widths) / len(widths), widths[0]
