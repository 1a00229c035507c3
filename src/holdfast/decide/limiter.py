"""How many requests are served at once.

Two signals move the limit. One is how long a turn of the event loop takes while it works: what waits for the loop
waits about two turns. It is to be short, as Breakwater (OSDI 2020) keeps its runtime's queue short. It tells nothing of
queues elsewhere, such as in front of a pool of connections, while the loop is idle. So there is a veto: where requests
take a multiple of what they take without a queue, the limit comes down as well, and what follows tells what it was. If
fewer at once take less, it was a queue. If they take as long, requests take longer now, and that is learned.

Where the loop is idle and nothing speaks against it, the limit is opened at once, for most requests only wait. What a
request takes without a queue is learned while the limit holds nobody back and most of it is unused. By Little's
law a limit that lets requests take twice as long admits twice as many as the narrowest place can serve at a time.
"""

from statistics import median
from typing import Final, NamedTuple

_MOST_KINDS: Final = 512
_MOST_SAMPLES: Final = 256
_LEAST_SAMPLES: Final = 8
_TO_JUDGE: Final = 48
_FEWER: Final = 0.65
"""So many times as many at once are few enough to tell whether requests take less."""
_TURNS: Final = 4
"""So few turns are no evidence, unless there are no more in as many windows."""
_QUIET_S: Final = 0.002
"""So short a time does not tell whether the loop is idle."""
_QUIET_TIMES: Final = 2
_PROBATION_S: Final = 0.25
"""So long after the limit was opened it may be opened further than what was proven, if few end meanwhile."""
_FEW: Final = 0.2
"""The share of the limit that ends meanwhile, below which those that hold the slots wait on purpose."""
_SOON_S: Final = 0.125
_LONG_S: Final = 1.0
"""What takes longer than this may wait on purpose, as a long poll does: it is no evidence of a queue before requests of
its kind are known."""
_SHORT_S: Final = 0.005
"""A queue is measured by what a request takes without it, or by this where that is less: CoDel's target (RFC 8289)."""
_KNOWN: Final = 64
"""After so many that were served while nobody was held back, a kind is known."""
_LEARNED: Final = 0.01
"""By how much a sample moves what is known of a kind, after the first few."""


class LimiterSettings(NamedTuple):
    """What a limiter goes by. Times in seconds."""

    start: float = 20.0
    least: float = 2.0
    most: float = 1000.0
    window_s: float = 0.05
    """How often the limit is looked at, at most."""
    turn_s: float = 0.002
    """How long a turn of the loop may take on average under load, where requests are light."""
    turn_costs: float = 0.41
    """How many times the calculation of one request a turn may take, where that is more."""
    turn_most_s: float = 0.05
    stretch: float = 2.0
    """How many times what it takes without a queue a request may take before the veto is thought of."""


class _Veto(NamedTuple):
    """A queue elsewhere is suspected since."""

    in_flight: float
    """How many were served at once then."""
    stretch: float
    """How long they took then, in multiples of what they take without a queue."""


class _Kind:
    """What is known of a kind of request."""

    __slots__ = ("count", "took_s")

    def __init__(self, took_s: float) -> None:
        self.took_s = took_s
        """About the median, without a queue."""
        self.count = 1


