"""The process that calculates: takes a function, calls it, sends back what comes of it, until its parent has gone.

python -m holdfast.parts.offload.child DESCRIPTOR START
"""

import contextlib
import ctypes
import json
import logging
import os
import pickle
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Any, Final

from holdfast.context import continuing, current
from holdfast.parts.offload.wire import ERROR, LINE, NOT_PORTABLE, RESULT, Channel, Order, Start, packed, unpacked

_PR_SET_PDEATHSIG: Final = 1
_LEFT_TO_THE_PARENT: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Keyboards and service managers send these to all processes of a group. What is calculated is finished all the same:
when this process ends is decided by its parent."""


def main() -> None:
    """Calculate what is sent, one function after another."""
    descriptor, start = int(sys.argv[1]), Start(**json.loads(sys.argv[2]))
    _end_with(start.parent)
    for number in _LEFT_TO_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    sys.path[:] = start.path
    sys.argv[1:] = []
    line = _Line(Channel(socket.socket(fileno=descriptor)), start.level)
    while True:
        try:
            order, body = unpacked(line.channel.receive()), line.channel.receive()
        except (EOFError, OSError):
            os._exit(0)  # whatever the application's modules have started here, nobody waits for it
        line.send(_answer(order, body, line))


def _end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, however that dies."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)  # it died before it was asked to tell


def _answer(order: Order, body: bytearray, line: "_Line") -> bytes:
    with continuing(order.request):
        record = current()
        if record is not None and order.left_s is not None:
            record.deadline = time.monotonic() + order.left_s
        try:
            work = unpacked(body)
        except Exception as error:  # noqa: BLE001 - importing the application's modules may raise anything
            return NOT_PORTABLE + packed(f"the function or its arguments cannot be loaded there: {_told(error)}")
        line.regain()
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - it is for who waits for it
            return _raised(error)
        except BaseException as error:  # noqa: BLE001 - such as SystemExit: no request may end the process there
            return _raised(RuntimeError(f"the function raised {type(error).__name__}"))
        try:
            return RESULT + packed(result)
        except Exception as error:  # noqa: BLE001 - pickling calls the value's own code
            kind = type(result).__qualname__
            return NOT_PORTABLE + packed(f"its result, a {kind}, cannot be sent back: {_told(error)}")


def _raised(error: BaseException) -> bytes:
    text = "".join(traceback.format_exception(error))
    try:
        message = packed((error, text))
        unpacked(message)  # many exceptions can be sent, but not made anew
    except Exception as broken:  # noqa: BLE001 - as above
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        return NOT_PORTABLE + packed(f"it raised {kind}, which cannot be sent back ({_told(broken)}):\n{text}")
    return ERROR + message


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


class _Line(logging.Handler):
    """The way back to the parent: for answers, and for what is logged here."""

    def __init__(self, channel: Channel, level: int) -> None:
        super().__init__()
        self.channel = channel
        self._level = level
        self._sending = threading.Lock()
        self.regain()

    def regain(self) -> None:
        """Be the only handler at the root, also after a module has configured logging as it was imported."""
        root = logging.getLogger()
        if root.handlers != [self]:
            root.handlers[:] = [self]
            root.setLevel(self._level)

    def send(self, message: bytes) -> None:
        """Send one message."""
        with self._sending:
            self.channel.send(message)

    def emit(self, record: logging.LogRecord) -> None:
        """Have the parent log it: what it shows, and where to, is decided there."""
        fields = {**vars(record), "msg": record.getMessage(), "args": None, "exc_info": None}
        if record.exc_info is not None and record.exc_info[1] is not None:
            error = record.exc_info[1]
            fields["exc_info"] = (error, "".join(traceback.format_exception(error)))
        request = current()
        with contextlib.suppress(OSError):  # the parent has gone, and so shall we
            self.send(LINE + packed((_sendable(fields), request.id if request is not None else None)))


def _sendable(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value if _can_be_sent(value) else str(value) for key, value in fields.items()}


def _can_be_sent(value: object) -> bool:
    if value is None or isinstance(value, str | int | float | bool):
        return True
    try:
        pickle.loads(packed(value))  # noqa: S301 - made a moment ago
    except Exception:  # noqa: BLE001 - as above
        return False
    return True


if __name__ == "__main__":
    main()
