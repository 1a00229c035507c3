"""Goodput, right answers in time: how much is possible past capacity, and how soon it is there after a sudden rise."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from holdfast.decide.latencies import Outcome, Request, Result

STEADY_S: Final = 0.5
STEP_S: Final = 0.05
BACK_SHARE: Final = 0.95
COLLAPSED_SHARE: Final = 0.5
"""A server that answers less than this share of its capacity in time is not called steady."""
CLIENTS_MAX: Final = 256
_GROWS: Final = 1.05


class Capacity(NamedTuple):
    """How much a server can do, from clients that each wait for their answer (closed loop)."""

    rate: float
    """Right answers in time, a second."""
    serve_s: float
    """CPU time of one, where the server's processes were known."""
    clients: int
    """With so many."""
    void: bool = False
    """Whether the generator was kept from its work meanwhile: the server may be able to do more."""


def more_clients(tried: Sequence[Capacity]) -> int | None:
    """How many clients to try next, after some were tried, fewest first; None: enough is known.

    Twice as many, until two doublings in a row have brought nothing, for one may have been bad luck.
    """
    if not tried:
        return 1
    following = tried[-1].clients * 2
    before = max((one.rate for one in tried[:-2]), default=0.0)
    grown = len(tried) < 3 or any(one.rate > before * _GROWS for one in tried[-2:])
    return following if grown and following <= CLIENTS_MAX else None


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


# -- a step --


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


def step(run: Result, rise: float, fall: float, capacity: float) -> Step:
    """Judge a run whose load rose at one moment and fell at another; `capacity` is a rate a second."""
    answered = sorted(one.at + one.took for one in run.requests if one.outcome == Outcome.GOOD)
    half = (rise + fall) / 2
    later = sum(half <= at < fall for at in answered) / (fall - half)
    served = [one.took for one in run.requests if one.outcome == Outcome.GOOD and rise <= one.at < fall]
    refused = [one.at for one in run.requests if one.outcome == Outcome.REFUSED]
    return Step(
        steady_s=_steady(answered, rise, fall, later) if later > 0 and later >= COLLAPSED_SHARE * capacity else None,
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
        asked = [one.outcome == Outcome.GOOD for one in after if begin <= one.at < begin + STEADY_S]
        if asked and sum(asked) < BACK_SHARE * len(asked):
            return back
        back = begin - fall
        begin -= STEADY_S
    return back
