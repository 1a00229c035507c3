"""A TCP proxy whose network is as bad as it is told to be."""

import asyncio
import socket
from collections.abc import Callable
from typing import Self

from holdfast.decide.dependencies import Address
from holdfast.decide.faults import Fault, Faults, Refuse
from holdfast.prove.proxy.connection import Connection
from holdfast.prove.proxy.listener import Listener
from holdfast.prove.proxy.pipe import Shared
from holdfast.prove.proxy.seen import Seen, Tally


class Scope:
    """Faults for as long as a block lasts, however it ends. For `with` and for `async with`."""

    def __init__(self, begin: Callable[[], None], end: Callable[[], None]) -> None:
        """`begin` sets them, `end` takes them away."""
        self.begin: Callable[[], None] = begin
        self.end: Callable[[], None] = end

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, *error: object) -> None:
        self.end()

    async def __aenter__(self) -> None:
        self.begin()

    async def __aexit__(self, *error: object) -> None:
        self.end()


class Proxy:
    """Listens on a port and passes on to an upstream, with faults that are set and cleared while it runs.

        async with Proxy(upstream=("127.0.0.1", 5432)) as proxy:
            proxy.set(Latency(ms=200, jitter_ms=50))

    All of it is for the event loop in which it was started; `running_proxy` is for threads.
    """

    def __init__(
        self,
        *,
        upstream: tuple[str, int],
        listen: tuple[str, int] = ("127.0.0.1", 0),
        seed: int = 0,
        on_trouble: Callable[[OSError], None] | None = None,
    ) -> None:
        """Pass on what comes to `listen` to `upstream`, each a host and a port; port 0 is any that is free.

        `seed` makes the jitter the same again. `on_trouble` is called for each connection for which the upstream cannot
        be reached, and where no connection can be taken for lack of files.
        """
        self.upstream: Address = Address(*upstream)
        self._listen_on = Address(*listen)
        self._seed = seed
        self._on_trouble = on_trouble or _say_nothing
        self._faults = Faults()
        self._tally = Tally()
        self._listener: Listener | None = None
        self._shared: Shared | None = None
        self._connections: set[Connection] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen. Raises OSError where the port cannot be had."""
        loop = asyncio.get_running_loop()
        self._shared = Shared(loop, self.upstream, self._seed, self._on_trouble, self._tally)
        listener = Listener(loop, self._taken, self._on_trouble)
        await listener.open(self._listen_on)
        self._listener = listener
        self._listen_on = listener.address
        self._apply()

    async def close(self) -> None:
        """Stop listening, and close every connection."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self._connections):
            connection.close()
        if self._shared is not None and self._shared.reaching:
            await asyncio.wait(self._shared.reaching)

    @property
    def address(self) -> Address:
        """The host and the port that it listens on; once it was started the port is a real one."""
        return self._listen_on

    @property
    def seen(self) -> Seen:
        """What it has seen until now."""
        return self._tally.seen()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is set, the later above the earlier."""
        return self._faults.all

    def set(self, *faults: Fault) -> None:
        """Set faults from now on, each in the place of those of its kind that it covers."""
        self._change(self._faults.setting(*faults))

    def clear(self, *which: Fault | type[Fault]) -> None:
        """Clear all faults, or those of some kinds, or single ones. Raises OSError where the port is taken by now."""
        left = self._faults if which else Faults()
        for one in which:
            left = left.without(one)
        self._change(left)

    def fault(self, *faults: Fault) -> Scope:
        """Faults for as long as a block lasts, above what is set."""

        def end() -> None:
            left = self._faults
            for one in faults:
                left = left.without(one)
            self._change(left)

        return Scope(lambda: self._change(self._faults.adding(*faults)), end)

    def strand(self) -> None:
        """Leave the connections that are there as they are, whatever is set or cleared later.

        Those that are half open then stay so: the upstream has forgotten them, and answers others.
        """
        for connection in self._connections:
            connection.strand()

    def _change(self, faults: Faults) -> None:
        self._faults = faults
        self._apply()

    def _apply(self) -> None:
        try:
            self._open_or_refuse()
        finally:
            for connection in list(self._connections):
                connection.live_with(self._faults)

    def _open_or_refuse(self) -> None:
        if self._listener is None:
            return
        if self._faults.find(Refuse, "up") is None:
            self._listener.allow()
        elif self._listener.refuse():
            self._tally.acts[Refuse.name] += 1

    def _taken(self, client: socket.socket) -> None:
        if self._shared is None:
            raise RuntimeError("the proxy was not started")
        self._tally.opened += 1
        connection = Connection(client, self._tally.opened, self._shared, self._is_gone)
        self._connections.add(connection)
        connection.live_with(self._faults)

    def _is_gone(self, connection: Connection) -> None:
        self._tally.over += 1
        self._connections.discard(connection)


def _say_nothing(_: OSError) -> None:
    return
