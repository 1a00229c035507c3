"""Others who ask for ordinary things at a low rate, and whether they are served as before while somebody misbehaves.

    before = fared([await load(app, stage.target, 1.5)])
    async with trouble():
        during = fared([await load(app, stage.target, 4.0)])
    harm = harmed(before, during)

They are a process of their own, so that whoever misbehaves in ours does not slow them.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from holdfast.decide.latencies import Outcome, Result, percentiles, quantile
from holdfast.prove.load import Job, Phase, offered
from holdfast.prove.props.canary import Machine
from holdfast.prove.props.meanwhile import asking
from holdfast.prove.running import App
from holdfast.prove.stage import Target

RATE: Final = 20.0
"""Requests a second."""
_PATIENCE_S: Final = 3.0
_MOST_KINDS: Final = 4
_LOST_MOST: Final = 0.1
_LOST_LEAST: Final = 4
_HALF: Final = 0.5
_STOOD_STILL_S: Final = 2.0
_TIMES: Final = 10.0
FELT_MS: Final = 500.0
"""Less than so much more is not held against anybody: a machine with two cores and other work does that."""


class Fared(msgspec.Struct, frozen=True):
    """How ordinary requests fared."""

    asked: int = 0
    good: int = 0
    refused: int = 0
    """Answered with 503 or 429."""
    lost: int = 0
    """Without an answer within 3 s, or with a wrong one."""
    p50_ms: float = 0.0
    """Of the good ones, from the moment that each was meant to be sent."""
    p90_ms: float = 0.0
    most_ms: float = 0.0
    late_ms: float = 0.0
    """How late our own generator was with 99 of 100."""

    @property
    def served(self) -> float:
        """The share of good ones."""
        return self.good / self.asked if self.asked else 0.0

    @property
    def shown(self) -> str:
        """In a few words."""
        return f"{self.good} of {self.asked} served, nine of ten within {self.p90_ms:.0f} ms"


async def load(app: App, target: Target, seconds: float, *, rate: float = RATE) -> Result:
    """Ask for cheap things for so long, each time with a connection of its own. Raises LoadFailed."""
    return await offered(_job(app, target, seconds, rate))


def fared(results: Sequence[Result]) -> Fared:
    """How the requests of one or several loads fared."""
    requests = [one for each in results for one in each.requests]
    good = percentiles(one.took for one in requests if one.outcome == Outcome.GOOD)
    refused = sum(one.outcome == Outcome.REFUSED for one in requests)
    late_s = quantile((late for each in results for late in each.late), 0.99)
    return Fared(
        asked=len(requests),
        good=good.number,
        refused=refused,
        lost=len(requests) - good.number - refused,
        p50_ms=good.p50 * 1000,
        p90_ms=good.p90 * 1000,
        most_ms=good.most * 1000,
        late_ms=late_s * 1000,
    )


def harmed(before: Fared, during: Fared, felt_ms: float = FELT_MS) -> str:
    """What became worse for them, in words with the number that decided; empty where nothing did that one would feel.

    More than one of ten that was served before is not, or nine of ten take ten times as long as before, and at least
    `felt_ms` more.
    """
    missing = before.served * during.asked - during.good
    if missing > max(_LOST_LEAST - 1, _LOST_MOST * during.asked):
        return (
            f"of {during.asked} ordinary requests of others {during.good} were served, "
            f"{during.refused} were refused and {during.lost} had no answer within {_PATIENCE_S:g} s"
        )
    if during.p90_ms > max(_TIMES * before.p90_ms, before.p90_ms + felt_ms):
        return (
            f"nine of ten ordinary requests of others took up to {during.p90_ms:.0f} ms, "
            f"and {before.p90_ms:.0f} ms before"
        )
    return ""


def excuse(machine: Machine, before: Fared, during: Fared) -> str:
    """Why harm is not to be held against the backend: the machine was busy. Empty where there is no reason.

    They were compared with how they fared before on the same machine, so being busy alone excuses no harm that more
    than half of them felt.
    """
    if during.served < _HALF * before.served:
        return machine.limit(worst_s=_STOOD_STILL_S, taken=1.0, starved=1.0)
    return machine.limit()


def _job(app: App, target: Target, seconds: float, rate: float) -> Job:
    others = [one for one in target.reads if one not in (target.read, target.export)]
    templates = [asking(app, each, anew=True) for each in [target.read, *others][:_MOST_KINDS]]
    phases = [Phase(seconds, rate)]
    return Job(app.port, templates, phases, kind="new", timeout_s=_PATIENCE_S, seed=1)
