"""S12 and S16 to S19: a loop that stands still, hardly any traffic, crowds, stolen time, threads."""

from holdfast.decide.limiter import LimiterSettings
from holdfast.sim.clients import Clients, Step, Users, steadily
from holdfast.sim.closed import Closed, Crowd, Thief
from holdfast.sim.fronts import Shedding
from holdfast.sim.record import Record
from holdfast.sim.runs import HEAVY, LIGHT, MIDDLE, POOLED, RIVALS, ours, run
from holdfast.sim.scenarios.check import Check, Scenario, at_least, at_most
from holdfast.sim.scenarios.load import of_bound
from holdfast.sim.service import Service, Slice
from holdfast.sim.worker import Worker
from holdfast.sim.world import World


def stall() -> list[Check]:
    """Something blocks the loop for 2 s at 0.8 x."""
    world, record = World(1), Record()
    worker = Worker(world, MIDDLE, ours)
    Clients(world, Users(steadily(0.8 * MIDDLE.capacity, 20)), worker.receive, record)
    world.run(10)
    worker.stall(2.0)
    world.run(20)
    return [
        at_least("goodput from 1 s after, over what comes", record.goodput(13, 20) / (0.8 * MIDDLE.capacity), 0.95),
        at_most("refused from 1 s after", record.refusals(13.0, 20), 0),
        at_most("p99 from 1 s after", record.latencies(13, 20) * 1000, 150, "ms"),
    ]


def hardly_any() -> list[Check]:
    """Eight requests a minute for ten minutes, then twice the capacity; and a cold start at twice the capacity."""
    checks: list[Check] = []
    for name, service in (("10 ms", HEAVY), ("1 ms", LIGHT), ("pool", POOLED)):
        users = Users((Step(600, 8 / 60), Step(615, 2 * service.capacity)))
        ran = run(service, ours, users, 615)
        checks.append(at_most(f"{name}: refused at 8 a minute", ran.record.refusals(0, 600), 0))
        checks.append(at_least(f"{name}: share of g* from 1 s after the rush began", of_bound(ran, 601, 615), 0.95))
        cold = run(service, ours, Users(steadily(2 * service.capacity, 15)), 15)
        checks.append(at_least(f"{name}: share of g* from 1 s after a cold start", of_bound(cold, 1, 15), 0.95))
    return checks


def crowds() -> list[Check]:
    """Many that only wait come at once to a worker that has nothing to do; and long polls."""
    checks: list[Check] = []
    for count in (200, 1000):
        refused = 0
        for wait_s in (0.05, 0.2, 1.0, 5.0):
            world, record = World(1), Record()
            worker = Worker(world, Service((Slice(50e-6, wait_s), Slice(50e-6)), 32e-6), ours)
            Crowd(world, count, 1.0, worker.receive, record)
            world.run(10)
            refused += record.refusals(0, 10)
        checks.append(at_most(f"{count:,} at once that wait from 50 ms to 5 s: refused", refused, 0))
    world, record = World(1), Record()
    polls = Service((Slice(50e-6, 15.0), Slice(50e-6)), 32e-6, wait_spread=-1.0)
    worker = Worker(world, polls, lambda worker: Shedding(worker, LimiterSettings(most=5000)))
    Closed(world, 2000, worker.receive, record, pause_s=30.0)
    world.run(240)
    checks.append(at_most("2,000 long polls of 0 to 30 s, once warm: refused", record.refusals(120, 240), 0))
    return checks


def stolen() -> list[Check]:
    """The machine runs something else for 2 to 20 ms, four times a second."""
    world, record = World(1), Record()
    worker = Worker(world, Service((Slice(70e-6),), 32e-6), ours)
    Closed(world, 20, worker.receive, record)
    Thief(world, worker)
    world.run(5)
    checks = [at_most("handlers of 70 us, 20 kept connections: refused", record.refusals(0, 5), 0)]
    for name, service in (("5 ms", MIDDLE), ("1 ms", LIGHT), ("pool", POOLED)):
        world, record = World(1), Record()
        worker = Worker(world, service, ours)
        Clients(world, Users(steadily(0.75 * service.capacity, 20)), worker.receive, record)
        Thief(world, worker)
        world.run(20)
        checks.append(at_most(f"{name}, 0.75 x: refused, share", record.refusals(0, 20) / record.count(), 0.001))
    return checks


def threads() -> list[Check]:
    """Half of the calculation is done in threads, which take the interpreter's lock for 5 ms at a time."""
    service = Service((Slice(0.001, thread_s=0.004), Slice(0.001)), 32e-6)
    checks: list[Check] = []
    for load in (2.0, 10.0):
        users = Users(steadily(load * service.capacity, 20))
        record = run(service, ours, users, 20).record
        best = max(run(service, RIVALS[name], users, 20).record.goodput(2, 20) for name in ("Vegas", "Gradient2"))
        share = record.goodput(2, 20) / best
        checks.append(at_least(f"work in threads at {load:g} x: goodput over that of the best other", share, 0.8))
        checks.append(at_most(f"work in threads at {load:g} x: p99", record.latencies(2, 20) * 1000, 600, "ms"))
    return checks


ODD = (
    Scenario("S12", "the loop stands still for 2 s", stall, quick=True),
    Scenario("S16", "8 requests a minute, a rush, a cold start", hardly_any),
    Scenario("S17", "crowds that only wait, long polls", crowds),
    Scenario("S18", "a machine that is busy with something else", stolen),
    Scenario("S19", "calculation in threads", threads),
)
