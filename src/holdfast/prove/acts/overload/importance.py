"""A load in which some call themselves critical, some unimportant, most say nothing; and how much of each is served.

Whoever asks is nobody that a backend knows, so what makes a request more important must not be believed. What makes it
less important may be, and is where a backend knows the header.
"""

import dataclasses
from collections.abc import Sequence
from typing import Final

import msgspec

from holdfast.decide.latencies import Outcome, Result
from holdfast.decide.verdicts import Judgement, broken
from holdfast.prove.load import Template
from holdfast.prove.running import App

HEADER: Final = "Holdfast-Priority"
_SAID: Final = ("", "critical", "background")
_WEIGHTS: Final = (0.88, 0.06, 0.06)
_FEWEST: Final = 60
"""With fewer of each, a share says nothing."""
_MORE: Final = 0.25
"""So much more of the critical ones is served where they are believed, and half as many again."""
_AS_MUCH: Final = 0.8
_LEAST: Final = 0.04
"""Where less of the ordinary ones is served, there is nothing to be compared."""
_ELSEWHERE: Final = "203.0.113.77"
"""An address of documentation (RFC 5737): it turns up in a log only where we are believed about where we come from."""
_MEND_TRUST: Final = "Let only a proxy that is known say that a request is more important: HOLDFAST_TRUSTED_PROXIES."
_MEND_LAST: Final = "Serve who calls itself unimportant after the others: `holdfast run` does."


class Share(msgspec.Struct, frozen=True):
    """Of those who said the same of themselves, past the capacity."""

    said: str
    """What the header said; empty for those that had none."""
    asked: int
    good: int

    @property
    def served(self) -> float:
        """The part of them that was served."""
        return self.good / self.asked if self.asked else 0.0


def classes(template: Template) -> list[Template]:
    """A template as it is, as one that calls itself critical, and as one that calls itself unimportant."""
    return [
        dataclasses.replace(template, weight=weight, headers=(*template.headers, *(((HEADER, said),) if said else ())))
        for said, weight in zip(_SAID, _WEIGHTS, strict=True)
    ]


def shares(run: Result, spans: Sequence[tuple[float, float]]) -> list[Share]:
    """How much of each class was served in these times."""
    asked, good = [0] * len(_SAID), [0] * len(_SAID)
    for one in run.requests:
        if any(begin <= one.at < end for begin, end in spans):
            asked[one.template] += 1
            good[one.template] += one.outcome == Outcome.GOOD
    return [Share(*each) for each in zip(_SAID, asked, good, strict=True)]


async def claimed(app: App, path: str) -> None:
    """Say that we come from elsewhere, as a proxy would."""
    headers = {"X-Forwarded-For": _ELSEWHERE, "Forwarded": f"for={_ELSEWHERE}"}
    await app.client.ask("GET", path, headers=headers, timeout_s=5.0)


def trusts(app: App) -> bool:
    """Whether a backend believed that: then it may believe how important a request is, too."""
    return any(_ELSEWHERE in line for line in app.lines())


def believed(found: Sequence[Share]) -> Judgement | None:
    """Broken where who calls itself critical is served before the others, though nobody knows who it is."""
    ordinary, critical = _of(found, ""), _of(found, "critical")
    if min(ordinary.asked, critical.asked) < _FEWEST or not ordinary.good:
        return None
    if critical.served - ordinary.served < max(_MORE, 0.5 * ordinary.served):
        return None
    return broken(
        f"Of those who sent `{HEADER}: critical` {critical.served:.0%} were served past its capacity, and of the "
        f"others {ordinary.served:.0%}: anybody can say so.",
        f"{critical.served:.0%} against {ordinary.served:.0%}",
        mend=_MEND_TRUST,
        certain=True,
    )


def unimportant(found: Sequence[Share]) -> Judgement | None:
    """Broken where as much is served of who calls itself unimportant. For backends that know the header."""
    ordinary, background = _of(found, ""), _of(found, "background")
    if min(ordinary.asked, background.asked) < _FEWEST or ordinary.served < _LEAST:
        return None
    if background.served < _AS_MUCH * ordinary.served:
        return None
    return broken(
        f"Of those who sent `{HEADER}: background` {background.served:.0%} were served past its capacity, and of the "
        f"others {ordinary.served:.0%}: the unimportant come first.",
        f"{background.served:.0%} against {ordinary.served:.0%}",
        mend=_MEND_LAST,
        certain=True,
    )


def _of(found: Sequence[Share], said: str) -> Share:
    return next((one for one in found if one.said == said), Share(said, 0, 0))
