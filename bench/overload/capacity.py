"""How much a server can do: the most right answers in time, a second, from clients that each wait for their answer."""

from typing import Final, NamedTuple

from generator import Job
from outcomes import tally
from serving import Server, generated

CLIENTS: Final = {"/ten": (4, 8, 16), "/five": (6, 10, 16), "/pool": (20, 24, 32), "/small": (16,)}
"""How many are tried: enough to keep it busy, few enough that nobody is refused."""
SETTLE_S: Final = 0.5


class Capacity(NamedTuple):
    """What was found."""

    rate: float
    """Right answers in time, a second."""
    serve_s: float
    """CPU time of one."""
    clients: int
    """With so many."""


def capacity(server: Server, path: str, kind: str, seconds: float, clients: tuple[int, ...] = ()) -> Capacity:
    """Try each number of clients; the best counts."""
    return max(_tried(server, path, kind, seconds, count) for count in clients or CLIENTS[path])


def _tried(server: Server, path: str, kind: str, seconds: float, clients: int) -> Capacity:
    end = SETTLE_S + seconds
    job = Job(server.port, path, "new" if kind == "new" else "kept", closed=clients, closed_s=end, pids=server.pids())
    found = tally(generated(job), SETTLE_S, end)
    return Capacity(found.goodput, found.cpu_s / max(1, found.good), clients)
