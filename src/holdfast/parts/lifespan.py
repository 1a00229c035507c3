"""Lifespan: what the process needs is open before the application starts, and closed after it has ended.

An application that does not speak the lifespan protocol gets the same.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from holdfast.asgi import ASGIApp, Message, Receive, Scope, Send

_LOG = logging.getLogger("holdfast.lifecycle")


Opened = AbstractAsyncContextManager[object, bool | None]
"""What is entered at start and left at the end."""


def layer(app: ASGIApp, opened: Opened, started: Callable[[], None], ended: Callable[[], None]) -> ASGIApp:
    """Enter `opened` around the application's own lifespan; `started` and `ended` are called as it comes and goes."""

    async def live(scope: Scope, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            await _Lifespan(app, opened, started, ended, stack).run(scope, receive, send)

    def lifespan(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return (live if scope["type"] == "lifespan" else app)(scope, receive, send)

    return lifespan


class _Lifespan:
    """One lifespan, from its first message to its last."""

    def __init__(
        self,
        app: ASGIApp,
        opened: Opened,
        started: Callable[[], None],
        ended: Callable[[], None],
        stack: AsyncExitStack,
    ) -> None:
        self.app = app
        self.opened = opened
        self.started = started
        self.ended = ended
        self.stack = stack
        self.answered = False
        """Whether the application has answered the startup, well or not."""

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = await receive()
        if not await self._open(send):
            return
        pending: list[Message] = [first]

        async def receive_again() -> Message:
            if pending:
                return pending.pop()
            message = await receive()
            self.ended()
            return message

        async def answer(message: Message) -> None:
            self.answered = True
            if message["type"] == "lifespan.startup.complete":
                self.started()
            elif message["type"].startswith("lifespan.shutdown"):
                await self.stack.aclose()
            await send(message)

        try:
            await self.app(scope, receive_again, answer)
        except Exception:
            if self.answered:
                raise
            _LOG.debug("the application does not speak the lifespan protocol", exc_info=True)
        if not self.answered:
            await self._without_the_application(receive, send)

    async def _open(self, send: Send) -> bool:
        try:
            await self.stack.enter_async_context(self.opened)
        except Exception as error:  # noqa: BLE001 - whatever opening raises, the server is told
            _LOG.exception("the start failed: a resource could not be opened")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return False
        return True

    async def _without_the_application(self, receive: Receive, send: Send) -> None:
        self.started()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.ended()
        await self.stack.aclose()
        await send({"type": "lifespan.shutdown.complete"})
