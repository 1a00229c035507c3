"""How slowly a body may arrive, and what is worth making safe."""

from holdfast.decide.uploads.pace import WINDOW_S, Waited, too_slow, worth_saving

MIB = 1024 * 1024


def test_a_client_that_sends_nothing_is_waited_for_so_long():
    assert too_slow(Waited(29.9, 29.9, 10**9), idle_s=30, min_rate=0) is None
    assert too_slow(Waited(30.0, 30.0, 10**9), idle_s=30, min_rate=0) is not None


def test_a_client_that_trickles_is_waited_for_half_a_minute():
    trickle = Waited(0.5, WINDOW_S, int(99 * WINDOW_S))
    assert too_slow(trickle, idle_s=30, min_rate=100) is not None
    assert too_slow(trickle._replace(window_s=WINDOW_S - 1), idle_s=30, min_rate=100) is None
    assert too_slow(trickle._replace(window_bytes=int(100 * WINDOW_S)), idle_s=30, min_rate=100) is None
    assert too_slow(trickle._replace(window_bytes=0), idle_s=30, min_rate=0) is None


def test_much_is_made_safe_at_once_some_each_second_and_a_little_now_and_then():
    assert worth_saving(64 * MIB, 0.0, 5.0)
    assert not worth_saving(63 * MIB, 0.9, 5.0)
    assert worth_saving(MIB, 1.0, 5.0)
    assert not worth_saving(1000, 4.9, 5.0)
    assert worth_saving(1000, 5.0, 5.0)
    assert worth_saving(MIB, 0.2, 0.2)
    assert not worth_saving(0, 1000.0, 5.0)
