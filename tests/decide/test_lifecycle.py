from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decide.lifecycle import STANDING, TABLE, Event, State, after, of_signal

LIFE = [State.STARTING, State.SERVING, State.LEAVING, State.DRAINING, State.CLOSING, State.STOPPED]


@given(st.lists(st.sampled_from(list(Event))))
def test_whatever_happens_a_life_never_goes_back(events):
    state = State.STARTING
    for event in events:
        following = after(state, event)
        assert LIFE.index(following) >= LIFE.index(state)
        state = following


def test_every_state_can_be_left_for_the_end_by_signals_and_time_alone():
    for start in LIFE:
        state = start
        for event in (Event.TERM, Event.HURRY, Event.HURRY, Event.GRACE_OVER, Event.CLOSED):
            state = after(state, event)
        assert state is State.STOPPED


def test_only_a_serving_process_is_ready():
    assert [state for state in State if STANDING[state].ready] == [State.SERVING]


def test_a_leaving_process_still_accepts():
    assert [state for state in State if STANDING[state].accepts] == [State.SERVING, State.LEAVING]


def test_a_stopped_process_hears_nothing():
    assert all(after(State.STOPPED, event) is State.STOPPED for event in Event)


@pytest.mark.parametrize(
    ("state", "interrupt", "event"),
    [
        (State.SERVING, False, Event.TERM),
        (State.SERVING, True, Event.HURRY),
        (State.LEAVING, False, Event.HURRY),
        (State.DRAINING, False, Event.HURRY),
        (State.STARTING, False, Event.TERM),
    ],
)
def test_a_first_signal_asks_and_every_further_one_hurries(state, interrupt, event):
    assert of_signal(state, interrupt=interrupt) is event


def test_the_table_names_known_states_and_events_only():
    assert set(TABLE) <= set(product(State, Event))
