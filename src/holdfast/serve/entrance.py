"""A request of a connection at the gate: it is begun, waits without a task, or is refused by prepared bytes."""

import time
from typing import Protocol

from holdfast.decide.admission import Ticket
from holdfast.parts.shedding import Gate, ticket_of
from holdfast.serve.cycle import Cycle


class Doorway(Protocol):
    """What an entrance needs of the connection."""

    def start(self, cycle: Cycle) -> None:
        """Have a request served."""
        ...

    def shed(self, cycle: Cycle) -> None:
        """Refuse a request."""
        ...

    def drop(self, cycle: Cycle) -> None:
        """Forget a request whose client has left."""
        ...

    def left(self) -> bool:
        """Whether the client has left, as the kernel knows before we do."""
        ...


class Entrance:
    """One request at the gate, and the slot that it holds."""

    __slots__ = ("_began", "_cycle", "_doorway", "_gate", "_holds", "_paused", "_ticket")

    def __init__(self, gate: Gate, doorway: Doorway, cycle: Cycle) -> None:
        """The request of `cycle`, which came through `doorway`."""
        self._gate = gate
        self._doorway = doorway
        self._cycle = cycle
        self._ticket: Ticket | None = None
        self._holds = False
        self._began = self._paused = 0.0

    def begin(self) -> None:
        """Be served."""
        self._ticket = None
        self._holds = True
        self._began = time.monotonic()
        self._doorway.start(self._cycle)

    def refuse(self) -> None:
        """Be refused."""
        self._ticket = None
        self._doorway.shed(self._cycle)

    def drop(self) -> None:
        """Be forgotten."""
        self._ticket = None
        self._doorway.drop(self._cycle)

    def ticket(self) -> Ticket:
        """What is to be known of it while it waits."""
        self._ticket = ticket_of(self._gate, self._cycle.record, self)
        return self._ticket

    def gone(self) -> bool:
        """Whether the client has left."""
        return self._doorway.left()

    def path(self) -> str:
        """The path that was asked for."""
        return self._cycle.record.path

    def pause(self) -> None:
        """Give the slot back while the client is waited for."""
        if self._holds:
            self._paused = time.monotonic()
            self._gate.vacate()

    def go_on(self) -> None:
        """Take a slot again. The time in between is none that the work took."""
        if self._paused:
            self._began += time.monotonic() - self._paused
            self._paused = 0.0
            self._gate.occupy()

    def leave(self) -> None:
        """Give the slot back; or wait no longer."""
        if self._holds:
            self._holds = False
            record = self._cycle.record
            route = record.scope.get("route")  # whether it is the same is all that matters, and its template costs more
            kind = id(route) if route is not None else record.scope.get("path_template")
            self._gate.leave(kind, time.monotonic() - self._began, answered=bool(record.status))
        elif self._ticket is not None:
            self._gate.withdraw(self._ticket)
            self._ticket = None
