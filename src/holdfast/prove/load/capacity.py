"""How much a server can do: the most right answers in time, a second, from clients that each wait for their answer."""

import dataclasses
from collections.abc import Sequence
from typing import Final

from holdfast.decide.goodput import Capacity, more_clients
from holdfast.decide.latencies import tally
from holdfast.prove.load.job import Job
from holdfast.prove.load.offering import offered

SETTLE_S: Final = 0.5
"""Of each try, not counted."""


async def measured_capacity(job: Job, seconds: float = 3.0, clients: Sequence[int] = ()) -> Capacity:
    """Try numbers of clients, each for so long; the best counts.

    `job` says where and what; when requests come is not its matter here. With no `clients` given, one is tried, then
    twice as many again and again until it brings nothing more. Raises LoadFailed.
    """
    if clients:
        return max([await _tried(job, seconds, count) for count in clients])
    tried: list[Capacity] = []
    while (following := more_clients(tried)) is not None:
        tried.append(await _tried(job, seconds, following))
    return max(tried)


async def _tried(job: Job, seconds: float, clients: int) -> Capacity:
    end = SETTLE_S + seconds
    kind = "new" if job.kind == "new" else "kept"
    run = await offered(dataclasses.replace(job, kind=kind, pool=clients, phases=(), closed=clients, closed_s=end))
    found = tally(run, SETTLE_S, end)
    return Capacity(found.goodput, found.cpu_s / max(1, found.good), clients, run.void)
