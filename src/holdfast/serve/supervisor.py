"""Several workers: started, replaced when they die, restarted one by one on SIGHUP, ended together.

The listening sockets belong to the supervisor and are inherited, so that while one worker goes another accepts.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Final

import msgspec

from holdfast import logs
from holdfast.decide.lifecycle import STANDING, Event, State, of_signal
from holdfast.decide.supervision import AtEnd, at_end, lowest_free, reason, restart_delay, was_short, why
from holdfast.events import WorkerEnded
from holdfast.parts.drain import Lifecycle
from holdfast.parts.probes import Standing
from holdfast.serve import health
from holdfast.serve.reload import changes
from holdfast.serve.worker import READY, RETIRE, STARTUP_FAILURE, Plan

_LOG = logging.getLogger("holdfast.supervisor")
_START_S: Final = 60.0
"""How long a replacement may take to serve before a rolling restart is given up."""
_SPARE_S: Final = 15.0
"""What a worker gets beyond delay and grace to close, before it is killed."""


class Worker:
    """One worker process, as its supervisor sees it."""

    def __init__(self, process: asyncio.subprocess.Process, channel: socket.socket, slot: int) -> None:
        self.process = process
        self.slot = slot
        self.channel = channel
        self.born: float = time.monotonic()
        self.serving: asyncio.Event = asyncio.Event()
        self.told = False
        self.ended: asyncio.Task[int] = asyncio.create_task(process.wait())

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self.process.pid

    async def listen(self) -> None:
        """Wait for its word that it serves."""
        with contextlib.suppress(OSError):
            if await asyncio.get_running_loop().sock_recv(self.channel, 64) == READY:
                self.serving.set()

    def send_signal(self, number: int) -> None:
        """Pass a signal on."""
        self.told = True
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def retire(self) -> None:
        """Tell it that another serves in its place."""
        self.told: bool = True
        with contextlib.suppress(OSError):
            self.channel.send(RETIRE)

    async def came_to_serve(self) -> bool:
        """Whether it serves before it ends, and within a minute."""
        serving = asyncio.create_task(self.serving.wait())
        await asyncio.wait({serving, self.ended}, timeout=_START_S, return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        return self.serving.is_set() and not self.ended.done()


class Supervisor:
    """Keeps a number of workers serving."""

    def __init__(self, plan: Plan, sockets: list[socket.socket], *, watch: Path | None = None) -> None:
        """Workers do as `plan` says, on `sockets`. With `watch` they are replaced when a file below it changes."""
        self.plan: Plan = plan
        self.sockets = sockets
        self.watch = watch
        self.lifecycle: Lifecycle = Lifecycle()
        self.workers: list[Worker] = []
        self.slots: set[int] = set()
        """The slots of the workers that are there, or about to be."""
        self.listeners: list[Callable[[WorkerEnded], None]] = []
        """Told of each worker that has ended."""
        self.any_served: bool = False
        self.short_lives: int = 0
        self.exit_code: int = 0
        self.rolling: asyncio.Task[None] | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Supervise until told to stop. The exit code: 0, or 3 where no worker could start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._roll)
        with tempfile.NamedTemporaryFile(prefix="holdfast-log-") as lock:
            self.plan = msgspec.structs.replace(self.plan, log_lock=lock.name)
            async with health.listening(self.plan.server.health_address, self._state), self._watching():
                for _ in range(self.plan.server.workers):
                    await self._start_worker()
                await self.lifecycle.wait_while(State.STARTING)
                await self.lifecycle.wait_while(State.SERVING)
                await self._end()
        return self.exit_code

    def _state(self) -> tuple[str, Standing]:
        return self.lifecycle.state, STANDING[self.lifecycle.state]

    # -- a worker's life --

    async def _start_worker(self) -> Worker:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        fds = tuple(listener.fileno() for listener in self.sockets)
        slot = lowest_free(self.slots)
        self.slots.add(slot)
        plan = msgspec.structs.replace(self.plan, sockets=fds, channel=theirs.fileno(), slot=slot)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "holdfast.serve.worker",
            msgspec.json.encode(plan).decode(),
            pass_fds=(*fds, theirs.fileno()),
            start_new_session=False,
        )
        theirs.close()
        worker = Worker(process, ours, slot)
        self.workers.append(worker)
        self._spawn(self._attend(worker))
        return worker

    async def _attend(self, worker: Worker) -> None:
        """Be there from a worker's start to its end."""
        hearing = asyncio.create_task(self._hear(worker))
        code = await worker.ended
        await hearing
        worker.channel.close()
        self.workers.remove(worker)
        self.slots.discard(worker.slot)
        lived = time.monotonic() - worker.born
        served = worker.serving.is_set()
        told = worker.told or self.lifecycle.state not in {State.STARTING, State.SERVING}
        action = at_end(told=told, served=served, any_served=self.any_served, code=code)
        self._tell(worker, code, lived, told=told)
        level = logging.INFO if action is AtEnd.LET_GO and code == 0 else logging.ERROR
        said = {
            "pid": worker.pid,
            "code": code,
            "reason": reason(code),
            "lived_s": round(lived, 3),
            "then": action.value,
        }
        _LOG.log(level, "worker ended", extra=said)
        if action is AtEnd.GIVE_UP:
            self.exit_code = STARTUP_FAILURE
            self.lifecycle.handle(Event.FAILED)
        elif action is AtEnd.REPLACE:
            await self._replace(lived)

    def _tell(self, worker: Worker, code: int, lived: float, *, told: bool) -> None:
        fact = WorkerEnded(time.time(), worker.pid, worker.slot, code, why(code, told=told), told, lived)
        for listener in self.listeners:
            listener(fact)

    async def _hear(self, worker: Worker) -> None:
        await worker.listen()
        if worker.serving.is_set():
            self.any_served = True
            self.short_lives = 0 if self.lifecycle.state is State.STARTING else self.short_lives
            _LOG.info("worker serves", extra={"pid": worker.pid})
            if self.lifecycle.state is State.STARTING:
                self.lifecycle.handle(Event.STARTED)
                names = [":".join(map(str, listener.getsockname()[:2])) for listener in self.sockets]
                _LOG.info("serving", extra={"at": names, "app": self.plan.app, "workers": self.plan.server.workers})

    async def _replace(self, lived: float) -> None:
        self.short_lives = self.short_lives + 1 if was_short(lived) else 0
        delay = restart_delay(self.short_lives)
        if delay:
            _LOG.warning("waiting before the next start", extra={"seconds": delay, "short_lives": self.short_lives})
            await asyncio.sleep(delay)
        if self.lifecycle.state in {State.STARTING, State.SERVING}:
            await self._start_worker()

    # -- one by one --

    def _roll(self) -> None:
        if self.lifecycle.state is not State.SERVING:
            return
        if self.rolling is not None and not self.rolling.done():
            _LOG.info("a rolling restart is under way already")
            return
        self.rolling = self._spawn(self._restart_one_by_one())

    async def _restart_one_by_one(self) -> None:
        """For each worker: start another, wait until it serves, then let the old one finish and go."""
        old = [worker for worker in self.workers if not worker.told]
        _LOG.info("rolling restart", extra={"workers": len(old)})
        for worker in old:
            new = await self._start_worker()
            new.told = True  # a replacement that fails must not be replaced in its turn
            if not await new.came_to_serve():
                _LOG.error("rolling restart given up: the new worker does not serve; the old ones stay")
                new.send_signal(signal.SIGKILL)
                return
            new.told = False
            worker.retire()
            if not await self._gone(worker):
                return
        _LOG.info("rolling restart done")

    async def _gone(self, worker: Worker) -> bool:
        """Wait for a retired worker to go; kill it if it stays too long. False where all are told to stop meanwhile."""
        patience = self.plan.drain.grace_s + _SPARE_S
        await asyncio.wait({worker.ended}, timeout=patience)
        if not worker.ended.done():
            _LOG.error("worker does not end and is killed", extra={"pid": worker.pid, "seconds": patience})
            worker.send_signal(signal.SIGKILL)
        return self.lifecycle.state is State.SERVING

    # -- the end --

    def _stop(self, number: int) -> None:
        event = of_signal(self.lifecycle.state, interrupt=number == signal.SIGINT)
        self.lifecycle.handle(event)
        for worker in self.workers:
            worker.send_signal(number if event is Event.TERM else signal.SIGINT)

    async def _end(self) -> None:
        """Wait for all workers, and kill those that stay beyond delay, grace and the time to close."""
        # Until the workers have gone our copies keep the kernel's queue alive; they must not outlive the last of them.
        for listener in self.sockets:
            listener.close()
        patience = self.plan.drain.delay_s + self.plan.drain.grace_s + _SPARE_S
        waiting = {worker.ended for worker in self.workers}
        if waiting:
            await asyncio.wait(waiting, timeout=patience)
        for worker in list(self.workers):
            if not worker.ended.done():
                _LOG.error("worker does not end and is killed", extra={"pid": worker.pid, "seconds": patience})
                worker.send_signal(signal.SIGKILL)
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=1.0)

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    @contextlib.asynccontextmanager
    async def _watching(self) -> AsyncGenerator[None]:
        task = self._spawn(self._reload(self.watch)) if self.watch is not None else None
        try:
            yield
        finally:
            if task is not None:
                task.cancel()

    async def _reload(self, folder: Path) -> None:
        async for changed in changes(folder):
            _LOG.info("a file has changed: restarting", extra={"file": str(changed)})
            if self.any_served:
                self._roll()


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
