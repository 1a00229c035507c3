"""Putting the metrics of a process in place: one that serves, or one that supervises."""

import logging
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from holdfast import logs
from holdfast.decide.metrics import Place
from holdfast.events import WorkerEnded
from holdfast.parts.metrics.folder import forget_gauges, remove_abandoned
from holdfast.parts.metrics.process import Metrics
from holdfast.parts.metrics.settings import ENVIRONMENT, MetricsSettings, place_of

_LOG = logging.getLogger("holdfast.metrics")
_PREFIX: Final = "holdfast-metrics-"
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the folder that is made in it is this process's alone
_ROOM_BYTES: Final = 16 * 1024 * 1024

_installed: Metrics | None = None


def installed() -> Metrics | None:
    """The metrics that `configure` put in place, if they are wanted."""
    return _installed


def configure(settings: MetricsSettings, *, health: bool | None = None) -> Metrics | None:
    """Count what this process serves, which no supervisor of ours has started. None where metrics are not wanted.

    `health` says whether there is a health address, None that the server has no such thing. Processes of other servers
    share their numbers if the operator has named a folder in `PROMETHEUS_MULTIPROC_DIR`. A second call replaces the
    first. Raises ExtraMissing, SettingsInvalid.
    """
    place = place_of(settings, health=settings.where == "health" if health is None else health)
    if place is Place.HEALTH and health is None:
        _LOG.warning("metrics are answered nowhere: only `holdfast run` has a health address")
    shared = _operators_folder()
    return _install(None if place is Place.NOWHERE else Metrics(place, folder=shared, application=shared))


def configure_worker(place: Place, folder: Path, slot: int) -> Metrics:
    """Count what this worker serves, in the place `slot` of the `folder` that its supervisor has made.

    To be called before the application is imported, so that its own metrics join in.
    """
    from holdfast.parts.metrics import exposition  # noqa: PLC0415 - an extra

    application = _operators_folder()
    metrics = Metrics(place, folder=folder, wanted=str(slot), application=application or folder)
    metrics.open()
    if application is None:
        exposition.adopt(folder, _own(slot))
    _install(metrics)
    return metrics


def _install(metrics: Metrics | None) -> Metrics | None:
    global _installed
    previous, _installed = _installed, metrics
    if previous is not None:
        logs.tell_no_more(previous.meter.request_finished)
    if metrics is not None:
        logs.also_tell(metrics.meter.request_finished)
    return metrics


@asynccontextmanager
async def supervising(
    place: Place, listeners: list[Callable[[WorkerEnded], None]], *, serving: Callable[[], int], wanted: int
) -> AsyncGenerator[tuple[Path, Metrics] | None]:
    """The folder in which workers share their numbers, and the metrics of their supervisor; None where none are wanted.

    `listeners` is where to add who hears of workers that ended; `serving` says how many serve of those `wanted`.
    """
    if place is Place.NOWHERE:
        yield None
        return
    theirs = _operators_folder()
    parent = _with_room()
    remove_abandoned(parent, _PREFIX, time.time())
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True) as made:
        folder = Path(made)
        metrics = Metrics(place, folder=folder, wanted="supervisor", application=theirs or folder)
        metrics.meter.supervise(serving=serving, wanted=wanted)

        def forget(fact: WorkerEnded) -> None:
            forget_gauges(theirs or folder, str(fact.pid) if theirs is not None else _own(fact.slot))

        listeners += [metrics.meter.worker_ended, forget]
        async with metrics.live(serves=False):
            yield folder, metrics


def _own(slot: int) -> str:
    """The name of a worker among prometheus_client's files. A number could be that of a process elsewhere."""
    return f"w{slot}"


def _operators_folder() -> Path | None:
    named = os.environ.get(ENVIRONMENT)
    return Path(named) if named else None


def _with_room() -> Path:
    """Shared memory, where there is enough: what is written every second should not wait for a disk."""
    with suppress(OSError):
        free = os.statvfs(_SHARED_MEMORY)
        if free.f_bavail * free.f_frsize >= _ROOM_BYTES and os.access(_SHARED_MEMORY, os.W_OK | os.X_OK):
            return _SHARED_MEMORY
    return Path(tempfile.gettempdir())
