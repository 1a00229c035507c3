"""Refusals are counted, and told once a second at most: a line for each would cost more than they do."""

import logging
import time
from collections.abc import Callable
from typing import Final

from holdfast.decide.admission import Admission, Priority, Why
from holdfast.decide.limiter import Limiter
from holdfast.events import RequestsShed

_LOG = logging.getLogger("holdfast.shedding")
_EVERY_S: Final = 1.0
_SHOWN_PATH: Final = 200


class Report:
    """Counts who is refused."""

    def __init__(self, *, observed: bool, tell: Callable[[RequestsShed], None] | None = None) -> None:
        """Count from nought; `tell` hears of it instead of the log."""
        self.totals: dict[tuple[str, str], int] = {}
        """How many were refused in all, by priority and reason."""
        self.observed: bool = observed
        """Whether they were served all the same."""
        self._tell = tell or _log
        self._new: dict[tuple[str, str], int] = {}
        self._told = float("-inf")

    def dropped(self) -> None:
        """Count one that nobody waited for any more, and that was not begun."""
        self.totals[_GONE] = self.totals.get(_GONE, 0) + 1

    def refused(
        self, priority: Priority, why: Why, path: Callable[[], str], limiter: Limiter, admission: Admission
    ) -> None:
        """Count one, and tell what came together when it is time."""
        key = _KEYS[priority][why]
        self._new[key] = self._new.get(key, 0) + 1
        self.totals[key] = self.totals.get(key, 0) + 1
        now = time.monotonic()
        if now - self._told < _EVERY_S:
            return
        self._told, new, self._new = now, self._new, {}
        turn_ms = round(limiter.turn_s * 1000, 3)
        limit, at_once, waiting = int(limiter.limit), admission.in_flight, admission.waiting
        self._tell(RequestsShed(new, path()[:_SHOWN_PATH], limit, at_once, waiting, turn_ms, self.observed))


_KEYS: Final = [[(priority.name.lower(), why.name.lower()) for why in Why] for priority in Priority]
_GONE: Final = ("any", "gone")


def _log(fact: RequestsShed) -> None:
    words = (
        "more comes than can be served: requests would be refused"
        if fact.observed
        else ("more comes than can be served: requests are refused")
    )
    _LOG.warning(
        words,
        extra={
            "refused": sum(fact.refused.values()),
            "by": {" ".join(key): count for key, count in fact.refused.items()},
            "path": fact.sample,
            "limit": fact.limit,
            "in_flight": fact.in_flight,
            "waiting": fact.waiting,
            "turn_ms": fact.turn_ms,
        },
    )
