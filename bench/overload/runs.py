"""Runs at a multiple of capacity, steps, and what a refusal costs."""

import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from asked import job
from capacity import capacity
from contenders import Contender
from serving import Server, generated, serving

from holdfast.decide.goodput import Capacity, Step, bound, step
from holdfast.decide.latencies import Result, Tally, Window, tally, windows
from holdfast.prove.load import KINDS

HANDLERS: Final = {
    "/ten": "10 ms CPU, 20 ms waiting",
    "/five": "5 ms CPU, 20 ms waiting",
    "/pool": "20 connections x 50 ms",
}
KIND_NAMES: Final = {
    "kept": "a pool of kept connections",
    "new": "a new connection for each request",
    "anew": "give up and connect anew",
}
assert list(KINDS) == list(KIND_NAMES)
WARM_S: Final = 1.5
"""At half the capacity, before the load rises; not counted."""
SETTLE_S: Final = 1.0
"""At the level that is meant, not counted either; the steps show what happens in it."""
TRIES: Final = 2
"""How often a run is done before it stays void."""


class Refusing(NamedTuple):
    """What refusing costs a server, in CPU time."""

    contender: Contender
    kind: str
    refuse_s: float
    refused: int
    """So many were counted for it."""


class Run(NamedTuple):
    """One level of one contender."""

    contender: Contender
    path: str
    kind: str
    level: float
    """What was meant, in multiples of capacity."""
    seed: int
    before: Capacity
    after: Capacity
    offered: float
    """Requests a second that came."""
    tally: Tally
    second: Sequence[Window]
    late_p99_s: float
    void: bool
    refuse_s: float | None
    """What a refusal costs, if it refuses."""

    @property
    def rate(self) -> float:
        """Capacity, a second: before and after."""
        return (self.before.rate + self.after.rate) / 2

    @property
    def ratio(self) -> float | None:
        """What a refusal costs of what serving costs: r."""
        return None if self.refuse_s is None else self.refuse_s / self.before.serve_s

    @property
    def retained(self) -> float:
        """Goodput over capacity."""
        return self.tally.goodput / self.rate

    @property
    def bound(self) -> float:
        """The most that is possible of it."""
        room = 1 / (self.rate * self.before.serve_s) if self.path == "/pool" else 1.0
        return bound(self.offered / self.rate, self.ratio, room)

    @property
    def of_bound(self) -> float:
        """Goodput over that."""
        asked = min(self.bound, self.offered / self.rate)
        return self.retained / asked if asked else 0.0

    def worked_out(self) -> dict[str, float]:
        """What follows from the rest, for who reads the file of all runs."""
        return {"capacity": self.rate, "retained": self.retained, "bound": self.bound, "of_bound": self.of_bound}


class Stepped(NamedTuple):
    """A step of one contender."""

    contender: Contender
    path: str
    kind: str
    seed: int
    level: float
    step: Step
    second: Sequence[Window]
    capacity: float
    rise: float
    fall: float
    void: bool


class Length(NamedTuple):
    """How long things are looked at, in seconds."""

    level: float = 8.0
    capacity: float = 3.0
    step: tuple[float, float, float] = (3.0, 6.0, 16.0)
    """Before, during and after the high load."""
    refusing: float = 2.0
    """Of each of the runs that tell what a refusal costs."""
    refusing_runs: int = 3


def environment(contender: Contender, turns: int) -> Mapping[str, str]:
    """What its server is told."""
    return {"BENCH_TURNS": str(turns), **contender.environment}


