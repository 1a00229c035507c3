import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decide.rates import Rate, judge, limit_field, partition, policy_field, rate, retry_after

rates = st.builds(Rate, st.integers(1, 1000), st.sampled_from([1, 60, 3600]), st.integers(1, 200))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("600/min", Rate(600, 60, 600)),
        ("600/min burst 100", Rate(600, 60, 100)),
        (" 10 / 5 min ", Rate(10, 300, 10)),
        ("5/s burst 20", Rate(5, 1, 20)),
        ("1000/Day", Rate(1000, 86400, 1000)),
    ],
)
def test_a_rate_is_read_as_people_write_it(text, found):
    assert rate(text) == found


@pytest.mark.parametrize("text", ["", "10", "0/min", "10/week", "-1/s", "10/min burst 0", "10/min burst", "1.5/s"])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(ValueError, match="is not a rate"):
        rate(text)


def test_a_burst_is_let_in_at_once_and_then_one_after_the_other():
    allowed = rate("60/min burst 3")
    arrival, found = 0.0, []
    for now in (100.0, 100.0, 100.0, 100.0, 100.5, 101.0, 101.0):
        verdict = judge(allowed, arrival, now)
        found.append((verdict.allowed, verdict.left))
        arrival = verdict.arrival
    assert found == [(True, 2), (True, 1), (True, 0), (False, 0), (False, 0), (True, 0), (False, 0)]


@given(rates, st.lists(st.floats(0, 5), max_size=60))
def test_in_any_time_no_more_are_let_in_than_a_burst_and_the_rate(allowed, gaps):
    now, arrival, let_in = 1000.0, 0.0, []
    for gap in gaps:
        now += gap * allowed.each_s
        verdict = judge(allowed, arrival, now)
        arrival = verdict.arrival
        if verdict.allowed:
            let_in.append(now)
    for first in range(len(let_in)):
        for last in range(first, len(let_in)):
            time = let_in[last] - let_in[first]
            assert last - first + 1 <= allowed.burst + time / allowed.each_s + 1e-3


@given(rates, st.lists(st.floats(0, 3), min_size=1, max_size=40))
def test_who_waits_as_long_as_was_said_is_let_in_and_not_much_before(allowed, gaps):
    now, arrival = 1000.0, 0.0
    for gap in gaps:
        now += gap * allowed.each_s
        verdict = judge(allowed, arrival, now)
        arrival = verdict.arrival
        later = judge(allowed, arrival, now + verdict.wait_s + 1e-9)
        assert later.allowed
        if verdict.wait_s > 1e-4:
            assert not judge(allowed, arrival, now + verdict.wait_s - 1e-4).allowed


@given(rates, st.lists(st.floats(0, 3), min_size=1, max_size=40))
def test_as_many_can_come_at_once_as_are_said_to_be_left(allowed, gaps):
    now, arrival = 1000.0, 0.0
    for gap in gaps:
        now += gap * allowed.each_s
        verdict = judge(allowed, arrival, now)
        arrival = verdict.arrival
    more, at = 0, arrival
    while (next_one := judge(allowed, at, now)).allowed:
        at = next_one.arrival
        more += 1
    on_the_edge = min(verdict.next_s % allowed.each_s, -verdict.next_s % allowed.each_s) < 1e-5
    assert more == verdict.left or (on_the_edge and abs(more - verdict.left) == 1)


@given(st.floats(0, 1e5), st.floats(0, 1))
def test_retry_after_is_never_too_soon_and_spread_upwards(wait, chance):
    seconds = retry_after(wait, chance)
    assert isinstance(seconds, int)
    assert max(1, wait) <= seconds <= math.ceil(2 * max(1, wait))
    assert retry_after(10, 0) == 10
    assert retry_after(10, 1) == 20


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_an_ipv6_client_is_its_network(address, client):
    assert partition(address) == client


def test_the_fields_are_those_of_the_draft():
    allowed = rate("100/min")
    assert policy_field("default", allowed) == '"default";q=100;w=60'
    assert policy_field('POST /"log\\in"', rate("5/s burst 20")) == '"POST /\\"log\\\\in\\"";q=5;w=1;holdfast-burst=20'
    verdict = judge(allowed, 0.0, 50.0)
    assert limit_field("default", verdict) == '"default";r=99;t=1'
    assert limit_field("bé", verdict) == '"b?";r=99;t=1'
