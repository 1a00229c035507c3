"""Faults, the running backend and the promises, in a team's own tests: a plugin of pytest.

    def test_a_deploy_drops_nothing(promises):
        promises.keeps("graceful")

    def test_the_list_is_there_without_the_webhook(backend):
        with backend.neighbours["WEBHOOK_URL"].fault(HalfOpen()):
            assert backend.ask("GET", "/items").status == 200

    def test_our_client_gives_up(fault_proxy):
        proxy = fault_proxy(("127.0.0.1", 5432))
        with proxy.fault(Latency(ms=5_000)):
            ...

Installing Holdfast is enough, pytest finds it. Which backend it is, and how it is started, is said in
[tool.holdfast.prove] of the pyproject.toml of the folder that pytest runs in.
"""

import asyncio
import secrets
import signal
import threading
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from holdfast.decide.faults import AcceptHang, Bandwidth, Cut, HalfOpen, Latency, Refuse, Reset, Slice

if TYPE_CHECKING:  # the plugin is loaded by every run of pytest, and most want nothing of it
    from holdfast.prove.command import Found
    from holdfast.prove.config import Config
    from holdfast.prove.http import Answer
    from holdfast.prove.proxy import RunningProxy
    from holdfast.prove.running import App

__all__ = [
    "AcceptHang",
    "Backend",
    "Bandwidth",
    "Cut",
    "HalfOpen",
    "Latency",
    "Promises",
    "Refuse",
    "Reset",
    "Slice",
    "backend",
    "fault_proxy",
    "promises",
]

T = TypeVar("T")


class _Loop:
    """An event loop in a thread of its own, for tests that have none."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="holdfast-testing", daemon=True)
        self._thread.start()

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """Run it there, and wait for it."""
        return asyncio.run_coroutine_threadsafe(what, self.loop).result()

    def close(self) -> None:
        """End the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Backend:
    """A running backend. Each method returns when it is done; none needs an event loop."""

    def __init__(self, app: "App", loop: _Loop) -> None:
        """Speak for an `app` that was started in `loop`."""
        from holdfast.prove.proxy import RunningProxy  # noqa: PLC0415 - see the top

        self._app = app
        self._loop = loop
        self.url: str = f"http://{app.client.host}:{app.port}"
        """Where it is."""
        self.neighbours: Mapping[str, RunningProxy] = {
            name: RunningProxy(each.proxy, loop.loop) for name, each in app.neighbours.items()
        }
        """The fault proxies before what it depends on, by the variables that name these."""

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._app.pid

    @property
    def headers(self) -> Mapping[str, str]:
        """What signs a request in, and whatever else is configured for all of them."""
        return self._app.client.headers

    def lines(self) -> list[str]:
        """What it has written so far."""
        return self._app.lines()

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float = 30.0,
    ) -> "Answer":
        """Send a request on a connection of its own, signed in. An answer with status 0 says why none came."""
        return self._loop.run(self._app.client.ask(method, path, headers=headers, body=body, timeout_s=timeout_s))

    def terminate(self, within_s: float = 30.0) -> int | None:
        """SIGTERM; its exit code, or None if it was still there after so long."""
        self._app.signal(signal.SIGTERM)
        return self._app.exit_code if self._loop.run(self._app.ended(within_s)) else None

    def kill(self) -> None:
        """kill -9, without a warning."""
        self._loop.run(self._app.kill())

    def again(self) -> None:
        """Start it anew, with what it kept. Raises AppFailed."""
        self._loop.run(self._app.again())


class Promises:
    """Proves what a backend promises."""

    def __init__(self, prove: Callable[[str], "tuple[str, str]"]) -> None:
        """`prove` gives the verdict of a promise, and why."""
        self._prove = prove

    def keeps(self, name: str) -> None:
        """Fails the test if the promise, or the scenario, of that name is broken, or not proven."""
        verdict, why = self._prove(name)
        assert verdict == "kept", f"{name} is {verdict}: {why}"  # noqa: S101 - it is for tests


@pytest.fixture
def fault_proxy() -> "Generator[Callable[[tuple[str, int]], RunningProxy]]":
    """Makes a fault proxy before a host and a port. `proxy.address` is where to connect instead."""
    from holdfast.prove.proxy import running_proxy  # noqa: PLC0415 - see the top

    with ExitStack() as stack:
        yield lambda upstream: stack.enter_context(running_proxy(upstream=upstream))


@pytest.fixture
def backend() -> Generator[Backend]:
    """The backend, running, with nothing in it; gone after the test."""
    from holdfast.prove.neighbours import neighbours  # noqa: PLC0415 - see the top
    from holdfast.prove.running import running  # noqa: PLC0415 - as above

    with _prepared() as (config, folder, loop):
        stack = AsyncExitStack()

        async def start() -> "App":
            found = await stack.enter_async_context(neighbours(config, seed=0))
            environ = {each.variable: each.value for each in found.values()}
            cwd = Path.cwd()
            app = await stack.enter_async_context(running(config, cwd, folder / "backend", environ, _secret()))
            app.neighbours = found
            return app

        try:
            yield Backend(loop.run(start()), loop)
        finally:
            loop.run(stack.aclose())


@pytest.fixture
def promises() -> Generator[Promises]:
    """Proves promises of the backend, each when it is asked for."""
    from holdfast.prove import gauntlet, record  # noqa: PLC0415 - see the top
    from holdfast.prove.command import Asked, first_look, wanted  # noqa: PLC0415 - as above

    with _prepared() as (config, folder, loop):
        known: list[Found] = []
        secret = _secret()

        def prove(name: str) -> tuple[str, str]:
            if not known:
                known.append(loop.run(first_look(config, folder, secret, lambda _: None)))
            options = gauntlet.Options(Path.cwd(), folder, seed=secrets.randbelow(1_000_000), secret=secret)
            scenarios = wanted(Asked(only=(name,)))
            outcomes = loop.run(gauntlet.run(known[0], scenarios, options, gauntlet.Unwatched()))
            judgement = record.whole(outcomes)
            return judgement.verdict.value, judgement.why

        yield Promises(prove)


@contextmanager
def _prepared() -> "Generator[tuple[Config, Path, _Loop]]":
    """The configuration, a folder, and a loop; nothing of the latter two is left."""
    from holdfast.prove.command import Asked, configured, kept_clean  # noqa: PLC0415 - see the top

    config = configured(Asked())
    loop = _Loop()
    try:
        with kept_clean() as folder:
            yield config, folder, loop
    finally:
        loop.close()


def _secret() -> str:
    return f"Pr0ve-{secrets.token_hex(12)}"
