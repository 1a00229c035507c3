"""What all connections of a process share."""

import random
from collections.abc import Sequence

from uvicorn.server import ServerState

from holdfast.decide.deadlines import Timeouts
from holdfast.decide.forwarded import Network
from holdfast.parts.shedding import REFUSALS, Gate
from holdfast.serve.answers import Prepared
from holdfast.serve.slow import SlowSenders


class DoorState(ServerState):
    """What all connections of a process share."""

    def __init__(
        self,
        *,
        head_max_bytes: int,
        observe: bool,
        trusted: Sequence[Network],
        gate: Gate | None = None,
        slow: SlowSenders | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        """Nothing is connected yet. `head_max_bytes` is the most that a request's line and headers may have; with
        `observe` nothing is refused for it, only told of."""
        super().__init__()
        self.gate = gate
        """Who is served at once; None where all are."""
        self.timeouts = timeouts
        """How long requests may take; None where no deadline is given."""
        self.slow = slow
        """Looks after those who send slowly; None where nobody does."""
        self._kept = [Prepared(refusal) for refusal in REFUSALS]
        self._closed = [Prepared(refusal, (b"connection", b"close")) for refusal in REFUSALS]
        self._chance = random.Random()  # noqa: S311 - who is told which number is no secret
        self.trusted = trusted
        """The proxies that are believed about the client and the trace."""
        self.head_max_bytes = head_max_bytes
        self.observe = observe
        self.draining = False
        """Whether each answer is the last on its connection."""

    def turned_away(self, request_id: str, *, closes: bool) -> bytes:
        """The answer to a request that is refused because there are too many, and that was not begun."""
        answers = self._closed if closes else self._kept
        return answers[int(self._chance.random() * len(answers))].written(request_id, self.default_headers)
