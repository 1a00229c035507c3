"""What a supervisor decides of its workers: whether one works, when one is replaced, what follows the end of one.

Time, chance and what the system tells of a process are arguments.
"""

import signal
from collections.abc import Collection
from enum import StrEnum
from itertools import count
from typing import Final, NamedTuple

STARTUP_FAILURE: Final = 3
"""The exit code of a worker that did not come to serve, because of what it was given."""
_STEADY_S: Final = 10.0
_LONGEST_S: Final = 30.0
_WORKS: Final = 0.05
"""The share of one core above which a process counts as working. Threads that only look whether there is something
to do, as those of telemetry, stay below it."""
_LATE: Final = 3.0


class Why(StrEnum):
    """Why a worker ended: one word or two, for counting."""

    STOPPED = "stopped"
    """All were told to stop."""
    ROLLING = "rolling restart"
    """Another serves in its place, because somebody asked for it."""
    MEMORY = "memory"
    """Another serves in its place, because it had more memory than it may have."""
    LIFETIME = "lifetime"
    """Another serves in its place, because it had lived for as long as it may."""
    HUNG = "hung"
    """It was killed: its event loop stood still and nothing in it worked."""
    BUSY = "busy"
    """It was killed: its event loop was busy with one thing for longer than it may."""
    SLOW_START = "slow start"
    """It was killed: it did not come to serve in time."""
    SLOW_STOP = "slow stop"
    """It was killed: it was told to end and did not, in time."""
    NO_START = "no start"
    """It could not start, because of what it was given."""
    OUT_OF_MEMORY = "out of memory"
    """The system killed it, because memory ran out."""
    SIGNAL = "signal"
    """It crashed, or somebody killed it."""
    EXIT = "exit"
    """It ended by itself."""


PLANNED: Final = frozenset({Why.STOPPED, Why.ROLLING, Why.MEMORY, Why.LIFETIME})
"""What a worker is told to end for, and ends in order."""


# -- whether a worker works --


class Verdict(StrEnum):
    """What is thought of a worker."""

    WELL = "well"
    STOPPED = "stopped"
    """Somebody stopped it, by a signal or with a debugger. It is let be."""
    BUSY = "busy"
    """Its event loop does not turn, but something in it works."""
    BUSY_TOO_LONG = "busy too long"
    HUNG = "hung"
    """Its event loop does not turn, and nothing in it works."""


class Seen(NamedTuple):
    """What is seen of a worker."""

    silent_s: float
    """Since its event loop was last heard of."""
    watched_s: float
    """The part of it in which it could have been heard: it was not stopped, and the supervisor itself ran."""
    cpu_s: float
    """The processor time that its process used while it was watched."""
    worked_s: float
    """For how long, before that, it was silent and busy."""
    state: str
    """The letter for the state of its main thread, as /proc gives it."""


_BY_STATE: Final = {
    "T": Verdict.STOPPED,  # stopped by a signal
    "t": Verdict.STOPPED,  # by a debugger
    "R": Verdict.BUSY,  # runs, or waits for a processor
    "D": Verdict.BUSY,  # waits for a disk: a kill would wait too
    "Z": Verdict.WELL,  # has ended, which is told by itself
    "X": Verdict.WELL,
}


def verdict(seen: Seen, *, hang_s: float, busy_s: float) -> Verdict:
    """What to think of a worker. `hang_s` of silence are looked into, `busy_s` of work are too many; 0: never."""
    if not hang_s or seen.silent_s < hang_s:
        return Verdict.WELL
    found = _BY_STATE.get(seen.state)
    if found is None:
        found = Verdict.BUSY if seen.cpu_s >= _WORKS * seen.watched_s else Verdict.HUNG
    if found in {Verdict.HUNG, Verdict.BUSY} and seen.watched_s < hang_s:
        return Verdict.WELL  # it has not been looked at for long enough
    if found is Verdict.BUSY and busy_s and seen.worked_s + seen.watched_s >= busy_s:
        return Verdict.BUSY_TOO_LONG
    return found


def is_stopped(state: str) -> bool:
    """Whether a process in `state` cannot be heard of, because somebody stopped it."""
    return _BY_STATE.get(state) is Verdict.STOPPED


