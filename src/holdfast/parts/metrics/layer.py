"""The layer: counts what the application is busy with, and answers scrapes where that is wanted."""

from collections.abc import Awaitable, Sequence
from typing import Final

from holdfast.asgi import ASGIApp, Headers, Receive, Scope, Send
from holdfast.parts.metrics.process import Metrics

PATH: Final = "/-/metrics"


def layer(app: ASGIApp, metrics: Metrics | None) -> ASGIApp:
    """Count the requests that `app` is busy with. Without `metrics` it is `app` itself."""
    if metrics is None:
        return app
    meter = metrics.meter
    answers = metrics.at_app

    async def http(scope: Scope, receive: Receive, send: Send) -> None:
        meter.in_flight += 1
        try:
            await app(scope, receive, send)
        finally:
            meter.in_flight -= 1

    async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
        meter.websockets_open += 1
        try:
            await app(scope, receive, send)
        finally:
            meter.websockets_open -= 1

    def counted(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        kind = scope["type"]
        if kind == "http":
            if answers and scope["path"].endswith(PATH) and _is_scrape(scope):
                return _answer(metrics, scope, send)
            return http(scope, receive, send)
        return websocket(scope, receive, send) if kind == "websocket" else app(scope, receive, send)

    return counted


def _is_scrape(scope: Scope) -> bool:
    """Whether the path is ours, below the root path where there is one."""
    return scope["method"] in {"GET", "HEAD"} and scope["path"].removeprefix(scope.get("root_path", "")) == PATH


async def _answer(metrics: Metrics, scope: Scope, send: Send) -> None:
    scope["path_template"] = PATH  # its route, by which the log and the counters know that it was a scrape
    content_type, body = await metrics.answer(_accepted(scope["headers"]))
    headers: Headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body if scope["method"] == "GET" else b""})


def _accepted(headers: Headers) -> Sequence[str]:
    """The values of the `Accept` headers."""
    return [value.decode("latin-1") for name, value in headers if name == b"accept"]
