"""A pulse of cheap requests, by which it is felt when a backend stands still, and for how long.

    async with beating(app, probes, machine) as pulse:
        held_s, answer = await pulse.felt(once)

Several kinds of probes beat side by side, each on a connection of its own that is kept. A route that waits for a lock
holds up its own kind; a loop that stands still holds up all of them. So what counts is what *every* kind has felt.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, TypeVar

from holdfast.prove.config import Template
from holdfast.prove.http import Wire
from holdfast.prove.props.canary import Machine
from holdfast.prove.running import App
from holdfast.prove.sending import request
from holdfast.prove.stage import Target

T = TypeVar("T")

_EVERY_S: Final = 0.025
_BEAT_S: Final = 20.0
"""So long an answer is waited for."""
_SETTLED_S: Final = 0.03
_TRIES: Final = 3
_USUAL_S: Final = 0.1
"""What takes longer while nothing goes on is no cheap request."""
_TRIED_S: Final = 2.0


class Probe(NamedTuple):
    """A cheap request, as it is on the wire."""

    shown: str
    data: bytes
    keeps: bool = True
    """Whether the connection may be used again."""


class Beat(NamedTuple):
    """One of them, and when it was answered."""

    at: float
    over: float


class _Kind:
    """The beats of one probe."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.beats: list[Beat] = []
        self.since: float | None = None
        """When the one under way was sent."""

    def felt_s(self, begin: float, end: float, late_s: Callable[[float, float], float]) -> float:
        """How long the slowest of them waited between two moments, but for the time in which we did not run."""
        beats = [*self.beats, *([Beat(self.since, time.monotonic())] if self.since is not None else [])]
        waits = [(max(begin, one.at), min(end, one.over)) for one in beats if one.at < end and one.over > begin]
        return max((last - first - late_s(first, last) for first, last in waits), default=0.0)


class Pulse:
    """What has been felt so far."""

    def __init__(self, app: App, probes: Sequence[Probe], machine: Machine) -> None:
        """`machine` knows when nothing of ours ran, which is no fault of the backend's."""
        self._app = app
        self._machine = machine
        self._kinds = [_Kind(probe) for probe in probes]

    @property
    def probes(self) -> list[Probe]:
        """What beats."""
        return [kind.probe for kind in self._kinds]

    @property
    def shown(self) -> str:
        """What is asked."""
        return " and ".join(kind.probe.shown for kind in self._kinds)

    def held_s(self, begin: float, end: float) -> float:
        """For how long nothing at all was answered between two moments of the monotonic clock."""
        return min((kind.felt_s(begin, end, self._machine.late_s) for kind in self._kinds), default=0.0)

    async def felt(self, acting: Callable[[], Awaitable[T]], within_s: float = 4.0) -> tuple[float, T]:
        """For how long nothing was answered while something was done, or right after it; and what came of that."""
        begin = time.monotonic()
        found = await acting()
        await self.settled(within_s)
        return self.held_s(begin, time.monotonic()), found

    async def settled(self, within_s: float) -> None:
        """Wait until all that was asked before now is answered."""
        await asyncio.sleep(_SETTLED_S)
        now = time.monotonic()
        while any(kind.since is not None and kind.since < now for kind in self._kinds):
            if time.monotonic() - now > within_s:
                return
            await asyncio.sleep(_SETTLED_S / 3)

    # -- beating --

    async def beat(self) -> None:
        """Beat until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind in self._kinds:
                group.create_task(self._beats(kind))

    async def _beats(self, kind: _Kind) -> None:
        while True:  # each turn is a connection
            began = time.monotonic()
            with contextlib.suppress(OSError, TimeoutError):
                async with self._app.stranger.wire() as wire:
                    while True:
                        answered = await self._beat(kind, wire)
                        await asyncio.sleep(_EVERY_S)
                        if not (answered and kind.probe.keeps):
                            break
            kind.since = None
            await asyncio.sleep(max(0.0, began + _EVERY_S - time.monotonic()))  # where there was none at all

    async def _beat(self, kind: _Kind, wire: Wire) -> bool:
        """Whether it was answered, so that the connection can be used again."""
        kind.since = time.monotonic()
        answered = await answers(wire, kind.probe, _BEAT_S)
        if answered:
            kind.beats.append(Beat(kind.since, time.monotonic()))
        kind.since = None
        return answered


async def answers(wire: Wire, probe: Probe, within_s: float) -> bool:
    """Whether a probe is answered. For one that is no HTTP an end of the connection is an answer, too."""
    await wire.send(probe.data)
    if not probe.keeps:
        return await wire.until_closed(timeout_s=within_s) is not None
    answer = await wire.answer(timeout_s=within_s)
    return bool(answer.status) and not answer.error


def nonsense() -> Probe:
    """What a server refuses by itself, whatever the application does meanwhile."""
    return Probe("a request that is no HTTP", b"GET / HTPP/1.1\r\nHost: prove\r\n\r\n", keeps=False)


async def cheap(app: App, target: Target, *more: Probe) -> list[Probe]:
    """Probes that are answered at once: what says that the backend is ready, what is not there; or else a read."""
    nowhere = f"/no-such-{secrets.token_hex(4)}"
    ready = target.config.ready
    found = [await _quick(app, probe) for probe in (*([_asking(app, Template("GET", ready))] if ready else []), *more)]
    found += [await _quick(app, _asking(app, Template("GET", nowhere)))]
    chosen = [one for one in found if one is not None]
    return chosen or [one for one in [await _quick(app, _asking(app, target.read))] if one is not None]


def _asking(app: App, template: Template) -> Probe:
    sent = request(template, app.names)
    return Probe(template.shown, app.stranger.head(sent.method, sent.path, {**app.client.headers, **sent.headers}))


async def _quick(app: App, probe: Probe) -> Probe | None:
    """The probe, if it is answered at once, and so each time."""
    for _ in range(_TRIES):
        began = time.monotonic()
        try:
            async with app.stranger.wire() as wire:
                if not await answers(wire, probe, _TRIED_S):
                    return None
        except (OSError, TimeoutError):
            return None
        if time.monotonic() - began > _USUAL_S:
            return None
    return probe


@asynccontextmanager
async def beating(app: App, probes: Sequence[Probe], machine: Machine) -> AsyncGenerator[Pulse]:
    """A pulse, for as long as the block lasts."""
    pulse = Pulse(app, probes, machine)
    task = asyncio.create_task(pulse.beat())
    try:
        yield pulse
    finally:
        task.cancel()
        await asyncio.wait([task])
