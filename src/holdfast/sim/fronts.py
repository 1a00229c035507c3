"""What stands in front of the handlers: Holdfast's two rules, put together as the running service does it, or a limit
that refuses at once, as the comparison has it."""

from typing import Protocol

from holdfast.decide.admission import Admission, AdmissionSettings, Refused, Ticket
from holdfast.decide.limiter import Limiter, LimiterSettings
from holdfast.sim.request import Request
from holdfast.sim.worker import Worker

_AGAIN_S = 0.005


class Shedding:
    """Holdfast: `Limiter` says how many at once, `Admission` says who."""

    wants_turns = True

    def __init__(
        self,
        worker: Worker,
        limits: LimiterSettings | None = None,
        waits: AdmissionSettings | None = None,
        *,
        sees_gone: bool = True,
    ) -> None:
        """Nobody is served yet."""
        self.sees_gone: bool = sees_gone
        self.limiter: Limiter = Limiter(limits)
        self.admission: Admission = Admission(waits)
        self._worker = worker
        self._chance = worker.world.chance("shedding")
        self._armed = self._probes = False

    def arrived(self, request: Request) -> None:
        """Start it, let it wait, or refuse it or another one for it."""
        worker, limiter, admission = self._worker, self.limiter, self.admission
        if admission.admit(limiter.limit):
            limiter.began(admission.in_flight)
            worker.start(request)
        else:
            limiter.was_bound()
            deadline = request.gives_up if self.sees_gone else None
            ticket = Ticket(request, request.priority, worker.clock, deadline=deadline, tenant=request.tenant)
            refused = admission.enqueue(ticket, limiter.limit, worker.clock, self._chance.random())
            if refused is not None:
                self._refuse(refused)
            self._fill()
            if not self._armed:
                self._arm()
        if limiter.due(worker.clock):
            self._adjust()

    def ended(self, request: Request, took_s: float) -> None:
        """Give the slot on."""
        self.admission.release()
        if self.sees_gone and request.gives_up <= self._worker.clock:
            self.limiter.lost(request.route, took_s)
        else:
            self.limiter.ended(request.route, took_s)
        self._fill()
        if self.limiter.due(self._worker.clock):
            self._adjust()

    def turned(self, took_s: float) -> None:
        """Hand it on to the limiter, which may let more in."""
        worker = self._worker
        self.limiter.turned(took_s)
        if self.admission.waiting:
            if self.limiter.open(worker.clock, worker.busy_s):
                self._fill()
            if not self._probes:
                self._probes = True
                worker.call_at(worker.clock + _AGAIN_S, self._probe)

    def _probe(self, _: object) -> None:
        self._probes = False
        self._worker.probe(None)

    def _adjust(self) -> None:
        self.limiter.adjust(self._worker.clock, self._worker.busy_s)

    def _fill(self) -> None:
        limiter, admission, worker = self.limiter, self.admission, self._worker
        while True:
            ticket, late = admission.take(limiter.limit, worker.clock)
            for refused in late:
                self._refuse(refused)
            if ticket is None:
                return
            limiter.began(admission.in_flight)
            worker.start(ticket.subject)  # pyright: ignore[reportArgumentType] - every subject is a Request
            if admission.in_flight >= limiter.limit:
                return

    def _refuse(self, refused: Refused) -> None:
        request = refused.ticket.subject
        assert isinstance(request, Request)  # noqa: S101 - for the type
        if self.sees_gone and request.gives_up <= self._worker.clock:
            self._worker.drop(request)
        else:
            self._worker.refuse(request)

    def _arm(self) -> None:
        due = self.admission.next_due()
        if due is not None:
            self._armed = True
            self._worker.call_at(due, self._overdue)

    def _overdue(self, _: object) -> None:
        self._armed = False
        for refused in self.admission.overdue(self._worker.clock):
            self._refuse(refused)
        self._arm()


class Limit(Protocol):
    """A rule that says how many at once."""

    limit: float

    def ended(self, now: float, took_s: float, in_flight: int, *, in_time: bool) -> None:
        """One has ended; so many were served at once, itself included."""
        ...


class Refusing:
    """A limit that refuses at once, for want of a queue."""

    wants_turns = False
    sees_gone = False

    def __init__(self, worker: Worker, limit: Limit) -> None:
        """Nobody is served yet."""
        self.limit: Limit = limit
        self.in_flight: int = 0
        self._worker = worker

    def arrived(self, request: Request) -> None:
        """Start it, or refuse it."""
        if self.in_flight < self.limit.limit:
            self.in_flight += 1
            self._worker.start(request)
        else:
            self._worker.refuse(request)

    def ended(self, request: Request, took_s: float) -> None:
        """Tell the rule."""
        worker = self._worker
        self.limit.ended(worker.clock, took_s, self.in_flight, in_time=worker.clock <= request.gives_up)
        self.in_flight -= 1

    def turned(self, took_s: float) -> None:
        """The turns are not its concern."""
