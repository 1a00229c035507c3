"""The sockets that the kernel knows, by inode: their state and both ends."""

import socket
import sys
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from holdfast.decide.counts import Kind
from holdfast.prove.counters.proc import PROC, Gone, reading

STATES: Final = (
    *("", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT"),
    *("CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"),
)
"""By their numbers in the kernel (include/net/tcp_states.h)."""
_TABLES: Final = ("tcp", "tcp6", "udp", "udp6")


class Known(NamedTuple):
    """A socket."""

    kind: Kind
    state: str
    local: str
    peer: str


def sockets(pid: int) -> Mapping[str, Known]:
    """All sockets of the network that a process is in, by their inodes; empty if it has ended. Raises Hidden."""
    found: dict[str, Known] = {}
    try:
        for table in _TABLES:
            found.update(_internet(table, _lines(pid, table)))
        found.update(_unix(_lines(pid, "unix")))
    except Gone:
        return found
    return found


def _lines(pid: int, table: str) -> list[str]:
    path = PROC / str(pid) / "net" / table
    if table.endswith("6") and not path.exists():  # a kernel without IPv6
        return []
    return reading(pid, lambda: path.read_text(errors="replace")).splitlines()[1:]


def _internet(table: str, lines: Iterable[str]) -> Iterable[tuple[str, Known]]:
    for line in lines:
        fields = line.split()
        state = STATES[int(fields[3], 16)] if table.startswith("tcp") else "UDP"
        peer = _address(fields[2])
        yield fields[9], Known(Kind.SOCKET, state, _address(fields[1]), "" if peer.endswith(":0") else peer)


def _address(text: str) -> str:
    """`0100007F:1F90` as `127.0.0.1:8080`: words of four bytes, each as the machine has it in memory."""
    digits, _, port = text.partition(":")
    words = [int(digits[place : place + 8], 16).to_bytes(4, sys.byteorder) for place in range(0, len(digits), 8)]
    packed = b"".join(words)
    if len(packed) == 16 and packed.startswith(bytes(10) + b"\xff\xff"):  # IPv4 over a socket of IPv6
        packed = packed[12:]
    if len(packed) == 4:
        return f"{socket.inet_ntop(socket.AF_INET, packed)}:{int(port, 16)}"
    return f"[{socket.inet_ntop(socket.AF_INET6, packed)}]:{int(port, 16)}"


def _unix(lines: Iterable[str]) -> Iterable[tuple[str, Known]]:
    for line in lines:
        fields = line.split(maxsplit=7)
        yield fields[6], Known(Kind.UNIX, "", fields[7] if len(fields) > 7 else "", "")
