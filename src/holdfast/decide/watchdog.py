"""What to think of an event loop that did not turn: what held it, for how long, and whether that is worth a line.

A loop that is well says so every few milliseconds. Who watches it looks at the loop's thread once it is late, and again
and again until it turns. What was seen then is judged here.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Final, NamedTuple

_MOST_PLACES: Final = 1000


class How(StrEnum):
    """How something holds the loop up."""

    CALCULATES = "calculates"
    """It uses a processor."""
    WAITS = "waits"
    """It waits in a call that is not awaited: it sleeps, or reads from a socket, a disk or a lock."""


class Frame(NamedTuple):
    """One line of a stack."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f'File "{self.file}", line {self.line} in {self.function}'


class Moment(NamedTuple):
    """A time, and what the loop's thread had done by then. All in seconds."""

    at: float
    cpu: float
    """The processor time that the thread had used."""
    wanted: float
    """That, and the time in which it was ready for a processor and had to wait for one."""

    def until(self, other: "Moment") -> "Moment":
        """Half-way to another."""
        return Moment(*((one + two) / 2 for one, two in zip(self, other, strict=True)))

    def since(self, other: "Moment") -> "Moment":
        """What has passed since another."""
        return Moment(*(one - two for one, two in zip(self, other, strict=True)))


class Look(NamedTuple):
    """What one look at the loop's thread has shown."""

    moment: Moment
    step: int
    """Which step of which task the loop is at; 0 where it waits for something to do."""


class Silence(NamedTuple):
    """A time in which the loop did not turn."""

    since: Moment
    """When it last turned."""
    until: Moment
    """When it turned again, or now."""
    every: float
    """How often it says that it turns, while it does, in seconds."""
    overslept: float
    """By how much who watches woke too late, at most, in seconds."""
    looks: Sequence[Look]


class Held(NamedTuple):
    """One step that held the loop up."""

    seconds: float
    cpu: float
    """The processor time that it used."""
    how: How
    looks: range
    """Which of the looks have shown it."""


def held(seen: Silence, at_least: float) -> Held | None:
    """The step that held the loop up for `at_least` so many seconds; None where none did, or nobody can say.

    None are many short steps in one turn of the loop: that is load, and no step is to blame for it. None is a step that
    was not let run, because the machine has too much to do, or the process was stopped: then who watches overslept as
    well, and no processor was used. (It oversleeps too where one call into C lets nothing else of Python run; but that
    uses one.)
    """
    found = max(_runs(seen), default=None, key=lambda run: run.seconds)
    if found is None or found.seconds < at_least:
        return None
    if found.how is How.CALCULATES:
        return found if found.cpu >= at_least / 2 else None
    return found if seen.overslept < found.seconds / 2 else None


def _runs(seen: Silence) -> list[Held]:
    """The steps that were seen, each with its time: from half-way after the look before it, to half-way to the next."""
    runs: list[Held] = []
    moments = [look.moment for look in seen.looks]
    for step, group in groupby(range(len(moments)), key=lambda index: seen.looks[index].step):
        indices = list(group)
        first, last = indices[0], indices[-1]
        began = moments[first - 1].until(moments[first]) if first else seen.since
        ended = moments[last].until(moments[last + 1]) if last + 1 < len(moments) else seen.until
        took = ended.since(began)
        # before the first look it began in the time in which the loop was not yet due to say that it turns
        seconds = took.at if first else max(took.at - seen.every / 2, ended.at - moments[0].at)
        how = How.CALCULATES if took.wanted >= took.at / 2 else How.WAITS
        if step:
            runs.append(Held(seconds, took.cpu, how, range(first, last + 1)))
    return runs


def to_blame(stack: Sequence[Frame], libraries: Collection[str]) -> Frame | None:
    """The innermost frame of the application: one in none of the folders of `libraries`. Else the innermost of all.

    `stack` begins with the innermost.
    """
    folders = tuple(f"{folder}/" for folder in libraries)
    own = (frame for frame in stack if not frame.file.startswith(("<", *folders)))
    return next(own, stack[0] if stack else None)


class Telling:
    """Which of many alike are told: at most so many a second, and each place not again for a while; all are counted."""

    def __init__(self, *, a_second: int = 5, again_s: float = 10.0) -> None:
        """Tell of `a_second` at most, and of the same place not again before `again_s` seconds."""
        self._a_second = a_second
        self._again_s = again_s
        self._second = 0
        self._told = 0
        self._places: dict[str, tuple[float, int]] = {}

    def take(self, place: str, now: float) -> int | None:
        """How many of this place were kept back since it was last told; None: keep this one back too."""
        if int(now) != self._second:
            self._second, self._told = int(now), 0
        last, kept = self._places.get(place, (-self._again_s + now, 0))
        if now - last < self._again_s or self._told >= self._a_second:
            self._remember(place, last, kept + 1)
            return None
        self._told += 1
        self._remember(place, now, 0)
        return kept

    def _remember(self, place: str, last: float, kept: int) -> None:
        self._places.pop(place, None)
        self._places[place] = (last, kept)
        if len(self._places) > _MOST_PLACES:
            del self._places[next(iter(self._places))]
