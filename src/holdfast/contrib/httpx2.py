"""httpx2: a request that is sent on behalf of another ends with it, and tells its receiver how long there is.

client = httpx2.AsyncClient(transport=Deadlined(httpx2.AsyncHTTPTransport()))
"""

from types import TracebackType
from typing import Final, Self

import httpx2

from holdfast import deadlines
from holdfast.errors import DeadlinePassed

_PHASES: Final = ("connect", "read", "write", "pool")


class Deadlined(httpx2.AsyncBaseTransport):
    """A transport of `httpx2.AsyncClient` that keeps the deadline of the work it is used in.

    No phase may take longer than what is left, `Holdfast-Timeout-Ms` says how much that is, and where nothing is left
    DeadlinePassed is raised before anything is sent. Without a deadline it is as the transport inside it.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        """Send through `inner`."""
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request."""
        prepare(request)
        try:
            return await self._inner.handle_async_request(request)
        except httpx2.TimeoutException:
            deadlines.check()  # what is over is over for us as well
            raise

    async def aclose(self) -> None:
        """Close what is inside."""
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(exc_type, exc_value, traceback)


class DeadlinedSync(httpx2.BaseTransport):
    """The same for `httpx2.Client`, as it is used in threads."""

    def __init__(self, inner: httpx2.BaseTransport) -> None:
        """Send through `inner`."""
        self._inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request."""
        prepare(request)
        try:
            return self._inner.handle_request(request)
        except httpx2.TimeoutException:
            deadlines.check()  # what is over is over for us as well
            raise

    def close(self) -> None:
        """Close what is inside."""
        self._inner.close()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._inner.__exit__(exc_type, exc_value, traceback)


def prepare(request: httpx2.Request) -> None:
    """Lower the request's timeouts to what is left, and say it in a header. Raises DeadlinePassed where nothing is."""
    left = deadlines.remaining()
    if left is None:
        return
    told = deadlines.headers()
    if "0" in told.values():
        raise DeadlinePassed
    given: dict[str, float | None] = dict(request.extensions.get("timeout", {}))
    lowered = {phase: left if (own := given.get(phase)) is None else min(own, left) for phase in _PHASES}
    request.extensions = {**request.extensions, "timeout": lowered}
    request.headers.update(told)