class Limiter:
    """The limit, moved by what happens. All times are of one clock, in seconds."""

    def __init__(self, settings: LimiterSettings | None = None, now: float = 0.0, cpu_s: float | None = None) -> None:
        """Begin at the start's limit; `cpu_s` is the processor time that the loop's thread has used by `now`, if that
        is known: otherwise it is counted from the first time that the limit is looked at."""
        self.settings: LimiterSettings = settings or LimiterSettings()
        self.limit: float = self.settings.start
        self.turn_s: float = 0.0
        """What a turn took lately, on average."""
        self.cost_s: float = 0.0
        """What a request costs of the loop's time, about."""
        self._since = now
        self._cpu_s = cpu_s
        self._bound = False
        self._turns = self._windows = 0
        self._turned_s = self._last_turn_s = 0.0
        self._cut_s = 4 * self.settings.turn_s
        self._most = self._in_flight = 0
        self._peak = 0.0
        self._ended = self._gone = self._lost = self._answered = 0
        self._unproven = 0.0
        """So many are to end before the limit grows again: it is not known yet what the last growth did."""
        self._calm = True
        self._kinds: dict[object, _Kind] = {}
        self._stretches: list[float] = []
        self._veto: _Veto | None = None
        self._to_settle = 0
        self._stretch = self._busy = 1.0
        self._rate = self._lately = 0.0
        self._asked_at, self._asked_cpu_s = now, cpu_s
        self._opened_at = now
        self._ended_since = 0
        self._base_s = 0.0
        self._quiet = 0
        self._narrow = float("inf")
        """Where a queue elsewhere was found lately: so many at once are too many."""

    # -- what happens --

    def turned(self, took_s: float) -> None:
        """Note that a turn of the loop took so long, while something was being served."""
        self._turns += 1
        self._last_turn_s = took_s
        self._turned_s += min(took_s, self._cut_s)  # one that was held up by something else counts for a few, not more

    def began(self, in_flight: int) -> None:
        """Note that so many are served at once now, one more than before."""
        self._in_flight = in_flight
        self._most = max(self._most, in_flight)

    def was_bound(self) -> None:
        """Note that a request had to wait, or was refused, because of the limit."""
        self._bound = True

    def ended(self, kind: object, took_s: float) -> None:
        """Note that a request of this kind (its route) was answered after so long. Refused ones are none."""
        self._ended += 1
        self._ended_since += 1
        self._in_flight -= 1
        known = self._kinds.get(kind)
        if known is None:
            if len(self._kinds) >= _MOST_KINDS:
                return
            known = self._kinds[kind] = _Kind(max(took_s, 1e-6))
        doubtful = took_s > _LONG_S and known.count < _KNOWN
        if known.count < _LEAST_SAMPLES:
            known.count += 1
            known.took_s *= (max(took_s, 1e-6) / known.took_s) ** (1 / known.count)
        elif self._calm or doubtful:
            known.count += self._calm
            known.took_s *= 1 + _LEARNED if took_s > known.took_s else 1 - _LEARNED
        self._base_s = known.took_s
        if len(self._stretches) < _MOST_SAMPLES and not doubtful:
            self._stretches.append(_stretch(took_s, known.took_s))

    def lost(self, kind: object, took_s: float) -> None:
        """Note that what was begun was given up so long after that, before it was answered: its client left, or its
        deadline passed."""
        self._gone += 1
        self._in_flight -= 1
        known = self._kinds.get(kind)
        stretch = _stretch(took_s, known.took_s) if known is not None else None
        if stretch is None or stretch > 0.75 * self.settings.stretch:  # others left of their own accord
            self._lost += 1
            if stretch is not None and len(self._stretches) < _MOST_SAMPLES:
                self._stretches.append(stretch)

    # -- what follows --

    def due(self, now: float) -> bool:
        """Whether it is time to look at the limit."""
        return now - self._since >= self.settings.window_s

    def open(self, now: float, cpu_s: float) -> bool:
        """While some wait: let more in at once where the loop is idle. Says whether the limit moved.

        To be asked after a turn, and some milliseconds later again. If there is a queue elsewhere it will be long, so
        the limit is opened to a few times of what was proven to go well, or as far as it may while nothing is known.
        """
        settings = self.settings
        elapsed_s, used_s = now - self._asked_at, cpu_s - (self._asked_cpu_s or 0.0)
        if elapsed_s < _QUIET_S:
            return False
        self._asked_at, self._asked_cpu_s = now, cpu_s
        idle = used_s <= 0.5 * elapsed_s and max(self.turn_s, self._last_turn_s) <= self.allowed_turn_s
        self._quiet = self._quiet + 1 if idle else 0
        if self._quiet < _QUIET_TIMES:  # by chance, all that is served waits for something at the same moment
            return False
        if self._veto is not None or self._to_settle > 0 or self._stretch > 0.75 * settings.stretch:
            return False
        proven = max(10 * settings.start, 4 * self._rate * max(self._base_s, _SOON_S))
        ceiling = min(settings.most, self._narrow)
        limit = min(proven if self._base_s else ceiling, ceiling, 4 * self.limit)
        if limit <= self.limit and now - self._opened_at >= _PROBATION_S:
            if self._ended_since < _FEW * self.limit:  # hardly any of those that hold the slots come to their end
                limit = min(ceiling, 2 * self.limit)
            self._opened_at, self._ended_since = now, 0
        if limit <= self.limit:
            return False
        self.limit = self._unproven = limit
        self._opened_at, self._ended_since = now, 0
        return True

    def adjust(self, now: float, cpu_s: float) -> None:
        """Move the limit by what happened since it was last moved, and begin anew to look."""
        settings = self.settings
        allowed_s = self._weigh(now, cpu_s)
        vetoed = self._vetoed() or self._loses()
        used = self._bound or self._most >= 0.8 * self.limit
        if self.turn_s > allowed_s:
            if used and not self._windows:
                over = (self.turn_s - allowed_s) / allowed_s
                self.limit = max(settings.least, self.limit * max(0.5, 1 - 0.1 * over))
        elif (
            (used or self._most > 0.5 * self.limit)  # so that most of it is unused again, and what it takes is learned
            and not vetoed
            and self._unproven <= 0
            and (self.limit < self._narrow or self._stretch < 1.2)
        ):
            self.limit = min(settings.most, self.limit + max(0.5, 0.05 * self.limit))
            self._unproven = float(self._most)
        self._unproven -= self._ended
        self._peak = max(float(self._most), 0.998 * self._peak)
        self._narrow *= 1.001
        elapsed_s = max(now - self._since, settings.window_s)
        self._lately += min(1.0, elapsed_s) * (self._ended / elapsed_s - self._lately)
        self._rate = max(self._rate * 0.9998, self._lately)
        if self.limit > max(settings.start, 2 * self._peak):
            self.limit *= 0.99
        self._calm = not self._bound and self._most <= 0.5 * self.limit and self._veto is None
        self._since = now
        self._bound = False
        self._ended = self._gone = 0
        self._most = self._in_flight

    @property
    def allowed_turn_s(self) -> float:
        """How long a turn may take, on average."""
        settings = self.settings
        return min(settings.turn_most_s, max(settings.turn_s, settings.turn_costs * self.cost_s))

    def _weigh(self, now: float, cpu_s: float) -> float:
        """See what a request costs, and what turns took. A window has few of either, so both are means over several.

        Of a turn counts what the loop calculated in it: for what else took time, such as threads that calculate or
        another process, fewer at once are no help.
        """
        if self._cpu_s is not None:
            used_s = cpu_s - self._cpu_s
            self._busy += 0.2 * (min(1.0, used_s / max(now - self._since, 1e-6)) - self._busy)
            if self._ended:
                cost_s = used_s / self._ended
                self.cost_s += 0.1 * (cost_s - self.cost_s) if self.cost_s else cost_s
        self._cpu_s = cpu_s
        self._windows += 1
        if self._turns >= _TURNS or (self._turns and self._windows >= _TURNS):
            self.turn_s += 0.5 * (self._busy * self._turned_s / self._turns - self.turn_s)
            self._turns = self._windows = 0
            self._turned_s = 0.0
        allowed_s = self.allowed_turn_s
        self._cut_s = 4 * allowed_s
        return allowed_s

    # -- the veto --

    def _vetoed(self) -> bool:
        """Whether a queue elsewhere forbids that the limit grows; then it comes down."""
        if self._to_settle > 0:
            self._settle()
            return True
        self._answered += self._ended
        veto = self._veto
        judged = veto is not None and self.limit <= _FEWER * veto.in_flight
        count = len(self._stretches)
        if count < (_TO_JUDGE if judged else _LEAST_SAMPLES):
            return veto is not None
        ordered, self._stretches = sorted(self._stretches), []
        self._stretch = stretch = ordered[count // 2]
        sure = int(count / 2 - count**0.5)
        if veto is None:
            if ordered[max(0, sure)] <= self.settings.stretch:  # by chance so many are slow now and then
                self._approach(ordered[min(count - 1, count - 1 - sure)])
                return False
            self._veto = _Veto(self._most, stretch)
        elif stretch <= self.settings.stretch:
            if self._most < veto.in_flight:
                self._narrow = veto.in_flight  # there was a queue: fewer at once take less
            self._veto = None
            return False
        elif judged and not self._judge(veto, stretch):
            return False
        self._shrink(stretch)
        return True

    def _approach(self, stretch: float) -> None:
        """Where most take much less than is known, less is known."""
        if stretch < 0.8 and not self._calm:
            self._scale(1 - 0.5 * (1 - stretch))

    def _settle(self) -> None:
        """Those that began before the limit came down tell how long it took then."""
        self._to_settle -= self._ended + self._gone
        self._lost = self._answered = 0
        if self._to_settle > 0:
            return
        late = self._stretches[len(self._stretches) // 2 :]
        if self._veto is not None and len(late) >= _LEAST_SAMPLES:
            self._veto = self._veto._replace(stretch=max(self._veto.stretch, median(late)))
        self._stretches = []

    def _loses(self) -> bool:
        """Whether much of what is begun is given up before it is answered: then fewer are to be begun."""
        if self._to_settle > 0 or self._lost + self._answered < _LEAST_SAMPLES:
            return False
        loses = 3 * self._lost > self._answered
        self._lost = self._answered = 0
        if loses:
            self._narrow = 0.8 * min(self.limit, self._most + 1.0)
            self.limit = max(self.settings.least, 0.75 * self._narrow)
            self._to_settle = self._in_flight
        return loses

    def _shrink(self, stretch: float) -> None:
        """By Little's law, as far as it would be right if it is a queue, but not by more than half at once."""
        factor = max(0.5, min(0.97, self.settings.stretch / stretch))
        self.limit = max(self.settings.least, factor * min(self.limit, self._most + 1.0))
        if self._veto is not None and self.limit <= _FEWER * self._veto.in_flight:
            self._to_settle = self._in_flight

    def _judge(self, veto: _Veto, stretch: float) -> bool:
        """Fewer are served at once now: say whether they take less, so that it is a queue, or learn."""
        if 0.8 * veto.stretch <= stretch <= 1.3 * veto.stretch:
            self._scale(stretch)
            self._veto = None
            return False
        if stretch < veto.stretch:
            self._narrow = veto.in_flight
        self._veto = _Veto(self._most, stretch)  # a queue, or something else has changed meanwhile: try once more
        return True

    def _scale(self, factor: float) -> None:
        for known in self._kinds.values():
            known.took_s *= factor
        self._rate = self._lately = min(self._rate / factor, self._lately)


def _stretch(took_s: float, known_s: float) -> float:
    """How long a request took, in multiples of what it takes without a queue."""
    return took_s / known_s if took_s <= known_s else 1 + (took_s - known_s) / max(known_s, _SHORT_S)
