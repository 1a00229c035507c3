"""How long a request may take: what its sender says, what the service allows, and what becomes of the two.

A sender says it in one of the headers that the field has, each as the time that is left, but for one:

    Holdfast-Timeout-Ms             milliseconds
    grpc-timeout                    a number of at most 8 digits and a unit: H M S m u n (gRPC over HTTP/2)
    X-Envoy-Expected-Rq-Timeout-Ms  milliseconds; 0 is no limit there (Envoy's router)
    X-YaTaxi-Client-TimeoutMs       milliseconds (userver)
    X-Request-Deadline              microseconds since the epoch: a moment, not a time that is left (userver)

Where several say something the shortest counts. What is no number is not there.
"""

import math
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from holdfast.decide.patterns import Patterns

HEADER: Final = b"holdfast-timeout-ms"
_GRPC: Final = b"grpc-timeout"
_ENVOY: Final = b"x-envoy-expected-rq-timeout-ms"
_USERVER: Final = b"x-yataxi-client-timeoutms"
_USERVER_MOMENT: Final = b"x-request-deadline"
HEADERS: Final = frozenset({HEADER, _GRPC, _ENVOY, _USERVER, _USERVER_MOMENT})
"""Those that are read, in lower case."""

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY"})
"""Methods whose requests change nothing (RFC 9110, section 9.2.1, and the QUERY draft)."""

_DIGITS: Final = re.compile(r"[0-9]{1,13}")
_MOMENT: Final = re.compile(r"[0-9]{1,18}")
_GRPC_VALUE: Final = re.compile(r"([0-9]{1,8})([HMSmun])")
_GRPC_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_GRPC_MOST: Final = 99_999_999
_SKEW_S: Final = 60.0
"""How far a moment may be off what is plausible. Beyond that a clock is wrong, here or there (userver's default)."""
_MARGIN_S: Final = 0.005
_MARGIN: Final = 0.02


# -- what the sender says --


def asked(found: Mapping[bytes, str], wall: float) -> float | None:
    """The seconds that the headers `found` give, 0 where none are left; None where they say nothing that can be read.

    `wall` is the time since the epoch, for the one header that names a moment.
    """
    said = [
        _milliseconds(found.get(HEADER)),
        _grpc(found.get(_GRPC)),
        _milliseconds(found.get(_ENVOY)) or None,
        relative := _milliseconds(found.get(_USERVER)),
        _moment(found.get(_USERVER_MOMENT), wall, relative),
    ]
    return min((seconds for seconds in said if seconds is not None), default=None)


def _milliseconds(text: str | None) -> float | None:
    return int(text) / 1000 if text is not None and _DIGITS.fullmatch(text) else None


def _grpc(text: str | None) -> float | None:
    value = _GRPC_VALUE.fullmatch(text) if text is not None else None
    return int(value[1]) * _GRPC_UNITS[value[2]] if value is not None else None


def _moment(text: str | None, wall: float, relative: float | None) -> float | None:
    if text is None or not _MOMENT.fullmatch(text):
        return None
    left = int(text) / 1e6 - wall
    if relative is not None:
        return max(left, 0.0) if abs(left - relative) <= _SKEW_S else None
    return max(left, 0.0) if left >= -_SKEW_S else None


# -- what the service allows --


class Timeouts(NamedTuple):
    """What the service allows. Everywhere `math.inf` is no limit."""

    usual_s: float
    """What a request has of which nothing else is said."""
    ceiling_s: float
    """What a trusted peer can ask for at most."""
    idle_s: float
    """How long a stream or a WebSocket may be silent."""
    routes: Patterns[float] | None
    """What single routes have, where something is said of any."""
    observes: bool = False
    """Whether nothing is ended, only told of."""


def limitless(seconds: float) -> float:
    """The seconds that an operator has written, of which 0 means that there is no limit."""
    return seconds or math.inf


def timeouts(
    *, usual_s: float, ceiling_s: float, idle_s: float, routes: tuple[str, ...], observes: bool = False
) -> Timeouts:
    """What the service allows, as an operator writes it. Raises ValueError where a route's entry cannot be read."""
    said = Patterns(routes, _route_seconds) if routes else None
    return Timeouts(limitless(usual_s), limitless(ceiling_s), limitless(idle_s), said, observes)


def _route_seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text):
        raise ValueError(f"{text!r} is not a number of seconds")
    return limitless(float(text))


def allowed(given_s: float, asked_s: float | None, *, trusted: bool, ceiling_s: float) -> float:
    """The seconds that a request has, of which the service gives `given_s` and the sender says `asked_s`.

    Anybody may have less. A trusted peer may have more, up to the ceiling: it knows better for whom it asks.
    """
    if asked_s is None:
        return given_s
    if asked_s <= given_s or not trusted:
        return min(given_s, asked_s)
    return max(given_s, min(asked_s, ceiling_s))


def ends_when_client_leaves(method: str, mark: bool | None) -> bool:
    """Whether the work for a client that has left is ended. A half-done change is worse than one nobody hears of."""
    return method in SAFE if mark is None else mark


# -- what is passed on --


def passed_on(left_s: float) -> float:
    """Of the seconds that are left here, those for whoever is asked next: some go for the way there and back."""
    return max(0.0, left_s - max(_MARGIN_S, _MARGIN * left_s))


def in_milliseconds(seconds: float) -> str:
    """The value of `Holdfast-Timeout-Ms`."""
    return str(int(max(0.0, seconds) * 1000))


def in_grpc(seconds: float) -> str:
    """The value of `grpc-timeout`, in the finest unit that its eight digits have room for, from milliseconds on."""
    for unit in "mSMH":
        number = int(max(0.0, seconds) / _GRPC_UNITS[unit])
        if number <= _GRPC_MOST:
            return f"{number}{unit}"
    return f"{_GRPC_MOST}H"
