"""Refuses what comes on new connections, before anything is made for them, while more comes than can be served.

Only what is as plain as can be: one request that is whole, without a body, and of which nothing says how important it
is. For the rest the door is there, which looks more closely; what was read here is given to it.
"""

import contextlib
import re
import socket
from typing import Final, NamedTuple, cast

from holdfast.decide.admission import Priority
from holdfast.ids import uuid7
from holdfast.logs.canonical import QUIET
from holdfast.serve.state import DoorState

_PLAIN: Final = re.compile(rb"(?:GET|HEAD|DELETE|OPTIONS) (\S+) HTTP/1\.([01])\r\n(?:[^\r\n]+\r\n)*\r\n")
_SPECIAL: Final = re.compile(
    rb"\r\n(?:holdfast-priority|priority|sec-purpose|content-length|transfer-encoding|upgrade|expect|connection)\s*:",
    re.IGNORECASE,
)
_CLOSES: Final = re.compile(rb"\r\nconnection:[ \t]*close[ \t]*\r\n", re.IGNORECASE)
_PROBES: Final = frozenset(path.encode() for path in QUIET)
_MOST: Final = 8192


class Doorman:
    """Stands in front of the doors of a process."""

    def __init__(self, state: DoorState) -> None:
        """Ask the gate of `state`."""
        self._state = state

    def let_in(self, connection: socket.socket) -> bytes | None:
        """What was read from a connection and is to be answered; None where that was done, and it is closed."""
        gate = self._state.gate
        if gate is None or not gate.sheds or gate.distinguishes:
            return b""
        try:
            read = connection.recv(_MOST)
        except BlockingIOError:
            return b""
        except OSError:
            read = b""
        if not read:
            connection.close()
            return None
        asked = _asked_for(read)
        if asked is None:
            return read
        client = None if self._state.trusted else _address(connection)
        if not gate.turn_away(Priority.NORMAL, lambda: asked.path.decode("latin-1"), client):
            return read
        with contextlib.suppress(OSError):
            connection.send(self._state.turned_away(uuid7(), closes=asked.closes))
        if asked.closes:
            connection.close()
            return None
        return b""


class _Asked(NamedTuple):
    """A plain request."""

    path: bytes
    closes: bool
    """Whether the client wants no further answer on the connection."""


def _address(connection: socket.socket) -> str | None:
    try:
        peer = connection.getpeername()
    except OSError:  # it has left
        return None
    return str(cast("tuple[object, ...]", peer)[0]) if isinstance(peer, tuple) else None  # a UNIX socket has none


def _asked_for(read: bytes) -> _Asked | None:
    """The plain request that was read; None for any other."""
    plain = _PLAIN.fullmatch(read)
    if plain is None:
        return None
    closes = _CLOSES.search(read) is not None
    if len(_SPECIAL.findall(read)) > closes or plain[2] != b"1":
        return None
    path = plain[1].partition(b"?")[0]
    return None if path in _PROBES else _Asked(path, closes)
