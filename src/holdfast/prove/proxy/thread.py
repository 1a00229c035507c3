"""A proxy in a thread of its own, for code that has no event loop."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import TypeVar

from holdfast.decide.dependencies import Address
from holdfast.decide.faults import Fault
from holdfast.prove.proxy.proxy import Proxy, Scope
from holdfast.prove.proxy.seen import Seen

T = TypeVar("T")


class RunningProxy:
    """A proxy that runs in another thread. Each call returns when it is done, and may come from any thread."""

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop) -> None:
        """Speak for a `proxy` that was started in `loop`."""
        self._proxy = proxy
        self._loop = loop

    @property
    def address(self) -> Address:
        """The host and the port that it listens on."""
        return self._proxy.address

    @property
    def seen(self) -> Seen:
        """What it has seen until now."""
        return self._ask(lambda: self._proxy.seen)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is set, the later above the earlier."""
        return self._ask(lambda: self._proxy.faults)

    def set(self, *faults: Fault) -> None:
        """As `Proxy.set`."""
        self._ask(lambda: self._proxy.set(*faults))

    def clear(self, *which: Fault | type[Fault]) -> None:
        """As `Proxy.clear`."""
        self._ask(lambda: self._proxy.clear(*which))

    def fault(self, *faults: Fault) -> Scope:
        """As `Proxy.fault`."""
        scope = self._proxy.fault(*faults)
        return Scope(lambda: self._ask(scope.begin), lambda: self._ask(scope.end))

    def _ask(self, what: Callable[[], T]) -> T:
        answer: Future[T] = Future()

        def act() -> None:
            try:
                answer.set_result(what())
            except BaseException as error:  # noqa: BLE001 - it is raised where it was asked
                answer.set_exception(error)

        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:  # it is over: there is no other thread any more, and what was seen can still be asked
            return what()
        return answer.result()


@contextlib.contextmanager
def running_proxy(
    *,
    upstream: tuple[str, int],
    listen: tuple[str, int] = ("127.0.0.1", 0),
    seed: int = 0,
    on_trouble: Callable[[OSError], None] | None = None,
) -> Generator[RunningProxy, None, None]:
    """A proxy in a thread of its own, as long as the block lasts; the arguments are those of `Proxy`.

    Raises OSError where the port cannot be had.
    """
    begun: Future[tuple[RunningProxy, Callable[[], object]]] = Future()

    async def run() -> None:
        loop, ends = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with Proxy(upstream=upstream, listen=listen, seed=seed, on_trouble=on_trouble) as proxy:
                begun.set_result((RunningProxy(proxy, loop), lambda: loop.call_soon_threadsafe(ends.set)))
                await ends.wait()
        except BaseException as error:
            if begun.done():
                raise
            begun.set_exception(error)

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="holdfast-proxy", daemon=True)
    thread.start()
    running, end = begun.result()
    try:
        yield running
    finally:
        end()
        thread.join()
