"""A proof on the terminal: what goes on while it runs, and a summary that fits on a screen."""

import shutil
import sys
import time
from typing import Final, TextIO

from holdfast.decide.verdicts import Verdict
from holdfast.prove.record import Outcome, Proof
from holdfast.prove.scenario import AnyScenario

_COLOURS: Final = {Verdict.KEPT: "32", Verdict.BROKEN: "31;1", Verdict.NOT_PROVEN: "33"}
_WIDTH: Final = 10


class Progress:
    """Tells how far it is: a line that changes on a terminal, and a line for each verdict everywhere."""

    def __init__(self, out: TextIO = sys.stderr) -> None:
        """Write to `out`."""
        self._out = out
        self._live = out.isatty()
        self._doing = ""
        self._began = time.monotonic()

    def begins(self, scenario: AnyScenario, number: int, count: int) -> None:
        """A scenario begins."""
        self._doing = f"[{number + 1}/{count}] {scenario.name}: {scenario.title}"
        self.tells("")

    def tells(self, text: str) -> None:
        """Something about it."""
        if self._live:
            width = shutil.get_terminal_size((100, 24)).columns - 1
            self._out.write(f"\r\x1b[K{(f'{self._doing} - {text}' if text else self._doing)[:width]}")
            self._out.flush()

    def ended(self, outcome: Outcome) -> None:
        """It has ended."""
        if self._live:
            self._out.write("\r\x1b[K")
        if outcome.attempts:
            word = coloured(outcome.judgement.verdict, live=self._live)
            name = f"{outcome.scenario.promise}: {outcome.scenario.name}"
            self._out.write(f"{time.monotonic() - self._began:6.1f} s  {word}  {name}: {outcome.judgement.why}\n")
        self._out.flush()


def coloured(verdict: Verdict, *, live: bool) -> str:
    """The word, as wide as the widest, in its colour."""
    word = verdict.value.ljust(_WIDTH)
    return f"\x1b[{_COLOURS[verdict]}m{word}\x1b[0m" if live else word


def summary(proof: Proof, *, live: bool = False, columns: int = 120) -> str:
    """The promises, each with its verdict, the number that decided, and what would mend it."""
    lines = [""]
    for promise in proof.promises:
        if not promise.outcomes:
            continue
        judgement = promise.judgement
        number = judgement.number if judgement.number not in judgement.why else ""
        text = f"{number}; {judgement.why}" if number else judgement.why
        room = max(40, columns - 25)
        lines.append(f"{promise.name:<12} {coloured(judgement.verdict, live=live)}  {_cut(text, room)}")
        if judgement.mend:
            lines.append(f"{'':<25}{_cut(judgement.mend, room)}")
    if unasked := [promise.name for promise in proof.promises if not promise.outcomes]:
        lines.append(f"{'not asked':<25}{_cut(', '.join(unasked), max(40, columns - 25))}")
    kept, broken, unproven = (proof.count(verdict) for verdict in (Verdict.KEPT, Verdict.BROKEN, Verdict.NOT_PROVEN))
    lines += [
        "",
        f"{kept} kept, {broken} broken, {unproven} not proven, in {proof.took_s:.0f} s with seed {proof.seed}.",
    ]
    return "\n".join(lines)


def _cut(text: str, room: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= room else f"{text[: room - 1]}…"
