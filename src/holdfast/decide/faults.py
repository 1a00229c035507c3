"""What can be wrong with a network: faults as values, all that are set together, and when they end a connection.

What they do to the bytes that are under way is in `transit.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, NamedTuple, TypeVar, get_args

Way = Literal["up", "down"]
"""`up` is towards the upstream, `down` is from it."""
Direction = Literal["up", "down", "both"]


# -- the faults --


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a network."""

    name: ClassVar[str] = "fault"
    counts: ClassVar[str] = "times"
    """What is counted where it acts."""

    def touches(self, way: Way) -> bool:
        """Whether it concerns this direction."""
        del way
        return True

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class _Directed(Fault):
    """A fault that may be meant for one direction alone."""

    direction: Direction = field(default="both", kw_only=True)

    def __post_init__(self) -> None:
        if self.direction not in get_args(Direction):
            raise ValueError(f"{self.direction!r} is no direction: it is up, down or both")

    def touches(self, way: Way) -> bool:
        """Whether it concerns this direction."""
        return self.direction in {way, "both"}

    def _told(self) -> str:
        return self.name

    def __str__(self) -> str:
        return self._told() if self.direction == "both" else f"{self._told()} {self.direction}"


@dataclass(frozen=True)
class Latency(_Directed):
    """Data comes `ms` later, give or take up to `jitter_ms`, in the order in which it was sent and as much of it."""

    name: ClassVar[str] = "latency"
    counts: ClassVar[str] = "bytes delayed"

    ms: float
    jitter_ms: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 <= self.ms < 1e9 and 0 <= self.jitter_ms < 1e9):
            raise ValueError("a latency and its jitter are 0 ms or more")

    def delay_s(self, chance: float) -> float:
        """How much later data comes, by chance."""
        return max(0.0, self.ms + self.jitter_ms * (2 * chance - 1)) / 1000

    def _told(self) -> str:
        return f"latency {self.ms:g} ms" + (f" ± {self.jitter_ms:g} ms" if self.jitter_ms else "")


@dataclass(frozen=True)
class Bandwidth(_Directed):
    """Each connection carries so many bytes a second."""

    name: ClassVar[str] = "bandwidth"
    counts: ClassVar[str] = "bytes throttled"

    bytes_s: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.bytes_s < 1e15:
            raise ValueError("a bandwidth is 1 byte a second or more; with a half-open connection nothing passes")

    def _told(self) -> str:
        return f"bandwidth {self.bytes_s:g} B/s"


@dataclass(frozen=True)
class Slice(_Directed):
    """Data is delivered in pieces of at most `size` bytes, with a pause of `pause_ms` after each."""

    name: ClassVar[str] = "slice"
    counts: ClassVar[str] = "pieces"

    size: int
    pause_ms: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 1 or not 0 <= self.pause_ms < 1e9:
            raise ValueError("a slice has 1 byte or more, and its pause is 0 ms or more")

    def _told(self) -> str:
        return f"slice {self.size}:{self.pause_ms:g}ms"


@dataclass(frozen=True)
class _After(_Directed):
    """A fault that ends connections: at once, or after so many bytes in its directions together."""

    after: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.after < 0:
            raise ValueError("a connection is ended after 0 bytes or more")

    def _told(self) -> str:
        return self.name + (f" after {self.after} bytes" if self.after else "")


@dataclass(frozen=True)
class Cut(_After):
    """Connections are closed (FIN), at once or after so many bytes; so are new ones."""

    name: ClassVar[str] = "cut"
    counts: ClassVar[str] = "connections cut"


@dataclass(frozen=True)
class Reset(_After):
    """Connections are reset (RST), at once or after so many bytes; so are new ones."""

    name: ClassVar[str] = "reset"
    counts: ClassVar[str] = "connections reset"


@dataclass(frozen=True)
class HalfOpen(_Directed):
    """Connections stay open and nothing arrives, neither data nor an end. What was sent arrives when it is healed."""

    name: ClassVar[str] = "half-open"
    counts: ClassVar[str] = "arrivals held back"


