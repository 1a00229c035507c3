"""One worker under a load, and what came of it."""

from collections.abc import Callable
from typing import NamedTuple

from holdfast.sim.clients import Clients, Users, steadily
from holdfast.sim.fronts import Refusing, Shedding
from holdfast.sim.record import Record
from holdfast.sim.rivals import Codel, Fixed, Gradient2, OwnCompletions, RefusingByTurns, SuccessAimd, Vegas
from holdfast.sim.service import Service, Slice
from holdfast.sim.worker import Front, Worker
from holdfast.sim.world import World

Make = Callable[[Worker], Front]

HEAVY = Service((Slice(0.005, 0.02), Slice(0.005)), 32e-6)
"""10 ms of calculation and 20 ms of waiting."""
MIDDLE = Service((Slice(0.0025, 0.02), Slice(0.0025)), 32e-6)
"""5 ms of calculation and 20 ms of waiting."""
FACTS = Service((Slice(0.0021, 0.01), Slice(0.0021)), 175e-6)
"""4.2 ms of calculation and 10 ms of waiting."""
LIGHT = Service((Slice(0.0005, 0.005), Slice(0.0005)), 32e-6)
"""1 ms of calculation and 5 ms of waiting."""
POOLED = Service((Slice(0.0002, 0.05, pooled=True), Slice(0.0002)), 32e-6, pool=20)
"""Bound by a pool of 20 connections, each for 50 ms."""


def ours(worker: Worker) -> Shedding:
    """Holdfast."""
    return Shedding(worker)


def nothing(worker: Worker) -> Refusing:
    """No limit."""
    return Refusing(worker, Fixed(1e9))


def fixed(worker: Worker) -> Refusing:
    """A fixed limit of 100."""
    return Refusing(worker, Fixed(100))


RIVALS: dict[str, Make] = {
    "no limit": nothing,
    "fixed 100": fixed,
    "success AIMD": lambda worker: Refusing(worker, SuccessAimd()),
    "CoDel": Codel,
    "Gradient2": lambda worker: Refusing(worker, Gradient2()),
    "Vegas": lambda worker: Refusing(worker, Vegas()),
    "lag only": RefusingByTurns,
    "own completions": OwnCompletions,
}


class Run(NamedTuple):
    """A worker after its time."""

    world: World
    worker: Worker
    record: Record
    service: Service


def run(service: Service, make: Make, users: Users, until: float, seed: int = 1) -> Run:
    """Let users come to one worker."""
    world, record = World(seed), Record()
    worker = Worker(world, service, make)
    Clients(world, users, worker.receive, record)
    world.run(until)
    return Run(world, worker, record, service)


def steady(service: Service, make: Make, load: float, seconds: float, seed: int = 1) -> Run:
    """The same load, in multiples of the capacity, all of the time; new connections, a timeout of 1 s."""
    return run(service, make, Users(steadily(load * service.capacity, seconds)), seconds, seed)
