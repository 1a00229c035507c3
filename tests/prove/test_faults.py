"""The rules behind the faults: what may go on when, in virtual time."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.decide.faults import (
    KINDS,
    AcceptHang,
    Bandwidth,
    Cut,
    Faults,
    Fuse,
    HalfOpen,
    Latency,
    Refuse,
    Reset,
    Shape,
    Slice,
    allowance,
    blown,
    fitted,
)
from holdfast.decide.transit import Bucket, End, Go, Line, Over, Room, Wait

directions = st.sampled_from(["up", "down", "both"])
latencies = st.builds(Latency, st.floats(0, 500), st.floats(0, 500), direction=directions)
bandwidths = st.builds(Bandwidth, st.floats(1, 1e7), direction=directions)
slices = st.builds(Slice, st.integers(1, 100), st.floats(0, 50), direction=directions)
cuts = st.builds(Cut, st.integers(0, 1000), direction=directions)
resets = st.builds(Reset, st.integers(0, 1000), direction=directions)
half_opens = st.builds(HalfOpen, direction=directions)
faults = st.one_of(latencies, bandwidths, slices, cuts, resets, half_opens, st.just(AcceptHang()), st.just(Refuse()))
shapes = st.builds(
    Shape, st.none() | latencies, st.none() | bandwidths, st.none() | slices, half_open=st.just(value=False)
)
arrivals = st.lists(
    st.tuples(st.floats(0, 0.2), st.binary(min_size=1, max_size=400), st.floats(0, 1)), min_size=1, max_size=30
)

unhurried = settings(deadline=None)


class Run:
    """A line in virtual time. `sent` is what went on, with when it did."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.room = Room()
        self.acts: Counter[str] = Counter()
        self.line = Line(self.room, self.acts)
        self.sent: list[tuple[float, bytes]] = []
        self.over: float | None = None

    def put(self, data: bytes | End, shape: Shape, chance: float = 0.5) -> None:
        self.line.put(data, self.now, chance, shape)

    def flow(self, shape: Shape, until: float = float("inf"), *, at_once: int = 1 << 20) -> None:
        """Let everything go on that may by this time; `at_once` is what the kernel takes."""
        while self.over is None:
            step = self.line.step(self.now, shape)
            if isinstance(step, Go):
                taken = bytes(step.data[:at_once])
                self.line.sent(len(taken), self.now, shape)
                self.sent.append((self.now, taken))
            elif isinstance(step, Wait) and step.until <= until:
                assert step.until > self.now
                self.now = step.until
            elif isinstance(step, Over):
                self.over = self.now
            else:
                break
        self.now = max(self.now, until) if until != float("inf") else self.now

    @property
    def data(self) -> bytes:
        return b"".join(piece for _, piece in self.sent)


@unhurried
@given(arrivals, shapes, st.integers(1, 500))
def test_all_that_came_goes_on_in_its_order_and_nothing_is_left(came, shape, at_once):
    run = Run()
    for gap, data, chance in came:
        run.flow(shape, run.now + gap, at_once=at_once)
        run.put(data, shape, chance)
    run.put(End.FIN, shape)
    run.flow(shape, at_once=at_once)
    assert run.data == b"".join(data for _, data, _ in came)
    assert run.over is not None
    run.line.drop()
    assert run.room.kept == 0


@unhurried
@given(arrivals, latencies)
def test_nothing_goes_on_before_its_latency_and_nothing_waits_longer_than_those_before_it(came, latency):
    run, shape, due, waited_for = Run(), Shape(latency), [], 0.0
    for gap, data, chance in came:
        run.flow(shape, run.now + gap)
        run.put(data, shape, chance)
        waited_for = max(waited_for, run.now + latency.delay_s(chance))
        due += [waited_for] * len(data)
    run.flow(shape)
    went = [at for at, data in run.sent for _ in data]
    assert went == pytest.approx(due, abs=1e-6)


