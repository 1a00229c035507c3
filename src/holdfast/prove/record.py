"""What is kept of a proof: what each run of each scenario saw, and what it amounts to."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from holdfast.decide.verdicts import Judgement, Verdict, not_asked, repeated, shown, together
from holdfast.promises import CATALOGUE
from holdfast.prove.charts import Chart
from holdfast.prove.scenario import AnyScenario, Facts


class Attempt(NamedTuple):
    """One run of a scenario."""

    facts: Facts | None
    """None where the scenario itself failed, which `failure` tells."""
    took_s: float
    failure: str = ""


class Outcome(NamedTuple):
    """What came of a scenario."""

    scenario: AnyScenario
    judgement: Judgement
    attempts: tuple[Attempt, ...] = ()
    flaky: bool = False

    @property
    def took_s(self) -> float:
        """How long all its runs took."""
        return sum(each.took_s for each in self.attempts)

    @property
    def charts(self) -> Sequence[Chart]:
        """The pictures of the last run."""
        facts = self.attempts[-1].facts if self.attempts else None
        return () if facts is None else self.scenario.charts(facts)


class Promised(NamedTuple):
    """What came of a promise."""

    name: str
    sentence: str
    judgement: Judgement
    outcomes: tuple[Outcome, ...]

    @property
    def decided(self) -> Outcome | None:
        """The scenario that decided."""
        return next((one for one in self.outcomes if one.judgement == self.judgement), None)


class Proof(NamedTuple):
    """What came of it all."""

    shown: str
    """The backend, as it was named on the command line."""
    seed: int
    began: float
    """Seconds since 1970."""
    took_s: float
    promises: tuple[Promised, ...]
    machine: Mapping[str, object]

    @property
    def outcomes(self) -> list[Outcome]:
        """Of all scenarios, in the order of the promises."""
        return [each for promise in self.promises for each in promise.outcomes]

    def count(self, verdict: Verdict) -> int:
        """How many promises have this verdict."""
        return sum(promise.judgement.verdict is verdict for promise in self.promises)


def judged(scenario: AnyScenario, attempt: Attempt) -> Judgement:
    """What one run amounts to."""
    if attempt.facts is None:
        return Judgement(Verdict.NOT_PROVEN, f"The scenario itself failed: {attempt.failure}")
    facts = attempt.facts
    return shown(scenario.judge(facts), well=facts.well, fault=facts.fault, limit=facts.limit)


def outcome(scenario: AnyScenario, attempts: Sequence[Attempt]) -> Outcome:
    """What all runs of a scenario amount to."""
    judgement, flaky = repeated([judged(scenario, attempt) for attempt in attempts])
    return Outcome(scenario, judgement, tuple(attempts), flaky)


def whole(outcomes: Sequence[Outcome]) -> Judgement:
    """What scenarios amount to together, whatever they prove."""
    return together(one.judgement for one in outcomes)


_BY_CHECK = {"typed", "replaceable", "tested"}


def promised(outcomes: Sequence[Outcome]) -> tuple[Promised, ...]:
    """Every promise of the catalogue, with what its scenarios amount to."""
    found: list[Promised] = []
    for promise in CATALOGUE:
        mine = tuple(one for one in outcomes if one.scenario.promise == promise.name)
        judgement = whole(mine) if mine else _unasked(promise.name)
        found.append(Promised(promise.name, promise.sentence, judgement, mine))
    return tuple(found)


def _unasked(name: str) -> Judgement:
    if name in _BY_CHECK:
        return not_asked("It cannot be seen from outside: only `holdfast check` can judge it, which is to come.")
    return not_asked("No scenario of it was run.")


def plain_facts(facts: Facts) -> object:
    """Facts as JSON has them."""
    return msgspec.to_builtins(facts)
