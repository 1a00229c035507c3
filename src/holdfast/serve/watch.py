"""Looks at the workers, and acts on what `holdfast.decide.supervision` thinks of what is seen."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Final

from holdfast.context import continuing
from holdfast.decide.supervision import Seen, Verdict, Why, due, is_stopped, overslept, verdict
from holdfast.serve.child import Worker
from holdfast.serve.settings import WorkerSettings
from holdfast.serve.vitals import memory_mb, vitals

_LOG = logging.getLogger("holdfast.supervisor")
_EVERY_S: Final = 1.0
_PARTS: Final = 4
"""How often at least a worker is heard of, and looked at, within the silence that is too long."""

Ask = Callable[[Worker, Why, str], None]
Spawn = Callable[[Coroutine[object, object, None]], object]


def beat_s(settings: WorkerSettings) -> float:
    """The seconds from one beat of a worker, or one look at it, to the next."""
    return min(_EVERY_S, settings.hang_s / _PARTS) if settings.hang_s else _EVERY_S


class _Window:
    """A time in which a silent worker is looked at."""

    def __init__(self, now: float, cpu_s: float, worked_s: float = 0.0) -> None:
        self.since = now
        self.cpu_s = cpu_s
        """The processor time that the worker had used when it began."""
        self.worked_s = worked_s
        """How long the worker had been silent and busy before."""


class Watch:
    """Looks at workers now and then."""

    def __init__(
        self, settings: WorkerSettings, workers: Callable[[], Iterable[Worker]], ask: Ask, spawn: Spawn
    ) -> None:
        """`ask` asks for a worker to be replaced in order, `spawn` runs what takes longer than a look."""
        self.settings = settings
        self.every_s: float = beat_s(settings)
        self._workers = workers
        self._ask = ask
        self._spawn = spawn
        self._windows: dict[Worker, _Window] = {}
        self._looked: float = time.monotonic()

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            await asyncio.sleep(self.every_s)
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Look at each worker that should serve."""
        late, self._looked = overslept(now - self._looked, self.every_s), now
        looked_at = [worker for worker in self._workers() if worker.serving.is_set() and not worker.leaving]
        self._windows = {worker: window for worker, window in self._windows.items() if worker in looked_at}
        for worker in looked_at:
            if late:
                self._windows.pop(worker, None)  # neither it nor we ran: what it did not say means nothing
            if self._well(worker, now):
                self._look_at_limits(worker)

    def beats(self, worker: Worker) -> None:
        """A worker's event loop turns."""
        if worker.thought is not Verdict.WELL:
            silent = round(time.monotonic() - worker.heard, 3)
            _LOG.warning("worker goes on: its event loop turns again", extra=_who(worker) | {"silent_s": silent})
            worker.thought = Verdict.WELL

    # -- whether it works --

    def _well(self, worker: Worker, now: float) -> bool:
        seen = self._see(worker, now)
        found = verdict(seen, hang_s=self.settings.hang_s, busy_s=self.settings.busy_s)
        if found is Verdict.BUSY:
            self._windows[worker] = _Window(now, vitals(worker.pid).cpu_s, seen.worked_s + seen.watched_s)
        if found is Verdict.WELL or found is worker.thought:
            return found is Verdict.WELL and worker.thought is Verdict.WELL
        worker.thought = found
        self._spawn(self._act(worker, found, seen))
        return False

    def _see(self, worker: Worker, now: float) -> Seen:
        cpu_s, state = vitals(worker.pid)
        window = self._windows.get(worker)
        if window is None or worker.heard > window.since:
            window = self._windows[worker] = _Window(now, cpu_s)
        elif is_stopped(state):
            window = self._windows[worker] = _Window(now, cpu_s, window.worked_s)
        return Seen(now - worker.heard, now - window.since, cpu_s - window.cpu_s, window.worked_s, state)

    async def _act(self, worker: Worker, found: Verdict, seen: Seen) -> None:
        heard = worker.heard
        told: dict[str, object] = _who(worker) | {"silent_s": round(seen.silent_s, 1)}
        if found is Verdict.STOPPED:
            _LOG.warning(_SAYS[found], extra=told)
            return
        told["cpu_share"] = round(seen.cpu_s / seen.watched_s, 2)
        stack, request = await worker.doing()
        if stack:
            told["stack"] = stack
        if worker.heard > heard or worker.ended.done():
            return  # it was a matter of a moment, and `beats` has said so
        level = logging.WARNING if found is Verdict.BUSY else logging.ERROR
        with continuing(request):
            _LOG.log(level, _SAYS[found], extra=told | self._follows(found))
        if found in _KILLED:
            worker.kill(_KILLED[found], f"nothing was heard of its event loop for {seen.silent_s:.1f} s")

    def _follows(self, found: Verdict) -> dict[str, object]:
        if found is Verdict.BUSY:
            return {"then": "let be", "killed_after_s": self.settings.busy_s or "never"}
        return {"then": "kill and replace"}

    # -- what it has --

    def _look_at_limits(self, worker: Worker) -> None:
        memory, age = memory_mb(worker.pid) if worker.limits.memory_mb else 0.0, worker.age_s
        found = due(worker.limits, memory_mb=memory, age_s=age)
        if found is Why.MEMORY:
            self._ask(worker, found, f"{memory:.0f} MB, at most {worker.limits.memory_mb:.0f} MB")
        elif found is Why.LIFETIME:
            self._ask(worker, found, f"{age:.0f} s, at most {round(worker.limits.lifetime_s or 0, 1):g} s")


_SAYS: Final = {
    Verdict.STOPPED: "worker is stopped, by a signal or a debugger: it is let be",
    Verdict.BUSY: "worker is busy: its event loop does not turn, but something in it works",
    Verdict.BUSY_TOO_LONG: "worker was busy with one thing for too long: it is killed and replaced",
    Verdict.HUNG: "worker hangs: its event loop does not turn and nothing in it works; it is killed and replaced",
}
_KILLED: Final = {Verdict.HUNG: Why.HUNG, Verdict.BUSY_TOO_LONG: Why.BUSY}


def _who(worker: Worker) -> dict[str, object]:
    return {"pid": worker.pid, "slot": worker.slot}
