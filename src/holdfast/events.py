"""Facts: what happened, as frozen records. Whoever wants text reads these."""

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
