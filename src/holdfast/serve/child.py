"""One worker process, as its supervisor sees it."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Final

import msgspec

from holdfast.decide.supervision import Limits, Verdict, Why
from holdfast.serve.heart import BEAT, HOLDS, MESSAGE_BYTES, READY, RETIRE, STACK_SIGNAL
from holdfast.serve.vitals import catches
from holdfast.serve.worker import Plan

_STACK_S: Final = 0.3
"""How long a worker has to say what it is doing. Who is slower is in a long call, and its stack is there already."""
_STACK_BYTES: Final = 16_384
_STACK_LINES: Final = 40


class Worker:
    """One worker process."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        channel: socket.socket,
        stack: int,
        slot: int,
        limits: Limits,
        instead_of: "Worker | None",
    ) -> None:
        """A worker that was just started; `channel` and the file `stack` connect it with us."""
        self.process = process
        self.slot = slot
        self.limits = limits
        self.instead_of: Worker | None = instead_of
        """The worker that goes once this one serves; None for one that counts by itself."""
        self.born: float = time.monotonic()
        self.serving: asyncio.Event = asyncio.Event()
        self.leaving: bool = False
        """Whether it was told to end."""
        self.why: Why | None = None
        """Why it was told to end, or killed."""
        self.detail: str = ""
        self.heard: float = self.born
        """When its event loop was last heard of."""
        self.thought: Verdict = Verdict.WELL
        """What was last told of it."""
        self.ended: asyncio.Task[int] = asyncio.create_task(process.wait())
        self._channel = channel
        self._stack = stack
        self._request: asyncio.Future[str | None] | None = None

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self.process.pid

    @property
    def counts(self) -> bool:
        """Whether it is one of those that are to be there: not on its way out, and not beside the one it replaces."""
        return not self.leaving and (self.instead_of is None or self.instead_of.ended.done())

    @property
    def serves(self) -> bool:
        """Whether new requests are in good hands with it."""
        return self.serving.is_set() and not self.leaving and not self.ended.done() and self.thought is Verdict.WELL

    @property
    def age_s(self) -> float:
        """How long it has lived."""
        return time.monotonic() - self.born

    # -- what it says --

    async def hear(self, serves: Callable[["Worker"], None], beats: Callable[["Worker"], None]) -> None:
        """Listen to it until it ends: call `serves` when it has come to serve, and `beats` when its loop turns."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while message := await loop.sock_recv(self._channel, MESSAGE_BYTES):
                if message.startswith(HOLDS):
                    self._answer(message.removeprefix(HOLDS).decode("ascii", "replace") or None)
                    continue
                if message == READY:
                    self.serving.set()
                    serves(self)
                if message in {READY, BEAT}:
                    beats(self)
                    self.heard = time.monotonic()

    def _answer(self, request: str | None) -> None:
        if self._request is not None and not self._request.done():
            self._request.set_result(request)

    async def came_to_serve(self) -> bool:
        """Wait until it serves or has ended; whether it serves."""
        serving = asyncio.create_task(self.serving.wait())
        await asyncio.wait({serving, self.ended}, return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        return self.serving.is_set() and not self.ended.done()

    async def doing(self) -> tuple[str, str | None]:
        """What it is doing: the stack of its main thread, innermost first, and the ID of the request it is for."""
        os.ftruncate(self._stack, 0)
        os.lseek(self._stack, 0, os.SEEK_SET)
        if not catches(self.pid, STACK_SIGNAL):
            return "", None  # it has only begun, and would end by the signal
        self._request = asyncio.get_running_loop().create_future()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(STACK_SIGNAL)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._request), _STACK_S)
        request = self._request.result() if self._request.done() else None
        written = os.pread(self._stack, _STACK_BYTES, 0).decode("utf-8", "replace")
        return "\n".join(line.strip() for line in written.splitlines()[1 : _STACK_LINES + 1]), request

    # -- what it is told --

    def retire(self, why: Why, detail: str = "") -> None:
        """Tell it to finish what it has, without delay, and to end."""
        self._leave(why, detail)
        if self.serving.is_set():
            with contextlib.suppress(OSError):
                self._channel.send(RETIRE)
        else:
            self._signal(signal.SIGTERM)

    def terminate(self) -> None:
        """Tell it to stop as all do, with the delay."""
        self._leave(Why.STOPPED, "")
        self._signal(signal.SIGTERM)

    def kill(self, why: Why, detail: str) -> None:
        """End it at once."""
        self.why, self.detail = why, detail
        self._signal(signal.SIGKILL)

    def _leave(self, why: Why, detail: str) -> None:
        self.leaving = True
        if self.why is None:
            self.why, self.detail = why, detail

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def close(self) -> None:
        """Let go of what connected us; to be called once it has ended."""
        self._channel.close()
        os.close(self._stack)


async def start(plan: Plan, sockets: list[socket.socket], slot: int, limits: Limits, replaced: Worker | None) -> Worker:
    """Start a worker on `sockets`, which does as `plan` says. Raises OSError where no process can be started."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    stack = os.memfd_create(f"holdfast-stack-{slot}")
    listeners = tuple(listener.fileno() for listener in sockets)
    plan = msgspec.structs.replace(plan, sockets=listeners, channel=theirs.fileno(), stack=stack, slot=slot)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "holdfast.serve.worker",
            msgspec.json.encode(plan).decode(),
            pass_fds=(*listeners, theirs.fileno(), stack, *([] if plan.rate_table is None else [plan.rate_table])),
        )
    except BaseException:
        ours.close()
        os.close(stack)
        raise
    finally:
        theirs.close()
    return Worker(process, ours, stack, slot, limits, replaced)
