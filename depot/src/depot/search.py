"""Searching in records: what is typed is looked for in their values, upper and lower case alike.

There is no index over the values, so a search reads the records one after the other, as a report does: in batches, each
a short transaction, each compared in a thread. After so much of it an answer is due, and says how far it got; the next
request goes on from there. So no search holds anything up for long, however much there is.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from depot.batches import Found, Place, records_after
from depot.database import Database
from depot.models import Account
from holdfast import offload

_MOST_ROWS: Final = 100_000
_MOST_CHARS: Final = 32 << 20
_ROWS_A_STEP: Final = 5_000

_record: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text: Final = msgspec.json.Decoder(str)
_any: Final = msgspec.json.Decoder()

Fields = list[tuple[str, str]]
"""The names and values of a record, as texts."""


@dataclass(frozen=True, slots=True)
class Hits:
    """What a search has found."""

    found: list[Found]
    searched: int
    """How many records were looked at."""
    next: Place | None
    """Where to go on; None if all was looked at."""
    full: bool
    """Whether it ended because there were hits enough, and not because it had looked at enough."""


class Search:
    """Searches in the records of one database."""

    def __init__(self, database: Database, most_rows: int = _MOST_ROWS) -> None:
        """Look at `most_rows` records, or about 32 MiB of them, for one answer."""
        self._database = database
        self._most_rows = most_rows
        # One batch at a time: threads that calculate share one interpreter, and only get in each other's way
        self._turn = asyncio.Lock()

    async def find(self, account: Account, wanted: str, after: Place, only: int | None, limit: int) -> Hits:
        """The first `limit` records after a place that contain what is wanted, in the file number `only` or in all."""
        needle = wanted.casefold()
        hits: list[Found] = []
        searched = chars = 0
        place = after
        while searched < self._most_rows and chars < _MOST_CHARS:
            rows = min(_ROWS_A_STEP if needle else limit + 1, self._most_rows - searched)
            async with self._turn:
                batch = await self._database.read(records_after, account.no, place, only, rows)
                matching = await offload.thread(_matching, batch, needle, limit + 1 - len(hits))
            hits += matching
            if len(hits) > limit:
                return Hits(hits[:limit], searched + _before(matching[-1], batch), hits[limit - 1].place, full=True)
            searched += len(batch)
            if not batch:
                return Hits(hits, searched, None, full=False)
            place = batch[-1].place
            chars += sum(len(one.data) for one in batch)
        return Hits(hits, searched, place, full=False)


def _before(one: Found, batch: Sequence[Found]) -> int:
    return next(number for number, other in enumerate(batch) if other is one)


# -- calculation: in a thread, with a batch --


def _matching(batch: Sequence[Found], needle: str, most: int) -> list[Found]:
    found: list[Found] = []
    for one in batch:
        if _contains(one.data, needle):
            found.append(one)
            if len(found) == most:
                break
    return found


def _contains(data: str, needle: str) -> bool:
    """Whether a value of the record contains what is wanted; names and punctuation of the JSON do not count."""
    if not needle:
        return True
    if "\\" not in data and needle not in data.casefold():
        return False  # what is nowhere in the text is in no value; with a backslash the text may be written otherwise
    return any(needle in text.casefold() for _, text in fields(data))


def fields(data: str) -> Fields:
    """The names and values of a record: texts as they are, all else as JSON, with every digit that it came with."""
    return [(name, _value(bytes(raw))) for name, raw in _record.decode(data).items()]


def _value(raw: bytes) -> str:
    if raw.startswith(b'"'):
        return _text.decode(raw)
    if b"\\" in raw:  # escapes inside of a list or an object
        return msgspec.json.encode(_any.decode(raw)).decode()
    return raw.decode()
