"""One connection through a proxy: a client, the upstream, and a pipe for each direction."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Final

from holdfast.decide.faults import Cut, Faults, Fuse, Reset, Way, allowance, blown, fitted
from holdfast.decide.transit import End
from holdfast.prove.proxy.ending import Ending, pass_end, reset
from holdfast.prove.proxy.pipe import Pipe, Shared
from holdfast.prove.proxy.sockets import connected

_OTHER: Final[dict[Way, Way]] = {"up": "down", "down": "up"}


class Connection:
    """A client's connection, from when it was accepted until both its sockets are closed."""

    def __init__(
        self, client: socket.socket, number: int, shared: Shared, gone: Callable[["Connection"], None]
    ) -> None:
        """Do nothing yet: `live_with` begins. `gone` is called when it is over."""
        self._client = client
        self._upstream: socket.socket | None = None
        self._number = number
        self._shared = shared
        self._gone = gone
        self._faults = Faults()
        self._fuses: list[Fuse] = []
        self._pipes: dict[Way, Pipe] = {}
        self._finished: set[Way] = set()
        self._broken: set[Way] = set()
        self._reaching: asyncio.Task[None] | None = None
        self._ending: Ending | None = None
        self._held_up = self._stranded = self._over = False

    def live_with(self, faults: Faults) -> None:
        """Go on under these faults."""
        if self._over or self._ending or self._stranded:
            return
        self._faults = faults
        self._fuses = fitted(self._fuses, faults.enders())
        if self._burnt_out():
            return
        if self._pipes:
            for way, pipe in list(self._pipes.items()):
                pipe.reshape(faults.shape(way))
        elif self._reaching is None:
            self._reach_unless_held_up()

    def strand(self) -> None:
        """Stay as it is, whatever is set or cleared later."""
        self._stranded = True

    def close(self) -> None:
        """End it at once, whatever the peers see."""
        if self._ending is not None:
            self._ending.close()
        else:
            self._stop()
            for one in self._sockets():
                one.close()
            self._is_gone()

    # -- reaching the upstream --

    def _reach_unless_held_up(self) -> None:
        holding = self._faults.holding_up()
        if holding is None:
            self._reaching = self._shared.loop.create_task(self._reach())
            self._shared.reaching.add(self._reaching)
            self._reaching.add_done_callback(self._shared.reaching.discard)
        elif not self._held_up:
            self._held_up = True
            self._shared.tally.acts[holding.name] += 1

    async def _reach(self) -> None:
        try:
            upstream = await connected(self._shared.loop, self._shared.upstream)
        except OSError as error:
            self._shared.tally.unreachable += 1
            self._shared.on_trouble(error)
            self._reset()  # a client that came directly would not have been let in
            return
        self._upstream = upstream
        self._pipes["up"] = Pipe(self, "up", (self._client, upstream), self._number, self._shared)
        self._pipes["down"] = Pipe(self, "down", (upstream, self._client), self._number, self._shared)
        self.live_with(self._faults)

    # -- what its pipes tell --

    def allowance(self, way: Way) -> int | None:
        """How many bytes may go on in a direction; None for any number."""
        return allowance(self._fuses, way)

    def passed(self, way: Way, size: int) -> None:
        """So many bytes have gone on. It may be ended by that."""
        self._shared.tally.passed[way] += size
        for fuse in self._fuses:
            fuse.passed(way, size)
        self._burnt_out()

    def over(self, way: Way, how: End) -> None:
        """All has gone on in a direction, and its end is due."""
        if how is End.RST or _OTHER[way] in self._broken:
            self._reset()
            return
        pass_end(self._pipes[way].sink)
        self._finished.add(way)
        if len(self._finished) == len(self._pipes):
            self.close()

    def broken(self, way: Way) -> None:
        """The side to which a direction leads takes nothing any more. Its last words still go the other way."""
        self._broken.add(way)
        if _OTHER[way] in self._finished:
            self._reset()

    # -- how it ends --

    def _burnt_out(self) -> bool:
        fuse = blown(self._fuses)
        if fuse is None:
            return False
        self._shared.tally.acts[fuse.fault.name] += 1
        match fuse.fault:
            case Cut():
                self._end().with_fin()
            case Reset(after=0):
                self._stop()
                reset(self._sockets())
                self._is_gone()
            case Reset():
                self._reset()
        return True

    def _reset(self) -> None:
        self._end().with_rst()

    def _end(self) -> Ending:
        self._stop()
        self._ending = Ending(self._shared.loop, self._sockets(), self._is_gone)
        return self._ending

    def _stop(self) -> None:
        for pipe in self._pipes.values():
            pipe.stop()
        if self._reaching is not None:
            self._reaching.cancel()

    def _sockets(self) -> Iterable[socket.socket]:
        return [self._client] if self._upstream is None else [self._client, self._upstream]

    def _is_gone(self) -> None:
        if not self._over:
            self._over = True
            self._gone(self)
