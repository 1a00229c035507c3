"""S7, S8 and S11: what requests wait for becomes slow, for some time or for good; a chain of services."""

from holdfast.sim.clients import Clients, Users, steadily
from holdfast.sim.fleet import Calls
from holdfast.sim.fronts import Shedding
from holdfast.sim.record import Record
from holdfast.sim.runs import MIDDLE, POOLED, RIVALS, Make, ours, steady
from holdfast.sim.scenarios.check import Check, Scenario, at_least, at_most, must_fail
from holdfast.sim.scenarios.load import of_bound
from holdfast.sim.service import Service, Slice
from holdfast.sim.worker import Worker
from holdfast.sim.world import World


def _limit(worker: Worker) -> float:
    front = worker.front
    return front.limiter.limit if isinstance(front, Shedding) else 0.0


def slow_neighbour() -> list[Check]:
    """The database answers in 500 ms instead of 50, for 15 s."""
    world, record = World(1), Record()
    worker = Worker(world, POOLED, ours)
    Clients(world, Users(steadily(1.5 * POOLED.capacity, 40)), worker.receive, record)
    limits: dict[float, float] = {}
    world.run(10)
    before = _limit(worker)
    worker.wait_factor = 10.0
    for when in (13.0, 25.0):
        world.run(when)
        limits[when] = _limit(worker)
    worker.wait_factor = 1.0
    busy = worker.busy_s
    world.run(40)
    lag = steady(POOLED, RIVALS["lag only"], 1.5, 20)
    vegas = steady(POOLED, RIVALS["Vegas"], 1.5, 20).record.goodput(2, 20)
    mine = steady(POOLED, ours, 1.5, 20).record.goodput(2, 20)
    return [
        at_most("limit 3 s after the neighbour became slow, over before", limits[13.0] / before, 0.9),
        at_least(
            "goodput while it is slow, over what it can do", record.goodput(13, 25) / (POOLED.capacity / 10), 0.65
        ),
        at_least("goodput 5 s after it is well, over what it can do", record.goodput(30, 40) / POOLED.capacity, 0.97),
        at_most("processor time meanwhile, share", (worker.busy_s - busy) / 15, 0.5),
        at_least("goodput at 1.5 x over that of Vegas", mine / vegas, 0.98),
        must_fail("lag alone at 1.5 x, share of g*", of_bound(lag, 2, 20), 0.3),
    ]


def slower_for_good() -> list[Check]:
    """Requests take twice as long from now on; and requests that differ by much among themselves."""
    checks: list[Check] = []
    for name, service in (("5 ms", MIDDLE), ("pool", POOLED)):
        world, record = World(2), Record()
        worker = Worker(world, service, ours)
        Clients(world, Users(steadily(1.5 * service.capacity, 70)), worker.receive, record)
        world.run(10)
        if service.pool:
            worker.wait_factor = 2.0
        else:
            worker.slower = 2.0
        world.run(70)
        share = record.goodput(40, 70) / (service.capacity / 2)
        checks.append(at_least(f"{name}: goodput 30 s later, over what can be done now", share, 0.93))
    for name, service in (
        ("calculation", MIDDLE._replace(spread=0.0)),
        ("waits", MIDDLE._replace(wait_spread=1.0)),
        ("a pool's", POOLED._replace(wait_spread=1.0)),
    ):
        record = steady(service, ours, 0.5, 60).record
        checks.append(at_most(f"long tails of {name}: refused at 0.5 x", record.refusals(0, 60), 0))
    return checks


def chain() -> list[Check]:
    """Three services, one behind the other, with deadlines that are passed on, and twice what the last can do."""
    leaf = MIDDLE
    near = Service((Slice(0.0005, calls=True), Slice(0.0003)), 32e-6)
    world, record = World(1), Record()
    make: Make = ours
    tiers = [Worker(world, service, make, name) for name, service in (("edge", near), ("middle", near), ("leaf", leaf))]
    calls = [Calls(world, tiers[index + 1].receive, retries=True) for index in range(2)]
    for tier, call in zip(tiers, calls, strict=False):
        tier.call = call.ask
    Clients(world, Users(steadily(2 * leaf.capacity, 30), timeout_s=0.5), tiers[0].receive, record)
    world.run(30)
    dead = sum(tier.dead_s for tier in tiers) / sum(tier.busy_s for tier in tiers)
    return [
        at_least("goodput over the leaf's capacity", record.goodput(2, 30) / leaf.capacity, 0.9),
        at_most("work for clients that had given up, share of the processor time", dead, 0.005),
        at_most("attempts at the leaf over requests at the edge", calls[1].attempts / record.attempts, 1.12),
    ]


NEIGHBOURS = (
    Scenario("S7", "the database slows from 50 to 500 ms, then is well again", slow_neighbour, quick=True),
    Scenario("S8", "a change for good: everything takes twice as long; long tails", slower_for_good),
    Scenario("S11", "a chain of three services at twice what the last can do", chain, quick=True),
)
