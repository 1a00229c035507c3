"""The processes that calculate for this one; they start when they are first needed.

Each is looked after by a thread of its own, which waits for it without holding anything up, and starts another when it
has died. The threads are daemons: an interpreter that ends does not wait for a calculation.
"""

import atexit
import contextlib
import functools
import json
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from holdfast.context import continuing, current
from holdfast.errors import HoldfastError
from holdfast.parts.offload.calls import Call, Line
from holdfast.parts.offload.errors import NotPortable, ProcessDied
from holdfast.parts.offload.settings import OffloadSettings
from holdfast.parts.offload.wire import (
    ERROR,
    LINE,
    RESULT,
    Channel,
    Elsewhere,
    Order,
    Start,
    packed,
    unpacked,
)
from holdfast.settings import load

_LOG = logging.getLogger("holdfast.offload")
_END_S: Final = 1.0
"""How long a process has to end by itself when it is not needed any more."""
_ADVICE: Final = "give it a function that stands at the top of a module, and values that pickle can take apart"


class Task(Call[Any]):
    """A call for a process."""

    work: functools.partial[Any]

    def run_by(self, child: Callable[[], "_Child"]) -> None:
        """Have it done by a process. Never raises."""
        if not self.begins():
            return
        try:
            result = self._done_by(child)
        except BaseException as error:  # noqa: BLE001 - what it raises is for who waits for it
            self.future.set_exception(error)
        else:
            self.future.set_result(result)

    def _done_by(self, child: Callable[[], "_Child"]) -> object:
        body = self._body()
        record = self.context.copy().run(current)
        left_s = None if self.deadline is None else self.deadline - time.monotonic()
        there = child()
        answer = there.ask(packed(Order(record.id if record is not None else None, left_s)), body, self._log)
        kind, message = bytes(answer[:1]), answer[1:]
        if kind == RESULT:
            try:
                return unpacked(message)
            except Exception as error:
                raise NotPortable(f"What {self._name} has returned cannot be loaded here; {_ADVICE}.") from error
        found = unpacked(message)
        if kind == ERROR:
            error, text = found
            raise error from Elsewhere(text)
        raise NotPortable(f"{self._name} cannot run in another process: {found}; {_ADVICE}.")

    def _body(self) -> bytes:
        if getattr(self.work.func, "__module__", None) == "__main__":
            raise NotPortable(f"{self._name} is defined in the program's main module; move it into one of its own.")
        try:
            return packed(self.work)
        except Exception as error:
            raise NotPortable(f"{self._name} cannot be sent to another process: {error}; {_ADVICE}.") from error

    @property
    def _name(self) -> str:
        return getattr(self.work.func, "__qualname__", None) or repr(self.work.func)

    def _log(self, message: memoryview) -> None:
        """Log here what was logged there."""
        fields, request = unpacked(message)
        if fields["exc_info"] is not None:
            error, text = fields["exc_info"]
            error.__cause__ = Elsewhere(text)
            fields["exc_info"] = (type(error), error, None)
        record = logging.makeLogRecord(fields)
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            ours = self.context.copy()
            if getattr(ours.run(current), "id", None) == request:
                ours.run(logger.handle, record)
            else:  # of a thread there, which goes on with what came before
                with continuing(request):
                    logger.handle(record)


