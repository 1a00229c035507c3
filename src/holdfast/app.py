"""`Holdfast(app)`: every part around an ASGI application, in the one order that is written here."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import reduce

from holdfast import context, leaks, logs, problems
from holdfast.asgi import ASGIApp, Receive, Scope, Send
from holdfast.context import ContextSettings
from holdfast.decide.deadlines import Timeouts
from holdfast.decide.forwarded import Network
from holdfast.decide.lifecycle import Event, State
from holdfast.leaks import LeakSettings
from holdfast.logs.canonical import QUIET
from holdfast.parts import deadlines, lifespan, metrics, offload, probes, rates, shedding
from holdfast.parts.drain import Lifecycle
from holdfast.parts.metrics import MetricsSettings
from holdfast.parts.watchdog import Watchdog, WatchdogSettings
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
        principal: shedding.Principal | None = None,
    ) -> None:
        """Put every part around `app`.

        `resources` are opened before it starts and closed after it has ended. `settings` are read from the environment
        unless given. `lifecycle` is given by a server that knows more of the process's life than the lifespan protocol
        tells. `principal` says how important whoever sends a request is. With `own_logs` the log is put in place
        (`holdfast.logs.configure`) unless that was done before.

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
        self._watchdog = Watchdog(load(WatchdogSettings), self.metrics and self.metrics.meter.loop_blocked)
        if self.metrics is not None:
            self.metrics.meter.offloads = offload.numbers
        shed = load(shedding.SheddingSettings)
        self.gate: shedding.Gate | None = shedding.Gate(shed, principal) if shed.shed != "off" else None
        """Who is served at once, for a server that asks before it makes a task; None where all are."""
        if self.metrics is not None and self.gate is not None:
            self.metrics.meter.gate(*self.gate.numbers)
        self.timeouts: Timeouts = deadlines.timeouts_of()
        """How long requests may take, for a server that gives each its deadline as it comes."""
        # THE order, outermost first.
        layers: list[Callable[[ASGIApp], ASGIApp]] = [
            lambda app: lifespan.layer(app, self._opened(resources, leak_settings), self._started, self._ended),
            lambda app: context.layer(app, settings),
            lambda app: logs.layer(app, logs.tell),
            lambda app: probes.layer(app, self._state, self.checks),
            lambda app: shedding.layer(app, self.gate, QUIET),
            problems.layer,
            lambda app: metrics.layer(app, self.metrics),
            lambda app: rates.layer(app, rates.rates()),
            lambda app: deadlines.layer(app, self.timeouts),
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
            stack.callback(self._watchdog.stop)
            await stack.enter_async_context(offload.live())
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
        self._watchdog.start()

    def _ended(self) -> None:
        """The server closes the application: one that drained before is closing by now, any other is told here."""
        if self.lifecycle.state is State.SERVING:
            self.lifecycle.handle(Event.HURRY)
        self.lifecycle.handle(Event.IDLE)


def _pings(resources: Resources) -> Callable[[], Awaitable[Mapping[str, bool]]]:
    async def checks() -> Mapping[str, bool]:
        return {name: health.well for name, health in (await resources.ping()).items()}

    return checks
