"""Several workers: started, replaced when they die, exchanged one by one, ended together.

The listening sockets belong to the supervisor and are inherited, so that while one worker goes another accepts.
"""

import asyncio
import contextlib
import logging
import random
import signal
import socket
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Final

import msgspec

from holdfast import logs
from holdfast.decide.lifecycle import STANDING, Event, Standing, State, of_signal
from holdfast.decide.supervision import (
    PLANNED,
    AtEnd,
    Why,
    at_end,
    limits,
    lowest_free,
    reason,
    restart_delay,
    was_short,
    why,
)
from holdfast.events import WorkerEnded
from holdfast.parts import metrics
from holdfast.parts.drain import Lifecycle
from holdfast.parts.rates import Table
from holdfast.serve import health, notify
from holdfast.serve.child import Worker, start
from holdfast.serve.exchange import SPARE_S, Exchanges, kill_slow
from holdfast.serve.reload import changes
from holdfast.serve.vitals import killed_for_memory
from holdfast.serve.watch import Watch
from holdfast.serve.worker import STARTUP_FAILURE, Plan

_LOG = logging.getLogger("holdfast.supervisor")
_RUNS: Final = frozenset({State.STARTING, State.SERVING})


class Supervisor:
    """Keeps a number of workers serving."""

    def __init__(self, plan: Plan, sockets: list[socket.socket], *, watch: Path | None = None) -> None:
        """Workers do as `plan` says, on `sockets`. With `watch` they are replaced when a file below it changes."""
        self.plan: Plan = plan
        self.sockets = sockets
        self.folder = watch
        self.lifecycle: Lifecycle = Lifecycle()
        self.workers: list[Worker] = []
        self.slots: set[int] = set()
        """The slots of the workers that are there, or about to be."""
        self.listeners: list[Callable[[WorkerEnded], None]] = []
        """Told of each worker that has ended."""
        self.any_served: bool = False
        self.short_lives: int = 0
        self.exit_code: int = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self.exchanges: Exchanges = Exchanges(
            self._start_instead_of, lambda: self.lifecycle.state is State.SERVING, plan.drain.grace_s + SPARE_S
        )
        self.exchanges.on_rolled = notify.ready
        self.watch: Watch = Watch(plan.worker, lambda: self.workers, self.exchanges.ask, self._spawn)
        self._starting = asyncio.Lock()
        self._killed_before = killed_for_memory() or 0

    async def run(self) -> int:
        """Supervise until told to stop. The exit code: 0, or 3 where no worker could start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._roll)
        with tempfile.NamedTemporaryFile(prefix="holdfast-log-") as lock:
            self.plan = msgspec.structs.replace(
                self.plan, log_lock=lock.name, beat_s=self.watch.every_s, rate_table=Table().descriptor
            )
            address = self.plan.server.health_address
            async with (
                self._counting() as numbers,
                health.listening(address, self._state, details=self._details, numbers=numbers),
            ):
                async with self._at_work(self.watch.run(), self.exchanges.run(), self._reload()):
                    await self._start_worker()  # alone, so that what is wrong with all is said once
                    await self.lifecycle.wait_while(State.STARTING)
                    await self._fill()
                    await self.lifecycle.wait_while(State.SERVING)
                await self._end()
        return self.exit_code

    @contextlib.asynccontextmanager
    async def _at_work(self, *work: Coroutine[object, object, None]) -> AsyncGenerator[None]:
        tasks = [self._spawn(one) for one in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    # -- how it stands --

    def _state(self) -> tuple[str, Standing]:
        """Ready as long as one worker serves: one that is missing is no reason to send the requests elsewhere."""
        standing = STANDING[self.lifecycle.state]
        ready = standing.ready and any(worker.serves for worker in self.workers)
        return self.lifecycle.state, standing._replace(ready=ready)

    def _details(self) -> dict[str, object]:
        return {"workers": {"serving": self._serving(), "wanted": self.plan.server.workers}}

    def _serving(self) -> int:
        return sum(worker.serves for worker in self.workers)

    @contextlib.asynccontextmanager
    async def _counting(self) -> AsyncGenerator[metrics.Metrics | None]:
        """Give the workers a folder in which they share their numbers, if these are wanted."""
        place = metrics.place_of(self.plan.metrics, health=bool(self.plan.server.health_address))
        wanted = self.plan.server.workers
        async with metrics.supervising(place, self.listeners, serving=self._serving, wanted=wanted) as shared:
            folder, numbers = shared or (None, None)
            self.plan = msgspec.structs.replace(self.plan, metrics_folder=folder and str(folder))
            yield numbers

    # -- a worker's life --

    async def _fill(self) -> None:
        """Start as many workers as are missing."""
        while True:
            try:
                if await self._start_worker() is None:
                    return
            except OSError as error:  # such as too many processes
                self.short_lives += 1
                delay = restart_delay(self.short_lives + 1)
                _LOG.error("no worker can be started; it is tried again", extra={"why": str(error), "seconds": delay})
                await self.lifecycle.wait_while(State.SERVING, delay)

    async def _start_instead_of(self, old: Worker) -> Worker | None:
        return await self._start_worker(old)

    async def _start_worker(self, instead_of: Worker | None = None) -> Worker | None:
        """Start a worker; None where it is not wanted any more."""
        async with self._starting:  # one after another, so that none is counted twice or not at all
            missing = sum(worker.counts for worker in self.workers) < self.plan.server.workers
            if self.lifecycle.state not in _RUNS or not (
                missing if instead_of is None else not instead_of.ended.done()
            ):
                return None
            slot = lowest_free(self.slots)
            self.slots.add(slot)
            own, chance = self.plan.worker, random.random()  # noqa: S311 - spreads, and hides nothing
            allowed = limits(
                memory_max_mb=own.memory_max_mb, lifetime_s=own.lifetime_s, jitter=own.jitter, chance=chance
            )
            try:
                worker = await start(self.plan, self.sockets, slot, allowed, instead_of)
            except BaseException:
                self.slots.discard(slot)
                raise
            self.workers.append(worker)
        self._spawn(self._attend(worker))
        if self.lifecycle.state not in _RUNS:
            worker.terminate()
        return worker

    async def _attend(self, worker: Worker) -> None:
        """Be there from a worker's start to its end."""
        hearing = self._spawn(worker.hear(self._serves, self.watch.beats))
        limit = self._spawn(self._limit_start(worker))
        code = await worker.ended
        for task in (hearing, limit):
            task.cancel()
        self.workers.remove(worker)
        self.slots.discard(worker.slot)
        worker.close()
        action = self._tell_end(worker, code)
        if action is AtEnd.GIVE_UP:
            self.exit_code = STARTUP_FAILURE
            self.lifecycle.handle(Event.FAILED)
        elif action is AtEnd.REPLACE:
            await self._replace(worker.age_s)

    def _serves(self, worker: Worker) -> None:
        _LOG.info("worker serves", extra={"pid": worker.pid, "slot": worker.slot})
        self.any_served = True
        if self.lifecycle.state is State.STARTING:
            self.lifecycle.handle(Event.STARTED)
            names = [":".join(map(str, listener.getsockname()[:2])) for listener in self.sockets]
            _LOG.info("serving", extra={"at": names, "app": self.plan.app, "workers": self.plan.server.workers})
            notify.ready()

    async def _limit_start(self, worker: Worker) -> None:
        """Kill a worker that does not come to serve in time, and say what it was doing."""
        patience = self.plan.start.limit_s
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await worker.serving.wait()
                return
        if worker.leaving:
            return
        stack, _ = await worker.doing()
        said = {"pid": worker.pid, "slot": worker.slot, "limit_s": patience, "setting": "HOLDFAST_START_LIMIT_S"}
        _LOG.error("worker does not come to serve in time and is killed", extra=said | {"stack": stack})
        worker.kill(Why.SLOW_START, f"it had {patience:g} s")

    def _tell_end(self, worker: Worker, code: int) -> AtEnd:
        """Say that a worker has ended, why, and what follows; to the log and to those who listen."""
        short_of_memory = self._was_short_of_memory(code)
        because = why(code, worker.why, out_of_memory=short_of_memory)
        told = worker.leaving or self.lifecycle.state not in _RUNS
        spare = worker.instead_of is not None and not worker.instead_of.ended.done()
        action = at_end(told=told, any_served=self.any_served, spare=spare)
        said = {
            "pid": worker.pid,
            "slot": worker.slot,
            "code": code,
            "reason": reason(because, code, detail=worker.detail, out_of_memory=short_of_memory),
            "lived_s": round(worker.age_s, 3),
            "then": action.value,
        }
        planned = because in PLANNED
        _LOG.log(
            logging.INFO if planned and code in {0, -signal.SIGTERM} else logging.ERROR, "worker ended", extra=said
        )
        fact = WorkerEnded(time.time(), worker.pid, worker.slot, code, because.value, planned, worker.age_s)
        for listener in self.listeners:
            try:
                listener(fact)
            except Exception:  # noqa: BLE001 - what is not counted must not keep a worker from being replaced
                _LOG.exception("the end of a worker could not be counted")
        return action

    def _was_short_of_memory(self, code: int) -> bool | None:
        """Whether the system has killed one more process for want of memory; None where it does not say."""
        killed = killed_for_memory()
        if killed is None:
            return None
        if code == -signal.SIGKILL and killed > self._killed_before:
            self._killed_before += 1  # the others that were killed at the same time end in a moment
            return True
        return False

    async def _replace(self, lived: float) -> None:
        self.short_lives = self.short_lives + 1 if was_short(lived) else 0
        delay = restart_delay(self.short_lives)
        if delay:
            _LOG.warning("waiting before the next start", extra={"seconds": delay, "short_lives": self.short_lives})
            await self.lifecycle.wait_while(State.SERVING, delay)
        await self._fill()

    # -- one by one --

    def _roll(self) -> None:
        if self.lifecycle.state is State.SERVING:
            notify.reloading()
            self.exchanges.roll(worker for worker in self.workers if not worker.leaving)

    async def _reload(self) -> None:
        if self.folder is not None:
            async for changed in changes(self.folder):
                _LOG.info("a file has changed: restarting", extra={"file": str(changed)})
                await self.lifecycle.wait_while(State.STARTING)
                self._roll()

    # -- the end --

    def _stop(self, number: int) -> None:
        event = of_signal(self.lifecycle.state, interrupt=number == signal.SIGINT)
        _LOG.info("signal received", extra={"signal": signal.Signals(number).name, "means": event.value})
        self.lifecycle.handle(event)
        notify.stopping()
        for worker in self.workers:
            if event is Event.TERM:
                worker.terminate()
            else:
                worker.retire(Why.STOPPED)

    async def _end(self) -> None:
        """Wait for all workers, and kill those that stay beyond delay, grace and the time to close."""
        # Until the workers have gone our copies keep the kernel's queue alive; they must not outlive the last of them.
        for listener in self.sockets:
            listener.close()
        patience = self.plan.drain.delay_s + self.plan.drain.grace_s + SPARE_S
        waiting = {worker.ended for worker in self.workers}
        if waiting:
            await asyncio.wait(waiting, timeout=patience)
        for worker in list(self.workers):
            if not worker.ended.done():
                kill_slow(worker, patience)
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=1.0)


def supervise(plan: Plan, sockets: list[socket.socket], *, watch: Path | None = None) -> int:
    """Run a supervisor until it is told to stop. Its exit code."""
    log = logs.configure(plan.log)
    try:
        return asyncio.run(Supervisor(plan, sockets, watch=watch).run())
    except OSError as error:
        _LOG.critical(f"the start failed: {error}")
        return STARTUP_FAILURE
    finally:
        log.pipe.flush()
