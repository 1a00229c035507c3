"""The simulator itself: the same seed makes the same events, nobody gets lost, and the loop turns as asyncio's does."""

import ast
from pathlib import Path
from statistics import fmean

import pytest

import holdfast.decide.admission
import holdfast.decide.limiter
from holdfast.decide.admission import Priority
from holdfast.sim import fronts
from holdfast.sim.clients import Budgeted, Clients, Naive, Step, Users, steadily
from holdfast.sim.fleet import Fleet
from holdfast.sim.fronts import Shedding
from holdfast.sim.phase import part
from holdfast.sim.record import Record, quantile
from holdfast.sim.request import End, Request
from holdfast.sim.runs import HEAVY, LIGHT, MIDDLE, POOLED, RIVALS, ours, run, steady
from holdfast.sim.service import Pool, Service, Slice
from holdfast.sim.worker import Worker
from holdfast.sim.world import World

SOURCE = Path(holdfast.sim.world.__file__).parent


def test_what_is_simulated_is_what_serves():
    world = World(1)
    front = Worker(world, MIDDLE, ours).front
    assert type(front.limiter) is holdfast.decide.limiter.Limiter
    assert type(front.admission) is holdfast.decide.admission.Admission
    assert fronts.Limiter.__module__ == "holdfast.decide.limiter"


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.stem)
def test_the_simulator_looks_at_rules_only(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("holdfast"):
            assert node.module.startswith(("holdfast.decide", "holdfast.sim"))


def storm(seed, make=ours):
    steps = (Step(2, 0.5 * MIDDLE.capacity), Step(4, 5 * MIDDLE.capacity), Step(6, 0.5 * MIDDLE.capacity))
    users = Users(steps, retries=Naive, classes=((Priority.CRITICAL, 0.2), (Priority.LOW, 0.8)), tenants=(3.0, 1.0))
    return run(MIDDLE, make, users, 8, seed).record.digest()


def test_the_same_seed_makes_the_same_events_in_whatever_order_runs_come():
    first = [storm(1), storm(2), steady(POOLED, ours, 2, 3, 7).record.digest()]
    again = [steady(POOLED, ours, 2, 3, 7).record.digest(), storm(2), storm(1)]
    assert first == again[::-1]
    assert len(set(first)) == 3


def test_a_fleet_is_the_same_each_time_too():
    def fleet(seed):
        world, record = World(seed), Record()
        replicas = Fleet(world, LIGHT, ours, 7, weights=(3.0, 1.0), grey=0.3)
        Clients(world, Users(steadily(7000, 0.5), retries=lambda: Budgeted(at_once=True)), replicas.send, record)
        world.run(1)
        return record.digest()

    assert fleet(1) == fleet(1) != fleet(2)


@pytest.mark.parametrize("name", ["Holdfast", *RIVALS])
@pytest.mark.parametrize("load", [0.5, 3.0])
def test_whoever_comes_is_answered_or_still_there(name, load):
    ran = steady(MIDDLE, RIVALS.get(name, ours), load, 5)
    front = ran.worker.front
    waiting = front.admission.waiting if isinstance(front, Shedding) else 0
    assert ran.record.count() == sum(ran.record.ends().values()) + ran.worker.unfinished + waiting


def test_users_are_settled_once_however_often_they_try():
    users = Users((Step(3, 3 * MIDDLE.capacity),), retries=Naive)
    record = run(MIDDLE, ours, users, 12).record
    assert record.count() == sum(record.ends().values())
    assert record.count() < record.attempts <= 4 * record.count()


def test_a_kept_pool_of_connections_sends_no_more_than_it_has_at_once():
    users = Users(steadily(5 * MIDDLE.capacity, 5), new_connection=False, connections=10)
    ran = run(MIDDLE, RIVALS["no limit"], users, 7)
    assert ran.record.latencies(0, 7, 1.0) < 2.0
    assert ran.record.count() == sum(ran.record.ends().values())


class Turns:
    """A front that starts everything and looks at how long things wait."""

    wants_turns, sees_gone = True, False

    def __init__(self, worker, most):
        self.worker, self.most = worker, most
        self.turns, self.waits, self.running = [], [], 0

    def arrived(self, request):
        if self.running < self.most:
            self.running += 1
            self.waits.append(self.worker.clock - request.arrived)
            self.worker.start(request)
        else:
            self.worker.refuse(request)

    def ended(self, request, took_s):
        self.running -= 1

    def turned(self, took_s):
        self.turns.append(took_s)


def test_a_request_waits_for_more_than_a_turn_before_it_is_even_read():
    """So that a server that looks at its own queue sees little of the wait, and a turn tells of all of it."""
    world, record = World(1), Record()
    fronts_made = []

    def make(worker):
        fronts_made.append(Turns(worker, 24))
        return fronts_made[0]

    service = Service((Slice(0.0021, 0.01), Slice(0.0021)), 175e-6, accept_s=0.0)
    worker = Worker(world, service, make)
    Clients(world, Users(steadily(2 * service.capacity, 20), new_connection=False), worker.receive, record)
    world.run(20)
    assert 1.2 < fmean(fronts_made[0].waits) / fmean(fronts_made[0].turns) < 2.4


def test_an_unlimited_worker_answers_at_its_capacity_and_too_late():
    record = steady(HEAVY, RIVALS["no limit"], 1.5, 20).record
    assert record.goodput(10, 20) == 0
    assert record.ends()[End.LATE] > 10 * HEAVY.capacity


def test_a_loop_that_accepts_one_connection_a_turn_takes_as_many_turns():
    service = MIDDLE._replace(accept_at_once=1)
    record = steady(service, RIVALS["fixed 100"], 3, 10).record
    every = steady(MIDDLE, RIVALS["fixed 100"], 3, 10).record
    assert record.refusals(0, 10) < every.refusals(0, 10)


def test_a_backlog_that_is_full_tells_nobody():
    service = MIDDLE._replace(accept_at_once=1, backlog=5)
    ends = steady(service, RIVALS["no limit"], 5, 3).record.ends()
    assert ends[End.DROPPED] > 0
    assert ends[End.REFUSED] == 0


def test_a_pool_gives_its_connections_in_turn():
    pool, used = Pool(1), []
    for number in range(3):
        pool.acquire(lambda request: used.append(request.number), Request(None, number, 0, 0, 1))
    assert used == [0]
    pool.release()
    pool.release()
    pool.release()
    assert used == [0, 1, 2]
    assert pool.free == 1


def test_a_budget_holds_when_everything_fails():
    """However many clients there are: at most a tenth more attempts, and one for each client to begin with."""
    for clients in (1, 100):
        budget = Budgeted(most=2)
        again = 0
        for number in range(1000 * clients):
            request = Request(None, number, 0, 0, 1)
            request.tenant = number % clients
            again += budget.again_after(request, End.REFUSED, 0.5) is not None
        assert again == clients


def test_quantiles_of_nothing_and_of_something():
    assert quantile([], 0.99) == 0.0
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([3.0, 1.0, 2.0], 1.0) == 3.0


def test_goodput_against_the_bound_by_hand():
    service = Service((Slice(0.01),), refuse_s=0.001, accept_s=0.0)
    assert service.capacity == pytest.approx(100)
    assert service.bound(1.0) == pytest.approx(1.0)
    assert service.bound(5.0) == pytest.approx((1 - 5 * 0.1) / (1 - 0.1))
    assert service.bound(10.0) == pytest.approx(0.0)


def test_a_few_cells_of_the_diagram_come_back_and_without_a_limit_they_do_not():
    assert [check for check in part() if not check.passed] == []
