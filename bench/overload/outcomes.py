"""What a run was: numbers from the list of its requests."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from generator import GOOD, REFUSED, RESET, TIMED_OUT, UNREACHABLE, WRONG

LATE_MAX_S: Final = 0.005
STEADY_S: Final = 0.5
STEP_S: Final = 0.05
BACK_SHARE: Final = 0.95
COLLAPSED_SHARE: Final = 0.5
"""A server that answers less than this share of its capacity in time is not called steady."""


class Request(NamedTuple):
    """One of them."""

    at: float
    """When it was meant to be sent, in seconds from the start."""
    critical: bool
    outcome: int
    took: float
    """Seconds from then until it was answered, or given up."""


class Look(NamedTuple):
    """The server's processes at a moment."""

    at: float
    cpu_s: float
    busy_s: float
    """How long their core was busy so far, with them or with others."""
    memory: int


class Record(NamedTuple):
    """All that a run brought."""

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

    @property
    def late_p99(self) -> float:
        """Seconds."""
        return quantile(self.late, 0.99)

    @property
    def void(self) -> bool:
        """Whether the generator was too late for the run to mean anything."""
        return self.late_p99 > LATE_MAX_S


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
    def critical_share(self) -> float:
        """How many of the highest class were served, of 1."""
        return self.critical_good / self.critical_asked if self.critical_asked else 1.0


def record(found: Mapping[str, Any]) -> Record:
    """What a generator said."""
    columns = zip(found["at"], found["critical"], found["outcome"], found["took"], strict=True)
    requests = [Request(at, bool(critical), outcome, took) for at, critical, outcome, took in columns]
    looks = [Look(*one) for one in found["looks"]]
    return Record(requests, found["late"], looks, found["opened"], found["most_open"], found["cpu_s"])


def quantile(values: Iterable[float], share: float) -> float:
    """What so large a share of the values is not above; 0 without any."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def tally(run: Record, begin: float, end: float) -> Tally:
    """Of the requests that were meant for this time."""
    requests = [one for one in run.requests if begin <= one.at < end]
    count = [0] * (WRONG + 1)
    for one in requests:
        count[one.outcome] += 1
    admitted = sorted(one.took for one in requests if one.outcome == GOOD)
    refusals = sorted(one.took for one in requests if one.outcome == REFUSED)
    critical = [one for one in requests if one.critical]
    cpu_s, taken, memory = _spent(run.looks, begin, end)
    return Tally(
        seconds=end - begin,
        asked=len(requests),
        good=count[GOOD],
        refused=count[REFUSED],
        timed_out=count[TIMED_OUT],
        reset=count[RESET],
        unreachable=count[UNREACHABLE],
        wrong=count[WRONG],
        admitted_s=(quantile(admitted, 0.5), quantile(admitted, 0.99), quantile(admitted, 0.999)),
        refusal_s=(quantile(refusals, 0.5), quantile(refusals, 0.99)),
        critical_asked=len(critical),
        critical_good=sum(one.outcome == GOOD for one in critical),
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


class Second(NamedTuple):
    """What became of the requests that were meant for one second."""

    at: int
    asked: int
    good: int
    refused: int
    lost: int
    """Timed out, reset, and the like."""


def seconds(run: Record) -> list[Second]:
    """Each second of a run: here collapse and recovery are seen."""
    last = int(max((one.at for one in run.requests), default=0.0))
    found: list[list[int]] = [[0, 0, 0, 0] for _ in range(last + 1)]
    for one in run.requests:
        counts = found[int(one.at)]
        counts[0] += 1
        counts[1 if one.outcome == GOOD else 2 if one.outcome == REFUSED else 3] += 1
    return [Second(at, *counts) for at, counts in enumerate(found)]


class Step(NamedTuple):
    """What a sudden rise of the load did, and its end."""

    steady_s: float | None
    """Until it was as good as later; none: it was not, or it broke down."""
    later: float
    """Right answers a second in the last half of the high load."""
    back_s: float | None
    """Until nearly all were served again after the end; none: not as long as it was watched."""
    refused_before: int
    refused_late: int
    """More than a second after the end."""
    worst_s: float
    """The longest that one took which was served during the high load."""


def step(run: Record, rise: float, fall: float, capacity: float) -> Step:
    """Judge a run whose load rose at one moment and fell at another."""
    answered = sorted(one.at + one.took for one in run.requests if one.outcome == GOOD)
    half = (rise + fall) / 2
    later = sum(half <= at < fall for at in answered) / (fall - half)
    served = [one.took for one in run.requests if one.outcome == GOOD and rise <= one.at < fall]
    refused = [one.at for one in run.requests if one.outcome == REFUSED]
    return Step(
        steady_s=_steady(answered, rise, fall, later) if later >= COLLAPSED_SHARE * capacity else None,
        later=later,
        back_s=_back(run.requests, fall),
        refused_before=sum(at < rise for at in refused),
        refused_late=sum(at > fall + 1 for at in refused),
        worst_s=max(served, default=0.0),
    )


def _steady(answered: Sequence[float], rise: float, fall: float, later: float) -> float | None:
    """From when on half a second brings nine tenths of what later ones bring."""
    enough = 0.9 * later * STEADY_S
    for number in range(int((fall - rise - STEADY_S) / STEP_S)):
        begin = rise + number * STEP_S
        if sum(begin <= at < begin + STEADY_S for at in answered) >= enough:
            return number * STEP_S
    return None


def _back(requests: Sequence[Request], fall: float) -> float | None:
    """From when on each further half second serves nearly all that is asked."""
    after = [one for one in requests if one.at >= fall]
    last = max((one.at for one in after), default=fall)
    begin = fall + int((last - fall) / STEADY_S) * STEADY_S
    back: float | None = None
    while begin >= fall:
        asked = [one.outcome == GOOD for one in after if begin <= one.at < begin + STEADY_S]
        if asked and sum(asked) < BACK_SHARE * len(asked):
            return back
        back = begin - fall
        begin -= STEADY_S
    return back


def bound(times: float, refusing: float | None, room: float = 1.0) -> float:
    """The most that can be served of a capacity under `times` as much load: g* = (1 - x r) / (1 - r).

    `refusing` is r, what a refusal costs of what serving costs in CPU time; none: nothing is refused. `room` is how
    many times its capacity the CPU could serve: 1 where the CPU is what limits it, more where a pool does.
    """
    if times <= 1:
        return 1.0
    if refusing is None:
        return min(1.0, room)
    if refusing >= 1:
        return 0.0
    return max(0.0, min(1.0, (room - times * refusing) / (1 - refusing)))


def middle(values: Sequence[float]) -> float:
    """The median; 0 without any."""
    return statistics.median(values) if values else 0.0
