"""The port of a proxy: it takes connections, or it refuses them."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable
from typing import Final

from holdfast.decide.dependencies import Address
from holdfast.prove.proxy.sockets import bound, bound_to

_BACKLOG: Final = 4096
_AT_ONCE: Final = 256
_NO_FILES: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_UNTIL_FILES_S: Final = 0.1
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened on is the user's word
_TRY_S: Final = 1.0


class Listener:
    """A port. While it refuses, nobody listens on it, and nobody else can take it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        taken: Callable[[socket.socket], None],
        on_trouble: Callable[[OSError], None],
    ) -> None:
        """`taken` gets each connection; `on_trouble` hears why none can be taken for a while."""
        self.address: Address = Address("", 0)
        self._loop = loop
        self._taken = taken
        self._on_trouble = on_trouble
        self._socket: socket.socket | None = None
        self._where: tuple[str, int] = ("", 0)
        self._family = 0
        self._listens = False
        self._timer: asyncio.TimerHandle | None = None

    async def open(self, address: tuple[str, int]) -> None:
        """Listen on an address; port 0 is any that is free. Raises OSError."""
        self._socket = one = await bound(self._loop, address)
        self._where, self._family = one.getsockname(), one.family
        self.address = Address(*self._where[:2])
        self._listen(one)

    def refuse(self) -> bool:
        """Let the kernel refuse who connects. Whether it began to now: an attempt of the proxy's own was refused."""
        if not self._listens:
            return False
        self._accept()  # who came before is not concerned
        self.close()
        with contextlib.suppress(OSError):  # in the moment between somebody else may have taken it; `allow` will say so
            self._socket = bound_to(self._family, self._where)
        return self._is_refused()

    def allow(self) -> None:
        """Listen again, on the same port. Raises OSError where somebody else has taken it."""
        if self._listens:
            return
        if self._socket is None:
            self._socket = bound_to(self._family, self._where)
        self._listen(self._socket)

    def close(self) -> None:
        """Listen no more, and let the port go."""
        self._pause()
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._socket.close()
        self._socket, self._listens = None, False

    def _listen(self, one: socket.socket) -> None:
        try:
            one.listen(_BACKLOG)
        except OSError:
            self.close()
            raise
        self._listens = True
        self._loop.add_reader(one, self._accept)

    def _pause(self) -> None:
        if self._socket is not None and self._listens:
            self._loop.remove_reader(self._socket)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            if self._socket is None:
                return
            try:
                one, _ = self._socket.accept()
            except OSError as error:
                if error.errno in _NO_FILES:
                    self._wait_for_files(error)
                return
            one.setblocking(False)
            with contextlib.suppress(OSError):  # it may have gone already
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._taken(one)

    def _wait_for_files(self, error: OSError) -> None:
        self._on_trouble(error)
        self._pause()
        self._timer = self._loop.call_later(_UNTIL_FILES_S, self._go_on)

    def _go_on(self) -> None:
        if self._socket is not None and self._listens:
            self._loop.add_reader(self._socket, self._accept)

    def _is_refused(self) -> bool:
        host, port = self.address
        try:
            socket.create_connection((_EVERYWHERE.get(host, host), port), timeout=_TRY_S).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False
