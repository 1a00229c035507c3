"""S9, S10 and S13: a thousand replicas; slow ones among them, storms of retries, a rolling restart."""

from collections.abc import Callable

from holdfast.sim.clients import Budgeted, Clients, Naive, Retries, Step, Users, steadily
from holdfast.sim.fleet import Fleet
from holdfast.sim.record import Record
from holdfast.sim.runs import MIDDLE, RIVALS, Make, ours
from holdfast.sim.scenarios.check import Check, Scenario, at_least, at_most, must_fail
from holdfast.sim.service import Service, Slice
from holdfast.sim.worker import Worker
from holdfast.sim.world import World

LARGE = Service((Slice(0.02, 0.04), Slice(0.02)), 0.0002)
"""40 ms of calculation, 40 ms of waiting: 25 requests a second for each replica."""
_COUNT = 1000


def grey() -> list[Check]:
    """A load balancer that knows nothing, connections unevenly spread over 4 workers, 1 of 20 replicas slow."""
    world, record = World(1), Record()
    weights = tuple(1 + share for share in (0.33, 0.0, -0.17, -0.16))
    fleet = Fleet(world, LARGE, ours, _COUNT, weights=weights, grey=0.05)
    rate = 0.7 * _COUNT * LARGE.capacity
    tenth = tuple(1.0 for _ in range(100))
    budget: Callable[[], Retries] = lambda: Budgeted(most=2, at_once=True)  # noqa: E731 - one line says it all
    users = Users(steadily(rate, 12), retries=budget, tenants=tenth)
    Clients(world, users, fleet.send, record)
    world.run(13)
    good = record.goodput(3, 11) / (record.count(3, 11) / 8)
    return [
        at_least("served of what came, at 0.7 x with 5 % slow replicas", good, 0.97),
        at_most("attempts for each request", record.attempts / record.count(), 1.12),
    ]


def _storm(make: Make, retries: Callable[[], Retries], trigger: str, seconds: float = 40.0) -> tuple[float, float]:
    """Goodput before a trigger and from 5 s after it, as shares of what comes. The trigger begins at 10 s."""
    world, record = World(3), Record()
    count, rate = 20, 0.8 * MIDDLE.capacity * 20
    fleet = Fleet(world, MIDDLE, make, count)
    steps = steadily(rate, seconds)
    ends = {"spike": 15.0, "stall": 13.0, "outage": 20.0, "cold cache": 25.0}[trigger]
    if trigger == "spike":
        steps = (Step(10, rate), Step(15, 3 * rate), Step(seconds, rate))
    Clients(world, Users(steps, retries=retries), fleet.send, record)
    world.run(10)
    if trigger == "stall":
        for worker in fleet.workers:
            worker.stall(3.0)
    elif trigger == "outage":
        fleet.out = set(range(count // 2))
    elif trigger == "cold cache":
        for worker in fleet.workers:
            worker.slower = 1.4
    world.run(ends)
    fleet.out = set()
    for worker in fleet.workers:
        worker.slower = 1.0
    world.run(seconds)
    return record.goodput(4, 10) / rate, record.goodput(ends + 5, seconds - 1) / rate


def storms() -> list[Check]:
    """Four triggers at 0.8 x, clients that retry three times whatever happens, and clients with a budget."""
    checks: list[Check] = []
    for trigger in ("spike", "stall", "outage", "cold cache"):
        for name, retries in (("naive", Naive), ("budgeted", Budgeted)):
            before, after = _storm(ours, retries, trigger)
            checks.append(at_least(f"{trigger}, {name} clients: goodput 5 s after, over before", after / before, 0.95))
    for name in ("no limit", "own completions"):
        before, after = _storm(RIVALS[name], Naive, "spike")
        checks.append(must_fail(f"{name}, spike, naive clients", after / before, 0.8))
    return checks


def rolling() -> list[Check]:
    """All of a thousand replicas are restarted, one of twenty at a time, at 0.85 x; each has 2 s to finish."""
    world, record = World(1), Record()
    fleet = Fleet(world, LARGE, ours, _COUNT)
    rate = 0.85 * _COUNT * LARGE.capacity
    retries: Callable[[], Retries] = lambda: Budgeted(most=2, at_once=True)  # noqa: E731 - as above
    Clients(world, Users(steadily(rate, 18), retries=retries, tenants=(1.0,) * 100), fleet.send, record)
    world.run(2)
    cut = 0
    for turn in range(20):
        leaving = range(turn * _COUNT // 20, (turn + 1) * _COUNT // 20)
        fleet.out = set(leaving)  # not ready: nothing new comes, and what is there is finished
        until = 2 + turn * 0.7 + 0.65
        world.run(until)
        while until < 4 + turn * 0.7 and any(fleet.workers[index].unfinished for index in leaving):
            until += 0.01
            world.run(until)
        for index in leaving:
            cut += fleet.workers[index].unfinished
            fleet.workers[index] = Worker(world, LARGE, ours, f"replica {index} anew")
    fleet.out = set()
    world.run(19)
    return [
        at_most("requests cut off", cut, 0),
        at_least("served of what came meanwhile", record.served(2, 16, lambda _, __: True), 0.95),
        at_least("served of what came after", record.served(16.5, 18, lambda _, __: True), 0.97),
    ]


FLEETS = (
    Scenario("S9", "1,000 replicas, a blind load balancer, 5 % of them three times slower", grey),
    Scenario("S10", "storms of retries after four triggers", storms),
    Scenario("S13", "a rolling restart of 1,000 replicas at 0.85 x, 5 % at a time", rolling),
)
