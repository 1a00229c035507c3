"""The gate: whoever wants to be served asks here, and is begun, waits, or is refused.

It decides nothing itself. How many are served at once is the limiter's, who of them the admission's; here are the event
loop, the clock and chance that those two know nothing of.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol, cast

from holdfast.asgi import Scope
from holdfast.decide.admission import Admission, AdmissionSettings, Priority, Refused, Ticket, Why
from holdfast.decide.limiter import Limiter, LimiterSettings
from holdfast.decide.patterns import Patterns
from holdfast.decide.priorities import routes
from holdfast.parts.shedding.report import Report
from holdfast.parts.shedding.settings import SheddingSettings

_PRESSED_S: Final = 1.0
_STALLED_S: Final = 0.02
_SAMPLED_S: Final = 0.001
"""Of turns that begin sooner than this after one another, one is enough."""
_ROOM: Final = 2
_LOOK_S: Final = 0.005
_NO_LOOP: Final = cast("asyncio.AbstractEventLoop", None)


class Entrant(Protocol):
    """Who asks to be served."""

    def begin(self) -> None:
        """Be served: a slot is taken, and given back by `Gate.leave`."""
        ...

    def refuse(self) -> None:
        """Be refused."""
        ...

    def drop(self) -> None:
        """Be forgotten: nobody waits for the answer any more."""
        ...

    def ticket(self) -> Ticket:
        """What is to be known of whoever has to wait; asked for only then."""
        ...

    def gone(self) -> bool:
        """Whether nobody waits for the answer any more."""
        ...

    def path(self) -> str:
        """The path that was asked for, for the log."""
        ...


Principal = Callable[[Scope], Priority | None]
"""Says how important whoever sends a request is, as far as the scope tells; None where it does not."""


class Gate:
    """The slots of this process. For one event loop."""

    def __init__(self, settings: SheddingSettings | None = None, principal: Principal | None = None) -> None:
        """Go by `settings`, and by `principal` for who is how important."""
        settings = settings or SheddingSettings()
        self.principal_of: Principal = principal or _nobody
        self.observes: bool = settings.shed == "observe"
        """Whether nothing is refused, only told of."""
        self.limiter: Limiter = Limiter(
            LimiterSettings(
                start=min(20.0, settings.shed_at_once_max),
                least=min(2.0, settings.shed_at_once_max),
                most=float(settings.shed_at_once_max),
            ),
            time.monotonic(),
        )
        wait_s = settings.shed_wait_ms / 1000
        self.admission: Admission = Admission(AdmissionSettings(wait_s=wait_s, wait_critical_s=wait_s))
        self.routes: Patterns[Priority] = routes(settings.priority_routes)
        self.distinguishes: bool = bool(self.routes) or principal is not None
        """Whether requests differ in importance by more than their headers say."""
        self.report: Report = Report(observed=self.observes)
        self._chance = random.Random()  # noqa: S311 - who is refused is no secret
        self._loop: asyncio.AbstractEventLoop = _NO_LOOP
        self._timer: asyncio.TimerHandle | None = None
        self._probing = False
        self._turn_began = 0.0
        self._pressed_until = 0.0
        self._touched = 0.0

    def observe(self) -> None:
        """Refuse nothing from now on, only tell of it."""
        self.observes = self.report.observed = True

    @property
    def numbers(self) -> tuple[Callable[[], Mapping[tuple[str, str], int]], Callable[[], float], Callable[[], int]]:
        """What tells how many were refused so far, how many may be served at once, and how many wait."""
        return (lambda: self.report.totals), (lambda: self.limiter.limit), (lambda: self.admission.waiting)

    # -- in and out --

    def enter(self, entrant: Entrant, *, asked: bool = False) -> None:
        """Have `entrant` begun or refused, now or soon. It was `asked` for by `turn_away` before, or not."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._move_to(loop)
        now = time.monotonic()
        stalled, self._touched = now - self._touched > _STALLED_S, now
        if stalled:  # for a moment, what comes may have waited in front of us
            self._pressed_until = max(self._pressed_until, now + _STALLED_S)
        if now < self._pressed_until and entrant.gone():
            self._drop(entrant)
        elif self.admission.admit(self.limiter.limit):
            self._begin(entrant, now)
        elif self.observes:
            self._observe(entrant, now)
        else:
            self._wait(entrant, now, 1.0 if asked else self._chance.random())

    @property
    def sheds(self) -> bool:
        """Whether a part of what comes is refused at the door, so that it is worth asking `turn_away`."""
        return self.admission.ratio > 0.0 and self.admission.waiting > 0 and not self.observes

    @property
    def suspects(self) -> bool:
        """Whether what comes may have waited in front of us, so that it is worth asking the kernel for how long."""
        now = time.monotonic()
        return now < self._pressed_until or now - self._touched > _STALLED_S

    def turn_away(self, priority: Priority, path: Callable[[], str], client: str | None) -> bool:
        """Whether to refuse one whose priority is known, without more ado. One that is not is to `enter` as `asked`.

        `client` is its address; None where it is not known without more ado, as behind a proxy.
        """
        now = self._touched = time.monotonic()
        if not self.admission.turn_away(priority, now, self._chance.random(), client):
            return False
        self.limiter.was_bound()
        self._pressed_until = now + _PRESSED_S
        self.report.refused(priority, Why.SHED, path, self.limiter, self.admission)
        return True

    def leave(self, kind: object, took_s: float, *, answered: bool) -> None:
        """Give a slot back: what was begun has come to its answer after so long, or was given up before.

        `kind` is its route, or whatever tells those apart that take about as long.
        """
        now = self._touched = time.monotonic()
        (self.limiter.ended if answered else self.limiter.lost)(kind, took_s)
        self.admission.release()
        self._look(now)
        if self.admission.waiting:
            self._serve_next(now)

    def occupy(self) -> None:
        """Take a slot for what goes on already, and waits for nobody: its client has sent the next message, or more."""
        self.admission.in_flight += 1

    def vacate(self) -> None:
        """Give a slot back while a client is waited for, until `occupy`."""
        self.admission.release()
        if self.admission.waiting:
            self._serve_next(time.monotonic())

    def withdraw(self, ticket: Ticket) -> None:
        """Forget who waits no longer."""
        self.admission.withdraw(ticket)

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin anew on another event loop, as tests do: what was served on the one before is over."""
        self._loop = loop
        self._timer = None
        self._probing = False
        self.admission = Admission(self.admission.settings)

    # -- serving --

    def _begin(self, entrant: Entrant, now: float) -> None:
        self.limiter.began(self.admission.in_flight)
        entrant.begin()
        if now - self._turn_began > _SAMPLED_S:
            self._probe()  # after its first step: what it does itself is no turn that others wait for

    def _wait(self, entrant: Entrant, now: float, chance: float) -> None:
        self._pressed_until = now + _PRESSED_S
        self.limiter.was_bound()
        self._look(now)
        refused = self.admission.enqueue(entrant.ticket(), self.limiter.limit, now, chance)
        if refused is not None:
            self._refuse(refused)
        self._serve_next(now)
        self._probe()

    def _probe(self) -> None:
        """See how long a turn of the loop takes from now on, unless that is under way."""
        if not self._probing:
            self._probing = True
            self._loop.call_soon(self._turn_begins)

    def _serve_next(self, now: float) -> None:
        while True:
            ticket, late = self.admission.take(self.limiter.limit, now)
            for refused in late:
                self._refuse(refused)
            if ticket is None:
                break
            if _entrant(ticket).gone():
                self.admission.release()
                self._drop(_entrant(ticket))
            else:
                self._begin(_entrant(ticket), now)
        if self._timer is None:
            self._set_timer(now)

    def _observe(self, entrant: Entrant, now: float) -> None:
        """Serve whom we would let wait, and tell of it where there would be no room to wait either."""
        self.limiter.was_bound()
        self.admission.in_flight += 1
        if self.admission.in_flight > self.limiter.limit + _ROOM * self.limiter.limit:
            self._tell(Refused(entrant.ticket(), Why.FULL))
        self._begin(entrant, now)

    # -- refusing --

    def _refuse(self, refused: Refused) -> None:
        self._tell(refused)
        _entrant(refused.ticket).refuse()

    def _drop(self, entrant: Entrant) -> None:
        self.report.dropped()
        entrant.drop()

    def _tell(self, refused: Refused) -> None:
        ticket = refused.ticket
        self.report.refused(ticket.priority, refused.why, _entrant(ticket).path, self.limiter, self.admission)

    # -- time --

    def _look(self, now: float) -> None:
        if self.limiter.due(now):
            self.limiter.adjust(now, time.thread_time())

    def _set_timer(self, now: float) -> None:
        due = self.admission.next_due()
        if due is not None:
            self._timer = self._loop.call_later(max(0.0, due - now), self._time_is_over)

    def _time_is_over(self) -> None:
        self._timer = None
        self._serve_next(time.monotonic())

    def _turn_begins(self) -> None:
        self._turn_began = time.monotonic()
        self._loop.call_soon(self._turn_ends)

    def _turn_ends(self) -> None:
        self._probing = False
        now = time.monotonic()
        self.limiter.turned(now - self._turn_began)
        if self.admission.waiting and self.limiter.open(now, time.thread_time()):
            self._serve_next(now)
        if self.admission.waiting and not self._probing:  # a limit opens for a crowd while the loop is quiet
            self._probing = True
            self._loop.call_later(_LOOK_S, self._turn_begins)


def _entrant(ticket: Ticket) -> Entrant:
    return cast("Entrant", ticket.subject)


def _nobody(_: Scope) -> None:
    """Whoever it is, nothing is known of it."""