@unhurried
@given(arrivals, bandwidths)
def test_in_any_time_no_more_passes_than_the_bandwidth_and_what_was_gathered(came, bandwidth):
    run, shape = Run(), Shape(bandwidth=bandwidth)
    for gap, data, chance in came:
        run.flow(shape, run.now + gap)
        run.put(data, shape, chance)
    run.flow(shape)
    gathered = max(1.0, bandwidth.bytes_s * 0.05)
    for first in range(len(run.sent)):
        passed = 0
        for at, data in run.sent[first:]:
            passed += len(data)
            assert passed <= gathered + (at - run.sent[first][0]) * bandwidth.bytes_s + 1 + 1e-3


@unhurried
@given(st.integers(1, 10_000), st.floats(10, 1e6))
def test_a_bandwidth_takes_as_long_as_the_bytes_divided_by_it(size, rate):
    run, shape = Run(), Shape(bandwidth=Bandwidth(rate))
    began = run.now
    run.put(bytes(size), shape)
    run.flow(shape)
    assert run.now - began == pytest.approx(size / rate, rel=0.01, abs=1e-3)


@unhurried
@given(arrivals, slices)
def test_slices_are_no_larger_than_was_said_and_a_pause_is_after_each(came, cut):
    run, shape = Run(), Shape(slice=cut)
    for gap, data, chance in came:
        run.flow(shape, run.now + gap)
        run.put(data, shape, chance)
    run.flow(shape)
    assert all(len(data) <= cut.size for _, data in run.sent)
    times = [at for at, _ in run.sent]
    assert all(later - at >= cut.pause_ms / 1000 - 1e-6 for at, later in pairwise(times))


@unhurried
@given(arrivals, shapes)
def test_nothing_goes_on_while_it_is_half_open_and_all_of_it_afterwards(came, shape):
    run, held = Run(), shape._replace(half_open=True)
    for gap, data, chance in came:
        run.now += gap
        run.put(data, held, chance)
    run.put(End.RST, held)
    run.flow(held)
    assert (run.sent, run.over) == ([], None)
    assert run.acts == {"half-open": len(came) + 1}
    run.flow(shape)
    assert run.data == b"".join(data for _, data, _ in came)


def test_what_is_under_way_lives_with_the_faults_as_they_are_now():
    run, slow = Run(), Shape(Latency(60_000))
    run.put(b"slow", slow)
    run.flow(slow, run.now + 1)
    assert run.data == b""
    run.flow(Shape(Latency(2_000)), run.now + 0.5)
    assert run.data == b""
    run.flow(Shape())
    assert run.data == b"slow"


def test_an_end_is_delayed_like_what_came_before_it():
    run, shape = Run(), Shape(Latency(100))
    run.put(End.FIN, shape)
    run.flow(shape)
    assert run.over == pytest.approx(1000.1)


def test_each_fault_tells_what_it_did():
    run = Run()
    run.put(bytes(100), Shape(Latency(10)))
    run.put(bytes(50), Shape())
    run.flow(Shape())
    run.put(bytes(95), Shape())
    run.flow(Shape(slice=Slice(10)))
    run.put(bytes(1000), Shape())
    run.flow(Shape(bandwidth=Bandwidth(100)))
    assert run.acts == {"latency": 100, "slice": 10, "bandwidth": 1000}


def test_a_bucket_gathers_no_more_than_a_twentieth_of_a_second():
    bucket = Bucket(1000, 0.0)
    assert bucket.allows(500, 0.0) == 0
    assert bucket.allows(500, 100.0) == 50
    bucket.take(50)
    assert bucket.allows(500, 100.0) == 0
    assert bucket.ready_at(500) == pytest.approx(100.01)


def test_a_line_has_room_for_a_little_even_when_all_of_it_is_taken():
    room = Room(each=200_000, together=300_000)
    lines = [Line(room, Counter()) for _ in range(4)]
    for line in lines:
        while line.has_room:
            line.put(bytes(10_000), 0.0, 0.5, Shape())
    assert 300_000 <= room.kept < 700_000
    for line in lines[:3]:
        line.drop()
    assert lines[3].has_room


