"""A backend whose log nobody reads for a while: what it has to say must not pile up in its memory.

Its output is a pipe that is full. Requests whose addresses are long make it say much.
"""

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
import time
from typing import Final

import msgspec

from holdfast.prove.counters import Samples, sampling
from holdfast.prove.props.greedy import Greedy, Wish, greedy
from holdfast.prove.props.growth import MB, Peak, peak
from holdfast.prove.running import App, AppFailed
from holdfast.prove.stage import Stage

PHASE: Final = "nobody read its log"
_QUERIES: Final = (30_000, 7_000)
"""How long an address is: the longest that is taken."""
_SIZES_MB: Final = (20, 88)
_CONNECTIONS: Final = 4
_LONGEST_S: Final = 5.0
_STALLED_S: Final = 0.7
_FULL: Final = 48 << 10
"""A pipe with more in it is as good as full: a line may not fit any more."""
_LOOK_S: Final = 0.02
_TOO_LONG: Final = frozenset({0, 400, 414, 431})


class Unread(msgspec.Struct, frozen=True):
    """What became of it."""

    peaks: tuple[Peak, ...] = ()
    """Nothing where it could not be seen."""
    why: str = ""
    """Why it could not."""


class _Pipe:
    """A pipe that is read until it is not."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        asyncio.get_running_loop().add_reader(self.reading, self._read)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.reading, 1 << 16)

    def leave(self) -> None:
        """Read no more."""
        asyncio.get_running_loop().remove_reader(self.reading)

    @property
    def held(self) -> int:
        """Bytes that nobody has read."""
        return struct.unpack("i", fcntl.ioctl(self.reading, termios.FIONREAD, bytes(4)))[0]

    def close(self) -> None:
        self.leave()
        os.close(self.reading)
        os.close(self.writing)


async def unread(stage: Stage) -> Unread:
    """Start one more backend, stop reading what it writes, and ask much of it."""
    pipe = _Pipe()
    try:
        async with stage.app(output=pipe.writing) as app:
            path = await _longest(app, stage.seed)
            if not path:
                return Unread(why="it takes no long addresses")
            pipe.leave()
            async with sampling(app.pid) as samples:
                return await _asked(app, path, pipe, samples)
    except AppFailed:  # it may have much to say before it is ready
        return Unread(why="it did not get ready with its output in a pipe")
    finally:
        pipe.close()


async def _longest(app: App, seed: int) -> str:
    """An address as long as it takes, of nothing that is there: it says no more than that it was asked for."""
    for size in _QUERIES:
        path = f"/no-such-{seed}?q={'a' * size}"
        if (await app.client.ask("GET", path, timeout_s=5.0)).status not in _TOO_LONG:
            return path
    return ""


async def _asked(app: App, path: str, pipe: _Pipe, samples: Samples) -> Unread:
    peaks: list[Peak] = []
    payload = app.client.head("GET", path)
    async with greedy(app.port, [Wish(payload, _CONNECTIONS)]) as client:
        for mb in _SIZES_MB:
            began = time.monotonic()
            if not await _come(client, mb * MB // len(payload)):
                return Unread(why="it stood still, or was too slow, while nobody read its log")
            peaks.append(peak(samples.series, PHASE, mb * MB, (began, time.monotonic())))
    if pipe.held < _FULL:
        return Unread(why=f"it had written {pipe.held} bytes alone")
    return Unread(tuple(peaks))


async def _come(client: Greedy, many: int) -> bool:
    """Wait until so many were answered; whether they were."""
    began = moved = time.monotonic()
    answered = -1
    while (now := client.answered + client.refused) < many:
        if now > answered:
            answered, moved = now, time.monotonic()
        if time.monotonic() - began > _LONGEST_S or time.monotonic() - moved > _STALLED_S:
            return False
        await asyncio.sleep(_LOOK_S)
    return True