def overslept(elapsed_s: float, every_s: float) -> bool:
    """Whether who looks `every_s` seconds looks so late that it, or the machine, did not run meanwhile."""
    return elapsed_s > every_s * _LATE


# -- when a worker is replaced --


class Limits(NamedTuple):
    """What one worker may have; None: as much as it likes."""

    memory_mb: float | None = None
    lifetime_s: float | None = None


def limits(*, memory_max_mb: float, lifetime_s: float, jitter: float, chance: float) -> Limits:
    """The limits of one worker: those that are set (0: none), lowered by up to the fraction `jitter` of them.

    `chance` is from 0 to 1. Lowered and never raised, so that what is set is the most that a worker has.
    """
    share = 1 - jitter * chance
    return Limits(memory_max_mb * share or None, lifetime_s * share or None)


def due(own: Limits, *, memory_mb: float, age_s: float) -> Why | None:
    """Whether a worker is to be replaced, and why."""
    if own.memory_mb is not None and memory_mb > own.memory_mb:
        return Why.MEMORY
    if own.lifetime_s is not None and age_s > own.lifetime_s:
        return Why.LIFETIME
    return None


# -- what follows the end of a worker --


class AtEnd(StrEnum):
    """What follows the end of a worker."""

    REPLACE = "replace"
    LET_GO = "let go"
    """It was told to end, or all are."""
    KEEP_OLD = "the one that it was to replace stays"
    GIVE_UP = "give up"
    """No worker has ever served: the next would fail as this one did."""


def at_end(*, told: bool, any_served: bool, spare: bool) -> AtEnd:
    """What to do after a worker has ended: `told` to; `any_served` of its kind; `spare`, as what it replaces serves."""
    if told:
        return AtEnd.LET_GO
    if not any_served:
        return AtEnd.GIVE_UP
    return AtEnd.KEEP_OLD if spare else AtEnd.REPLACE


def lowest_free(taken: Collection[int]) -> int:
    """The lowest slot, from 0, that is not among those that are `taken`."""
    return next(slot for slot in count() if slot not in taken)


def restart_delay(short_lives: int) -> float:
    """Seconds to wait before a worker is replaced, after so many in a row that did not live ten seconds.

    The first is replaced at once; then the delay doubles from half a second to half a minute.
    """
    return 0.0 if short_lives <= 1 else min(_LONGEST_S, 0.5 * 2.0 ** min(short_lives - 2, 10))


def was_short(lived_s: float) -> bool:
    """Whether a worker ended too soon to be taken for a steady one."""
    return lived_s < _STEADY_S


# -- why it ended --


def why(code: int, told: Why | None, *, out_of_memory: bool | None) -> Why:
    """Why a worker ended, with its exit `code` as `subprocess` tells it, after it was `told` to end or killed.

    `out_of_memory`: whether the system killed a process for want of memory meanwhile; None where it does not say.
    """
    if told is not None:
        return told
    if code == -signal.SIGKILL and out_of_memory:
        return Why.OUT_OF_MEMORY
    if code < 0:
        return Why.SIGNAL
    return Why.NO_START if code == STARTUP_FAILURE else Why.EXIT


_WORDS: Final = {
    Why.STOPPED: "told to stop",
    Why.ROLLING: "replaced in a rolling restart",
    Why.MEMORY: "replaced because of its memory",
    Why.LIFETIME: "replaced because of its age",
    Why.HUNG: "killed because it hung",
    Why.BUSY: "killed because it was busy for too long",
    Why.SLOW_START: "killed because it did not come to serve in time",
    Why.SLOW_STOP: "killed because it did not end in time",
    Why.NO_START: "could not start",
    Why.OUT_OF_MEMORY: "killed by the system because memory ran out",
}


def reason(because: Why, code: int, *, detail: str = "", out_of_memory: bool | None = None) -> str:
    """Why a worker ended, in words for the log; `detail` says more."""
    words = _WORDS.get(because) or _of_code(code)
    if because is Why.SIGNAL and code == -signal.SIGKILL and out_of_memory is None:
        words += ", perhaps by the system because memory ran out"
    if because in PLANNED and code not in {0, -signal.SIGTERM}:
        words += f", but {_of_code(code)}"
    return f"{words}: {detail}" if detail else words


def _of_code(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
