"""The numbers of this process: plain floats in dictionaries. A request only adds to some of them."""

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from holdfast import logs
from holdfast.decide.metrics import (
    MOST_SERIES,
    Labels,
    Numbers,
    added,
    method_label,
    request_labels,
    route_label,
    spread_labels,
)
from holdfast.decide.supervision import Why
from holdfast.events import LoopBlocked, RequestFinished, WorkerEnded
from holdfast.logs.canonical import QUIET
from holdfast.parts.metrics import families
from holdfast.parts.metrics.families import FAMILIES, Family

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_BOUNDS: Final = families.DURATION.bounds

_Key = tuple[str, str, str | None, int, str]
_Cell = tuple[list[float], list[float] | None]
"""What counts a request, and what holds its duration; a WebSocket has none."""


class Snapshot(msgspec.Struct, array_like=True):
    """All numbers of a process at one moment."""

    lasting: Numbers
    """Counters and histograms. They outlive the process: its successor goes on with them."""
    passing: Numbers
    """Gauges. They are true while the process lives."""


class Meter:
    """Counts what happens in this process, on its event loop."""

    def __init__(self) -> None:
        """Begin at nought."""
        self.process: str = "0"
        """The name of this process among those that are counted together."""
        self.in_flight: int = 0
        self.websockets_open: int = 0
        self.known_elsewhere: dict[Family, Callable[[], float]] = {}
        """Gauges that are asked for when they are told."""
        self.offloads: Callable[[], Mapping[str, tuple[float, float]]] | None = None
        """Tells how many calls run elsewhere and how many wait for it, by where."""
        self.lasting: Numbers = {family.name: {} for family in FAMILIES if family.kind != "gauge"}
        self._requests = self.lasting[families.REQUESTS.name]
        self._durations = self.lasting[families.DURATION.name]
        self._cells: dict[_Key, _Cell] = {}
        self._uncounted: _Cell = ([0.0], None)
        self._routes: set[str] = set()
        self._delays = self._row(families.LOOP_DELAY)
        self._dropped = self._row(families.DROPPED)
        self._refused: Callable[[], Mapping[Labels, int]] = dict
        self._refused_seen: dict[Labels, int] = {}
        self._cpu_seen = 0.0
        self._dropped_seen: tuple[object, int] = (None, 0)

    def gate(
        self, refused: Callable[[], Mapping[Labels, int]], limit: Callable[[], float], waiting: Callable[[], int]
    ) -> None:
        """Tell also of who is not served: how many were `refused` so far, the `limit`, and how many are `waiting`."""
        self._refused = refused
        self.known_elsewhere |= {families.SHED_LIMIT: limit, families.SHED_WAITING: waiting}

    # -- what happens --

    def request_finished(self, fact: RequestFinished) -> None:
        """Count a request that has ended."""
        cell = self._cells.get((fact.kind, fact.method, fact.route, fact.status, fact.outcome))
        counted, spread = cell or self._cell(fact)
        counted[0] += 1.0
        if spread is not None:
            seconds = fact.duration_ms / 1000.0
            spread[0] += seconds
            spread[bisect_left(_BOUNDS, seconds) + 1] += 1.0

    def loop_delayed(self, seconds: float) -> None:
        """Note how late the event loop was."""
        self._delays[0] += seconds
        self._delays[bisect_left(families.LOOP_DELAY.bounds, seconds) + 1] += 1.0

    def loop_blocked(self, fact: LoopBlocked) -> None:
        """Count what held the event loop up. For the watchdog's thread, the only one that does."""
        self._row(families.LOOP_BLOCKED, (fact.how,))[0] += 1.0

    def supervise(self, *, serving: Callable[[], int], wanted: int) -> None:
        """Tell of workers as well: how many serve, how many should, and how each ended, each from nought."""
        self.known_elsewhere = {families.WORKERS_SERVING: serving, families.WORKERS_WANTED: lambda: wanted}
        for reason in Why:
            self._row(families.WORKER_ENDS, (_word(reason),))

    def worker_ended(self, fact: WorkerEnded) -> None:
        """Count the end of a worker."""
        self._row(families.WORKER_ENDS, (_word(fact.reason),))[0] += 1.0

    # -- what is told --

    def go_on_from(self, before: Numbers) -> None:
        """Go on with what was counted by the process that had this place before."""
        added(self.lasting, families.fitting(before))
        self._routes.update(labels[1] for labels in self._durations)

    def snapshot(self) -> Snapshot:
        """All numbers as they are now. For one thread at a time; the numbers themselves go on."""
        self._look_elsewhere()
        known = {family: float(value()) for family, value in self.known_elsewhere.items()}
        known |= {families.IN_FLIGHT: float(self.in_flight), families.WEBSOCKETS_OPEN: float(self.websockets_open)}
        passing: Numbers = {family.name: {(): [value]} for family, value in known.items()}
        if self.offloads is not None:
            found = self.offloads()
            passing[families.OFFLOAD_RUNNING.name] = {(where,): [float(runs)] for where, (runs, _) in found.items()}
            passing[families.OFFLOAD_WAITING.name] = {(where,): [float(waits)] for where, (_, waits) in found.items()}
        passing[families.MEMORY.name] = {(self.process,): [_resident_bytes()]}
        passing[families.BORN.name] = {(self.process,): [_born()]}
        return Snapshot(self.lasting, passing)

    def _look_elsewhere(self) -> None:
        """Add what others have counted since the last look."""
        cpu = time.process_time()
        self._row(families.CPU, (self.process,))[0] += cpu - self._cpu_seen
        self._cpu_seen = cpu
        for labels, count in list(self._refused().items()):
            self._row(families.SHED, labels)[0] += count - self._refused_seen.get(labels, 0)
            self._refused_seen[labels] = count
        installed = logs.installed()
        if installed is not None:
            log, before = self._dropped_seen
            dropped = installed.pipe.dropped_in_all
            self._dropped[0] += dropped - (before if log is installed else 0)
            self._dropped_seen = (installed, dropped)

    # -- rows --

    def _cell(self, fact: RequestFinished) -> _Cell:
        """Where a request is counted that is the first of its kind, or one too many to be told apart."""
        if fact.route in QUIET:
            return self._uncounted
        method = method_label(fact.method)
        route = route_label(fact.route, self._routes)
        if fact.kind == "websocket":
            cell = (self._row(families.WEBSOCKETS, (route, fact.outcome)), None)
        else:
            labels = request_labels((method, route, str(fact.status), fact.outcome), self._requests)
            spread = spread_labels(labels[:2], self._durations)
            cell = (self._row(families.REQUESTS, labels), self._row(families.DURATION, spread))
        as_it_came = method == fact.method and (fact.route is None or fact.route == route)
        if as_it_came and len(self._cells) < 2 * MOST_SERIES:
            self._cells[fact.kind, fact.method, fact.route, fact.status, fact.outcome] = cell
        return cell

    def _row(self, family: Family, labels: Labels = ()) -> list[float]:
        table = self.lasting[family.name]
        row = table.get(labels)
        if row is None:
            row = table[labels] = [0.0] * family.width
        return row


def _word(reason: str) -> str:
    """A reason as it stands in a label."""
    return reason.replace(" ", "_")


def _resident_bytes() -> float:
    return float(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE_BYTES


def _born() -> float:
    """When this process began, in seconds since the epoch."""
    ticks = float(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19])
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / _TICKS_A_SECOND)
