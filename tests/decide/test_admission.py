"""Who is served, who waits, who is refused."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.decide.admission import Admission, AdmissionSettings, Priority, Ticket, Why

NORMAL = Priority.NORMAL


def ticket(name, now=0.0, priority=NORMAL, **of):
    return Ticket(name, priority, now, **of)


def full(limit=2, **of):
    admission = Admission(AdmissionSettings(**of))
    for _ in range(limit):
        assert admission.admit(limit)
    return admission


def taken(admission, limit, now):
    found, refused = admission.take(limit, now)
    return found and found.subject, [each.ticket.subject for each in refused]


# -- examples --


def test_whoever_comes_is_served_while_slots_are_free():
    admission = Admission()
    assert [admission.admit(2) for _ in range(3)] == [True, True, False]
    admission.release()
    assert admission.admit(2)


def test_whoever_waits_goes_before_whoever_comes():
    admission = full()
    assert admission.enqueue(ticket("first"), 2, 0.0, 1.0) is None
    admission.release()
    assert not admission.admit(2)
    assert taken(admission, 2, 0.001) == ("first", [])


def test_the_more_important_is_served_first_and_in_a_burst_the_oldest():
    admission = full()
    for name, priority in (("a", Priority.LOW), ("b", NORMAL), ("c", NORMAL), ("d", Priority.CRITICAL)):
        admission.enqueue(ticket(name, priority=priority), 2, 0.0, 1.0)
    order = []
    for _ in range(4):
        admission.release()
        order.append(taken(admission, 2, 0.001)[0])
    assert order == ["d", "b", "c", "a"]


def press(admission, until=0.5):
    """Let a queue stand: someone comes every 5 ms, and nobody is served."""
    now = 0.0
    while now < until:
        admission.enqueue(ticket(f"at {now:.3f}", now), 2, now, 1.0)
        admission.overdue(now)
        now += 0.005
    return now


def test_in_a_queue_that_stays_the_newest_is_served_and_the_others_are_told_soon():
    admission = full()
    now = press(admission)
    admission.enqueue(ticket("newest", now), 2, now, 1.0)
    admission.release()
    assert taken(admission, 2, now)[0] == "newest"
    admission.enqueue(ticket("late", now), 2, now, 1.0)
    late = admission.overdue(now + AdmissionSettings().pressed_wait_s + 0.001)
    assert {each.why for each in late} == {Why.WAITED}
    assert "late" in {each.ticket.subject for each in late}


def test_a_queue_that_stays_is_short():
    admission = full()
    press(admission)
    assert admission.waiting <= AdmissionSettings().queue_least


def test_a_burst_may_wait_for_longer_than_a_queue_that_stays():
    admission = full()
    admission.enqueue(ticket("burst"), 2, 0.0, 1.0)
    wait_s = AdmissionSettings().wait_s
    assert admission.overdue(wait_s - 0.01) == []
    assert [each.ticket.subject for each in admission.overdue(wait_s + 0.001)] == ["burst"]


def test_where_there_is_no_room_the_least_important_goes_even_if_it_came_before():
    admission = full(queue_most=2)
    admission.enqueue(ticket("low", priority=Priority.LOW), 2, 0.0, 1.0)
    admission.enqueue(ticket("normal"), 2, 0.0, 1.0)
    refused = admission.enqueue(ticket("critical", priority=Priority.CRITICAL), 2, 0.001, 1.0)
    assert refused is not None
    assert (refused.ticket.subject, refused.why) == ("low", Why.FULL)


def test_the_client_that_had_the_least_comes_first():
    admission = full(1)
    now = 0.0
    for _ in range(5):
        admission.enqueue(ticket("loud", now, tenant="loud"), 1, now, 1.0)
        admission.release()
        assert taken(admission, 1, now)[0] == "loud"
        now += 0.001
    admission.enqueue(ticket("loud", now, tenant="loud"), 1, now, 1.0)
    admission.enqueue(ticket("quiet", now, tenant="quiet"), 1, now, 1.0)
    admission.release()
    assert taken(admission, 1, now)[0] == "quiet"


def test_what_a_client_had_long_ago_does_not_count():
    admission = full(1)
    admission.enqueue(ticket("old", tenant="old"), 1, 0.0, 1.0)
    admission.release()
    taken(admission, 1, 0.0)
    for now in (10_000.0, 10_000.001):
        admission.enqueue(ticket("new", now, tenant="new"), 1, now, 1.0)
        admission.release()
        taken(admission, 1, now)
    accounts = admission._accounts
    assert accounts["old"].used < 1e-9 * accounts["new"].used


def test_whose_deadline_passed_is_not_served():
    admission = full()
    refused = admission.enqueue(ticket("gone", deadline=0.5), 2, 1.0, 1.0)
    assert refused is not None
    assert refused.why is Why.LATE
    admission.enqueue(ticket("soon", 1.0, deadline=1.01), 2, 1.0, 1.0)
    assert admission.next_due() == 1.01
    admission.release()
    found, late = admission.take(2, 1.02)
    assert found is None
    assert [(each.ticket.subject, each.why) for each in late] == [("soon", Why.LATE)]


def test_whoever_waited_for_long_is_served_where_a_slot_is_free():
    admission = full()
    admission.enqueue(ticket("waits", 0.0), 2, 0.0, 1.0)
    admission.release()
    taken, refused = admission.take(2, 5.0)
    assert (taken.subject, refused) == ("waits", [])


def test_whoever_left_is_taken_out():
    admission = full()
    gone = ticket("gone")
    admission.enqueue(gone, 2, 0.0, 1.0)
    assert admission.withdraw(gone)
    assert not admission.withdraw(gone)
    assert admission.waiting == 0
    assert admission.next_due() is None


def overflow(admission, seconds, now=0.0, priority=NORMAL, chance=0.5):
    """Twenty times as many come as are served."""
    whys = []
    for step in range(int(seconds / 0.001)):
        now += 0.001
        refused = admission.enqueue(ticket("x", now, priority), 2, now, chance)
        whys += [refused.why] if refused else []
        if step % 20 == 0:
            admission.release()
            while admission.take(2, now)[0]:
                pass
    return now, whys


def test_a_queue_that_overflows_for_long_refuses_at_the_door():
    admission = full()
    _, whys = overflow(admission, 3.0, chance=0.1)
    assert whys[-1000:].count(Why.SHED) > 700  # the rest of them waited first


def test_nothing_is_refused_at_the_door_two_seconds_after_a_slot_was_free():
    admission = full()
    now, _ = overflow(admission, 3.0)
    assert admission.ratio > 0.0
    while admission.waiting:
        admission.release()
        admission.take(2, now)
    admission.in_flight = 0
    end = now + 2.0
    while now < end:  # some come, and each finds a slot free but one in ten
        now += 0.01
        admission.in_flight = 0
        admission.take(2, now)
        admission.in_flight = 2
        admission.enqueue(ticket("x", now), 2, now, 1.0)
        admission.release()
        admission.take(2, now)
    assert admission.ratio == 0.0


def test_an_hour_without_a_queue_forgets_the_last_overload():
    admission = full()
    now, _ = overflow(admission, 3.0)
    assert admission.ratio > 0.0
    admission.enqueue(ticket("x", now + 3600), 2, now + 3600, 1.0)
    assert admission.ratio == 0.0


def test_turning_away_and_enqueueing_decide_alike():
    asked, whole = full(), full()
    for admission in (asked, whole):
        overflow(admission, 3.0, chance=1.0)
    for step in range(200):
        now, chance = 3.001 + step / 1000, (step % 10) / 10
        turned = asked.turn_away(NORMAL, now, chance)
        if not turned:
            asked.enqueue(ticket("x", now), 2, now, 1.0)
        refused = whole.enqueue(ticket("x", now), 2, now, chance)
        assert turned == (refused is not None and refused.why is Why.SHED)
        assert asked.ratio == whole.ratio


def crowded(tenants, until=3.0):
    """An overload by clients whose turn it is again and again; one request is served every 20 ms. When it is now."""
    admission = full()
    now, step = 0.0, 0
    while now < until:
        tenant = tenants[step % len(tenants)]
        admission.enqueue(ticket("x", now, tenant=tenant), 2, now, 1.0)
        admission.overdue(now)
        if step % 20 == 0:
            admission.release()
            admission.take(2, now)
            admission.in_flight = 2
        now, step = now + 0.001, step + 1
    assert admission.ratio > 0.5
    return admission, now


def test_a_loud_client_is_turned_away_at_the_door_and_the_others_are_not():
    admission, now = crowded(["loud"] * 199 + ["quiet"])
    assert admission.turn_away(NORMAL, now, 0.0, "loud")
    assert not admission.turn_away(NORMAL, now, 0.0, "quiet")
    assert not admission.turn_away(NORMAL, now, 0.0, "new")
    assert not admission.turn_away(NORMAL, now, 0.0)  # it is not known who it is, so it is looked at more closely


def test_where_nobody_is_louder_than_the_others_all_are_turned_away_alike():
    admission, now = crowded(["a", "b", "c", "d", "e"])
    assert [admission.turn_away(NORMAL, now, 0.0, each) for each in ("a", "e", "new", None)] == [True] * 4


def test_one_client_alone_is_turned_away():
    admission, now = crowded(["proxy"])
    assert admission.turn_away(NORMAL, now, 0.0, "proxy")


def test_whoever_comes_while_one_client_fills_the_queue_is_not_turned_away_for_it():
    admission, now = crowded(["loud"])
    assert not admission.turn_away(NORMAL, now, 0.0, "first seen now")
    assert admission.enqueue(ticket("x", now, tenant="first seen now"), 2, now, 0.0) is None


# -- whatever happens --

steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("come"),
            st.sampled_from(Priority),
            st.floats(0, 1, exclude_max=True),
            st.sampled_from(["a", "b", None]),
            st.one_of(st.none(), st.floats(0, 0.2)),
        ),
        st.tuples(st.just("end")),
        st.tuples(st.just("leave")),
        st.tuples(st.just("limit"), st.floats(1, 12)),
        st.tuples(st.just("wait"), st.floats(0, 0.08)),
    ),
    max_size=300,
)


class Service:
    """Drives an admission as the running service does, and looks at each step."""

    def __init__(self):
        self.admission = Admission()
        self.now, self.limit = 0.0, 4.0
        self.offered = self.served = self.ended = self.left = 0
        self.waiting, self.refused = [], []
        self.taken_lowest = None

    def come(self, priority, chance, tenant, patience):
        self.offered += 1
        if self.admission.admit(self.limit):
            self.began()
            return
        came = Ticket(
            self.offered, priority, self.now, tenant=tenant, deadline=None if patience is None else self.now + patience
        )
        lower = [each for each in self.waiting if each.priority > priority]
        refused = self.admission.enqueue(came, self.limit, self.now, chance)
        self.waiting.append(came)
        if refused is not None:
            if refused.why in {Why.FULL, Why.SHED}:
                below = [each for each in self.waiting if each.priority > refused.ticket.priority]
                assert below == [], "a more important one was refused for want of room while a lesser one waits"
            if refused.why is Why.SHED:
                assert lower == []
            self.refuse(refused)
        self.fill()

    def began(self):
        self.served += 1
        assert self.admission.in_flight <= self.limit + 1

    def refuse(self, refused):
        self.waiting.remove(refused.ticket)
        self.refused.append(refused)

    def fill(self):
        while True:
            found, late = self.admission.take(self.limit, self.now)
            for each in late:
                self.refuse(each)
            if found is None:
                return
            assert all(each.priority >= found.priority for each in self.waiting)
            self.waiting.remove(found)
            self.began()

    def end(self):
        if self.admission.in_flight:
            self.ended += 1
            self.admission.release()
            self.fill()

    def leave(self):
        if self.waiting:
            assert self.admission.withdraw(self.waiting.pop())
            self.left += 1

    def wait(self, seconds):
        self.now += seconds
        for each in self.admission.overdue(self.now):
            self.refuse(each)

    def check(self):
        admission = self.admission
        assert admission.waiting == len(self.waiting)
        assert admission.in_flight == self.served - self.ended >= 0
        assert self.offered == self.served + len(self.refused) + len(self.waiting) + self.left
        due = admission.next_due()
        assert (due is None) == (not self.waiting)
        longest = admission.settings.wait_s
        assert due is None or due <= min(each.arrived for each in self.waiting) + longest + 1e-9


@given(steps)
@settings(max_examples=150, deadline=None)
def test_nobody_is_lost_nor_served_twice_and_nobody_lesser_is_preferred(happens):
    service = Service()
    for name, *arguments in happens:
        if name == "limit":
            service.limit = arguments[0]
        else:
            getattr(service, name)(*arguments)
        service.check()
    served = service.served
    for _ in range(service.admission.in_flight):
        service.end()
    service.wait(1.0)
    service.check()
    assert service.waiting == []
    assert service.served >= served


@given(steps)
@settings(max_examples=50, deadline=None)
def test_a_class_is_not_refused_at_the_door_after_a_lesser_one_was_taken_in_the_same_window(happens):
    service = Service()
    service.admission.ratio = 0.98
    taken_at = []
    original = service.admission.take

    def take(limit, now):
        found, late = original(limit, now)
        if found is not None:
            taken_at.append((now, found.priority))
        return found, late

    service.admission.take = take
    for name, *arguments in happens:
        before, begun = len(service.refused), service.admission._since
        if name == "limit":
            service.limit = arguments[0]
        else:
            getattr(service, name)(*arguments)
        if service.admission._since != begun:
            taken_at.clear()
        for refused in service.refused[before:]:
            if refused.why is Why.SHED:
                assert all(priority <= refused.ticket.priority for _, priority in taken_at)


@pytest.mark.parametrize("count", [10, 3000])
def test_as_many_clients_as_there_are_cost_no_more_than_so_much(count):
    admission = Admission()
    now = 0.0
    for number in range(count):
        now += 0.001
        admission.enqueue(ticket(number, now, tenant=number), 1, now, 1.0)
        admission.take(1, now)
        admission.release()
    assert len(admission._accounts) <= 1024
    uses = [account.used for account in admission._accounts.values()]
    assert all(first <= second for first, second in pairwise(uses))
