"""A crowd that signs in at the same moment: each has a password calculated, which is made to cost much."""

from typing import Final

import msgspec

from holdfast.decide.latencies import Outcome, percentiles
from holdfast.decide.verdicts import Judgement, broken
from holdfast.prove.load import Job, Phase, Template, offered
from holdfast.prove.props.entrance import entrance
from holdfast.prove.running import App

_MANY: Final = 200
_WITHIN_S: Final = 0.1
PATIENCE_S: Final = 2.0
_TOLD: Final = 0.5
_MEND: Final = "Let a few wait for their turn, and refuse the others at once with 503 and Retry-After."


class Crowd(msgspec.Struct, frozen=True):
    """What became of them."""

    place: str = ""
    """Where they signed in; empty where nothing is known."""
    asked: int = 0
    answered: int = 0
    """Whether they were let in or not."""
    refused: int = 0
    refusal_ms: float = 0.0
    """Nine of ten refusals came sooner."""

    @property
    def lost(self) -> int:
        """Those that learned nothing in time."""
        return self.asked - self.answered - self.refused


async def crowd(app: App, seed: int) -> Crowd:
    """About two hundred, each elsewhere, sign in within a tenth of a second and wait for two. Raises LoadFailed."""
    sent = await entrance(app, "someone-{n}", "a password that nobody has")
    if sent is None:
        return Crowd()
    headers = {**app.stranger.headers, **sent.headers, "Connection": "close"}
    body = (sent.body or b"").replace(b"%7Bn%7D", b"{n}")
    template = Template(sent.path, sent.method, tuple(headers.items()), body)
    phases = [Phase(_WITHIN_S, _MANY / _WITHIN_S)]
    run = await offered(Job(app.port, [template], phases, kind="new", timeout_s=PATIENCE_S, seed=seed, apart=True))
    refusals = percentiles(one.took for one in run.requests if one.outcome == Outcome.REFUSED)
    return Crowd(
        place=f"{sent.method} {sent.path.partition('?')[0]}",
        asked=len(run.requests),
        answered=sum(one.status > 0 and one.outcome != Outcome.REFUSED for one in run.requests),
        refused=refusals.number,
        refusal_ms=refusals.p90 * 1000,
    )


def left_alone(found: Crowd) -> Judgement | None:
    """Broken where most of those who were not let in learned nothing."""
    if found.lost <= max(_TOLD * (found.lost + found.refused), 0.2 * found.asked):
        return None
    return broken(
        f"Of {found.asked} who signed in at the same moment ({found.place}) {found.answered} were answered, "
        f"{found.refused} were refused, and {found.lost} learned nothing within {PATIENCE_S:g} s.",
        f"{found.lost} of {found.asked} learned nothing",
        mend=_MEND,
    )
