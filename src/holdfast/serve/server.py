"""One serving process: uvicorn's server, which lives through the states of `holdfast.decide.lifecycle`."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Final

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.lifespan.off import LifespanOff
from uvicorn.lifespan.on import LifespanOn
from uvicorn.server import Server as UvicornServer

from holdfast.decide.lifecycle import Event, State, of_signal
from holdfast.parts.drain import DrainSettings, Lifecycle
from holdfast.serve import notify
from holdfast.serve.acceptor import Accepted, Acceptor
from holdfast.serve.door import Door
from holdfast.serve.doorman import Doorman
from holdfast.serve.state import DoorState

_LOG = logging.getLogger("holdfast.serve")
_TICK_S: Final = 0.05
_SHARE: Final = 50
"""A fiftieth of the connections, at most, is closed at once to make room."""
_UNWIND_S: Final = 2.0
"""How long cancelled requests have to clean up behind them."""
_CLOSE_S: Final = 10.0
"""How long the application and the resources have to close."""


class Server(UvicornServer):
    """Serves one application on sockets that are bound already."""

    server_state: DoorState
    lifespan: LifespanOn | LifespanOff

    def __init__(
        self, config: Config, state: DoorState, lifecycle: Lifecycle, drain: DrainSettings, *, supervised: bool = False
    ) -> None:
        """A server as `config` says; `supervised` where a supervisor replaces it and hears the keyboard for it."""
        super().__init__(config)
        self.supervised = supervised
        self.server_state = state
        self.lifecycle = lifecycle
        self.drain = drain
        self.acceptors: list[Acceptor] = []
        self.most_connections: int = 1 << 30
        """How many connections are open at once."""
        self.on_listening: Callable[[], None] = _nothing
        """Called once requests are accepted."""
        self.failed: bool = False
        """Whether the application did not close as it should."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop, then drain. Ends with SystemExit where the application does not start."""
        sockets = sockets or []
        self._listen_to_signals()
        if not self.config.loaded:
            self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        ticking = asyncio.create_task(self._tick(), name="holdfast-date")
        try:
            if await self._started_in_peace(sockets):
                await self.lifecycle.wait_while(State.SERVING)
                await self._leave()
                await self._drain(sockets)
        finally:
            ticking.cancel()

    def handle_signal(self, number: int) -> None:
        """A signal asks this process to stop, or to hurry."""
        event = of_signal(self.lifecycle.state, interrupt=number == signal.SIGINT)
        _LOG.info("signal received", extra={"signal": signal.Signals(number).name, "means": event.value})
        self.lifecycle.handle(event)
        if not self.supervised:
            notify.stopping()

    def retire(self) -> None:
        """Another process serves in this one's place: finish what was accepted, without delay."""
        self.lifecycle.handle(Event.HURRY)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM,) if self.supervised else (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_signal, number)
        loop.add_signal_handler(signal.SIGHUP, self._stay)

    def _stay(self) -> None:
        """A process cannot replace itself without a gap, so it stays."""
        if self.supervised:
            _LOG.info("SIGHUP is ignored: a worker is replaced by its supervisor")
        else:
            _LOG.warning("SIGHUP is ignored: only --workers 2 or more can be restarted one by one")

    async def _tick(self) -> None:
        """Keep the Date header true."""
        while True:
            self.server_state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
            await asyncio.sleep(1.0)

    async def _started_in_peace(self, sockets: list[socket.socket]) -> bool:
        """Start; give up a start that is under way when told to stop, for it may hang."""
        starting = asyncio.create_task(self._start(sockets), name="holdfast-start")
        while not starting.done():
            if self.lifecycle.state is State.CLOSING:
                starting.cancel()
                await asyncio.wait({starting}, timeout=_UNWIND_S)
                self.lifecycle.handle(Event.CLOSED)
                return False
            await asyncio.wait({starting}, timeout=_TICK_S)
        await starting
        return True

    async def _start(self, sockets: list[socket.socket]) -> None:
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        _set_aside()
        doorman = Doorman(self.server_state)
        self.acceptors = [Acceptor(listener, doorman.let_in, self._door, self._has_room) for listener in sockets]
        self.started = True
        if self.lifecycle.state is State.STARTING:  # the application is no Holdfast that says so itself
            self.lifecycle.handle(Event.STARTED)
        self.on_listening()

    async def _leave(self) -> None:
        """Serve on, not ready any more, for as long as the delay says."""
        if self.lifecycle.state is State.LEAVING and not await self.lifecycle.wait_while(
            State.LEAVING, self.drain.delay_s
        ):
            self.lifecycle.handle(Event.DELAY_OVER)

    async def _drain(self, sockets: Sequence[socket.socket]) -> None:
        """Accept nothing new, finish what was accepted, close."""
        if self.lifecycle.state is State.DRAINING:
            self.server_state.draining = True
            await self._stop_accepting(sockets)
            for connection in list(self.server_state.connections):
                connection.shutdown()
            await self._finish()
        await self._cut_what_is_left()
        for acceptor in self.acceptors:
            acceptor.close()
        await self._close()
        self.lifecycle.handle(Event.CLOSED)

    async def _stop_accepting(self, sockets: Sequence[socket.socket]) -> None:
        """Take the connections that wait in the kernel's queue, then close the listening sockets.

        They were completed by the kernel, so their clients take them for accepted.
        """
        for acceptor in self.acceptors:
            acceptor.close()
        connecting = [one for acceptor in self.acceptors for one in acceptor.take_all()]
        for listener in sockets:
            listener.close()
        if connecting:
            await asyncio.wait(connecting)

    def _door(self, accepted: Accepted) -> Door:
        return Door(self.config, self.server_state, self.lifespan.state, accepted=accepted)

    def _has_room(self) -> bool:
        """Whether one more connection may be taken. Those that wait for nothing make room for it."""
        most, connections = self.most_connections, self.server_state.connections
        taken = len(connections) + sum(acceptor.connecting for acceptor in self.acceptors)
        if taken < most:
            return True
        doors = [door for door in connections if isinstance(door, Door)]
        staying = [door for door in doors if not door.transport.is_closing()]
        if taken - (len(doors) - len(staying)) < most:
            return True
        idle = sorted(
            (door for door in staying if door.idle_since is not None), key=lambda door: door.idle_since or 0.0
        )
        for door in idle[: max(1, most // _SHARE)]:
            door.transport.close()
        return bool(idle)

    async def _finish(self) -> None:
        """Wait until all that was accepted is answered, for as long as the grace lasts."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.drain.grace_s
        while self.lifecycle.state is State.DRAINING:
            if not self.server_state.tasks and not self.server_state.connections:
                self.lifecycle.handle(Event.IDLE)
            elif loop.time() >= end:
                self.lifecycle.handle(Event.GRACE_OVER)
            else:
                await asyncio.sleep(_TICK_S)

    async def _cut_what_is_left(self) -> None:
        tasks = set(self.server_state.tasks)
        if tasks:
            _LOG.warning("requests are cut off: the grace period is over", extra={"requests": len(tasks)})
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_UNWIND_S)
        for connection in list(self.server_state.connections):
            connection.transport.close()
        await asyncio.sleep(0)

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self.lifespan.shutdown()
        except TimeoutError:
            _LOG.error("the application did not close in time", extra={"seconds": _CLOSE_S})
            self.failed = True
        self.failed = self.failed or self.lifespan.should_exit


def _set_aside() -> None:
    """Have the garbage collector leave alone what stays as long as the process: modules, routes, models.

    To look through all of it holds up every request meanwhile; `bench/collector_cost.py` says for how long.
    """
    gc.collect()
    gc.freeze()


def _nothing() -> None:
    """Nobody waits for this server to listen."""


__all__ = ["STARTUP_FAILURE", "Server"]
