"""Clients that are far away: what they send is under way for a moment, so that a connection may be closed meanwhile.

They ask on kept connections, one request after the other. A server that closes such a connection without having said
`Connection: close` in an answer leaves what is on its way to it without one, and the client with no way to know whether
it was done (RFC 9112, section 9.5): a POST it may not send again.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from holdfast.prove.http import Answer, Client, Wire
from holdfast.prove.props.steady import over
from holdfast.prove.props.underway import UNANSWERED
from holdfast.prove.proxy import Latency, Proxy
from holdfast.prove.running import HOST, App
from holdfast.prove.sending import Request

_CLIENTS: Final = 10
_THERE_MS: Final = 120.0
_BACK_MS: Final = 30.0
AWAY_S: Final = (_THERE_MS + _BACK_MS) / 1000
"""What their network takes for a request and its answer."""
_LOOK_S: Final = 0.02
"""Before each request: what has come until then, such as the connection's end, is seen."""
_KEPT: Final = 2
"""After so many answers on a connection it is known that it is kept."""
_PAUSE_S: Final = 0.2
_PATIENCE_S: Final = 20.0


class Far:
    """Far clients, and what became of their kept connections."""

    def __init__(self, client: Client, request: Request) -> None:
        """They ask `request` by `client`."""
        self.cut: list[float] = []
        """When each request that was on its way got no answer, because its connection was closed."""
        self.told: list[float] = []
        """When each client was told that its connection is closed."""
        self.kept: int = 0
        """Connections that were seen to be kept."""
        self._client = client
        self._sent = request

    async def ask(self) -> None:
        """Ask on kept connections until cancelled."""
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                async with self._client.wire(timeout_s=_PATIENCE_S) as wire:
                    await self._on(wire)
            await asyncio.sleep(_PAUSE_S)

    async def _on(self, wire: Wire) -> None:
        sent, answered = self._sent, 0
        data = self._client.head(sent.method, sent.path, sent.headers) + (sent.body or b"")
        while True:
            if answered and await over(wire, _LOOK_S):
                return
            answer = await self._answer(wire, sent.method, data)
            if answer.error or not answer.status:
                if answered >= _KEPT and not answer.error.startswith(UNANSWERED):
                    self.cut.append(time.monotonic())
                return
            answered += 1
            self.kept += answered == _KEPT
            if "close" in answer.headers.get("connection", "").lower():
                self.told.append(time.monotonic())
                return

    async def _answer(self, wire: Wire, method: str, data: bytes) -> Answer:
        try:
            await wire.send(data)
        except (OSError, TimeoutError) as failure:
            return Answer(0, {}, b"", 0.0, error=type(failure).__name__)
        return await wire.answer(method, timeout_s=_PATIENCE_S)


@asynccontextmanager
async def far(app: App, request: Request) -> AsyncGenerator[Far]:
    """Some fifty requests a second of clients that are far away, until the block is left."""
    async with Proxy(upstream=(HOST, app.port)) as proxy:
        proxy.set(Latency(_THERE_MS, direction="up"), Latency(_BACK_MS, direction="down"))
        found = Far(Client(proxy.address.host, proxy.address.port, app.client.headers), request)
        tasks = [asyncio.create_task(found.ask()) for _ in range(_CLIENTS)]
        try:
            yield found
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
