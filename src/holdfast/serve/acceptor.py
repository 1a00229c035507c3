"""Takes all connections that wait, in each turn of the loop.

uvloop takes one a turn. Where a turn takes long, because requests are heavy or many, the rest would wait in the
kernel's queue, where nobody sees how long, and whether their clients are still there.
"""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

_LOG = logging.getLogger("holdfast.serve")
_MOST_A_TURN: Final = 512
_PAUSE_S: Final = 0.05
_OUT_OF: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not listened on

Address = tuple[str, int]


class Accepted(NamedTuple):
    """A connection that was taken."""

    connection: socket.socket
    here: Address | None
    """Where it came to."""
    peer: Address | None
    read: bytes = b""
    """What was read from it already."""


class Acceptor:
    """One listening socket."""

    def __init__(
        self,
        listener: socket.socket,
        let_in: Callable[[socket.socket], bytes | None],
        protocol: Callable[[Accepted], asyncio.Protocol],
        room: Callable[[], bool],
    ) -> None:
        """Take connections from `listener` into protocols, as long as there is `room` for one more.

        `let_in` says what was read of one already, or None where it is turned away.
        """
        self._let_in = let_in
        address = _address(listener.getsockname())
        self._here = address if address is None or address[0] not in _EVERYWHERE else None
        self._listener = listener
        self._protocol = protocol
        self._room = room
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._complained = False
        listener.setblocking(False)
        self._loop.add_reader(listener.fileno(), self._accept)

    @property
    def connecting(self) -> int:
        """Connections that were taken, and for which there is no protocol yet."""
        return len(self._connecting)

    def close(self) -> None:
        """Take no more."""
        if self._pause is not None:
            self._pause.cancel()
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener.fileno())

    def take_all(self) -> "list[asyncio.Task[object]]":
        """Take those that wait in the kernel's queue. Returns who lets them in."""
        taken: list[asyncio.Task[object] | None] = []
        with contextlib.suppress(OSError):
            while True:
                taken.append(self.connect(*self._listener.accept()))
        return [connecting for connecting in taken if connecting is not None]

    def _accept(self) -> None:
        for _ in range(_MOST_A_TURN):
            if not self._room():
                self._rest()
                return
            try:
                connection, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._failed(error)
                return
            self.connect(connection, peer)

    def connect(self, connection: socket.socket, peer: object) -> "asyncio.Task[object] | None":
        """Let a connection in that was taken. Returns who does, None where it was turned away."""
        connection.setblocking(False)
        read = self._let_in(connection)
        if read is None:
            return None
        here = self._here or _address(connection.getsockname())
        accepted = Accepted(connection, here, _address(peer), read)
        connecting = self._loop.create_task(
            self._loop.connect_accepted_socket(lambda: self._protocol(accepted), connection)
        )
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connected)
        return connecting

    def _connected(self, connecting: "asyncio.Task[object]") -> None:
        self._connecting.discard(connecting)
        if not connecting.cancelled() and (error := connecting.exception()) is not None:
            _LOG.warning("a connection could not be taken", exc_info=error)

    def _failed(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            out_of = error.errno in _OUT_OF
            _LOG.error(
                "no connection can be taken: "
                + ("the process has no file descriptors or memory left" if out_of else str(error))
            )
        self._rest()

    def _rest(self) -> None:
        """Let those who come wait in the kernel's queue for a moment."""
        self._loop.remove_reader(self._listener.fileno())
        self._pause = self._loop.call_later(_PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener.fileno(), self._accept)


def _address(told: object) -> Address | None:
    """An address as the kernel tells it, of IP; None for any other."""
    if isinstance(told, tuple) and len(found := cast("tuple[Any, ...]", told)) >= 2:
        return str(found[0]), int(found[1])
    return None
