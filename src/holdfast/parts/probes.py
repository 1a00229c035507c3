"""Probes: `/-/live` and `/-/ready`, for whoever restarts the process and whoever balances the load."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

import msgspec

from holdfast.asgi import ASGIApp, Headers, Receive, Scope, Send

LIVE: Final = "/-/live"
READY: Final = "/-/ready"
PATHS: Final = frozenset({LIVE, READY})
_ENDS: Final = tuple(PATHS)
_CHECKS_S: Final = 2.0


class Standing(Protocol):
    """What a probe asks of the process."""

    @property
    def live(self) -> bool:
        """Whether it need not be restarted."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it may be sent requests."""
        ...


Checks = Callable[[], Awaitable[Mapping[str, bool]]]
"""Asks what the process depends on; the names of the asked, and whether each is well."""


Details = Callable[[], Mapping[str, object]]
"""What else the body of an answer says."""


async def ask(
    path: str, state: str, standing: Standing, checks: Checks | None, details: Details | None = None
) -> tuple[int, bytes]:
    """The answer to a probe: 200 or 503, and a small JSON body."""
    told: Mapping[str, bool] = {}
    well = standing.live
    if path == READY:
        told = await _checked(checks) if checks is not None and standing.ready else told
        well = standing.ready and all(told.values())
    words = {LIVE: ("live", "not live"), READY: ("ready", "not ready")}[path]
    body: dict[str, object] = {"status": words[0] if well else words[1], "state": state}
    if details is not None:
        body |= details()
    if told:
        body["checks"] = {name: "well" if is_well else "failing" for name, is_well in told.items()}
    return (200 if well else 503), msgspec.json.encode(body)


async def _checked(checks: Checks) -> Mapping[str, bool]:
    try:
        async with asyncio.timeout(_CHECKS_S):
            return await checks()
    except TimeoutError:
        return {"checks in time": False}


def layer(app: ASGIApp, state: Callable[[], tuple[str, Standing]], checks: Checks | None = None) -> ASGIApp:
    """Answer the probes; everything else is the application's. `state` says where the process stands."""

    async def answer(path: str, scope: Scope, send: Send) -> None:
        name, standing = state()
        scope["path_template"] = path  # its route, by which the log knows that it was a probe
        status, body = await ask(path, name, standing, checks)
        headers: Headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body if scope["method"] == "GET" else b""})

    def probes(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            path = scope["path"]
            if path.endswith(_ENDS) and scope["method"] in {"GET", "HEAD"}:
                path = path.removeprefix(scope.get("root_path", ""))  # where a proxy shows the application below a path
                if path in PATHS:
                    return answer(path, scope, send)
        return app(scope, receive, send)

    return probes
