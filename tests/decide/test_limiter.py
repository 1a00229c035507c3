"""How many at once: what moves the limit, and what must not."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.decide.limiter import Limiter, LimiterSettings

WINDOW_S = LimiterSettings().window_s


class Loop:
    """A limiter and the time that passes around it."""

    def __init__(self, **of):
        self.limiter = Limiter(LimiterSettings(**of))
        self.now = self.cpu_s = 0.0
        self.limiter.adjust(0.0, 0.0)

    def window(self, *, took_s=0.05, turn_s=0.0, ended=20, bound=True, busy=0.2, in_flight=None, lost=0):
        """One window: so many end after so long, in an order that is always the same."""
        limiter = self.limiter
        in_flight = int(limiter.limit) if in_flight is None else in_flight
        for _ in range(6):
            limiter.turned(turn_s)
        if bound:
            limiter.was_bound()
        for _ in range(ended):
            limiter.began(in_flight)
            limiter.ended("route", took_s() if callable(took_s) else took_s)
        for _ in range(lost):
            limiter.began(in_flight)
            limiter.lost("route", took_s)
        limiter.began(in_flight)
        self.now += 1.001 * WINDOW_S
        self.cpu_s += busy * WINDOW_S
        assert limiter.due(self.now)
        limiter.adjust(self.now, self.cpu_s)
        return limiter.limit

    def calm(self, took_s=0.05, windows=40):
        """Learn what a request takes."""
        for _ in range(windows):
            self.window(took_s=took_s, bound=False, in_flight=3, ended=5)


def test_the_limit_grows_while_it_binds_and_turns_are_short():
    loop = Loop()
    before = loop.limiter.limit
    for _ in range(40):
        loop.window(turn_s=0.0001, ended=30, in_flight=20)
    assert loop.limiter.limit > before


def test_a_limit_that_holds_nobody_back_does_not_grow():
    loop = Loop()
    loop.calm(windows=200)
    assert loop.limiter.limit <= LimiterSettings().start


def test_long_turns_bring_the_limit_down_to_the_least_and_not_below():
    loop = Loop(least=3.0)
    limits = [loop.window(turn_s=0.03, busy=1.0) for _ in range(200)]
    assert limits[-1] == 3.0
    assert limits == sorted(limits, reverse=True)


def test_long_turns_in_which_the_loop_calculated_little_are_no_reason():
    """Threads that hold the interpreter's lock, or another process on the same processor."""
    loop = Loop()
    before = loop.limiter.limit
    for _ in range(60):
        loop.window(turn_s=0.006, busy=0.1, ended=30, in_flight=20)
    assert loop.limiter.limit >= before


def test_one_long_turn_among_short_ones_is_no_reason():
    loop = Loop()
    for _ in range(10):
        loop.window(turn_s=0.0001, busy=1.0)
    before = loop.limiter.limit
    loop.limiter.turned(0.5)
    for _ in range(40):
        loop.limiter.turned(0.0001)
    loop.window(turn_s=0.0001, busy=1.0)
    assert loop.limiter.limit >= before


def pooled(loop, pool=20, held_s=0.05):
    """A window in front of a pool: whoever finds no connection waits for one."""
    in_flight = int(loop.limiter.limit)
    took_s = held_s * max(1.0, in_flight / pool)
    loop.window(took_s=took_s, ended=int(WINDOW_S * min(in_flight, pool) / held_s), in_flight=in_flight)


def test_a_queue_in_front_of_a_pool_brings_the_limit_near_twice_the_pool():
    loop = Loop(start=200.0)
    loop.calm()
    limits = []
    for _ in range(400):
        pooled(loop)
        limits.append(loop.limiter.limit)
    assert max(limits[100:]) < 70
    assert min(limits[100:]) >= 20


def test_a_queue_of_a_few_milliseconds_is_none():
    loop = Loop()
    loop.calm(took_s=0.001)
    before = loop.limiter.limit
    limits = [loop.window(took_s=0.0055, ended=30, in_flight=20) for _ in range(100)]
    assert min(limits) >= before


