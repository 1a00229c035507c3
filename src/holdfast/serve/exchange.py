"""Workers exchanged for new ones, one at a time: another is started, and once it serves the old one drains and goes."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from holdfast.decide.supervision import Why, restart_delay, was_short
from holdfast.serve.child import Worker

_LOG = logging.getLogger("holdfast.supervisor")
SPARE_S: Final = 15.0
"""What a worker gets beyond its grace to close, before it is killed."""

_ASKED: Final = {
    Why.MEMORY: "worker has more memory than it may: another is started in its place",
    Why.LIFETIME: "worker has lived for as long as it may: another is started in its place",
}


class _Due:
    """A worker that is to be exchanged, and why."""

    def __init__(self, why: Why, detail: str, *, not_before: float, age_s: float) -> None:
        self.why = why
        self.detail = detail
        self.not_before = not_before
        self.age_s = age_s
        """How old the worker was when this was asked for."""


class Exchanges:
    """The queue of the workers that are to be exchanged."""

    def __init__(
        self, start: Callable[[Worker], Awaitable[Worker | None]], serving: Callable[[], bool], patience_s: float
    ) -> None:
        """`start` starts a worker instead of another, None where that other has ended; `serving` says whether all still
        serve. A worker that is told to go has `patience_s`."""
        self._start = start
        self._serving = serving
        self._patience_s = patience_s
        self._due: dict[Worker, _Due] = {}
        self._asked = asyncio.Event()
        self._failures = 0
        """How many in a row failed, or were for a worker that had only begun to live."""
        self.on_rolled: Callable[[], None] = _nothing
        """Called when a rolling restart is over, done or given up."""

    # -- what is asked for --

    def ask(self, worker: Worker, why: Why, detail: str = "") -> None:
        """Exchange `worker` when its turn comes. Asked again, a rolling restart counts for more than the rest."""
        known = self._due.get(worker)
        if known is not None and (known.why is Why.ROLLING or why is not Why.ROLLING):
            return
        wait, age = 0.0 if why is Why.ROLLING else restart_delay(self._failures), worker.age_s
        if known is None and why in _ASKED:
            said = {"pid": worker.pid, "slot": worker.slot, "why": detail, "lived_s": round(age, 3), "wait_s": wait}
            _LOG.info(_ASKED[why], extra=said)
        self._due[worker] = _Due(why, detail, not_before=time.monotonic() + wait, age_s=age)
        self._asked.set()

    def roll(self, workers: Iterable[Worker]) -> None:
        """Exchange all of `workers`."""
        chosen = list(workers)
        again = any(due.why is Why.ROLLING for due in self._due.values())
        words = "rolling restart asked for again: what was started before now is replaced too"
        _LOG.info(words if again else "rolling restart", extra={"workers": len(chosen)})
        for worker in chosen:
            self.ask(worker, Why.ROLLING)

    # -- what is done --

    async def run(self) -> None:
        """Exchange whose turn it is, until cancelled."""
        while True:
            self._asked.clear()
            worker = self._next()
            if worker is not None:
                await self._exchange(worker)
                continue
            wait = min((due.not_before for due in self._due.values()), default=None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait is None else max(0.0, wait - time.monotonic())):
                    await self._asked.wait()

    def _next(self) -> Worker | None:
        now = time.monotonic()
        ready = [worker for worker, due in self._due.items() if due.not_before <= now]
        return next((worker for worker in ready if self._due[worker].why is Why.ROLLING), ready[0] if ready else None)

    async def _exchange(self, old: Worker) -> None:
        """Another serves, then the old one goes; or the old one stays."""
        due = self._due[old]
        done = old.ended.done() or old.leaving or await self._replaced(old, due)
        self._due.pop(old, None)
        if not self._serving():
            self._due.clear()  # all are told to stop
        elif not done:
            self._failures += 1
            if due.why is Why.ROLLING:
                self._give_up_rolling()
        elif due.why is Why.ROLLING and not any(left.why is Why.ROLLING for left in self._due.values()):
            _LOG.info("rolling restart done")
            self.on_rolled()

    def _give_up_rolling(self) -> None:
        _LOG.error("rolling restart given up: the new worker does not serve; the old ones stay")
        self._due = {worker: due for worker, due in self._due.items() if due.why is not Why.ROLLING}
        self.on_rolled()

    async def _replaced(self, old: Worker, due: _Due) -> bool:
        try:
            new = await self._start(old)
        except OSError as error:
            _LOG.error("no worker can be started", extra={"why": str(error)})
            return False
        if new is None:
            return True
        if not await new.came_to_serve():
            return False
        new.instead_of = None
        if due.why is not Why.ROLLING:
            self._failures = self._failures + 1 if was_short(due.age_s) else 0
        old.retire(due.why, "; ".join(filter(None, (due.detail, f"process {new.pid} serves instead"))))
        await self._gone(old)
        return True

    async def _gone(self, worker: Worker) -> None:
        """Wait for a worker that is told to go; kill it if it stays too long."""
        await asyncio.wait({worker.ended}, timeout=self._patience_s)
        if not worker.ended.done():
            kill_slow(worker, self._patience_s)


def kill_slow(worker: Worker, patience_s: float) -> None:
    """Kill a worker that was told to end and has had its time."""
    detail = f"it had {patience_s:.0f} s"
    _LOG.error("worker does not end and is killed", extra={"pid": worker.pid, "slot": worker.slot, "had_s": patience_s})
    worker.kill(Why.SLOW_STOP, detail)


def _nothing() -> None:
    """Nobody wants to know."""
