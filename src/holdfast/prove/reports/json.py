"""A proof as JSON: the verdicts, and the facts of each run, so that they can be judged again."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec

from holdfast.decide.verdicts import Judgement, Verdict
from holdfast.errors import HoldfastError
from holdfast.prove.record import Attempt, Outcome, Proof, outcome, plain_facts, promised
from holdfast.prove.repeating import repeat
from holdfast.prove.scenario import AnyScenario

FORMAT = 1


class ProofUnreadable(HoldfastError):
    """The file is no proof."""

    code = "prove-file-unreadable"
    advice = "Name a file that `holdfast prove --json` wrote."


def plain(proof: Proof) -> dict[str, object]:
    """The document: `promises` by name, and `scenarios` with what they saw."""
    promises: dict[str, object] = {}
    for promise in proof.promises:
        judgement, decided = promise.judgement, promise.decided
        promises[promise.name] = {
            "verdict": judgement.verdict.value,
            "why": judgement.why,
            "number": judgement.number,
            "mend": judgement.mend,
            "evidence": [
                {
                    "scenario": each.scenario.name,
                    "part": each.scenario.part,
                    "verdict": each.judgement.verdict.value,
                    "why": each.judgement.why,
                    "flaky": each.flaky,
                }
                for each in promise.outcomes
            ],
            "repeat": repeat(proof, decided.scenario.name if decided else None),
        }
    return {
        "format": FORMAT,
        "backend": proof.shown,
        "seed": proof.seed,
        "began": proof.began,
        "took_s": round(proof.took_s, 3),
        "machine": dict(proof.machine),
        "promises": promises,
        "scenarios": [_scenario(each) for each in proof.outcomes],
    }


def _scenario(came: Outcome) -> dict[str, object]:
    return {
        "name": came.scenario.name,
        "promise": came.scenario.promise,
        "applies": came.judgement.applies,
        "verdict": came.judgement.verdict.value,
        "why": came.judgement.why,
        "mend": came.judgement.mend,
        "attempts": [
            {
                "took_s": round(each.took_s, 3),
                "failure": each.failure,
                "facts": None if each.facts is None else plain_facts(each.facts),
            }
            for each in came.attempts
        ],
    }


def document(proof: Proof) -> bytes:
    """The document as text."""
    return msgspec.json.format(msgspec.json.encode(plain(proof)), indent=1) + b"\n"


def read(path: Path) -> dict[str, object]:
    """The document in a file. Raises ProofUnreadable."""
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise ProofUnreadable(f"{path} cannot be read: {error}.") from error
    if not isinstance(found, dict) or cast("dict[str, object]", found).get("format") != FORMAT:
        raise ProofUnreadable(f"{path} is no proof of this version.")
    return cast("dict[str, object]", found)


class _Attempt(msgspec.Struct):
    took_s: float
    failure: str
    facts: msgspec.Raw


class _Scenario(msgspec.Struct):
    name: str
    attempts: list[_Attempt]
    verdict: str
    why: str
    mend: str
    applies: bool


class _Document(msgspec.Struct):
    format: int
    backend: str
    seed: int
    began: float
    took_s: float
    machine: dict[str, object]
    scenarios: list[_Scenario]


def again(path: Path, scenarios: Sequence[AnyScenario]) -> Proof:
    """Judge the facts of an earlier proof by the rules of today. Raises ProofUnreadable."""
    read(path)
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_Document)
        outcomes = [_again(each, scenarios) for each in document.scenarios]
    except msgspec.MsgspecError as error:
        raise ProofUnreadable(f"{path} has other facts than the scenarios of today gather: {error}.") from error
    return Proof(document.backend, document.seed, document.began, document.took_s,
                 promised([each for each in outcomes if each is not None]), document.machine)  # fmt: skip


def _again(found: _Scenario, scenarios: Sequence[AnyScenario]) -> Outcome | None:
    scenario = next((each for each in scenarios if each.name == found.name), None)
    if scenario is None:
        return None
    if not found.attempts:
        return Outcome(scenario, Judgement(Verdict.NOT_PROVEN, found.why, mend=found.mend, applies=found.applies))
    attempts = [
        Attempt(msgspec.json.decode(each.facts, type=scenario.facts | None), each.took_s, each.failure)
        for each in found.attempts
    ]
    return outcome(scenario, attempts)
