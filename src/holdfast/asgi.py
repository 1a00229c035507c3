"""The ASGI types. https://asgi.readthedocs.io/en/latest/specs/main.html"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
"""What is known of a connection when the application is called."""

Message: TypeAlias = MutableMapping[str, Any]
"""One event, in either direction; its `type` says which."""

Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

Headers: TypeAlias = list[tuple[bytes, bytes]]
"""Header names in lower case, with their values, in order."""

INTERIM: Final = "holdfast.interim"
"""Where a server that can send interim answers has a function in the scope's extensions: `send(status, headers)`."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first value of the request header `name` (lower case), or None."""
    for key, value in scope["headers"]:
        if key == name:
            return value
    return None
