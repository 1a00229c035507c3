"""One direction of a connection: what is read on one side waits in a line, and is written on the other side.

The sockets are the kernel's own, without a buffer of the event loop's between: so a slow reader is felt by the writer,
what was passed on is known to the byte, and a connection can be ended in each of the ways in which connections end.
"""

import asyncio
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from holdfast.decide.faults import Shape, Way
from holdfast.decide.transit import End, Go, Line, Over, Room, Wait
from holdfast.prove.proxy.seen import Tally

_AT_ONCE: Final = 16
"""After so many pieces it is somebody else's turn."""
_NO_JITTER: Final = 0.5


@dataclass(frozen=True)
class Shared:
    """What the connections of a proxy have in common."""

    loop: asyncio.AbstractEventLoop
    upstream: tuple[str, int]
    seed: int
    on_trouble: Callable[[OSError], None]
    tally: Tally = field(default_factory=Tally)
    room: Room = field(default_factory=Room)
    reaching: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    """What is on its way to the upstream."""
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(1 << 16)))
    """What is read into; nothing stays in it."""
    clock: Callable[[], float] = time.monotonic
    """Not the loop's own, which stands still for a turn on some loops."""


class Owner(Protocol):
    """A connection, as its pipes know it."""

    def allowance(self, way: Way) -> int | None:
        """How many bytes may go on in a direction; None for any number."""
        ...

    def passed(self, way: Way, size: int) -> None:
        """So many bytes have gone on. It may be ended by that."""
        ...

    def over(self, way: Way, how: End) -> None:
        """All has gone on in a direction, and its end is due."""
        ...

    def broken(self, way: Way) -> None:
        """The side to which a direction leads takes nothing any more."""
        ...


class Pipe:
    """Passes on what comes on `source` to `sink`, as its shape says."""

    def __init__(
        self, owner: Owner, way: Way, sockets: tuple[socket.socket, socket.socket], number: int, shared: Shared
    ) -> None:
        """Stand still at first; `sockets` are the source and the sink, `number` is that of the connection."""
        self.way: Way = way
        self.sink: socket.socket
        self._source, self.sink = sockets
        self._owner = owner
        self._shared = shared
        self._loop = shared.loop
        self._line = Line(shared.room, shared.tally.acts)
        self._chance = f"{shared.seed}:{number}:{way}"
        self._random: random.Random | None = None
        self._shape = Shape()
        self._timer: asyncio.Handle | None = None
        self._reads = self._writes = self._ended = self._stopped = False

    def reshape(self, shape: Shape) -> None:
        """Go on, with this done to the bytes from now on."""
        self._shape = shape
        self._flow()

    def stop(self) -> None:
        """Read and write nothing any more, and forget what is under way."""
        self._stopped = True
        self._rest()
        self._line.drop()
        self._read_while_there_is_room()

    # -- reading --

    def _readable(self) -> None:
        try:
            size = self._source.recv_into(self._shared.buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._take(End.RST)
        else:
            self._take(bytes(self._shared.buffer[:size]) if size else End.FIN)
        self._flow()

    def _take(self, data: bytes | End) -> None:
        self._ended = isinstance(data, End)
        self._line.put(data, self._shared.clock(), self._draw(), self._shape)

    def _draw(self) -> float:
        if self._shape.latency is None or not self._shape.latency.jitter_ms:
            return _NO_JITTER
        if self._random is None:
            self._random = random.Random(self._chance)  # noqa: S311 - it is to be the same again, not a secret
        return self._random.random()

    def _read_while_there_is_room(self) -> None:
        reads = not self._stopped and not self._ended and self._line.has_room
        if reads and not self._reads:
            self._loop.add_reader(self._source, self._readable)
        elif self._reads and not reads:
            self._loop.remove_reader(self._source)
        self._reads = reads

    # -- writing --

    def _flow(self) -> None:
        """Pass on what may go, and see to it that this is called when more may."""
        self._rest()
        for _ in range(_AT_ONCE):
            if not self._act():
                break
        else:
            self._timer = self._loop.call_soon(self._flow)
        self._read_while_there_is_room()

    def _act(self) -> bool:
        """Do the next thing; whether there may be one more to do now."""
        if self._stopped:
            return False
        now = self._shared.clock()
        match self._line.step(now, self._shape):
            case Go(data):
                return self._send(data, now)
            case Wait(until):
                self._timer = self._loop.call_later(max(0.0, until - now), self._flow)
            case Over(how):
                self._stopped = True
                self._owner.over(self.way, how)
            case None:
                pass
        return False

    def _send(self, data: memoryview, now: float) -> bool:
        try:
            size = self.sink.send(data[: self._owner.allowance(self.way)])
        except (BlockingIOError, InterruptedError):
            self._loop.add_writer(self.sink, self._flow)
            self._writes = True
            return False
        except OSError:
            self.stop()
            self._owner.broken(self.way)
            return False
        self._line.sent(size, now, self._shape)
        self._owner.passed(self.way, size)
        return True

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writes:
            self._loop.remove_writer(self.sink)
            self._writes = False
