"""What goes between this process and one that calculates for it: pickled messages on a socket, in both directions."""

import pickle
import socket
import struct
from typing import Any, Final, NamedTuple

RESULT: Final = b"r"
"""Before what the function has returned."""
ERROR: Final = b"e"
"""Before the exception that it has raised, and its traceback as text: with pickle, it would get lost."""
NOT_PORTABLE: Final = b"n"
"""Before the sentence that says what could not be sent."""
LINE: Final = b"l"
"""Before the fields of a line to be logged, and the ID of the request it is for."""


class Start(NamedTuple):
    """What a process is given as it starts."""

    parent: int
    """The process that it must not outlive."""
    path: list[str]
    """Where modules are looked for."""
    level: int
    """The least level of the lines that are wanted."""


class Order(NamedTuple):
    """What comes before each function."""

    request: str | None
    """The ID of the request that it is for."""
    left_s: float | None
    """The seconds that are left until the request's deadline."""


class Elsewhere(Exception):
    """The cause of an exception from another process: where it was raised there."""

    def __init__(self, text: str) -> None:
        """`text` is the traceback, as text."""
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f"\n{self.text}"


class Channel:
    """A socket on which whole messages go, each behind its length."""

    _LENGTH: Final = struct.Struct("!Q")

    def __init__(self, connection: socket.socket) -> None:
        """Messages go on `connection`, which is connected."""
        self._connection = connection
        self.closed: bool = False

    def send(self, message: bytes) -> None:
        """Send one message. Raises OSError."""
        self._connection.sendall(self._LENGTH.pack(len(message)))
        self._connection.sendall(message)

    def receive(self) -> bytearray:
        """The next message. Raises EOFError where the other end has gone, OSError."""
        return self._exactly(self._LENGTH.unpack(self._exactly(self._LENGTH.size))[0])

    def close(self) -> None:
        """Let the other end know that nothing more comes."""
        self.closed = True
        self._connection.close()

    def _exactly(self, size: int) -> bytearray:
        whole = bytearray(size)
        rest = memoryview(whole)
        while rest:
            got = self._connection.recv_into(rest)
            if not got:
                raise EOFError
            rest = rest[got:]
        return whole


def packed(value: object) -> bytes:
    """Pickled. Raises whatever the value's own code raises where it cannot be."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def unpacked(message: bytes | bytearray | memoryview) -> Any:
    """What was `packed`. Raises whatever the value's own code raises."""
    return pickle.loads(message)  # noqa: S301 - from our own child or parent, on a socket that nobody else has
