"""Drain: a process that stops finishes what it began. Keeps *graceful*.

The states and what moves them on stand in `holdfast.decide.lifecycle`; here they are lived through, once a process.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Annotated, Final

from holdfast.decide.lifecycle import STANDING, Event, Standing, State, after
from holdfast.events import StateChanged
from holdfast.settings import Settings, option

_LOG = logging.getLogger("holdfast.lifecycle")


class DrainSettings(Settings, prefix="HOLDFAST_DRAIN", title="drain"):
    """What happens between SIGTERM and the end."""

    delay_s: Annotated[
        float,
        option(
            "Seconds to serve on after SIGTERM, not ready any more, so that the load balancer can look elsewhere.",
            ge=0,
            le=3600,
        ),
    ] = 5.0
    grace_s: Annotated[
        float, option("Seconds for what was accepted to finish, once nothing new is accepted.", ge=0, le=86400)
    ] = 20.0


class Draining:
    """Whether this process is stopping. For streams and loops that should come to an end by themselves."""

    def __init__(self) -> None:
        self._began = threading.Event()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._guard = threading.Lock()

    def is_set(self) -> bool:
        """Whether the process has begun to drain: from now on new work is accepted elsewhere."""
        return self._began.is_set()

    __bool__ = is_set

    async def wait(self) -> None:
        """Return once the process begins to drain."""
        event = asyncio.Event()
        entry = (asyncio.get_running_loop(), event)
        with self._guard:
            if self._began.is_set():
                return
            self._waiting.add(entry)
        try:
            await event.wait()
        finally:
            with self._guard:
                self._waiting.discard(entry)

    def begin(self) -> None:
        """Say that it has begun. For servers; from any thread."""
        with self._guard:
            self._began.set()
            waiting, self._waiting = self._waiting, set()
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    def reset(self) -> None:
        """Forget that it began: the life is over."""
        self._began.clear()


draining: Final = Draining()
"""The draining of this process."""


class Lifecycle:
    """The state of this process, moved on by events."""

    def __init__(self, tell: Callable[[StateChanged], None] | None = None) -> None:
        """Start in `starting`; `tell` hears of each change."""
        self.state: State = State.STARTING
        self._tell = tell or _log_change
        self._changed = asyncio.Event()

    @property
    def standing(self) -> Standing:
        """What the present state means for those outside."""
        return STANDING[self.state]

    def handle(self, event: Event) -> State:
        """Move on by `event`; the state afterwards."""
        before, self.state = self.state, after(self.state, event)
        if self.state is not before:
            if self.state is State.STOPPED:
                draining.reset()  # another life may follow in this process, as in tests
            elif self.state in {State.DRAINING, State.CLOSING}:
                draining.begin()
            self._tell(StateChanged(before, self.state, event))
            self._changed.set()
            self._changed = asyncio.Event()
        return self.state

    async def wait_while(self, state: State, timeout_s: float | None = None) -> bool:
        """Wait until `state` is over, or for `timeout_s` seconds. Says whether it is over."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.state is state:
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True


def _log_change(fact: StateChanged) -> None:
    _LOG.info(f"state: {fact.after}", extra={"before": fact.before, "why": fact.why})
