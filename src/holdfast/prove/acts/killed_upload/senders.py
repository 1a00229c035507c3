"""Clients that send one file after the other until the backend is gone, and note what was acknowledged to them."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from typing import Final

from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.props.fetching import Fetched, fetched
from holdfast.prove.props.killing import Killing
from holdfast.prove.props.resumable import address, creation, ids_in, offset_in, piece, question
from holdfast.prove.running import App
from holdfast.prove.sending import Request, filled, found_in, fresh_names, request

_SIZES: Final = (1_000, 30_000, 200_000, 600_000)
_LARGE: Final = 1 << 20
_PIECE: Final = 16_384
_PACE_S: Final = 0.004
_BACK_OFF_S: Final = 0.05
_MOST: Final = 40
_TIMEOUT_S: Final = 20.0


class Sending:
    """A file on its way, and what is known of it."""

    def __init__(self, name: str, content: bytes) -> None:
        """Nothing was acknowledged yet."""
        self.name: str = name
        self.content: bytes = content
        self.sha256: str = hashlib.sha256(content).hexdigest()
        self.acknowledged: bool = False
        """As a whole."""
        self.ids: list[str] = []
        """What it may be called."""
        self.path: str = ""
        """Of an upload that can be gone on with."""
        self.offset: int = 0
        """How far it was acknowledged."""

    def is_in(self, came: Fetched) -> bool:
        """Whether that is what was sent."""
        return came.good and came.sha256 == self.sha256


class Senders:
    """The clients of one life of a backend. All chance comes from `seed`."""

    def __init__(self, app: App, upload: Template, killing: Killing | None, seed: int) -> None:
        """`killing` hears of each acknowledgement."""
        self.app: App = app
        self.sent: list[Sending] = []
        """All, in the order in which they began."""
        self.refused: list[Answer] = []
        """What was answered but with 2xx."""
        self._upload = upload
        self._killing = killing
        self._chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret

    @property
    def gone(self) -> bool:
        """Whether the backend was killed."""
        return self._killing is not None and self._killing.done.is_set()

    def begin(self, size: int) -> Sending:
        """A file of chance that nobody has seen yet."""
        sending = Sending(fresh_names()["name"], self._chance.randbytes(size))
        self.sent.append(sending)
        return sending

    async def plain(self, *, slowly: bool = False) -> None:
        """Send whole files; `slowly`, large ones whose bytes come one piece after the other."""
        for _ in range(_MOST):
            if self.gone:
                return
            sending = self.begin(_LARGE if slowly else self._chance.choice(_SIZES))
            await self.whole(sending, slowly=slowly)

    async def whole(self, sending: Sending, *, slowly: bool = False) -> Answer:
        """Send one file."""
        names = {**self.app.names, "name": sending.name}
        answer = await self.ask(request(self._upload, names, sending.content), slowly=slowly)
        if answer.good:
            sending.ids = [found_in(answer, self._upload.id) if self._upload.id else ""]
            self._whole(sending)
        return answer

    def _whole(self, sending: Sending) -> None:
        sending.acknowledged = True
        if self._killing is not None:
            self._killing.acknowledged()

    async def resumable(self, *, at_length: bool = False) -> None:
        """Send files in pieces, each of which is acknowledged, by tus; `at_length`, large ones in one slow piece each.

        So there is always one of which much has come, and nothing was acknowledged.
        """
        for _ in range(_MOST):
            if self.gone:
                return
            small = self._chance.random() < 0.5  # so that many are about to end
            most = 2 * _LARGE if at_length else _LARGE
            size = self._chance.randrange(20_000, 60_000) if small else self._chance.randrange(_LARGE)
            sending = self.begin(most if at_length else size)
            await self.create(sending)
            while sending.path and not sending.acknowledged and not self.gone:
                size = most if at_length else self._chance.randrange(40_000, 400_000)
                slowly = at_length or self._chance.random() < 0.5
                if not (await self.go_on(sending, size, slowly=slowly)).good:
                    break

    async def create(self, sending: Sending) -> Answer:
        """Announce a file."""
        where = creation(self._upload.resumable, len(sending.content), f"{sending.name}.csv")
        answer = await self.ask(where)
        sending.path = address(answer) if answer.good else ""
        return answer

    async def go_on(self, sending: Sending, size: int, *, slowly: bool = False) -> Answer:
        """Send the next piece of a file."""
        data = sending.content[sending.offset : sending.offset + size]
        answer = await self.ask(piece(sending.path, sending.offset, data), slowly=slowly)
        offset = offset_in(answer)
        if offset is not None:
            sending.offset = offset
            if offset == len(sending.content):
                sending.ids = ids_in(answer, sending.path, self._upload.id)
                self._whole(sending)
            elif self._killing is not None:
                self._killing.acknowledged()
        return answer

    async def ask(self, sent: Request, *, slowly: bool = False) -> Answer:
        """Send a request. An answer that is not 2xx is noted, and waited after."""
        body = _slowly(sent.body) if slowly and sent.body else sent.body
        length = len(sent.body) if sent.body else None
        answer = await self.app.client.ask(
            sent.method, sent.path, headers=sent.headers, body=body, length=length, timeout_s=_TIMEOUT_S
        )
        if not answer.good and not self.gone:
            self.refused.append(answer)
            await asyncio.sleep(_BACK_OFF_S)
        return answer

    # -- what became of it --

    async def content(self, sending: Sending) -> Fetched:
        """What the backend gives back for a file: what was sent, if under any of its names."""
        came = Fetched(error="nothing is known by which it could be asked for")
        for name in sending.ids:
            came = await self.content_of(sending.name, name)
            if sending.is_in(came):
                break
        return came

    async def content_of(self, name: str, called: str) -> Fetched:
        """What the backend gives back for the file that is `called` so."""
        names = {**self.app.names, "name": name, "id": called}
        return await fetched(self.app.client, filled(self._upload.content, names, quoted=True), timeout_s=_TIMEOUT_S)

    async def offset_of(self, sending: Sending) -> tuple[int | None, Answer]:
        """How far the backend says that an upload is."""
        asked = question(sending.path)
        answer = await self.app.client.ask(asked.method, asked.path, headers=asked.headers, timeout_s=_TIMEOUT_S)
        return offset_in(answer), answer


async def _slowly(data: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(data), _PIECE):
        yield data[begin : begin + _PIECE]
        await asyncio.sleep(_PACE_S)
