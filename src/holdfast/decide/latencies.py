"""What a load was answered with: records of it, and the numbers that follow from them.

All times of a request count from the moment that was fixed for it beforehand, whatever made it wait: a server that
stands still is charged with everything that was to be sent meanwhile (coordinated omission, as Gil Tene named it).
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

LATE_MAX_S: Final = 0.005
"""How late a generator may be with 99 of 100 requests before what it found means nothing."""
STALLED_MAX: Final = 0.01
"""The share of the time in which it may not have run at all: what 99 of 100 is for requests, for time."""


class Outcome(IntEnum):
    """How a request ended."""

    OPEN = 0
    """It has not."""
    GOOD = 1
    """2xx, and the body that was expected, in time."""
    REFUSED = 2
    """503 or 429, in time."""
    TIMED_OUT = 3
    RESET = 4
    """The connection ended without a whole answer."""
    UNREACHABLE = 5
    """No connection came about."""
    WRONG = 6
    """Another answer, or one that is no HTTP."""


class Request(NamedTuple):
    """One request of a load."""

    at: float
    """When it was meant to be sent, in seconds from the start."""
    critical: bool
    outcome: int
    """An `Outcome`."""
    took: float
    """Seconds from then until it was answered, or given up."""
    template: int = 0
    """Which of the job's templates it was made from."""
    status: int = 0
    """What it was answered with; 0: nothing that came in time."""


class Look(NamedTuple):
    """The server's processes at a moment."""

    at: float
    cpu_s: float
    busy_s: float
    """How long their core was busy so far, with them or with others; 0 where no core was named."""
    memory: int
    """Bytes in RAM."""


class Stall(NamedTuple):
    """A time in which the generator itself did not run, or was busy with one thing."""

    at: float
    lasted_s: float


class Result(NamedTuple):
    """All that a load brought."""

    requests: Sequence[Request]
    late: Sequence[float]
    """How late the generator was with each, in seconds."""
    looks: Sequence[Look]
    opened: int
    """Connections."""
    most_open: int
    """At once."""
    generator_s: float
    """CPU time of the generator."""
    stalls: Sequence[Stall] = ()
    """Those above 5 ms."""
    resent: int = 0
    """Requests that were sent again, for the server had closed the kept connection as they were on their way."""
    began: float = 0.0
    """The moment 0, by the system's monotonic clock, which all processes share."""
    seconds: float = 0.0
    """How long it took until the last was settled."""
    ids: str = ""
    """What their request IDs begin with."""
    first: int = 0
    """The number of the first."""

    @property
    def late_p99(self) -> float:
        """Seconds."""
        return quantile(self.late, 0.99)

    @property
    def stalled(self) -> float:
        """The share of the time in which the generator did not run."""
        return sum(one.lasted_s for one in self.stalls) / self.seconds if self.seconds else 0.0

    @property
    def void(self) -> bool:
        """Whether the generator was too late, or too often away, for the result to mean anything."""
        return self.late_p99 > LATE_MAX_S or self.stalled > STALLED_MAX

    def request_id(self, index: int) -> str:
        """The ID that a request carried, if its template wants one."""
        return request_id(self.ids, self.first + index)


def request_id(ids: str, number: int) -> str:
    """The ID of a request: what all of a job begin with, and its number."""
    return f"{ids}{number:08x}"


# -- quantiles --


def quantile(values: Iterable[float], share: float) -> float:
    """What so large a share of the values is not above; 0 without any."""
    return _quantile(sorted(values), share)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Percentiles(NamedTuple):
    """How long things took, in seconds; all 0 where there was nothing."""

    number: int
    p50: float
    p90: float
    p99: float
    p999: float
    most: float


def percentiles(values: Iterable[float]) -> Percentiles:
    """Those of some latencies, such as `one.took` of the good ones."""
    ordered = sorted(values)
    p50, p90, p99, p999 = (_quantile(ordered, share) for share in (0.5, 0.9, 0.99, 0.999))
    return Percentiles(len(ordered), p50, p90, p99, p999, ordered[-1] if ordered else 0.0)


