"""What is planned, and what follows from a result."""

import itertools
import json
import sys
from pathlib import Path

import pytest

from holdfast.decide.goodput import Capacity, bound, more_clients, step
from holdfast.decide.latencies import Look, Outcome, Request, Result, Stall, percentiles, quantile, tally, windows
from holdfast.prove.load import Phase
from holdfast.prove.load.arrivals import Choice, arrivals

sys.path.append(str(Path(__file__).parent.parent.parent / "bench" / "overload"))

import kept


def test_a_seed_fixes_all_arrivals():
    phases = [Phase(2.0, 50.0), Phase(1.0, 500.0), Phase(1.0, 0.0), Phase(2.0, 50.0)]
    planned = arrivals(phases, 7)
    assert planned == arrivals(phases, 7) != arrivals(phases, 8)
    assert all(one.at <= other.at for one, other in itertools.pairwise(planned))
    by_phase = [sum(begin <= one.at < end for one in planned) for begin, end in ((0, 2), (2, 3), (3, 4), (4, 6))]
    assert by_phase[2] == 0
    assert 60 < by_phase[0] < 140
    assert 60 < by_phase[3] < 140
    assert 400 < by_phase[1] < 600


def test_the_bound_is_what_refusing_leaves_of_the_time_to_serve():
    assert bound(0.5, 0.048) == 1
    assert bound(2, 0.048) == pytest.approx(0.95, abs=0.005)
    assert bound(10, 0.048) == pytest.approx(0.55, abs=0.01)
    assert bound(25, 0.048) == 0
    assert bound(10, None) == 1
    assert bound(10, 0.048, room=5) == 1


def made(*requests: tuple[float, int, float]) -> Result:
    return Result([Request(at, False, how, took) for at, how, took in requests], [], [], 0, 0, 0.0)


def test_a_step_is_judged_by_when_answers_came_and_who_was_refused():
    good, refused = Outcome.GOOD, Outcome.REFUSED
    before = [(number / 50, good, 0.01) for number in range(100)]
    slow = [(2 + number / 100, Outcome.TIMED_OUT, 1.0) for number in range(100)]
    steady = [(3 + number / 100, good if number % 2 else refused, 0.05) for number in range(300)]
    after = [(6 + number / 50, refused if number < 40 else good, 0.01) for number in range(200)]
    found = step(made(*before, *slow, *steady, *after), 2.0, 6.0, 50.0)
    assert found.later == pytest.approx(50, abs=2)
    assert found.steady_s == pytest.approx(1.0, abs=0.11)
    assert found.back_s == pytest.approx(1.0, abs=0.51)
    assert (found.refused_before, found.refused_late) == (0, 0)
    broken = step(made(*before, *slow), 2.0, 6.0, 50.0)
    assert broken.steady_s is None


def test_each_second_shows_what_became_of_its_requests():
    record = made((0.1, Outcome.GOOD, 0.1), (0.9, Outcome.REFUSED, 0.1), (2.5, Outcome.TIMED_OUT, 1.0))
    assert [one[1:] for one in windows(record)] == [(2, 1, 1, 0), (0, 0, 0, 0), (1, 0, 0, 1)]


def test_what_was_kept_in_a_file_is_what_it_was():
    record = made((0.1, Outcome.GOOD, 0.1), (0.9, Outcome.REFUSED, 0.1), (2.5, Outcome.TIMED_OUT, 1.0))
    for one in (tally(record, 0.0, 3.0), step(record, 1.0, 2.0, 1.0), record.requests[0]):
        text = json.dumps({**kept.plain(one), "worked out": 1})
        assert kept.again(type(one), json.loads(text)) == one


# -- whether it means anything --


def test_a_generator_that_was_late_or_away_makes_a_result_void():
    good = made((0.1, Outcome.GOOD, 0.1))._replace(seconds=10.0)
    assert not good.void
    assert good._replace(late=[0.006] * 100).void
    assert not good._replace(late=[0.006, *[0.0] * 199]).void
    assert good._replace(stalls=[Stall(1.0, 0.08), Stall(2.0, 0.03)]).void
    assert not good._replace(stalls=[Stall(1.0, 0.09)]).void


def test_percentiles_are_those_that_the_field_names():
    found = percentiles(number / 1000 for number in range(1000, 0, -1))
    assert found == (1000, 0.501, 0.901, 0.991, 1.0, 1.0)
    assert percentiles([]) == (0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert quantile([3.0], 0.99) == 3.0


def test_windows_may_be_shorter_than_a_second():
    record = made((0.1, Outcome.GOOD, 0.1), (0.3, Outcome.GOOD, 0.1), (0.6, Outcome.RESET, 0.1))
    assert windows(record, 0.25) == [(0.0, 1, 1, 0, 0), (0.25, 1, 1, 0, 0), (0.5, 1, 0, 0, 1)]


def test_what_the_server_used_is_taken_from_the_looks_within_a_time():
    looks = [Look(0.0, 1.0, 5.0, 10), Look(1.0, 1.5, 6.0, 30), Look(2.0, 2.5, 7.0, 20), Look(3.0, 9.0, 9.0, 90)]
    found = tally(made((1.5, Outcome.GOOD, 0.1))._replace(looks=looks), 1.0, 2.0)
    assert (found.cpu_s, found.taken, found.memory) == (1.0, 0.0, 30)
    assert (found.goodput, found.lost, found.critical_share) == (1.0, 0, 1.0)


# -- chance --


def test_a_weight_of_nothing_is_never_chosen():
    choice = Choice([1, 0, 3, 0])
    assert {choice.of(number / 1000) for number in range(1001)} == {0, 2}
    assert [choice.of(share) for share in (0.0, 0.24, 0.26, 1.0)] == [0, 0, 2, 2]


def test_more_clients_are_tried_until_two_doublings_bring_nothing():
    def tried(*rates: float) -> list[Capacity]:
        return [Capacity(rate, 0.0, 2**number) for number, rate in enumerate(rates)]

    assert more_clients([]) == 1
    assert more_clients(tried(100)) == 2
    assert more_clients(tried(100, 101)) == 4
    assert more_clients(tried(100, 101, 99)) is None
    assert more_clients(tried(100, 200, 199)) == 8
    assert more_clients(tried(100, 200, 199, 201)) is None
    assert more_clients(tried(*(2.0**number for number in range(9)))) is None