@dataclass(frozen=True)
class AcceptHang(Fault):
    """New connections are accepted, and then nothing happens."""

    name: ClassVar[str] = "accept-hang"
    counts: ClassVar[str] = "connections hanging"


@dataclass(frozen=True)
class Refuse(Fault):
    """Nobody listens: to connect is refused."""

    name: ClassVar[str] = "refuse"
    counts: ClassVar[str] = "attempts of the proxy's own refused"


KINDS: Final[tuple[type[Fault], ...]] = (Latency, Bandwidth, Slice, Cut, Reset, HalfOpen, AcceptHang, Refuse)

F = TypeVar("F", bound=Fault)


class Shape(NamedTuple):
    """What is done to the bytes of one direction."""

    latency: Latency | None = None
    bandwidth: Bandwidth | None = None
    slice: Slice | None = None
    half_open: bool = False


@dataclass(frozen=True)
class Faults:
    """The faults that are set, the later above the earlier. For each direction the uppermost of a kind counts."""

    all: tuple[Fault, ...] = ()

    def adding(self, *faults: Fault) -> "Faults":
        """These above what is there."""
        return Faults((*self.all, *faults))

    def setting(self, *faults: Fault) -> "Faults":
        """These in the place of all of their kinds that they cover."""
        kept = self
        for fault in faults:
            kept = Faults((*(other for other in kept.all if not _covers(fault, other)), fault))
        return kept

    def without(self, which: Fault | type[Fault]) -> "Faults":
        """Without all of a kind, or without the uppermost that equals a fault."""
        if isinstance(which, type):
            return Faults(tuple(fault for fault in self.all if not isinstance(fault, which)))
        for place in reversed(range(len(self.all))):
            if self.all[place] == which:
                return Faults(self.all[:place] + self.all[place + 1 :])
        return self

    def find(self, kind: type[F], way: Way) -> F | None:
        """The fault of a kind that counts for a direction."""
        for fault in reversed(self.all):
            if isinstance(fault, kind) and fault.touches(way):
                return fault
        return None

    def shape(self, way: Way) -> Shape:
        """What is done to the bytes of a direction."""
        return Shape(
            self.find(Latency, way),
            self.find(Bandwidth, way),
            self.find(Slice, way),
            half_open=self.find(HalfOpen, way) is not None,
        )

    def enders(self) -> tuple[Cut | Reset, ...]:
        """What ends connections."""
        found = [self.find(kind, way) for kind in (Cut, Reset) for way in get_args(Way)]
        return tuple(dict.fromkeys(fault for fault in found if fault is not None))

    def holding_up(self) -> type[Fault] | None:
        """What keeps new connections from the upstream: a first packet would not arrive, or not be answered."""
        if self.find(AcceptHang, "up"):
            return AcceptHang
        return HalfOpen if self.find(HalfOpen, "up") else None


def _covers(fault: Fault, other: Fault) -> bool:
    ways: tuple[Way, ...] = get_args(Way)
    return type(other) is type(fault) and all(fault.touches(way) for way in ways if other.touches(way))


# -- when a connection is ended --


class Fuse:
    """How many bytes a connection has left under a fault that ends it."""

    __slots__ = ("fault", "left")

    def __init__(self, fault: Cut | Reset) -> None:
        """Count from now on."""
        self.fault: Cut | Reset = fault
        self.left: int = fault.after

    def passed(self, way: Way, size: int) -> None:
        """Note that so many bytes went on."""
        if self.fault.touches(way):
            self.left -= size


def fitted(fuses: Sequence[Fuse], enders: Iterable[Cut | Reset]) -> list[Fuse]:
    """A fuse for each fault that ends connections; those that were there go on counting."""
    there = {fuse.fault: fuse for fuse in fuses}
    return [there.get(fault) or Fuse(fault) for fault in enders]


def blown(fuses: Iterable[Fuse]) -> Fuse | None:
    """The fuse with nothing left."""
    return next((fuse for fuse in fuses if fuse.left <= 0), None)


def allowance(fuses: Iterable[Fuse], way: Way) -> int | None:
    """How many bytes may still go in a direction; None for any number."""
    return min((fuse.left for fuse in fuses if fuse.fault.touches(way)), default=None)
