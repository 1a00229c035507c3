"""How slowly a body may arrive, and when what has arrived is made safe."""

from typing import Final, NamedTuple

WINDOW_S: Final = 30.0
"""Over how long the rate is looked at, in seconds of waiting for the client."""


class Waited(NamedTuple):
    """How a body arrives, as seen at one moment. Time in which we were at work does not count."""

    silent_s: float
    """For how long nothing has come."""
    window_s: float
    """For how long the client was waited for in the present window."""
    window_bytes: int
    """What came in it."""


def too_slow(waited: Waited, *, idle_s: float, min_rate: int) -> str | None:
    """Why a client is waited for no longer; None while it is. `min_rate` is in bytes a second."""
    if waited.silent_s >= idle_s:
        return f"Nothing came for {idle_s:g} seconds."
    if waited.window_s >= WINDOW_S and waited.window_bytes < min_rate * waited.window_s:
        return f"Less than {min_rate} bytes a second came for {WINDOW_S:g} seconds."
    return None


_MANY: Final = 64 * 1024 * 1024
_SOME: Final = 1024 * 1024
_OFTEN_S: Final = 1.0


def worth_saving(unsafe_bytes: int, since_s: float, checkpoint_s: float) -> bool:
    """Whether to make safe what arrived: much of it at once, some each second, a little every `checkpoint_s`."""
    if unsafe_bytes <= 0:
        return False
    return (
        unsafe_bytes >= _MANY
        or (unsafe_bytes >= _SOME and since_s >= min(_OFTEN_S, checkpoint_s))
        or since_s >= checkpoint_s
    )
