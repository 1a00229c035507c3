"""What the supervisor does when a worker ends, and how long it waits before it starts another."""

import signal
from enum import StrEnum
from typing import Final

STARTUP_FAILURE: Final = 3
"""The exit code of a worker that did not come to serve, because of what it was given."""
_STEADY_S: Final = 10.0
_LONGEST_S: Final = 30.0


class AtEnd(StrEnum):
    """What follows the end of a worker."""

    REPLACE = "replace"
    LET_GO = "let go"
    """It was told to end, or all are."""
    GIVE_UP = "give up"
    """No worker has ever served: the next would fail as this one did."""


def at_end(*, told: bool, served: bool, any_served: bool, code: int) -> AtEnd:
    """What to do after a worker has ended: `told` to, having `served`, `any_served` of its kind before, with `code`."""
    if told:
        return AtEnd.LET_GO
    if not served and not any_served and code == STARTUP_FAILURE:
        return AtEnd.GIVE_UP
    return AtEnd.REPLACE


def restart_delay(short_lives: int) -> float:
    """Seconds to wait before a worker is replaced, after so many in a row that did not live ten seconds.

    The first is replaced at once; then the delay doubles from half a second to half a minute.
    """
    return 0.0 if short_lives <= 1 else min(_LONGEST_S, 0.5 * 2.0 ** (short_lives - 2))


def was_short(lived_s: float) -> bool:
    """Whether a worker ended too soon to be taken for a steady one."""
    return lived_s < _STEADY_S


def reason(code: int) -> str:
    """Why a process ended, in words, from its exit code as `subprocess` tells it."""
    if code >= 0:
        return {0: "ended", STARTUP_FAILURE: "did not start"}.get(code, f"ended with code {code}")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"killed by signal {-code}"
    hint = ", perhaps by the system because memory ran out" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"
