"""A request, and how one ends for its client."""

from enum import IntEnum
from typing import Protocol

from holdfast.decide.admission import Priority


class End(IntEnum):
    """How a request ended for its client."""

    SERVED = 0
    """Answered in time."""
    LATE = 1
    """Answered after its client had given up."""
    REFUSED = 2
    """Told that it is not served."""
    ABANDONED = 3
    """Dropped by the server, because its client had given up."""
    DROPPED = 4
    """There was no room for its connection; nobody was told."""
    FAILED = 5
    """Cut off: the worker ended, or a dependency failed."""


class Client(Protocol):
    """Who sent a request."""

    def answered(self, request: "Request", end: End, when: float) -> None:
        """Hear how it ended."""
        ...


class Request:
    """One attempt of one user to be served."""

    __slots__ = (
        "arrived",
        "attempt",
        "began",
        "client",
        "done",
        "failed",
        "gives_up",
        "held",
        "intended",
        "new_connection",
        "number",
        "priority",
        "route",
        "sent",
        "stage",
        "tenant",
        "weight",
    )

    def __init__(self, client: Client, number: int, intended: float, sent: float, gives_up: float) -> None:
        """`intended` is when the user wanted it, `sent` when this attempt left."""
        self.client: Client = client
        self.number: int = number
        self.intended: float = intended
        self.sent: float = sent
        self.gives_up: float = gives_up
        self.attempt: int = 0
        self.arrived: float = sent
        self.began: float = 0.0
        self.stage: int = 0
        self.weight: float = 1.0
        self.priority: Priority = Priority.NORMAL
        self.tenant: int = 0
        self.route: int = 0
        self.new_connection: bool = False
        self.done: bool = False
        self.held: bool = False
        """It holds a connection of a pool."""
        self.failed: bool = False
        """What it needed from the next service failed."""
