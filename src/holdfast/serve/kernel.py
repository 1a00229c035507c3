"""What the kernel knows of a connection that nobody has read from yet."""

import contextlib
import socket
from typing import Final

_ESTABLISHED: Final = 1
_LAST_DATA: Final = slice(52, 56)
"""`tcpi_last_data_recv` in struct tcp_info (linux/tcp.h): milliseconds since data came last."""


def client_left(connection: socket.socket) -> bool:
    """Whether the client has closed or reset the connection, also where what it sent before was not read yet."""
    with contextlib.suppress(OSError):
        return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _ESTABLISHED
    return connection.family in {socket.AF_INET, socket.AF_INET6}


def silent_s(connection: socket.socket) -> float:
    """For how many seconds nothing has come: how long what lies here to be read has waited at least."""
    with contextlib.suppress(OSError):
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA.stop)
        return int.from_bytes(told[_LAST_DATA], "little") / 1000
    return 0.0
