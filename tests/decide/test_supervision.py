import pytest

from holdfast.decide.supervision import AtEnd, at_end, reason, restart_delay


@pytest.mark.parametrize(
    ("told", "served", "any_served", "code", "action"),
    [
        (True, True, True, 0, AtEnd.LET_GO),
        (True, False, True, -9, AtEnd.LET_GO),
        (False, True, True, -11, AtEnd.REPLACE),
        (False, True, True, 0, AtEnd.REPLACE),
        (False, False, False, 3, AtEnd.GIVE_UP),
        (False, False, True, 3, AtEnd.REPLACE),
        (False, False, False, -9, AtEnd.REPLACE),
    ],
)
def test_what_follows_the_end_of_a_worker(told, served, any_served, code, action):
    assert at_end(told=told, served=served, any_served=any_served, code=code) is action


def test_the_first_replacement_comes_at_once_and_then_ever_later_up_to_half_a_minute():
    delays = [restart_delay(lives) for lives in range(12)]
    assert delays[:5] == [0.0, 0.0, 0.5, 1.0, 2.0]
    assert delays[-1] == 30.0
    assert delays == sorted(delays)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended"),
        (3, "did not start"),
        (7, "ended with code 7"),
        (-11, "killed by SIGSEGV"),
        (-9, "killed by SIGKILL, perhaps by the system because memory ran out"),
        (-99, "killed by signal 99"),
    ],
)
def test_an_exit_code_in_words(code, words):
    assert reason(code) == words
