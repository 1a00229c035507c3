import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decide.watchdog import Frame, How, Look, Moment, Silence, Telling, held, to_blame

EVERY = 0.025


def silence(until: float, looks: list[tuple[float, int]], *, share=1.0, wanted=None, overslept=0.0) -> Silence:
    """A loop that turned last at 0 and again at `until`. Its thread had a processor for `share` of the time."""
    wanted = share if wanted is None else wanted

    def moment(at: float) -> Moment:
        return Moment(at, at * share, at * wanted)

    return Silence(moment(0.0), moment(until), EVERY, overslept, [Look(moment(at), step) for at, step in looks])


def test_one_step_that_was_seen_at_each_look_held_the_loop():
    found = held(silence(0.3, [(0.035 + 0.01 * number, 7) for number in range(26)]), 0.05)
    assert found.seconds == pytest.approx(0.3 - EVERY / 2)
    assert (found.how, found.looks) == (How.CALCULATES, range(26))
    assert found.cpu == pytest.approx(0.3)


def test_a_step_that_is_seen_once_because_nothing_else_could_run_held_the_loop_all_the_time():
    found = held(silence(0.3, [(0.29, 7)], overslept=0.25), 0.05)
    assert found.seconds == pytest.approx(0.3 - EVERY / 2)
    assert found.how is How.CALCULATES


def test_a_step_that_waits_is_told_from_one_that_calculates():
    looks = [(0.04, 7), (0.1, 7), (0.2, 7)]
    assert held(silence(0.3, looks, share=0.01), 0.05).how is How.WAITS
    # one that would calculate if it were let: it has to wait for a processor most of the time
    assert held(silence(0.3, looks, share=0.3, wanted=0.95), 0.05).how is How.CALCULATES


def test_many_short_steps_in_one_turn_are_load_and_nobody_is_to_blame():
    assert held(silence(0.2, [(0.03 + 0.01 * number, number + 1) for number in range(17)]), 0.05) is None


def test_of_several_steps_the_longest_is_blamed_with_its_own_time():
    looks = [(0.035, 1), (0.045, 2), (0.055, 3), *((0.065 + 0.01 * number, 4) for number in range(10)), (0.165, 5)]
    found = held(silence(0.17, looks), 0.05)
    assert found.looks == range(3, 13)
    assert found.seconds == found.cpu == pytest.approx(0.1)


def test_a_process_that_was_stopped_is_not_blamed():
    assert held(silence(1.0, [(0.99, 7)], share=0.001, overslept=0.95), 0.05) is None


def test_a_step_that_the_machine_did_not_let_run_is_not_blamed():
    assert held(silence(0.2, [(0.04, 7), (0.1, 7)], share=0.05, wanted=0.95, overslept=0.06), 0.05) is None


def test_a_loop_that_waits_for_something_to_do_is_held_by_nobody():
    assert held(silence(0.2, [(0.04, 0), (0.1, 0), (0.19, 0)], share=0.0), 0.05) is None
    assert held(silence(0.2, [], share=0.0), 0.05) is None


@given(
    st.lists(st.tuples(st.floats(0.001, 0.05), st.integers(0, 3)), min_size=1, max_size=40),
    st.floats(0.0, 1.0),
    st.floats(0.01, 0.5),
)
def test_nobody_holds_the_loop_for_longer_than_it_was_silent(steps, share, at_least):
    now, looks = 0.0, []
    for pause, step in steps:
        now += pause
        looks.append((now, step))
    found = held(silence(now + 0.01, looks, share=share), at_least)
    if found is not None:
        assert at_least <= found.seconds <= now + 0.01
        assert {looks[index][1] for index in found.looks} == {looks[found.looks[0]][1]}
        assert looks[found.looks[0]][1] != 0


LIBRARIES = {"/lib/python3.11", "/srv/.venv/lib/python3.11/site-packages"}


def test_the_innermost_line_of_the_application_is_to_blame():
    stack = [
        Frame("/lib/python3.11/json/decoder.py", 353, "raw_decode"),
        Frame("<frozen codecs>", 1, "decode"),
        Frame("/srv/shop/prices.py", 12, "load"),
        Frame("/srv/shop/main.py", 40, "prices"),
        Frame("/srv/.venv/lib/python3.11/site-packages/starlette/routing.py", 65, "app"),
    ]
    assert to_blame(stack, LIBRARIES) == stack[2]
    assert to_blame(stack[:2], LIBRARIES) == stack[0]
    assert to_blame([], LIBRARIES) is None
    assert to_blame([Frame("/lib/python3.11x/a.py", 1, "a")], LIBRARIES).line == 1


def test_a_place_is_told_once_in_a_while_and_what_was_kept_back_is_counted():
    telling = Telling(a_second=5, again_s=10)
    assert telling.take("a", 0.0) == 0
    assert [telling.take("a", now) for now in (0.1, 5.0, 9.9)] == [None] * 3
    assert telling.take("a", 10.0) == 3
    assert telling.take("b", 10.0) == 0


def test_no_more_are_told_in_a_second_than_may_and_the_rest_later():
    telling = Telling(a_second=2, again_s=10)
    assert [telling.take(str(number), 100.0) for number in range(4)] == [0, 0, None, None]
    assert telling.take("3", 101.0) == 1


def test_of_many_places_the_oldest_are_forgotten():
    telling = Telling(a_second=10_000, again_s=10)
    for number in range(5000):
        telling.take(str(number), 0.0)
    assert len(telling._places) == 1000
