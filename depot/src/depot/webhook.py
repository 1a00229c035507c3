"""Telling an outside service that a file is ready or has failed.

The service may be slow, broken or gone, and the depot must not care: `tell` only puts a notice in line, a few tasks
send what is in line, each with a deadline, and what fails is logged. The client is passed in, so that a test can pass
another.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, Protocol

import httpx2

from depot.answers import FileOut
from holdfast import continuing, current

_DEADLINE_S: Final = 10.0
_LAST_CALL_S: Final = 2.0
_LINE: Final = 1_000
_SENDERS: Final = 4

logger = logging.getLogger(__name__)


class Herald(Protocol):
    """Whoever is told when a file is ready or has failed."""

    def tell(self, file: FileOut) -> None:
        """Take the notice and return at once; never raises."""
        ...


class Silence:
    """A herald for a depot without a webhook."""

    def tell(self, file: FileOut) -> None:
        """Do nothing."""


class Webhook:
    """A herald that posts JSON to an address: `{"event": "file.ready" or "file.failed", "file": {...}}`."""

    def __init__(self, client: httpx2.AsyncClient, url: str, *, deadline_s: float = _DEADLINE_S) -> None:
        """Post to `url` with `client`, giving each notice `deadline_s` seconds."""
        self._client = client
        self._url = url
        self._deadline_s = deadline_s
        self._line: asyncio.Queue[tuple[FileOut, str | None]] = asyncio.Queue(_LINE)

    @asynccontextmanager
    async def sending(self) -> AsyncGenerator[None]:
        """Send in the background until the end of the block; then what is in line has two seconds more."""
        senders = [asyncio.create_task(self._send_on(), name="webhook") for _ in range(_SENDERS)]
        try:
            yield
        finally:
            try:
                async with asyncio.timeout(_LAST_CALL_S):
                    await self._line.join()
            except TimeoutError:
                logger.warning("webhook notices lost at the end", extra={"notices": self._line.qsize()})
            for sender in senders:
                sender.cancel()
            await asyncio.gather(*senders, return_exceptions=True)

    def tell(self, file: FileOut) -> None:
        """Put a notice in line; where the line is too long it is dropped, and that is logged."""
        request = current()
        try:
            self._line.put_nowait((file, request and request.id))
        except asyncio.QueueFull:
            logger.warning("webhook notice dropped", extra={"file_id": file.id})

    async def _send_on(self) -> None:
        while True:
            file, request_id = await self._line.get()
            try:
                with continuing(request_id):
                    await self._send(file)
            finally:
                self._line.task_done()

    async def _send(self, file: FileOut) -> None:
        notice = {"event": f"file.{file.state}", "file": file.model_dump()}
        try:
            async with asyncio.timeout(self._deadline_s):  # the client's own limits are per step, this is for the whole
                answer = await self._client.post(self._url, json=notice)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            logger.warning("webhook failed", extra={"file_id": file.id, "error": type(error).__name__})
            return
        level = logging.INFO if answer.is_success else logging.WARNING
        logger.log(level, "webhook answered", extra={"file_id": file.id, "status": answer.status_code})
