"""Calling an ASGI application directly, for what needs no socket."""

from dataclasses import dataclass, field


@dataclass
class Answer:
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    ended: bool = False

    def header(self, name: str) -> str | None:
        found = [value.decode() for key, value in self.headers if key == name.encode()]
        assert len(found) < 2, found
        return found[0] if found else None


def scope_of(path: str = "/", method: str = "GET", headers=(), client=("203.0.113.9", 4711), **more) -> dict:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "client": client,
        "scheme": "http",
        **more,
    }


async def call(app, scope: dict | None = None, body: bytes = b"", *, gone: bool = False) -> Answer:
    answer = Answer()
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        return messages.pop() if messages and not gone else {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            assert not answer.status
            answer.status, answer.headers = message["status"], list(message.get("headers", []))
        else:
            answer.body += message.get("body", b"")
            answer.ended = not message.get("more_body", False)

    await app(scope or scope_of(), receive, send)
    return answer


def answering(status: int = 200, body: bytes = b"ok", headers=()):
    """An application that always answers the same."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": body})

    return app
