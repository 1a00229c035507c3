"""Sockets for addresses: a host, by name or by number, and a port."""

import asyncio
import contextlib
import socket
import threading

_Where = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
_Way = tuple[socket.AddressFamily, socket.SocketKind, int, str, _Where]


async def connected(loop: asyncio.AbstractEventLoop, address: tuple[str, int]) -> socket.socket:
    """A socket that is connected to an address, by the first way that leads there. Raises OSError."""
    failed: OSError | None = None
    for family, kind, protocol, _, where in await _ways(loop, address):
        one = socket.socket(family, kind, protocol)
        try:
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(one, where)
        except OSError as error:
            one.close()
            failed = error
        except BaseException:
            one.close()
            raise
        else:
            return one
    raise failed or OSError(f"{address[0]} has no address")


async def bound(loop: asyncio.AbstractEventLoop, address: tuple[str, int]) -> socket.socket:
    """A socket that has an address, the first that can be had, and does not listen yet. Raises OSError."""
    failed: OSError | None = None
    for family, _, _, _, where in await _ways(loop, address):
        try:
            return bound_to(family, where)
        except OSError as error:
            failed = error
    raise failed or OSError(f"{address[0]} has no address")


def bound_to(family: socket.AddressFamily | int, where: _Where) -> socket.socket:
    """A socket that has this address, and does not listen yet. Raises OSError."""
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(where)
    except BaseException:
        one.close()
        raise
    return one


async def _ways(loop: asyncio.AbstractEventLoop, address: tuple[str, int]) -> list[_Way]:
    host, port = address
    try:
        with contextlib.suppress(socket.gaierror):  # a number needs no thread
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return await _looked_up(loop, host, port)
    except UnicodeError as error:
        raise OSError(f"{host!r} is no name of a host") from error


async def _looked_up(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[_Way]:
    """Look up a name in a thread that nobody waits for, as a loop would at its end while a name server is silent."""
    found: asyncio.Future[list[_Way]] = loop.create_future()

    def settle(ways: list[_Way], error: Exception | None) -> None:
        if found.done():
            return
        if error is None:
            found.set_result(ways)
        else:
            found.set_exception(error)

    def look() -> None:
        ways: list[_Way] = []
        failed: Exception | None = None
        try:
            ways = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except Exception as error:  # noqa: BLE001 - it is raised where it was asked
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop is over
            loop.call_soon_threadsafe(settle, ways, failed)

    threading.Thread(target=look, name="holdfast-proxy-name", daemon=True).start()
    return await found