def test_small_pieces_count_for_what_it_costs_to_keep_them():
    line, pieces = Line(Room(each=100_000), Counter()), 0
    while line.has_room:
        line.put(b"x", 0.0, 0.5, Shape())
        pieces += 1
    assert pieces < 1_000


# -- faults as values --


@unhurried
@given(st.lists(faults, max_size=8))
def test_of_a_kind_the_last_that_was_set_counts_for_its_directions(several):
    found = Faults().setting(*several)
    for kind in KINDS:
        for way in ("up", "down"):
            those = [fault for fault in several if isinstance(fault, kind) and fault.touches(way)]
            assert found.find(kind, way) == (those[-1] if those else None)
    assert len(found.all) <= 2 * len(KINDS)


@unhurried
@given(st.lists(faults, max_size=6), faults)
def test_what_was_added_and_taken_away_again_leaves_what_was_there(several, fault):
    before = Faults().setting(*several)
    assert before.adding(fault).without(fault) == before


@unhurried
@given(st.lists(faults, max_size=6))
def test_a_kind_that_is_cleared_is_gone(several):
    cleared = Faults().setting(*several).without(Latency)
    assert cleared.find(Latency, "up") is cleared.find(Latency, "down") is None
    assert cleared.without(Latency(1, 2)) == cleared


@unhurried
@given(st.lists(st.tuples(st.sampled_from(["up", "down"]), st.integers(1, 50)), max_size=40), cuts, resets)
def test_a_connection_is_ended_after_exactly_as_many_bytes_as_was_said(pieces, cut, reset):
    fuses, passed = fitted([], [cut, reset]), Counter()
    for way, size in pieces:
        if blown(fuses):
            break
        most = allowance(fuses, way)
        size = size if most is None else min(size, most)
        passed[way] += size
        for fuse in fuses:
            fuse.passed(way, size)
        fuses = fitted(fuses, [cut, reset])  # nothing changes
    counted = [sum(passed[way] for way in ("up", "down") if fault.touches(way)) for fault in (cut, reset)]
    assert counted[0] <= cut.after
    assert counted[1] <= reset.after
    found = blown(fuses)
    assert (found is not None) == (counted[0] == cut.after or counted[1] == reset.after)


def test_a_fault_that_is_cleared_and_set_again_counts_anew():
    (fuse,) = fitted([], [Cut(10)])
    fuse.passed("up", 9)
    assert fitted([fuse], [Cut(10)]) == [fuse]
    (again,) = fitted(fitted([fuse], []), [Cut(10)])
    assert again.left == 10
    assert Fuse(Reset()).left == 0


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Latency(-1), "0 ms or more"),
        (lambda: Latency(1, jitter_ms=-1), "0 ms or more"),
        (lambda: Latency(float("nan")), "0 ms or more"),
        (lambda: Bandwidth(0), "1 byte a second or more"),
        (lambda: Slice(0), "1 byte or more"),
        (lambda: Slice(1, -1), "0 ms or more"),
        (lambda: Cut(-1), "0 bytes or more"),
        (lambda: HalfOpen(direction="dwon"), "no direction"),
    ],
)
def test_nonsense_is_refused(make, told):
    with pytest.raises(ValueError, match=told):
        make()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Latency(200), "latency 200 ms"),
        (Latency(200, 50, direction="down"), "latency 200 ms ± 50 ms down"),
        (Bandwidth(64_000), "bandwidth 64000 B/s"),
        (Slice(10, 0.2, direction="up"), "slice 10:0.2ms up"),
        (Cut(), "cut"),
        (Reset(1000, direction="up"), "reset after 1000 bytes up"),
        (HalfOpen(), "half-open"),
        (AcceptHang(), "accept-hang"),
        (Refuse(), "refuse"),
    ],
)
def test_a_fault_says_what_it_is(fault, told):
    assert str(fault) == told


def test_new_connections_are_held_up_where_the_first_packet_would_be():
    assert Faults((HalfOpen(direction="down"),)).holding_up() is None
    assert Faults((HalfOpen(direction="up"),)).holding_up() is HalfOpen
    assert Faults((HalfOpen(), AcceptHang())).holding_up() is AcceptHang
