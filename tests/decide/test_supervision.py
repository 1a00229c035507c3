import pytest

from holdfast.decide.supervision import (
    PLANNED,
    AtEnd,
    Limits,
    Seen,
    Verdict,
    Why,
    at_end,
    due,
    is_stopped,
    limits,
    lowest_free,
    overslept,
    reason,
    restart_delay,
    verdict,
    was_short,
    why,
)

# -- whether a worker works --


def thought(silent_s, cpu_s, state, *, watched_s=None, worked_s=0.0, hang_s=30.0, busy_s=300.0):
    seen = Seen(silent_s, silent_s if watched_s is None else watched_s, cpu_s, worked_s, state)
    return verdict(seen, hang_s=hang_s, busy_s=busy_s)


@pytest.mark.parametrize(
    ("silent_s", "cpu_s", "state", "found"),
    [
        (0.5, 0.0, "S", Verdict.WELL),
        (29.9, 0.0, "S", Verdict.WELL),  # a missing beat is not yet a hang
        (31.0, 0.0, "S", Verdict.HUNG),  # a lock, or a call that waits for ever
        (31.0, 1.0, "S", Verdict.HUNG),  # a thread that looks now and then is no work
        (31.0, 30.9, "R", Verdict.BUSY),  # a calculation on the loop
        (31.0, 16.0, "S", Verdict.BUSY),  # caught between two steps of one
        (31.0, 0.1, "R", Verdict.BUSY),  # wants to run, but the machine has too much to do
        (31.0, 0.0, "D", Verdict.BUSY),  # the disk is slow
        (301.0, 300.0, "R", Verdict.BUSY_TOO_LONG),
        (301.0, 0.0, "T", Verdict.STOPPED),
        (301.0, 290.0, "t", Verdict.STOPPED),  # a debugger
        (301.0, 0.0, "Z", Verdict.WELL),  # has ended, and is told of as such
        (301.0, 0.0, "X", Verdict.WELL),
    ],
)
def test_what_is_thought_of_a_silent_worker(silent_s, cpu_s, state, found):
    assert thought(silent_s, cpu_s, state) is found


@pytest.mark.parametrize(("state", "cpu_s"), [("S", 0.0), ("R", 2.0)])
def test_a_worker_that_could_not_be_heard_for_long_enough_is_condemned_for_nothing(state, cpu_s):
    assert thought(3600, cpu_s, state, watched_s=2.0) is Verdict.WELL


def test_work_in_several_windows_adds_up_to_too_much():
    assert thought(299, 20.0, "R", watched_s=31.0, worked_s=250.0) is Verdict.BUSY
    assert thought(310, 20.0, "R", watched_s=31.0, worked_s=270.0) is Verdict.BUSY_TOO_LONG


def test_what_worked_before_and_does_not_any_more_hangs():
    assert thought(100, 0.1, "S", watched_s=31.0, worked_s=62.0) is Verdict.HUNG


def test_each_limit_can_be_lifted():
    assert thought(9999, 0.0, "S", hang_s=0) is Verdict.WELL
    assert thought(9999, 9999, "R", busy_s=0) is Verdict.BUSY


def test_only_who_is_stopped_is_told_to_be():
    assert {state for state in "RSDTtZXI" if is_stopped(state)} == {"T", "t"}


def test_who_looks_much_too_late_did_not_run():
    assert not overslept(1.5, 1.0)
    assert overslept(3.5, 1.0)


# -- when a worker is replaced --


def test_limits_are_lowered_at_random_and_never_raised():
    assert limits(memory_max_mb=500, lifetime_s=3600, jitter=0.1, chance=0.0) == Limits(500, 3600)
    assert limits(memory_max_mb=500, lifetime_s=3600, jitter=0.1, chance=1.0) == Limits(450, 3240)
    assert limits(memory_max_mb=0, lifetime_s=0, jitter=0.1, chance=0.5) == Limits(None, None)