def tell(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


class Place(NamedTuple):
    """What all runs of a session share."""

    turns: int
    length: Length
    pool: int


def measured_capacity(place: Place, contender: Contender, path: str, kind: str, clients: tuple[int, ...]) -> Capacity:
    """Capacity of a server that was just started."""
    with serving(contender.command, environment(contender, place.turns)) as server:
        found = capacity(server, path, kind, place.length.capacity, clients)
    tell(f"  capacity {found.rate:,.1f}/s with {found.clients} clients, {found.serve_s * 1e6:,.0f} µs of CPU each")
    return found


def _loaded(
    place: Place, server: Server, path: str, kind: str, seed: int, phases: Sequence[tuple[float, float]]
) -> Result:
    return generated(job(server.port, path, kind, phases, seed=seed, pool=place.pool, pids=server.pids()))


def levels(
    place: Place,
    contender: Contender,
    path: str,
    kind: str,
    seed: int,
    wanted: Sequence[float],
    clients: tuple[int, ...],
    refuse_s: float | None,
) -> list[Run]:
    """All levels for one seed; each has a server of its own, for what one level leaves behind is not the next one's."""
    before = measured_capacity(place, contender, path, kind, clients)
    found: list[tuple[float, Result]] = []
    for level in wanted:
        for _ in range(TRIES):
            run = _one_level(place, contender, path, kind, seed, level * before.rate, before.rate / 2)
            if not run.void:
                break
        found.append((level, run))
        tell(f"  {level:g} x: {_said(_window(place, run), run)}")
    after = measured_capacity(place, contender, path, kind, (before.clients,))
    return [
        Run(
            contender=contender,
            path=path,
            kind=kind,
            level=level,
            seed=seed,
            before=before,
            after=after,
            offered=(window := _window(place, run)).asked / window.seconds,
            tally=window,
            second=windows(run),
            late_p99_s=run.late_p99,
            void=run.void,
            refuse_s=refuse_s if window.refused else None,
        )
        for level, run in found
    ]


def _one_level(place: Place, contender: Contender, path: str, kind: str, seed: int, rate: float, warm: float) -> Result:
    phases = [(WARM_S, warm), (SETTLE_S + place.length.level, rate)]
    with serving(contender.command, environment(contender, place.turns)) as server:
        return _loaded(place, server, path, kind, seed, phases)


def _window(place: Place, run: Result) -> Tally:
    begin = WARM_S + SETTLE_S
    return tally(run, begin, begin + place.length.level)


def _said(window: Tally, run: Result) -> str:
    late = f"{run.late_p99 * 1000:.1f} ms late, and away for {run.stalled:.1%} of the time"
    void = f"; VOID: the generator was {late}" if run.void else ""
    return (
        f"{window.goodput:,.1f} good/s of {window.asked / window.seconds:,.1f}; "
        f"p99 {window.admitted_s[1] * 1000:,.0f} ms; "
        f"{window.refused:,} refused, p99 {window.refusal_s[1] * 1000:,.0f} ms; {window.lost:,} lost; "
        f"critical {window.critical_share:.1%}; {window.memory / 1e6:,.0f} MB; core taken {window.taken:.0%}{void}"
    )


# -- steps --


def stepped(place: Place, contender: Contender, path: str, kind: str, seed: int, level: float) -> Stepped:
    """Half the capacity, suddenly `level` times as much, and half again."""
    tell(f"step to {level:g} x: {contender.name}; {HANDLERS[path]}; {KIND_NAMES[kind]}; seed {seed}")
    with serving(contender.command, environment(contender, place.turns)) as server:
        rate = capacity(server, path, kind, place.length.capacity).rate
    before, during, after = place.length.step
    phases = [(before, rate / 2), (during, level * rate), (after, rate / 2)]
    with serving(contender.command, environment(contender, place.turns)) as server:
        run = _loaded(place, server, path, kind, seed, phases)
    rise, fall = before, before + during
    found = step(run, rise, fall, rate)
    tell(f"  {found}{'; VOID' if run.void else ''}")
    return Stepped(contender, path, kind, seed, level, found, windows(run), rate, rise, fall, run.void)


# -- what a refusal costs --


def refusing(place: Place, contender: Contender, kind: str) -> Refusing | None:
    """By the handler that hardly calculates: its pool fills the limit, so nine of ten are refused; none: it does not.

    What those cost that it serves is known from a run without refusals. Shown is the median of some runs.
    """
    tell(f"what a refusal costs: {contender.name}; {KIND_NAMES[kind]}")
    begin, length = WARM_S + SETTLE_S, place.length.refusing
    costs: list[float] = []
    refused = 0
    for seed in range(place.length.refusing_runs):
        with serving(contender.command, environment(contender, place.turns)) as server:
            alone = capacity(server, "/pool", kind, place.length.capacity, (20,))
            run = _loaded(place, server, "/pool", kind, seed, [(WARM_S, 200), (SETTLE_S + length, 4000)])
        window = tally(run, begin, begin + length)
        if window.refused > 0.5 * window.asked:
            costs.append((window.cpu_s - window.good * alone.serve_s) / window.refused)
            refused += window.refused
    if not costs:
        tell("  it refuses nobody, or hardly anybody")
        return None
    tell(f"  {middle(costs) * 1e6:.1f} µs each, of {refused:,}")
    return Refusing(contender, kind, middle(costs), refused)


def middle(values: Sequence[float]) -> float:
    """The median; 0 without any."""
    return statistics.median(values) if values else 0.0


def spread(values: Sequence[float], form: str) -> str:
    """The median, the least and the greatest."""
    if not values:
        return "-"
    if len(values) == 1:
        return format(values[0], form)
    return f"{middle(values):{form}} ({min(values):{form}} to {max(values):{form}})"
