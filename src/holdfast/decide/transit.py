"""What becomes of bytes that are under way: they wait, are metered, are delivered in pieces, or are held back.

A `Line` is what is under way in one direction of one connection. It says what may go on now, from when, or that it is
over. Times are in seconds of one monotonic clock and chances from 0 to 1; both come in as arguments.
"""

from collections import Counter, deque
from enum import Enum
from typing import Final, NamedTuple

from holdfast.decide.faults import Bandwidth, HalfOpen, Latency, Shape, Slice

_LEAST_KEPT: Final = 1 << 16
"""So much a line may always keep, in bytes: it has to keep something to go on."""
_WEIGHT: Final = 256
"""What keeping a piece costs beside its bytes, about."""
_DEPTH_S: Final = 0.05
"""For how long a bucket gathers tokens that nobody wants."""
_WORTHWHILE_S: Final = 0.01
"""A piece of so many seconds' worth of tokens is worth a turn of the loop."""
_ROUNDING: Final = 1e-6


class Bucket:
    """A token bucket, empty at first: each token lets one byte pass."""

    __slots__ = ("_at", "_tokens", "rate")

    def __init__(self, rate: float, now: float) -> None:
        """Gather `rate` tokens a second from `now` on."""
        self.rate: float = rate
        self._at = now
        self._tokens = 0.0

    def allows(self, wanted: int, now: float) -> int:
        """How many bytes may pass now: as many as are wanted, fewer, or none yet."""
        depth = max(1.0, self.rate * _DEPTH_S)
        self._tokens = min(depth, self._tokens + (now - self._at) * self.rate)
        self._at = now
        there = int(self._tokens + _ROUNDING)
        return min(wanted, there) if there >= self._worthwhile(wanted) else 0

    def ready_at(self, wanted: int) -> float:
        """When some may pass, as of the time it was asked last."""
        return self._at + (self._worthwhile(wanted) - self._tokens) / self.rate

    def take(self, size: int) -> None:
        """Note that so many passed."""
        self._tokens -= size

    def _worthwhile(self, wanted: int) -> int:
        return min(wanted, max(1, int(self.rate * _WORTHWHILE_S)))


class Room:
    """How many bytes all connections keep together. Beyond what is allowed, each keeps the least that it needs."""

    __slots__ = ("_each", "_together", "kept")

    def __init__(self, each: int = 4 << 20, together: int = 256 << 20) -> None:
        """`each` direction of a connection may keep so much, as a window of TCP does, and all `together`."""
        self._each = each
        self._together = together
        self.kept: int = 0

    def allows(self, kept: int) -> bool:
        """Whether a line that keeps so much may take more."""
        return kept < _LEAST_KEPT or (kept < self._each and self.kept < self._together)


class End(Enum):
    """How one side stopped sending."""

    FIN = "fin"
    RST = "rst"


class Go(NamedTuple):
    """This may go on now."""

    data: memoryview


class Wait(NamedTuple):
    """Nothing may go on before this time."""

    until: float


class Over(NamedTuple):
    """All has gone on, and the end is due."""

    how: End


Step = Go | Wait | Over | None
"""None: there is nothing, or it is held back until something changes."""


class _Piece(NamedTuple):
    came: float
    chance: float
    data: bytes | End


class Line:
    """What is under way in one direction of one connection, in the order in which it came."""

    __slots__ = ("_acts", "_bucket", "_kept", "_pieces", "_room", "_sent_at", "_sent_of_first", "_throttled")

    def __init__(self, room: Room, acts: "Counter[str]") -> None:
        """Keep no more than there is `room`; note in `acts` what the faults did, by their names."""
        self._room = room
        self._acts = acts
        self._pieces: deque[_Piece] = deque()
        self._sent_of_first = 0
        self._kept = 0
        self._sent_at = float("-inf")
        self._bucket: Bucket | None = None
        self._throttled = False

    @property
    def has_room(self) -> bool:
        """Whether it may be given more."""
        return self._room.allows(self._kept)

    def put(self, data: bytes | End, now: float, chance: float, shape: Shape) -> None:
        """Take what came now: bytes, or the end; `chance` says how much it is delayed where that varies."""
        self._pieces.append(_Piece(now, chance, data))
        size = 0 if isinstance(data, End) else len(data)
        self._keep(size + _WEIGHT)
        if shape.half_open:
            self._acts[HalfOpen.name] += 1
        elif shape.latency is not None and shape.latency.delay_s(chance) > 0:
            self._acts[Latency.name] += size

    def drop(self) -> None:
        """Forget all that is under way."""
        self._pieces.clear()
        self._sent_of_first = 0
        self._keep(-self._kept)

    def step(self, now: float, shape: Shape) -> Step:
        """What may go on now. Once it has, or some of it, `sent` is to be called."""
        if not self._pieces or shape.half_open:
            return None
        first = self._pieces[0]
        due = first.came + (shape.latency.delay_s(first.chance) if shape.latency else 0.0)
        if shape.slice is not None:
            due = max(due, self._sent_at + shape.slice.pause_ms / 1000)
        if due > now:
            return Wait(due)
        if isinstance(first.data, End):
            return Over(first.data)
        rest = memoryview(first.data)[self._sent_of_first :]
        if shape.slice is not None:
            rest = rest[: shape.slice.size]
        return self._metered(rest, now, shape.bandwidth)

    def sent(self, size: int, now: float, shape: Shape) -> None:
        """Note that so many bytes of what might go on have gone."""
        first = self._pieces[0].data
        whole = 0 if isinstance(first, End) else len(first)
        if shape.slice is not None and (self._sent_of_first or size < whole):
            self._acts[Slice.name] += 1
        if self._throttled:
            self._acts[Bandwidth.name] += size
            self._throttled = False
        if self._bucket is not None:
            self._bucket.take(size)
        self._sent_at = now
        self._sent_of_first += size
        if self._sent_of_first >= whole:
            self._pieces.popleft()
            self._sent_of_first = 0
            self._keep(-whole - _WEIGHT)

    def _metered(self, rest: memoryview, now: float, bandwidth: Bandwidth | None) -> Go | Wait:
        if bandwidth is None:
            self._bucket = None
            return Go(rest)
        if self._bucket is None or self._bucket.rate != bandwidth.bytes_s:
            self._bucket = Bucket(bandwidth.bytes_s, now)
        allowed = self._bucket.allows(len(rest), now)
        if allowed:
            return Go(rest[:allowed])
        self._throttled = True
        return Wait(self._bucket.ready_at(len(rest)))

    def _keep(self, size: int) -> None:
        self._kept += size
        self._room.kept += size