def test_a_queue_of_many_milliseconds_is_one_also_where_requests_are_short():
    loop = Loop()
    loop.calm(took_s=0.001)
    before = loop.limiter.limit
    limits = [loop.window(took_s=0.02, ended=30) for _ in range(10)]
    assert min(limits) <= 0.6 * before


def test_requests_that_take_longer_for_good_are_learned():
    loop = Loop()
    loop.calm(took_s=0.05)
    for _ in range(600):
        loop.window(took_s=0.5, ended=2, in_flight=int(loop.limiter.limit))
    assert loop.limiter.limit > 20


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_requests_that_differ_by_much_are_no_queue(sigma):
    chance = random.Random(1)
    loop = Loop()
    loop.calm(took_s=lambda: 0.05 * chance.lognormvariate(0, sigma), windows=100)
    limits = [
        loop.window(took_s=lambda: 0.05 * chance.lognormvariate(0, sigma), ended=20, in_flight=19) for _ in range(400)
    ]
    assert min(limits) >= 19


def test_much_that_is_given_up_brings_the_limit_down():
    loop = Loop()
    loop.calm()
    before = loop.limiter.limit
    for _ in range(10):
        loop.window(took_s=1.0, ended=0, lost=20)
    assert loop.limiter.limit < before / 2


def test_those_who_leave_early_are_no_reason():
    """Such as a browser that asks anew for each key."""
    loop = Loop()
    loop.calm()
    before = loop.limiter.limit
    for _ in range(40):
        loop.window(took_s=0.01, ended=0, lost=20, bound=False, in_flight=3)
    assert loop.limiter.limit >= before


def test_an_idle_loop_opens_the_limit_for_a_crowd_and_a_busy_one_does_not():
    idle, busy = Limiter(), Limiter()
    now = 0.0
    for _ in range(10):
        now += 0.005
        idle.open(now, 0.0002 * now)
        busy.open(now, 0.9 * now)
    assert idle.limit == LimiterSettings().most
    assert busy.limit == LimiterSettings().start


def test_what_is_known_to_be_short_is_opened_for_a_little():
    loop = Loop()
    loop.calm()
    for _ in range(12):
        loop.now += 0.005
        loop.limiter.open(loop.now, loop.cpu_s)
    assert LimiterSettings().start < loop.limiter.limit <= 10 * LimiterSettings().start


def test_those_who_wait_on_purpose_do_not_keep_others_out_for_long():
    loop = Loop()
    loop.calm()
    for _ in range(100):
        loop.now += 0.005
        loop.limiter.open(loop.now, loop.cpu_s)
    assert loop.limiter.limit > 10 * LimiterSettings().start


def test_the_time_that_a_process_took_to_start_is_not_what_a_request_costs():
    limiter = Limiter(None, 100.0)
    for cpu_s in (7.0, 7.01):
        limiter.began(1)
        limiter.ended("route", 0.01)
        limiter.adjust(100.0 + cpu_s, cpu_s)
    assert limiter.cost_s == pytest.approx(0.01)


def test_kinds_are_known_up_to_a_number():
    limiter = Limiter()
    for number in range(5000):
        limiter.began(1)
        limiter.ended(number, 0.01)
        limiter.lost(number, 0.01)
    assert len(limiter._kinds) <= 512


windows = st.fixed_dictionaries(
    {
        "took_s": st.floats(0, 30),
        "turn_s": st.floats(0, 5),
        "ended": st.integers(0, 40),
        "bound": st.booleans(),
        "busy": st.floats(0, 1),
        "lost": st.integers(0, 20),
        "in_flight": st.integers(1, 1500),
    }
)


@given(st.lists(windows, max_size=60))
@settings(max_examples=60, deadline=None)
def test_the_limit_stays_between_the_least_and_the_most(seen):
    loop = Loop()
    for each in seen:
        limit = loop.window(**each)
        assert LimiterSettings().least <= limit <= LimiterSettings().most
        loop.limiter.open(loop.now + 0.01, loop.cpu_s)
        assert loop.limiter.limit <= LimiterSettings().most


@given(st.lists(windows, max_size=30))
@settings(max_examples=20, deadline=None)
def test_the_same_happenings_lead_to_the_same_limit(seen):
    first, second = Loop(), Loop()
    assert [first.window(**each) for each in seen] == [second.window(**each) for each in seen]
