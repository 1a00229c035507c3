"""A worker's side of what its supervisor wants to know: that its event loop turns, and what holds it when it does not.

A signal asks for the second. It is answered twice: the stack is written by C code, which needs nothing of Python, so
also where one long call into a library lets nothing else of Python run; the ID of the request by Python, where it can.
"""

import asyncio
import contextlib
import faulthandler
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Final

from holdfast.context import current
from holdfast.serve.stacks import of_tasks

_LOG = logging.getLogger("holdfast.serve")
READY: Final = b"ready"
BEAT: Final = b"beat"
HOLDS: Final = b"holds "
"""Before the ID of the request that is served at this moment, if one is."""
RETIRE: Final = b"retire"
MESSAGE_BYTES: Final = 256
STACK_SIGNAL: Final = signal.SIGRTMAX
"""Asks a worker what it is doing. Of the real-time signals the last, which hardly anybody else uses."""


class Heart:
    """The connection of a worker to its supervisor."""

    def __init__(self, channel: int, stack: int, beat_s: float) -> None:
        """`channel` is the descriptor of the socket, `stack` of the file for stacks; a beat each `beat_s` seconds."""
        self.connection: socket.socket = socket.socket(fileno=channel)
        self.connection.setblocking(False)
        self.beat_s = beat_s
        self._stack = stack
        self._serves = False
        for descriptor in (channel, stack):
            os.set_inheritable(descriptor, False)
        signal.signal(signal.SIGINT, _leave_it)
        signal.signal(STACK_SIGNAL, lambda _number, _frame: self._say_who())
        faulthandler.register(STACK_SIGNAL, file=stack, all_threads=False, chain=True)

    def begin(self, retire: Callable[[], None]) -> None:
        """Say that requests are accepted, and beat from now on. `retire` is called when another is to serve instead."""
        asyncio.get_running_loop().add_reader(self.connection, self._hear, retire)
        self._serves = True
        self._send(READY)
        self._beat()

    def _beat(self) -> None:
        self._send(BEAT)
        asyncio.get_running_loop().call_later(self.beat_s, self._beat)

    def _hear(self, retire: Callable[[], None]) -> None:
        try:
            heard = self.connection.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        if not heard:
            asyncio.get_running_loop().remove_reader(self.connection)
            _LOG.warning("the supervisor has gone: stopping")
        retire()

    def _say_who(self) -> None:
        """Say whose request is served right now. A signal may come at any moment: nothing may be locked here."""
        if not self._serves:  # a start that hangs mostly waits for something
            with contextlib.suppress(Exception):
                os.write(self._stack, of_tasks(asyncio.get_running_loop()).encode())
        record = current()
        self._send(HOLDS + (record.id.encode() if record is not None else b""))

    def _send(self, message: bytes) -> None:
        with contextlib.suppress(OSError):  # also where the supervisor does not read: it will ask
            self.connection.send(message)


def _leave_it(_number: int, _frame: object) -> None:
    """A keyboard interrupts the supervisor and its workers at once; the supervisor alone tells the workers."""
