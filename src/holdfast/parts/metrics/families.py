"""THE list of metrics: what each is called, what it is split by, and what it tells."""

from typing import Final, Literal, NamedTuple

from holdfast.decide.metrics import Labels, Numbers

_REQUEST_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_DELAY_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Family(NamedTuple):
    """A metric with all its time series."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    bounds: tuple[float, ...] = ()
    """The upper bounds of a histogram's buckets, each included; one without a bound follows."""

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return len(self.bounds) + 2 if self.bounds else 1

    def fits(self, labels: Labels, values: list[float]) -> bool:
        """Whether a row is one of these. In a folder that is not wiped another version may have left its own."""
        return len(labels) == len(self.labels) and len(values) == self.width


REQUESTS: Final = Family(
    "holdfast_http_requests_total",
    "counter",
    ("method", "route", "status", "outcome"),
    "HTTP requests that have ended, by how they ended; status 0 means that no answer was begun. "
    "Probes and scrapes are left out.",
)
DURATION: Final = Family(
    "holdfast_http_request_duration_seconds",
    "histogram",
    ("method", "route"),
    "Seconds from the head of an HTTP request to the end of the application, background tasks included.",
    _REQUEST_S,
)
IN_FLIGHT: Final = Family(
    "holdfast_http_requests_in_flight",
    "gauge",
    (),
    "HTTP requests that the application is busy with. It grows when requests come faster than they are answered.",
)
WEBSOCKETS: Final = Family(
    "holdfast_websockets_total",
    "counter",
    ("route", "outcome"),
    "WebSocket connections that have ended, by how they ended.",
)
WEBSOCKETS_OPEN: Final = Family(
    "holdfast_websockets_open", "gauge", (), "WebSocket connections that the application is busy with."
)
LOOP_DELAY: Final = Family(
    "holdfast_loop_delay_seconds",
    "histogram",
    (),
    "Seconds by which the event loop woke a timer too late, looked at four times a second in each serving process. "
    "What holds it up holds up every request of the process.",
    _DELAY_S,
)
SHED: Final = Family(
    "holdfast_requests_shed_total",
    "counter",
    ("priority", "reason"),
    "Requests that were refused before they were begun, because more came than can be served; or would have been, "
    "where that is only observed. Few of them have a line in the log, and none is among holdfast_http_requests_total.",
)
SHED_LIMIT: Final = Family(
    "holdfast_requests_limit", "gauge", (), "How many requests may be served at once. It follows what the service can."
)
SHED_WAITING: Final = Family("holdfast_requests_waiting", "gauge", (), "Requests that wait to be begun.")
LOOP_BLOCKED: Final = Family(
    "holdfast_loop_blocked_total",
    "counter",
    ("how",),
    "Steps that held the event loop up for longer than HOLDFAST_WATCHDOG_MS, by whether they calculated or waited.",
)
OFFLOAD_RUNNING: Final = Family(
    "holdfast_offload_running",
    "gauge",
    ("where",),
    "Calls that run elsewhere: in a thread or a process of offload, or as a synchronous handler in a thread of AnyIO.",
)
OFFLOAD_WAITING: Final = Family(
    "holdfast_offload_waiting",
    "gauge",
    ("where",),
    "Calls that wait for a free thread or process. If it does not fall again, there are too few, or they are stuck.",
)
DROPPED: Final = Family(
    "holdfast_log_lines_dropped_total",
    "counter",
    (),
    "Log lines that were dropped because the reader of the log was too slow, or had gone.",
)
WORKER_ENDS: Final = Family(
    "holdfast_worker_ends_total",
    "counter",
    ("reason",),
    "Workers that have ended, by why. Without a supervisor there are none.",
)
WORKERS_SERVING: Final = Family(
    "holdfast_workers_serving", "gauge", (), "Workers that serve. Without a supervisor there is none."
)
WORKERS_WANTED: Final = Family(
    "holdfast_workers_wanted", "gauge", (), "Workers that the supervisor was told to keep serving."
)
CPU: Final = Family(
    "holdfast_process_cpu_seconds_total",
    "counter",
    ("process",),
    "Seconds of CPU time, by worker slot. An event loop that takes 1 a second has no more to give.",
)
MEMORY: Final = Family(
    "holdfast_process_resident_memory_bytes", "gauge", ("process",), "Bytes of memory resident, by worker slot."
)
BORN: Final = Family(
    "holdfast_process_start_time_seconds",
    "gauge",
    ("process",),
    "When the process in a worker slot began, in seconds since the epoch.",
)
INFO: Final = Family(
    "holdfast_build_info", "gauge", ("version", "python"), "Which Holdfast and which Python serves; always 1."
)

FAMILIES: Final = (
    REQUESTS,
    DURATION,
    IN_FLIGHT,
    WEBSOCKETS,
    WEBSOCKETS_OPEN,
    LOOP_DELAY,
    SHED,
    SHED_LIMIT,
    SHED_WAITING,
    LOOP_BLOCKED,
    OFFLOAD_RUNNING,
    OFFLOAD_WAITING,
    DROPPED,
    WORKER_ENDS,
    WORKERS_SERVING,
    WORKERS_WANTED,
    CPU,
    MEMORY,
    BORN,
    INFO,
)


def fitting(numbers: Numbers) -> Numbers:
    """What of `numbers` is of families that are here, as they are here."""
    return {
        family.name: {key: values for key, values in numbers[family.name].items() if family.fits(key, values)}
        for family in FAMILIES
        if family.name in numbers
    }