# -- what became of the requests of a time --


class Tally(NamedTuple):
    """What became of the requests of a time."""

    seconds: float
    asked: int
    good: int
    refused: int
    timed_out: int
    reset: int
    unreachable: int
    wrong: int
    admitted_s: tuple[float, float, float]
    """How long the good ones took: p50, p99, p99.9."""
    refusal_s: tuple[float, float]
    """How long a refusal took to reach the client: p50, p99."""
    critical_asked: int
    critical_good: int
    cpu_s: float
    """The server's CPU time."""
    taken: float
    """The share of the time in which others had the server's core."""
    memory: int
    """The most that was seen of it, in bytes."""

    @property
    def goodput(self) -> float:
        """Right answers in time, a second."""
        return self.good / self.seconds

    @property
    def lost(self) -> int:
        """Those that had neither a right answer nor a refusal."""
        return self.asked - self.good - self.refused

    @property
    def critical_share(self) -> float:
        """How many of the highest class were served, of 1."""
        return self.critical_good / self.critical_asked if self.critical_asked else 1.0


def tally(run: Result, begin: float, end: float) -> Tally:
    """Of the requests that were meant for this time."""
    requests = [one for one in run.requests if begin <= one.at < end]
    count = [0] * len(Outcome)
    for one in requests:
        count[one.outcome] += 1
    admitted = percentiles(one.took for one in requests if one.outcome == Outcome.GOOD)
    refusals = percentiles(one.took for one in requests if one.outcome == Outcome.REFUSED)
    critical = [one for one in requests if one.critical]
    cpu_s, taken, memory = _spent(run.looks, begin, end)
    return Tally(
        seconds=end - begin,
        asked=len(requests),
        good=count[Outcome.GOOD],
        refused=count[Outcome.REFUSED],
        timed_out=count[Outcome.TIMED_OUT],
        reset=count[Outcome.RESET],
        unreachable=count[Outcome.UNREACHABLE],
        wrong=count[Outcome.WRONG],
        admitted_s=(admitted.p50, admitted.p99, admitted.p999),
        refusal_s=(refusals.p50, refusals.p99),
        critical_asked=len(critical),
        critical_good=sum(one.outcome == Outcome.GOOD for one in critical),
        cpu_s=cpu_s,
        taken=taken,
        memory=memory,
    )


def _spent(looks: Sequence[Look], begin: float, end: float) -> tuple[float, float, int]:
    """CPU seconds in this time, by the looks nearest to its ends; the share of others; the most memory."""
    within = [one for one in looks if begin <= one.at <= end]
    most = max((one.memory for one in within), default=0)
    if len(within) < 2:
        return 0.0, 0.0, most
    first, last = within[0], within[-1]
    between = last.at - first.at
    cpu_s = last.cpu_s - first.cpu_s
    others_s = last.busy_s - first.busy_s - cpu_s
    return cpu_s * (end - begin) / between, max(0.0, others_s) / between, most


class Window(NamedTuple):
    """What became of the requests that were meant for a short time."""

    at: float
    """Its begin."""
    asked: int
    good: int
    refused: int
    lost: int
    """Timed out, reset, and the like."""


def windows(run: Result, length_s: float = 1.0) -> list[Window]:
    """A run in pieces of `length_s` seconds: here collapse and recovery are seen."""
    last = int(max((one.at for one in run.requests), default=0.0) / length_s)
    found: list[list[int]] = [[0, 0, 0, 0] for _ in range(last + 1)]
    for one in run.requests:
        counts = found[int(one.at / length_s)]
        counts[0] += 1
        counts[1 if one.outcome == Outcome.GOOD else 2 if one.outcome == Outcome.REFUSED else 3] += 1
    return [Window(number * length_s, *counts) for number, counts in enumerate(found)]
