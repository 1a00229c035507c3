"""How often somebody may do something: the generic cell rate algorithm (GCRA), and what is told of it.

It keeps one number for each client, the theoretical arrival time: when the next request would come if all had come at
the rate that is allowed. A request conforms if it comes at most a burst before that. So in any time t at most
burst + rate x t are let in, evenly, with no window that opens at once for everybody. Source: ITU-T I.371, annex A, the
"virtual scheduling algorithm", which ATM Forum TM 4.0 repeats.

What is told stands in the fields of draft-ietf-httpapi-ratelimit-headers (as of revision 10).
"""

import ipaddress
import math
import re
from functools import lru_cache
from typing import Final, NamedTuple

_UNITS: Final = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
_RATE: Final = re.compile(r"([1-9][0-9]{0,8})\s*/\s*([1-9][0-9]{0,5})?\s*([a-z]+)(?:\s+burst\s+([1-9][0-9]{0,8}))?")
RATE_PATTERN: Final = (
    r"[1-9][0-9]{0,8}\s*/\s*([1-9][0-9]{0,5})?\s*(s|sec|m|min|h|hour|d|day)(\s+burst\s+[1-9][0-9]{0,8})?"
)
"""What `rate` reads, for a setting that takes one."""
RATE_WORDS: Final = "such as 600/min, 10/5min or 5/s burst 20"

_ROUNDING_S: Final = 1e-6
_PREFIX_V6: Final = 64


class Rate(NamedTuple):
    """So many requests in so much time, and so many of them at once."""

    number: int
    period_s: int
    burst: int

    @property
    def each_s(self) -> float:
        """The time from one request to the next, at the rate."""
        return self.period_s / self.number


class Verdict(NamedTuple):
    """What becomes of one request."""

    allowed: bool
    arrival: float
    """The theoretical arrival time to be kept."""
    left: int
    """How many more could come at once."""
    wait_s: float
    """How long until one can come that is let in; 0 where one can now."""
    next_s: float
    """How long until one more could come than now; 0 where none was taken."""


def rate(text: str) -> Rate:
    """Read `600/min`, `10/5min` or `5/s burst 20`; the burst is all of it where none is said. Raises ValueError."""
    found = _RATE.fullmatch(text.strip().lower())
    if found is None or found[3] not in _UNITS:
        raise ValueError(f"{text!r} is not a rate, {RATE_WORDS}")
    count = int(found[1])
    return Rate(count, int(found[2] or 1) * _UNITS[found[3]], int(found[4] or count))


def judge(allowed: Rate, arrival: float, now: float) -> Verdict:
    """Whether a request that comes `now` is let in, of a client whose theoretical arrival time is `arrival`.

    `arrival` is anything in the past for a client that is not known. Both are in seconds of one clock.
    """
    each = allowed.each_s
    tolerance = each * (allowed.burst - 1)
    if arrival > now + tolerance + _ROUNDING_S:
        wait = arrival - tolerance - now
        return Verdict(allowed=False, arrival=arrival, left=0, wait_s=wait, next_s=wait)
    after = max(arrival, now) + each
    left = max(0, math.floor((now + tolerance + _ROUNDING_S - after) / each) + 1)
    next_s = max(0.0, after - tolerance - now + left * each)
    return Verdict(allowed=True, arrival=after, left=left, wait_s=0.0 if left else next_s, next_s=next_s)


def retry_after(wait_s: float, chance: float) -> int:
    """The seconds of `Retry-After`: never too few, and up to twice as many by `chance` (0 to 1).

    Those who are refused together must not all come back together.
    """
    return max(1, math.ceil(wait_s + chance * max(1.0, wait_s)))


# -- who it is --


@lru_cache(maxsize=4096)
def partition(address: str) -> str:
    """Who counts as one client: an IPv4 address, or a network of 64 bits of IPv6, which one household has at least."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> _PREFIX_V6 << _PREFIX_V6, _PREFIX_V6)))


# -- what is told --


def policy_field(name: str, allowed: Rate) -> str:
    """`RateLimit-Policy`: what is allowed. The burst is a parameter of ours, where it is not the whole quota."""
    field = f"{_quoted(name)};q={allowed.number};w={allowed.period_s}"
    return field if allowed.burst == allowed.number else f"{field};holdfast-burst={allowed.burst}"


def limit_field(name: str, verdict: Verdict) -> str:
    """`RateLimit`: how many more could come now, and in how many seconds there is one more."""
    return f"{_quoted(name)};r={verdict.left};t={math.ceil(max(0.0, verdict.next_s - _ROUNDING_S))}"


def _quoted(name: str) -> str:
    """A string of a structured field (RFC 9651): ASCII that can be seen."""
    kept = "".join(letter if " " <= letter <= "~" else "?" for letter in name)
    return '"' + kept.replace("\\", "\\\\").replace('"', '\\"') + '"'