class _Child:
    """One process."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        start = Start(os.getpid(), sys.path, logging.getLogger().getEffectiveLevel())
        command = [sys.executable, "-m", "holdfast.parts.offload.child", str(theirs.fileno())]
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own module
                [*command, json.dumps(start._asdict())], pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self.channel = Channel(ours)

    def ask(self, order: bytes, body: bytes, log: Callable[[memoryview], None]) -> memoryview:
        """What it answers. Raises ProcessDied."""
        try:
            self.channel.send(order)
            self.channel.send(body)
            while bytes((answer := memoryview(self.channel.receive()))[:1]) == LINE:
                log(answer[1:])
        except (EOFError, OSError) as error:
            raise ProcessDied(f"The process in which a calculation ran {_end(self.close())}.") from error
        return answer

    def close(self, patience_s: float = _END_S) -> int:
        """End it; its exit code."""
        self.channel.close()
        try:
            return self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def _end(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    name = signal.Signals(-code).name
    because = ", perhaps by the system because memory ran out" if code == -signal.SIGKILL else ""
    return f"was killed by {name}{because}"


class _Slot:
    """A thread and the process that it looks after; it starts one for its first call, and after one has died."""

    def __init__(self, crew: "_Crew") -> None:
        self._crew = crew
        self._calls: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._child: _Child | None = None
        self._guard = threading.Lock()
        self._doing: Task | None = None
        self.thread = threading.Thread(target=self._serve, name="holdfast-offload-process", daemon=True)
        self.thread.start()

    def give(self, call: Task | None) -> None:
        """Have a call done; None: there are no more, end the process."""
        self._calls.put(call)

    def kill(self, call: Task | None = None, why: str = "") -> None:
        """Kill the process, if it is at `call`, or at whatever nobody waits for."""
        with self._guard:
            doing = self._doing
            if doing is None or self._child is None or (call is not None and doing is not call):
                return
            doing.told = True
            self._child.process.kill()
        with contextlib.suppress(Exception):  # as the interpreter ends, logging may be over
            doing.context.copy().run(_LOG.warning, f"abandoned call was killed: {why}")

    def _serve(self) -> None:
        for first in iter(self._calls.get, None):
            call: Task | None = first
            while call is not None:
                with self._guard:
                    self._doing = call
                call.run_by(self._alive)
                with self._guard:
                    self._doing = None
                    if self._child is not None and self._child.channel.closed:
                        self._child = None
                call = self._crew.following(self)
        if self._child is not None:
            self._child.close()

    def _alive(self) -> _Child:
        """The process. One that has died meanwhile, idle, is replaced. Raises HoldfastError."""
        child = self._child
        if child is not None and child.process.poll() is not None:
            child.close()
            child = None
        if child is None:
            try:
                child = _Child()
            except OSError as error:  # such as too many processes
                raise HoldfastError("A process for a calculation cannot be started.") from error
            with self._guard:
                self._child = child
        return child


class _Crew:
    """So many slots, and the line before them."""

    def __init__(self, settings: OffloadSettings) -> None:
        self.settings = settings
        self.line: Line = Line(settings.processes, settings.queue, self._begin)
        self._guard = threading.Lock()
        self._slots: list[_Slot] = []
        self._idle: list[_Slot] = []

    def _begin(self, call: Call[Any]) -> None:
        assert isinstance(call, Task)  # noqa: S101 - this line has no others
        with self._guard:
            if not self._idle:
                self._idle.append(_Slot(self))
                self._slots.append(self._idle[-1])
            slot = self._idle.pop()  # the one that was busy last: what is not needed sleeps on
        slot.give(call)

    def following(self, slot: _Slot) -> Task | None:
        """The next call for a slot that has ended one."""
        with self._guard:
            call = self.line.following()
            if call is None:
                self._idle.append(slot)
            assert call is None or isinstance(call, Task)  # noqa: S101 - as above
            return call

    def kill(self, call: Task, why: str) -> None:
        for slot in list(self._slots):
            slot.kill(call, why)

    def end(self, patience_s: float) -> None:
        """End what is idle, and kill what is busy."""
        with self._guard:
            slots, self._slots = self._slots, []
            idle, self._idle = self._idle, []
        for slot in slots:
            if slot not in idle:
                slot.kill(None, "the process ends")
            slot.give(None)
        end = time.monotonic() + patience_s
        for slot in slots:
            slot.thread.join(max(0.0, end - time.monotonic()))


class Processes:
    """The processes that are used now."""

    def __init__(self) -> None:
        """None yet."""
        self.forget()

    def forget(self) -> None:
        """Begin anew, in a process that was forked: the children are not its own."""
        self._guard = threading.Lock()
        self._crew: _Crew | None = None
        self.settings: OffloadSettings | None = None

    def use(self, settings: OffloadSettings) -> None:
        """Use as many as `settings` say. Those that there were are ended."""
        with self._guard:
            before, self._crew, self.settings = self._crew, None, settings
        if before is not None:
            before.end(2 * _END_S)

    def _used(self) -> _Crew:
        with self._guard:
            self.settings = self.settings or load(OffloadSettings)
            self._crew = self._crew or _Crew(self.settings)
            return self._crew

    @property
    def line(self) -> Line:
        """Where calls go to."""
        return self._used().line

    @property
    def started(self) -> Line | None:
        """The line, if any process was ever needed."""
        return self._crew.line if self._crew is not None else None

    def abandon(self, call: Task) -> None:
        """Nobody waits for `call` any more: if it runs, it has its grace to end in."""
        if not call.future.running():
            return
        crew = self._used()
        grace_s = crew.settings.grace_s
        timer = threading.Timer(grace_s, crew.kill, (call, f"it had {grace_s:g} s"))
        timer.daemon = True
        timer.start()
        call.future.add_done_callback(lambda _: timer.cancel())

    def end(self) -> None:
        """End them all. The next call starts one again."""
        with self._guard:
            crew, self._crew = self._crew, None
        if crew is not None:
            crew.end(2 * _END_S)


processes: Processes = Processes()
os.register_at_fork(after_in_child=processes.forget)
atexit.register(processes.end)
