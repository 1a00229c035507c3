"""Facts: what happened, as frozen records. Whoever wants text reads these."""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Outcome:
    """How a request ended: one word of these."""

    OK: Final = "ok"
    """Answered with a status below 400."""
    REJECTED: Final = "rejected"
    """Answered with a status from 400 to 499: the caller can mend it."""
    FAILED: Final = "failed"
    """Answered with a status of 500 or more, or by an exception."""
    REFUSED: Final = "refused"
    """Refused by Holdfast before the application was called."""
    CLIENT_LEFT: Final = "client_left"
    """The client went before the answer was whole."""
    CANCELLED: Final = "cancelled"
    """Stopped before it ended, by a shutdown or a deadline."""
    CUT: Final = "cut"
    """The answer began and did not come to its end, because the application failed or stopped sending."""


class RequestFinished(NamedTuple):
    """A request has ended, however it ended. Its line in the log is the canonical one."""

    at: float
    """When it ended, in seconds since the epoch."""
    request_id: str
    client_request_id: str | None
    trace_id: str | None
    trace_link: str | None
    client: str | None
    kind: str
    """`http` or `websocket`."""
    method: str
    path: str
    query: str
    route: str | None
    status: int
    """0 when no answer was begun."""
    duration_ms: float
    bytes_out: int
    actor: str | None
    action: str | None
    outcome: str
    problem: str | None
    """The code of the problem that was answered, where one was."""


class RequestsShed(NamedTuple):
    """Requests were refused, or would have been, because more came than can be served. Told once a second at most."""

    refused: Mapping[tuple[str, str], int]
    """How many since this was last told, by priority and reason."""
    sample: str
    """The path of one of them."""
    limit: int
    """How many are served at once."""
    in_flight: int
    waiting: int
    turn_ms: float
    """How long a turn of the event loop takes at least."""
    observed: bool
    """Whether they were served all the same, because this is only observed."""


class StateChanged(NamedTuple):
    """The process went from one state of its life to the next."""

    before: str
    after: str
    why: str


class WorkerEnded(NamedTuple):
    """A worker process of a supervisor has ended, planned or not."""

    at: float
    """When, in seconds since the epoch."""
    pid: int
    slot: int
    """Its place among the workers, from 0; the next worker in this place has the same."""
    code: int
    """Its exit code; the negative number of a signal that killed it."""
    reason: str
    """One word of `holdfast.decide.supervision.Why`."""
    planned: bool
    """Whether the supervisor had told it to end."""
    lived_s: float


class ExportEnded(NamedTuple):
    """An export has ended, whole or not."""

    form: str
    """Its format, by name."""
    rows: int | None
    """How many rows were read; None where a server wrote them and did not come to its end."""
    bytes_out: int
    """How many bytes were handed to the reader."""
    spooled: int
    """How many of them waited on disk, because the reader was slower than the source."""
    seconds: float
    whole: bool
    """Whether the reader was given everything."""


class LoopBlocked(NamedTuple):
    """One step of a task has held the event loop up."""

    at: float
    """When this was told, in seconds since the epoch."""
    held_ms: float
    """For how long, to within a quarter of `HOLDFAST_WATCHDOG_MS`."""
    cpu_ms: float
    """The processor time that the loop's thread used meanwhile."""
    how: str
    """One word of `holdfast.decide.watchdog.How`."""
    file: str
    """Where: the innermost line of the application, where there is one."""
    line: int
    function: str
    stack: str
    """The innermost lines, the last one first."""
    request_id: str | None
    route: str | None
    over: bool
    """Whether the loop turns again."""
