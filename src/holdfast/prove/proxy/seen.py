"""What a proxy has seen, and what its faults did: counted while it runs, and given out as it stands."""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from holdfast.decide.faults import Fault, Way


class Seen(NamedTuple):
    """What a proxy had seen at one moment."""

    opened: int = 0
    """Connections that came."""
    open: int = 0
    """Those of them that are not over, among them those that hang."""
    unreachable: int = 0
    """Those for which the upstream could not be reached."""
    bytes_up: int = 0
    """What was passed on to the upstream."""
    bytes_down: int = 0
    """What was passed on from the upstream."""
    acts: Mapping[str, int] = MappingProxyType({})
    """How often each fault acted, by its name. `Fault.counts` says what is counted."""

    def acted(self, kind: type[Fault]) -> int:
        """How often a kind of fault acted."""
        return self.acts.get(kind.name, 0)


class Tally:
    """What is counted while a proxy runs."""

    __slots__ = ("acts", "opened", "over", "passed", "unreachable")

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.opened: int = 0
        self.over: int = 0
        self.unreachable: int = 0
        self.passed: dict[Way, int] = {"up": 0, "down": 0}
        self.acts: Counter[str] = Counter()

    def seen(self) -> Seen:
        """All of it, as it stands."""
        return Seen(
            self.opened,
            self.opened - self.over,
            self.unreachable,
            self.passed["up"],
            self.passed["down"],
            MappingProxyType(dict(self.acts)),
        )
