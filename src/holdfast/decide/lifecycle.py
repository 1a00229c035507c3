"""The life of a serving process, as a table of (state, event).

    starting --started--> serving --term--> leaving --delay_over--> draining
    draining --idle or grace_over--> closing --closed--> stopped

Leaving: not ready any more, but serving as before, so that whoever balances the load has time to see it.
Draining: nothing new is accepted; what was accepted is finished; answers say `Connection: close`.
Closing: the application and the resources are closed.
A second signal, or an interrupt from the keyboard, skips what is left of the waiting, never the closing.
"""

from enum import StrEnum
from typing import Final, NamedTuple


class State(StrEnum):
    """Where a process stands in its life."""

    STARTING = "starting"
    SERVING = "serving"
    LEAVING = "leaving"
    DRAINING = "draining"
    CLOSING = "closing"
    STOPPED = "stopped"


class Event(StrEnum):
    """What moves it on."""

    STARTED = "started"
    FAILED = "failed"
    TERM = "term"
    """A first request to stop, which leaves time to be taken out of the balancing."""
    HURRY = "hurry"
    """A second signal, an interrupt from the keyboard, or a replacement that serves already."""
    DELAY_OVER = "delay_over"
    IDLE = "idle"
    """Nothing accepted is left to finish."""
    GRACE_OVER = "grace_over"
    CLOSED = "closed"


class Standing(NamedTuple):
    """What a state means for those outside."""

    live: bool
    ready: bool
    accepts: bool
    """Whether new connections are accepted."""


STANDING: Final[dict[State, Standing]] = {
    State.STARTING: Standing(live=True, ready=False, accepts=False),
    State.SERVING: Standing(live=True, ready=True, accepts=True),
    State.LEAVING: Standing(live=True, ready=False, accepts=True),
    State.DRAINING: Standing(live=True, ready=False, accepts=False),
    State.CLOSING: Standing(live=True, ready=False, accepts=False),
    State.STOPPED: Standing(live=False, ready=False, accepts=False),
}

TABLE: Final[dict[tuple[State, Event], State]] = {
    (State.STARTING, Event.STARTED): State.SERVING,
    (State.STARTING, Event.FAILED): State.STOPPED,
    (State.STARTING, Event.TERM): State.CLOSING,
    (State.STARTING, Event.HURRY): State.CLOSING,
    (State.SERVING, Event.TERM): State.LEAVING,
    (State.SERVING, Event.HURRY): State.DRAINING,
    (State.LEAVING, Event.DELAY_OVER): State.DRAINING,
    (State.LEAVING, Event.HURRY): State.DRAINING,
    (State.DRAINING, Event.IDLE): State.CLOSING,
    (State.DRAINING, Event.GRACE_OVER): State.CLOSING,
    (State.DRAINING, Event.HURRY): State.CLOSING,
    (State.CLOSING, Event.CLOSED): State.STOPPED,
}


def after(state: State, event: Event) -> State:
    """The state after `event`. An event that a state does not know changes nothing: signals come when they like."""
    return TABLE.get((state, event), state)


def of_signal(state: State, *, interrupt: bool) -> Event:
    """What a signal means in `state`: a first SIGTERM asks to leave, SIGINT and every further signal hurry."""
    return Event.TERM if state in {State.STARTING, State.SERVING} and not interrupt else Event.HURRY
