"""NDJSON: text to batches of records. Pure calculation; see delimited.py for why it is not async.

A line becomes a record if it is a JSON object. Its text is kept as it came, so that no number loses a digit.
"""

from collections.abc import Iterator
from typing import Final, TextIO

import msgspec

from depot.reading.delimited import BATCH_CHARS, BATCH_ROWS, Record
from depot.reading.lines import Lines, RecordTooLong
from depot.reading.problems import Problems

# Raw checks what is inside of the object without building it
_decoder: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def batches(text: TextIO, problems: Problems) -> Iterator[list[Record]]:
    """Yield the records of NDJSON in batches that are bounded in rows and in characters; a batch may be empty."""
    lines = Lines(text)
    records: list[Record] = []
    full_at = BATCH_CHARS
    number = 0
    for number, record in enumerate(_objects(lines, problems), 1):
        if record is not None:
            records.append((number, record))
        if len(records) >= BATCH_ROWS or lines.size >= full_at:
            yield records
            records = []
            full_at = lines.size + BATCH_CHARS
    if not number:
        problems.add(None, "the file is empty")
    yield records


def is_object(line: str) -> bool:
    """Whether the line is one whole JSON object."""
    return _fault(line) is None


def _objects(lines: Lines, problems: Problems) -> Iterator[str | None]:
    """Yield each line that is an object, None for one that is not. Blank lines are nothing."""
    ended = False
    while not ended:
        try:
            for line in lines:
                lines.record_ends()
                record = line.strip()
                if record:
                    fault = _fault(record)
                    if fault:
                        problems.add(lines.number, fault)
                    yield None if fault else record
            ended = True
        except RecordTooLong:
            lines.record_ends()
            problems.add(lines.number, "not read: the record is too long")
            yield None


def _fault(line: str) -> str | None:
    try:
        _decoder.decode(line)
    except msgspec.ValidationError:
        return "valid JSON, but not an object"
    except msgspec.DecodeError as error:
        return str(error)
    except RecursionError:
        return "JSON that is nested too deeply"
    return None
