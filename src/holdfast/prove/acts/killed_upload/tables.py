"""Tables that were sent to a backend, and whether their rows come out of it: each once, if it takes a while."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

from holdfast.prove.config import Template
from holdfast.prove.props.fetching import fetched
from holdfast.prove.props.rows import Counting, filling, tables
from holdfast.prove.running import App
from holdfast.prove.sending import filled

PATIENCE_S: Final = 6.0
"""For so long nothing more may come before the rest is taken to be lost."""
_LOOK_S: Final = 0.2
_OFTEN_S: Final = 0.02
_SOON_S: Final = 0.6
"""What is there by then is timed more closely, for by that it is known later when a table is being read."""


class Tables:
    """The tables, by the tags of their rows."""

    def __init__(self, app: App, export: Template, chance: random.Random, tell: Callable[[str], None]) -> None:
        """`export` gives the rows out, and says how they are filled in."""
        self.sent: dict[str, int] = {}
        """How many rows each has that was acknowledged."""
        self.missing: int = 0
        self.doubled: int = 0
        self.gradual: bool = False
        """Whether some rows of a table were seen to be there before the others."""
        self.after_s: float = 0.0
        """How long was looked until they were all there."""
        self._app = app
        self._export = export
        self._chance = chance
        self._tell = tell

    @property
    def rows(self) -> int:
        """Of all tables."""
        return sum(self.sent.values())

    async def add(self, rows: int) -> bool:
        """Send one more; whether it was acknowledged."""
        fill = self._export.fill
        if fill is None or not tables(fill):
            return False
        tag = f"{self._chance.getrandbits(48):012x}"
        sent = filling(fill, rows, tag, self._app.names)
        answer = await self._app.client.ask(sent.method, sent.path, headers=sent.headers, body=sent.body)
        if answer.good:
            self.sent[tag] = rows
        return answer.good

    async def look(self) -> bool:
        """Look until all rows are there, or nothing more comes; whether they are all there, each once."""
        began = moved = time.monotonic()
        most = -1
        while True:
            there = await self._look_once()
            self.after_s = time.monotonic() - began
            if there > most:
                most, moved = there, time.monotonic()
            if self.missing == 0 or self.doubled or time.monotonic() - moved > PATIENCE_S:
                return self.missing == 0 and not self.doubled
            self._tell(f"waiting for rows: {there} of {self.rows}")
            await asyncio.sleep(_OFTEN_S if self.after_s < _SOON_S else _LOOK_S)

    async def amid(self, within_s: float) -> None:
        """Wait until some rows are there and others are not; if that is not seen, as long as `within_s`."""
        until = time.monotonic() + within_s
        self.gradual = False
        while not self.gradual and (left_s := until - time.monotonic()) > 0:
            await self._look_once()
            await asyncio.sleep(min(_OFTEN_S, left_s))

    async def _look_once(self) -> int:
        counting = Counting()
        path = filled(self._export.path, self._app.names, quoted=True)
        headers = self._export.headers
        await fetched(self._app.client, path, method=self._export.method, headers=headers, look=counting)
        self.gradual = self.gradual or any(0 < counting.once(tag) < rows for tag, rows in self.sent.items())
        there = sum(counting.once(tag) for tag in self.sent)
        self.doubled = sum(counting.doubled(tag) for tag in self.sent)
        self.missing = self.rows - there
        return there
