"""How slowly a body may come."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.decide.slowness import WINDOW_S, Arrival


def test_nobody_is_too_slow_before_it_was_waited_for_long_enough():
    arrival = Arrival()
    assert not arrival.waited(WINDOW_S - 0.1, min_rate=1024)


def test_who_brings_nothing_is_too_slow_then():
    arrival = Arrival()
    assert arrival.waited(WINDOW_S, min_rate=1024)


def test_what_came_long_ago_does_not_count():
    arrival = Arrival()
    arrival.came(1_000_000)
    assert not arrival.waited(WINDOW_S, min_rate=1024)
    assert arrival.waited(WINDOW_S, min_rate=1024)


@given(st.lists(st.floats(0.1, 3.0), max_size=60))
def test_who_brings_what_is_asked_for_is_never_too_slow(waits):
    arrival = Arrival()
    for wait_s in waits:
        arrival.came(int(1024 * wait_s) + 1)
        assert not arrival.waited(wait_s, min_rate=1024)


@given(st.lists(st.floats(0.1, 3.0), min_size=1))
def test_who_brings_half_is_too_slow_within_two_windows(waits):
    arrival = Arrival()
    told = False
    for wait_s in waits:
        arrival.came(int(512 * wait_s))
        told = arrival.waited(wait_s, min_rate=1024) or told
    assert told or sum(waits) < 2 * WINDOW_S
