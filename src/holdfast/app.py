"""`Holdfast(app)`: every part around an ASGI application, in the one order that is written here."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import reduce

from holdfast import context, leaks, logs, problems
from holdfast.asgi import ASGIApp, Receive, Scope, Send
from holdfast.context import ContextSettings
from holdfast.decide.forwarded import Network
from holdfast.decide.lifecycle import Event, State
from holdfast.leaks import LeakSettings
from holdfast.parts import lifespan, metrics, probes
from holdfast.parts.drain import Lifecycle
from holdfast.parts.metrics import MetricsSettings
from holdfast.resources import Resources
from holdfast.settings import load


class Holdfast:
    """An ASGI application with Holdfast around it, itself an ASGI application.

        app = Holdfast(app)

    `holdfast run` does the same for an application that does not.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        resources: Resources | None = None,
        settings: ContextSettings | None = None,
        lifecycle: Lifecycle | None = None,
        own_logs: bool = True,
    ) -> None:
        """Put every part around `app`.

        `resources` are opened before it starts and closed after it has ended. `settings` are read from the environment
        unless given. `lifecycle` is given by a server that knows more of the process's life than the lifespan protocol
        tells. With `own_logs` the log is put in place (`holdfast.logs.configure`) unless that was done before.

        Raises SettingsInvalid, ExtraMissing.
        """
        self.lifecycle: Lifecycle = lifecycle or Lifecycle()
        settings = settings or load(ContextSettings)
        self.trusted: Sequence[Network] = context.trusted_networks(settings)
        """The proxies that are believed, for a server that makes the context itself."""
        if own_logs and logs.installed() is None:
            logs.configure(load(logs.LogSettings))
        leak_settings = load(LeakSettings)
        self.checks: probes.Checks | None = _pings(resources) if resources is not None else None
        """Asks the resources whether they are well; None where there are none."""
        self.metrics: metrics.Metrics | None = metrics.installed() or metrics.configure(load(MetricsSettings))
        """What counts in this process; None where nothing is to be counted."""
        # THE order, outermost first.
        layers: list[Callable[[ASGIApp], ASGIApp]] = [
            lambda app: lifespan.layer(app, self._opened(resources, leak_settings), self._started, self._ended),
            lambda app: context.layer(app, settings),
            lambda app: logs.layer(app, logs.tell),
            lambda app: probes.layer(app, self._state, self.checks),
            problems.layer,
            lambda app: metrics.layer(app, self.metrics),
        ]
        self.layered: ASGIApp = reduce(lambda inner, layer: layer(inner), reversed(layers), app)
        """The layers as one callable, for a server that saves itself the call of this object."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as any ASGI application does."""
        await self.layered(scope, receive, send)

    @asynccontextmanager
    async def _opened(self, resources: Resources | None, leak_settings: LeakSettings) -> AsyncGenerator[None]:
        """What is open while the application lives: its resources, and around them whoever counts what is left open."""
        async with AsyncExitStack() as stack:
            if self.metrics is not None:
                await stack.enter_async_context(self.metrics.live())
            if leak_settings.report:
                await stack.enter_async_context(leaks.watch(trace=leak_settings.trace))
            if resources is not None:
                await stack.enter_async_context(resources)
            yield
        self.lifecycle.handle(Event.CLOSED)
        installed = logs.installed()
        if installed is not None:  # a server may end the process by a signal right after, and with it what is queued
            await asyncio.to_thread(installed.pipe.flush)

    def _state(self) -> tuple[str, probes.Standing]:
        return self.lifecycle.state, self.lifecycle.standing

    def _started(self) -> None:
        logs.regain()  # the application may have configured logging as it started
        self.lifecycle.handle(Event.STARTED)

    def _ended(self) -> None:
        """The server closes the application: one that drained before is closing by now, any other is told here."""
        if self.lifecycle.state is State.SERVING:
            self.lifecycle.handle(Event.HURRY)
        self.lifecycle.handle(Event.IDLE)


def _pings(resources: Resources) -> Callable[[], Awaitable[Mapping[str, bool]]]:
    async def checks() -> Mapping[str, bool]:
        return {name: health.well for name, health in (await resources.ping()).items()}

    return checks
