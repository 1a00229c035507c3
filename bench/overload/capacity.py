"""How much a server can do, of what is asked here."""

import asyncio
from typing import Final

from asked import plain
from serving import CORES, Server

from holdfast.decide.goodput import Capacity
from holdfast.prove.load import Job, measured_capacity

CLIENTS: Final = {"/ten": (4, 8, 16), "/five": (6, 10, 16), "/pool": (20, 24, 32), "/small": (16,)}
"""How many are tried: enough to keep it busy, few enough that nobody is refused."""


def capacity(server: Server, path: str, kind: str, seconds: float, clients: tuple[int, ...] = ()) -> Capacity:
    """Try each number of clients; the best counts."""
    job = Job(server.port, [plain(path)], kind=kind, closed=1, pids=server.pids(), servers_core=CORES.server)
    return asyncio.run(measured_capacity(job, seconds, clients or CLIENTS[path]))
