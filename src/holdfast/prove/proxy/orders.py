"""What a proxy is told while it runs, in words: `latency 200 50 down`, `cut 1MB`, `clear`, `status`."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, cast, get_args

from holdfast.decide.dependencies import Address
from holdfast.decide.faults import (
    KINDS,
    AcceptHang,
    Bandwidth,
    Cut,
    Direction,
    Fault,
    HalfOpen,
    Latency,
    Refuse,
    Reset,
    Slice,
)

HELP: Final = """\
latency MS [JITTER_MS]   data comes later, in order
bandwidth SIZE           so many bytes a second, such as 64KB
slice SIZE[:PAUSE]       in pieces, with a pause after each, such as 10:5ms
cut [SIZE]               connections are closed (FIN), at once or after so many bytes
reset [SIZE]             connections are reset (RST), at once or after so many bytes
half-open                connections stay open, and nothing arrives
accept-hang              new connections are accepted, and then nothing happens
refuse                   nobody listens
clear [NAME]             heal everything, or one of them
status, help, quit

Those with a direction take `up` or `down` at the end; both without. `;` separates: cut; clear"""

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)
_SIZES: Final = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-zµ]*)", re.ASCII)
_TIMES: Final = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_NAMES: Final = {kind.name: kind for kind in KINDS}


class Order(NamedTuple):
    """What is to be done."""

    verb: Literal["set", "clear", "status", "help", "quit"]
    fault: Fault | None = None
    """What is to be set."""
    kind: type[Fault] | None = None
    """What is to be cleared; all if it is None."""


class Timed(NamedTuple):
    """What is to be done so many seconds after the start."""

    at_s: float
    order: Order


def orders(text: str) -> list[Order]:
    """Read a line: orders, with `;` between them. Raises ValueError, with what was expected."""
    return [_order(part.split()) for part in text.split(";") if part.strip()]


def timeline(text: str) -> list[Timed]:
    """Read `5s half-open; 10s clear`: orders, each after when it is due. Raises ValueError, with what was expected."""
    found: list[Timed] = []
    for part in text.split(";"):
        words = part.split()
        if words:
            found.append(Timed(seconds(words[0]), _order(words[1:])))
    return found


def size(text: str) -> int:
    """Read a number of bytes: 1000, 64KB, 1.5MiB. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or found[2].lower() not in _SIZES:
        raise ValueError(f"{text!r} is no size, such as 1000, 64KB or 1MiB")
    return int(float(found[1]) * _SIZES[found[2].lower()])


def seconds(text: str, unit: str = "s") -> float:
    """Read a time: 5s, 50ms, 200us; `unit` is meant where none is given. Raises ValueError."""
    found = _TIME.fullmatch(text.strip())
    if found is None or (found[2].lower() or unit) not in _TIMES:
        raise ValueError(f"{text!r} is no time, such as 200us, 5ms or 1.5s")
    return float(found[1]) * _TIMES[found[2].lower() or unit]


def milliseconds(text: str) -> float:
    """Read a time, in milliseconds where no unit is given. Raises ValueError."""
    return round(seconds(text, "ms") * 1000, 6)


def address(text: str) -> Address:
    """Read HOST:PORT, [IPV6]:PORT, or a port of this machine alone. Raises ValueError."""
    found = re.fullmatch(r"(?:(\[[^\[\]]+\]|[^\[\]:]*):)?([0-9]{1,5})", text.strip())
    if found is None or int(found[2]) > 65535:
        raise ValueError(f"{text!r} is no address, such as 127.0.0.1:5432, db:5432 or [::1]:5432")
    return Address((found[1] or "").strip("[]") or "127.0.0.1", int(found[2]))


class _Form(NamedTuple):
    """How a fault is told: by values, of which the first few are needed, and by a direction."""

    make: Callable[..., Fault]
    reads: tuple[Callable[[str], float], ...] = ()
    needed: int = 0
    directed: bool = True


_FORMS: Final[Mapping[str, _Form]] = {
    Latency.name: _Form(Latency, (milliseconds, milliseconds), 1),
    Bandwidth.name: _Form(Bandwidth, (size,), 1),
    Slice.name: _Form(Slice, (size, milliseconds), 1),
    Cut.name: _Form(Cut, (size,)),
    Reset.name: _Form(Reset, (size,)),
    HalfOpen.name: _Form(HalfOpen),
    AcceptHang.name: _Form(AcceptHang, directed=False),
    Refuse.name: _Form(Refuse, directed=False),
}


def fault(name: str, values: Sequence[str], direction: Direction | None = None) -> Fault:
    """The fault that is told by its name and its values; `10:5ms` are two values. Raises ValueError."""
    form = _FORMS[name]
    parts = [part for value in values for part in value.split(":")]
    if not form.needed <= len(parts) <= len(form.reads) or (direction and not form.directed):
        raise ValueError(f"{name} is told otherwise: {_usage(name)}")
    told = [read(part) for read, part in zip(form.reads, parts, strict=False)]
    return form.make(*told, **({"direction": direction} if direction else {}))


def _order(words: Sequence[str]) -> Order:
    name = words[0].lower() if words else ""
    if name in _FORMS:
        last = words[-1].lower()
        if last in get_args(Direction):
            return Order("set", fault(name, words[1:-1], cast("Direction", last)))
        return Order("set", fault(name, words[1:]))
    if name in {"status", "help", "quit"} and len(words) == 1:
        return Order(cast('Literal["status", "help", "quit"]', name))
    if name == "clear" and len(words) <= 2:
        return Order("clear", kind=_kind(words[1]) if len(words) > 1 else None)
    raise ValueError(f"{' '.join(words)!r} is not understood. There is {', '.join(_NAMES)}, clear, status, help, quit")


def _kind(name: str) -> type[Fault]:
    if name.lower() not in _NAMES:
        raise ValueError(f"{name!r} is no fault. There is {', '.join(_NAMES)}")
    return _NAMES[name.lower()]


def _usage(name: str) -> str:
    return next(line for line in HELP.splitlines() if line.startswith(name)).split("  ")[0]
