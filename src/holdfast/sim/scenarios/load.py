"""S1 to S4: more comes than can be served, for long, at once, slowly, in bursts."""

from statistics import fmean

from holdfast.decide.admission import AdmissionSettings, Priority
from holdfast.sim.clients import Step, Users
from holdfast.sim.fronts import Shedding
from holdfast.sim.runs import FACTS, HEAVY, LIGHT, MIDDLE, POOLED, RIVALS, Run, ours, run, steady
from holdfast.sim.scenarios.check import Check, Scenario, at_least, at_most, must_exceed, must_fail
from holdfast.sim.service import Service

SERVICES = {"10 ms": HEAVY, "5 ms": MIDDLE, "4.2 ms": FACTS, "1 ms": LIGHT, "pool": POOLED}
_LOADS = (1.2, 2.0, 5.0, 10.0)


def of_bound(ran: Run, begin: float, end: float) -> float:
    """Goodput as a share of the bound for what really came."""
    service = ran.service
    offered = ran.record.count(begin, end) / (end - begin) / service.capacity
    return ran.record.goodput(begin, end) / service.capacity / service.bound(offered)


def _stairs(name: str, service: Service, seeds: range, seconds: float) -> list[Check]:
    runs = {load: [steady(service, ours, load, seconds, seed) for seed in seeds] for load in (*_LOADS, 0.5, 0.8)}
    shares = {load: [of_bound(ran, 2, seconds) for ran in runs[load]] for load in _LOADS}
    most = [ran.record for ran in runs[10.0]]
    p99 = max(record.latencies(2, seconds) for record in most) * 1000
    told = max(record.telling(2, seconds) for record in most) * 1000
    allowed = 100.0 if service is MIDDLE else 10_000 * service.alone_s
    false = sum(ran.record.refusals(0, seconds) for ran in runs[0.8]) / sum(ran.record.count() for ran in runs[0.8])
    checks = [
        at_least(f"{name}: least mean share of g*, 1.2 to 10 x", min(fmean(found) for found in shares.values()), 0.97),
        at_least(f"{name}: worst seed's share of g*", min(min(found) for found in shares.values()), 0.95),
        at_most(f"{name}: p99 of the admitted at 10 x", p99, allowed, "ms"),
        at_most(f"{name}: refused at 0.5 x", sum(ran.record.refusals(0, seconds) for ran in runs[0.5]), 0),
        at_most(f"{name}: refused at 0.8 x, share", false, 0.001),
    ]
    if service is not HEAVY:  # a refusal waits for two turns, and each of its turns has some pieces of 5 ms
        checks.append(at_most(f"{name}: a refusal is told at 10 x within, p99", told, 50, "ms"))
    return checks


def staircase() -> list[Check]:
    """Every service, every load, several seeds; and the others."""
    checks = [check for name, service in SERVICES.items() for check in _stairs(name, service, range(1, 4), 22)]
    rivals = {name: steady(MIDDLE, RIVALS[name], 10, 22) for name in ("Gradient2", "Vegas", "CoDel")}
    good = [ran for ran in rivals.values() if of_bound(ran, 2, 22) >= 0.97]
    best = min(ran.record.latencies(2, 22) for ran in good)
    mine = steady(MIDDLE, ours, 10, 22).record.latencies(2, 22)
    checks.append(at_least("5 ms: p99 of the best other with as much goodput, over ours, at 10 x", best / mine, 3))
    checks.append(
        must_fail("no limit at 2 x, share of g*", of_bound(steady(MIDDLE, RIVALS["no limit"], 2, 22), 2, 22), 0.3)
    )
    return checks


def staircase_quick() -> list[Check]:
    """One service, one seed."""
    return _stairs("5 ms", MIDDLE, range(2, 3), 12)


def steps() -> list[Check]:
    """From half the capacity to ten times, and back."""
    checks: list[Check] = []
    for name, service in SERVICES.items():
        for high in (1.4, 10.0):
            rate = service.capacity
            users = Users((Step(5, 0.5 * rate), Step(15, high * rate), Step(25, 0.5 * rate)))
            record = run(service, ours, users, 25).record
            checks.append(at_most(f"{name}, {high:g} x: steady after", record.steady_after(5, 15, 0.9), 0.5, "s"))
            checks.append(at_most(f"{name}, {high:g} x: refused 1 s after the end", record.refusals(16, 25), 0))
            if service is MIDDLE:
                worst = record.latencies(5, 15, 1.0) * 1000
                checks.append(at_most(f"{name}, {high:g} x: worst admitted", worst, 300, "ms"))
    return checks


def drift() -> list[Check]:
    """Half an hour at twice the capacity, and a ramp of 1 % a second to three times."""
    record = steady(MIDDLE, ours, 2, 1800).record
    last, first = record.latencies(1740, 1800), record.latencies(5, 65)
    ramp = tuple(Step(second + 1.0, MIDDLE.capacity * (0.5 + 0.01 * second)) for second in range(250))
    climbed = run(MIDDLE, ours, Users(ramp), 250)
    other = steady(MIDDLE, RIVALS["Gradient2"], 2, 300).record
    return [
        at_most("p99 of the last minute over the first's, 30 min at 2 x", last / first, 1.1),
        at_least("share of g* over the last minute", of_bound(steady(MIDDLE, ours, 2, 60, 7), 2, 60), 0.97),
        at_least("share of g* up a slow ramp, above 1.2 x", of_bound(climbed, 70, 250), 0.97),
        must_exceed(
            "Gradient2's p99 after 5 min over that after 10 s", other.latencies(240, 300) / other.latencies(5, 15), 1.1
        ),
    ]


def bursts() -> list[Check]:
    """Bursts of 100 ms each second, at 0.8 x on average; a tenth is critical. Who wants all of them served lets them
    wait for longer."""
    checks: list[Check] = []
    for times in (3.0, 5.0):
        rest = (0.8 - 0.1 * times) / 0.9
        plan = tuple(
            Step(second + part, MIDDLE.capacity * load)
            for second in range(60)
            for part, load in ((0.1, times), (1.0, rest))
        )
        users = Users(plan, classes=((Priority.CRITICAL, 0.1), (Priority.NORMAL, 0.9)))
        record = run(MIDDLE, ours, users, 60).record
        critical = record.served(0, 59, lambda priority, _: priority is Priority.CRITICAL)
        checks.append(at_least(f"bursts of {times:g} x: critical served", critical, 1.0))
        patient = run(MIDDLE, lambda worker: Shedding(worker, None, AdmissionSettings(wait_s=0.5)), users, 60).record
        share = patient.refusals(0, 60) / patient.count()
        checks.append(at_most(f"bursts of {times:g} x, 500 ms to wait: refused, share", share, 0.01))
        share = record.refusals(0, 60) / record.count()
        checks.append(at_most(f"bursts of {times:g} x, 70 ms to wait: refused, share", share, 0.5))
    return checks


LOAD = (
    Scenario("S1", "overload from 0.5 to 10 x, five services, three seeds, beside the bound and the others", staircase),
    Scenario("S1q", "the same for one service and one seed", staircase_quick, quick=True),
    Scenario("S2", "one step from 0.5 x to 1.4 and 10 x, and back", steps),
    Scenario("S3", "30 minutes at 2 x, and a slow ramp: no drift", drift),
    Scenario("S4", "bursts of 100 ms at 0.8 x on average", bursts, quick=True),
)
