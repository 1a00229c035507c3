"""The command that repeats a proof, or one scenario of it."""

import shlex

from holdfast.prove.record import Proof


def repeat(proof: Proof, scenario: str | None = None) -> str:
    """What to type to see it again: `proof.shown` says how the backend was named."""
    words = f"holdfast prove {proof.shown} --seed {proof.seed}"
    return f"{words} --only {shlex.quote(scenario)}" if scenario else words
