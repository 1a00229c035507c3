"""Asking an export directly, as a client that stays until the end, or leaves when it is told to."""

import asyncio

from calling import Answer, scope_of


class Client:
    """Calls an ASGI application once. `left` says that the client has gone; `reading`, if cleared, stops it."""

    def __init__(self) -> None:
        self.answer = Answer()
        self.left = asyncio.Event()
        self.reading = asyncio.Event()
        self.reading.set()
        self.begun = asyncio.Event()

    async def ask(self, app, scope: dict | None = None) -> Answer:
        pieces: list[bytes] = []
        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive():
            if messages:
                return messages.pop()
            await self.left.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            await self.reading.wait()
            if message["type"] == "http.response.start":
                assert not self.answer.status
                self.answer.status, self.answer.headers = message["status"], list(message["headers"])
            else:
                pieces.append(message.get("body", b""))
                self.answer.ended = not message.get("more_body", False)
                self.begun.set()

        try:
            await app(scope or scope_of(), receive, send)
        finally:
            self.answer.body = b"".join(pieces)
        return self.answer


async def asked(app, scope: dict | None = None) -> Answer:
    """The whole answer."""
    return await Client().ask(app, scope)


def text(app, scope: dict | None = None) -> str:
    """The body of the whole answer."""
    answer = asyncio.run(asked(app, scope))
    assert answer.status == 200
    assert answer.ended
    return answer.body.decode()
