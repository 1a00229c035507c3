"""How the sockets of a connection are closed so that their peers see what they are to see."""

import array
import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from collections.abc import Callable, Iterable
from typing import Final

_LINGER_S: Final = 1.0
_LOOK_S: Final = 0.005
_AT_ONCE: Final = struct.pack("ii", 1, 0)


def reset(sockets: Iterable[socket.socket]) -> None:
    """Close sockets at once, with RST."""
    for one in sockets:
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        one.close()


def pass_end(to: socket.socket) -> None:
    """Send FIN: nothing more comes, and the other direction goes on."""
    with contextlib.suppress(OSError):
        to.shutdown(socket.SHUT_WR)


class Ending:
    """Sockets that are being closed. What was sent still arrives; it takes a second at most."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sockets: Iterable[socket.socket], gone: Callable[[], None]
    ) -> None:
        """`gone` is called when all of them are closed."""
        self._loop = loop
        self._open = set(sockets)
        self._gone = gone
        self._timer: asyncio.TimerHandle | None = None
        self._until = loop.time() + _LINGER_S

    def with_fin(self) -> None:
        """Close with FIN.

        A socket that is closed while there is something to be read in it sends RST, which takes with it what the peer
        has not got yet. So what comes is read until the peer has heard the end.
        """
        self._timer = self._loop.call_at(self._until, self.close)
        for one in list(self._open):
            pass_end(one)
            self._loop.add_reader(one, self._discard, one)

    def with_rst(self) -> None:
        """Close with RST, once the peers' kernels have what was sent: RST overtakes it otherwise."""
        if self._loop.time() < self._until and any(map(_unsent, self._open)):
            self._timer = self._loop.call_later(_LOOK_S, self.with_rst)
            return
        reset(self._open)
        self._open.clear()
        self._gone()

    def close(self) -> None:
        """Close what is still open, at once."""
        if self._timer is not None:
            self._timer.cancel()
        for one in self._open:
            self._loop.remove_reader(one)
            one.close()
        self._open.clear()
        self._gone()

    def _discard(self, one: socket.socket) -> None:
        try:
            over = not one.recv(1 << 16)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            over = True
        if over:
            self._loop.remove_reader(one)
            one.close()
            self._open.discard(one)
            if not self._open:
                self.close()


def _unsent(one: socket.socket) -> int:
    """How many bytes the peer's kernel has not confirmed."""
    size = array.array("i", [0])
    with contextlib.suppress(OSError):
        fcntl.ioctl(one, termios.TIOCOUTQ, size)
    return size[0]
