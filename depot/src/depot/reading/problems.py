"""What was wrong with a file: the first findings in full, the rest as a number."""

from dataclasses import dataclass, field
from typing import Final

KEPT: Final = 100
_LONGEST: Final = 200


class Unreadable(Exception):
    """The file as a whole cannot be read as records."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `line` counts from 1; None means the file as a whole."""

    line: int | None
    problem: str


@dataclass(slots=True)
class Problems:
    """The findings of one reading. Its memory is bounded, whatever the file holds."""

    kept: list[Problem] = field(default_factory=list[Problem])
    total: int = 0

    def add(self, line: int | None, problem: str) -> None:
        """Note a finding: the first KEPT in full, later ones by their number only."""
        self.total += 1
        if len(self.kept) < KEPT:
            self.kept.append(Problem(line, problem[:_LONGEST]))