@pytest.mark.parametrize(
    ("memory_mb", "age_s", "found"),
    [(499, 99, None), (501, 99, Why.MEMORY), (499, 101, Why.LIFETIME), (501, 101, Why.MEMORY)],
)
def test_a_worker_past_a_limit_is_to_be_replaced(memory_mb, age_s, found):
    assert due(Limits(500, 100), memory_mb=memory_mb, age_s=age_s) is found


def test_without_limits_nothing_is_ever_too_much():
    assert due(Limits(), memory_mb=1e9, age_s=1e9) is None


# -- what follows the end of a worker --


@pytest.mark.parametrize(
    ("told", "any_served", "spare", "action"),
    [
        (True, True, False, AtEnd.LET_GO),
        (True, False, False, AtEnd.LET_GO),
        (False, True, False, AtEnd.REPLACE),
        (False, True, True, AtEnd.KEEP_OLD),
        (False, False, False, AtEnd.GIVE_UP),
    ],
)
def test_what_follows_the_end_of_a_worker(told, any_served, spare, action):
    assert at_end(told=told, any_served=any_served, spare=spare) is action


def test_a_slot_that_became_free_is_taken_again():
    assert [lowest_free(taken) for taken in (set(), {0, 1}, {0, 2}, {1, 2})] == [0, 2, 1, 0]


def test_the_first_replacement_comes_at_once_and_then_ever_later_up_to_half_a_minute():
    delays = [restart_delay(lives) for lives in range(12)]
    assert delays[:5] == [0.0, 0.0, 0.5, 1.0, 2.0]
    assert delays[-1] == restart_delay(100_000) == 30.0
    assert delays == sorted(delays)


def test_a_worker_that_lived_for_less_than_ten_seconds_lived_a_short_life():
    assert was_short(9.9)
    assert not was_short(10.1)


# -- why it ended --


@pytest.mark.parametrize(
    ("code", "told", "out_of_memory", "because"),
    [
        (0, Why.MEMORY, None, Why.MEMORY),
        (-9, Why.HUNG, False, Why.HUNG),
        (-9, None, True, Why.OUT_OF_MEMORY),
        (-9, None, False, Why.SIGNAL),
        (-9, None, None, Why.SIGNAL),
        (-11, None, True, Why.SIGNAL),
        (3, None, None, Why.NO_START),
        (0, None, None, Why.EXIT),
        (7, None, None, Why.EXIT),
    ],
)
def test_why_a_worker_ended(code, told, out_of_memory, because):
    assert why(code, told, out_of_memory=out_of_memory) is because


@pytest.mark.parametrize(
    ("because", "code", "detail", "out_of_memory", "words"),
    [
        (Why.STOPPED, 0, "", None, "told to stop"),
        (Why.STOPPED, -15, "", None, "told to stop"),  # before it could hear of it
        (Why.STOPPED, 1, "", None, "told to stop, but ended with code 1"),
        (Why.ROLLING, 0, "", None, "replaced in a rolling restart"),
        (Why.MEMORY, 0, "612 MB, at most 500 MB", None, "replaced because of its memory: 612 MB, at most 500 MB"),
        (Why.MEMORY, -9, "", False, "replaced because of its memory, but killed by SIGKILL"),
        (Why.HUNG, -9, "nothing was heard", None, "killed because it hung: nothing was heard"),
        (Why.OUT_OF_MEMORY, -9, "", True, "killed by the system because memory ran out"),
        (Why.SIGNAL, -9, "", None, "killed by SIGKILL, perhaps by the system because memory ran out"),
        (Why.SIGNAL, -9, "", False, "killed by SIGKILL"),
        (Why.SIGNAL, -11, "", None, "killed by SIGSEGV"),
        (Why.SIGNAL, -99, "", None, "killed by signal 99"),
        (Why.NO_START, 3, "", None, "could not start"),
        (Why.EXIT, 7, "", None, "ended with code 7"),
    ],
)
def test_the_reason_in_words(because, code, detail, out_of_memory, words):
    assert reason(because, code, detail=detail, out_of_memory=out_of_memory) == words


def test_every_reason_has_words():
    assert [because for because in Why if not reason(because, 0 if because in PLANNED else -9)] == []
