"""S5, S6 and S15: who is served where not all can be, and who would like to be served before others."""

from holdfast.decide.admission import Priority
from holdfast.sim.clients import Clients, Step, Users, steadily
from holdfast.sim.record import Record
from holdfast.sim.runs import HEAVY, LIGHT, MIDDLE, POOLED, ours, run
from holdfast.sim.scenarios.check import Check, Scenario, at_least, at_most
from holdfast.sim.worker import Worker
from holdfast.sim.world import World


def _is(priority: Priority, tenant: int) -> bool:
    del tenant
    return priority is Priority.CRITICAL


def classes() -> list[Check]:
    """A tenth is critical; then the lowest class comes twelve times as often."""
    checks: list[Check] = []
    tenth = ((Priority.CRITICAL, 0.1), (Priority.NORMAL, 0.9))
    for name, service in (("10 ms", HEAVY), ("5 ms", MIDDLE), ("1 ms", LIGHT), ("pool", POOLED)):
        record = run(service, ours, Users(steadily(5 * service.capacity, 30), classes=tenth), 30).record
        checks.append(at_least(f"{name}: critical served at 5 x", record.served(1, 29, _is), 0.995))
    world, record = World(1), Record()
    worker = Worker(world, MIDDLE, ours)
    high = ((Priority.CRITICAL, 0.25), (Priority.NORMAL, 0.75))
    low = ((Priority.LOW, 1.0),)
    rate = MIDDLE.capacity
    Clients(world, Users(steadily(0.2 * rate, 40), classes=high), worker.receive, record, "high")
    Clients(world, Users((Step(10, 0.3 * rate), Step(40, 3.6 * rate)), classes=low), worker.receive, record, "low")
    world.run(40)
    higher = record.served(1, 39, lambda priority, _: priority <= Priority.NORMAL)
    checks.append(at_least("the low class x 12: critical served", record.served(1, 39, _is), 0.995))
    checks.append(at_least("the low class x 12: critical and normal served", higher, 0.98))
    return [*checks, _nobody_starves()]


def _nobody_starves() -> Check:
    third = ((Priority.CRITICAL, 0.1), (Priority.NORMAL, 0.3), (Priority.LOW, 0.6))
    record = run(MIDDLE, ours, Users(steadily(1.4 * MIDDLE.capacity, 120), classes=third), 120).record
    least = min(
        record.served(begin, begin + 60, lambda priority, _: priority is Priority.LOW) for begin in range(0, 60, 10)
    )
    return at_least("the low class served in its worst minute at 1.4 x", least, 0.05)


def tenants() -> list[Check]:
    """One of twenty clients sends twenty times its share."""
    shares = (20.0, *(1.0 for _ in range(19)))
    rate = MIDDLE.capacity * (0.76 + 0.8)
    record = run(MIDDLE, ours, Users(steadily(rate, 40), tenants=shares), 40).record
    alone = run(MIDDLE, ours, Users(steadily(0.76 * MIDDLE.capacity, 40)), 40).record
    others = record.served(2, 39, lambda _, tenant: tenant != 0)
    loud = record.served(2, 39, lambda _, tenant: tenant == 0)
    quiet = alone.served(2, 39, lambda _, __: True)
    return [
        at_most("what the other clients lose", quiet - others, 0.02),
        at_most("what the loud one gets of what it sends", loud, 0.5),
    ]


def liars() -> list[Check]:
    """All claim to be critical; a half claims deadlines of 1 ms or an hour."""
    plain = run(MIDDLE, ours, Users(steadily(5 * MIDDLE.capacity, 20)), 20).record
    claim = ((Priority.CRITICAL, 1.0),)
    record = run(MIDDLE, ours, Users(steadily(5 * MIDDLE.capacity, 20), classes=claim), 20).record
    world, mixed = World(1), Record()
    worker = Worker(world, MIDDLE, ours)
    rate = 5 * MIDDLE.capacity
    Clients(world, Users(steadily(rate / 2, 20), tenants=(1.0,)), worker.receive, mixed, "honest")
    for name, patience in (("hasty", 0.001), ("endless", 3600.0)):
        Clients(world, Users(steadily(rate / 4, 20), timeout_s=patience), worker.receive, Record(), name)
    world.run(20)
    share = mixed.goodput(2, 20) / MIDDLE.capacity
    return [
        at_least("all critical: goodput over that without classes", record.goodput(2, 20) / plain.goodput(2, 20), 0.98),
        at_most("all critical: p99 over that without classes", record.latencies(2, 20) / plain.latencies(2, 20), 1.5),
        at_least("lying deadlines: goodput of the honest half", share, 0.45),
    ]


PEOPLE = (
    Scenario("S5", "a tenth is critical at 5 x; the low class comes twelve times as often", classes),
    Scenario("S6", "one of twenty clients sends twenty times its share", tenants, quick=True),
    Scenario("S15", "all claim the top class; a half lies about its deadline", liars, quick=True),
)
