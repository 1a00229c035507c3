"""Clients that send too slowly: heads that are not whole in time, bodies that trickle. One timer looks after all."""

import asyncio
import time
from itertools import takewhile
from typing import Final, Protocol

from holdfast.decide.slowness import Arrival

_EVERY_S: Final = 1.0


class Sender(Protocol):
    """A connection that something is to come on."""

    arrival: Arrival | None
    """How the body arrives; None where none is coming."""

    @property
    def awaited(self) -> bool:
        """Whether the application waits for more of the body."""
        ...

    def too_slow(self) -> None:
        """Be ended."""
        ...


class SlowSenders:
    """Looks after what is to come on the connections of a process."""

    def __init__(self, head_s: float, body_min_rate: int) -> None:
        """A head has `head_s` seconds to come; a body brings `body_min_rate` bytes a second (0: any)."""
        self._head_s = head_s
        self._min_rate = body_min_rate
        self._heads: dict[Sender, float] = {}
        """By when the head of each has to be whole, by the monotonic clock; the first is due first."""
        self._bodies: set[Sender] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._looked = 0.0

    def await_head(self, sender: Sender) -> None:
        """Wait for the rest of a head."""
        now = time.monotonic()
        self._heads[sender] = now + self._head_s
        self._look_soon(now)

    def forget_head(self, sender: Sender) -> None:
        """The head is whole, or will not come any more."""
        self._heads.pop(sender, None)

    def await_body(self, sender: Sender) -> None:
        """Wait for the rest of a body."""
        if self._min_rate:
            sender.arrival = Arrival()
            self._bodies.add(sender)
            self._look_soon(time.monotonic())

    def forget_body(self, sender: Sender) -> None:
        """The body is whole, or nobody wants it any more."""
        sender.arrival = None
        self._bodies.discard(sender)

    def _look_soon(self, now: float) -> None:
        if self._timer is None:
            self._looked = now
            self._timer = asyncio.get_running_loop().call_later(min(self._head_s, _EVERY_S), self._look)

    def _look(self) -> None:
        now = time.monotonic()
        self._timer = None
        for sender in list(takewhile(lambda one: self._heads[one] <= now, self._heads)):
            del self._heads[sender]
            sender.too_slow()
        elapsed_s, self._looked = now - self._looked, now
        for sender in [one for one in self._bodies if one.awaited]:
            if sender.arrival is not None and sender.arrival.waited(elapsed_s, min_rate=self._min_rate):
                sender.too_slow()
        if self._heads or self._bodies:
            self._look_soon(now)
