"""Tells systemd where a service stands, for units with `Type=notify`. Elsewhere nothing happens."""

import contextlib
import os
import socket
import time
from typing import Final

_VARIABLE: Final = "NOTIFY_SOCKET"


def ready() -> None:
    """It serves, or serves again."""
    _tell("READY=1\nSTATUS=serving")


def reloading() -> None:
    """It replaces its workers one by one, and serves meanwhile."""
    _tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}\nSTATUS=rolling restart")


def stopping() -> None:
    """It was told to stop, and finishes what it has."""
    _tell("STOPPING=1\nSTATUS=draining")


def _tell(state: str) -> None:
    """Send `state` as sd_notify(3) asks for it: one datagram, to a path or, after an @, an abstract name."""
    address = os.environ.get(_VARIABLE, "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.setblocking(False)
        connection.sendto(state.encode(), address)
