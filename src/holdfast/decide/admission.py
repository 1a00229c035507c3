"""Who is served, who waits, who is refused: a bounded queue with classes in front of the slots.

The first class is served first. Where nobody waits, whoever comes is served if a slot is free. Where the queue is full
the least important of those in it makes room, and is refused at once. Within a class the one whose client had the
least comes first. A queue whose members are served soon now and then is there for bursts: it may be long, the oldest
comes first, and one may wait for some time. One where they are not is pressed: it is short, the newest comes first, for
it has the longest to live, and who was not served soon is refused, as in Facebook's "Fail at Scale" (ACM Queue 2015).
"""

from collections import OrderedDict
from collections.abc import Iterable
from enum import IntEnum
from itertools import islice
from operator import attrgetter
from typing import Final, NamedTuple

_MOST_TENANTS: Final = 1024
_HALF_LIFE_S: Final = 2.0
_LIVES: Final = 200.0
"""After so many half-lives the unit that use is counted in is made smaller."""
_WINDOW_S: Final = 0.05
_TURNED_AWAY: Final = 0.8
"""Where more of those who are let wait are refused later, some are refused at the door."""
_LOUD: Final = 0.24
"""A client that had a larger share of what was served lately is loud."""
_MILD: Final = 0.5
"""Who had less than this part of what the loud one had is not refused for it at the door."""
_MILD_PATIENCE: Final = 2.0
"""So many times as long as usual it may wait then: a line of the loud one is before it, not many like itself."""
_LOOKED_AT: Final = 64
"""Among so many of those who are next, whoever had the least comes first."""
_NEVER: Final = float("inf")


class Priority(IntEnum):
    """How important a request is, the most important first."""

    CRITICAL = 0
    NORMAL = 1
    LOW = 2
    BACKGROUND = 3


class Why(IntEnum):
    """Why a request is refused."""

    FULL = 0
    """More important or newer ones fill the queue."""
    WAITED = 1
    """It waited for as long as one may."""
    LATE = 2
    """Its deadline has passed, or would pass before it is served."""
    SHED = 3
    """The queue was full for some time: of the least important a part is refused at the door."""


class AdmissionSettings(NamedTuple):
    """How many wait, and for how long. Times in seconds."""

    queue_least: int = 8
    queue_factor: float = 2.0
    """How many may wait in a queue that is pressed, as a multiple of the limit."""
    queue_most: int = 1000
    """How many may wait in one that is not."""
    wait_s: float = 0.07
    """How long one may wait in a queue that is not pressed."""
    wait_critical_s: float = 0.07
    """How long one of the first class may wait."""
    pressed_wait_s: float = 0.02
    """How long one may wait in a queue that is pressed."""


class _Account:
    """What a client had lately."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used: float = 0.0


class Ticket:
    """A request that waits."""

    __slots__ = ("account", "arrived", "deadline", "priority", "subject", "tenant")

    def __init__(
        self,
        subject: object,
        priority: Priority,
        arrived: float,
        *,
        deadline: float | None = None,
        tenant: object = None,
    ) -> None:
        """`subject` is what the caller knows it by; times are of the caller's clock, in seconds."""
        self.subject: object = subject
        self.priority: Priority = priority
        self.arrived: float = arrived
        self.deadline: float | None = deadline
        self.tenant: object = tenant
        self.account: _Account = _NOBODY


_NOBODY: Final = _Account()
_USED = attrgetter("account.used")


class Refused(NamedTuple):
    """A request that is not served."""

    ticket: Ticket
    why: Why


class _Line:
    """Those of one class who wait."""

    __slots__ = ("critical", "offered", "pressed", "share", "tickets", "well_at")

    def __init__(self, *, critical: bool) -> None:
        self.critical = critical
        self.tickets: list[Ticket] = []
        self.pressed = False
        self.well_at = 0.0
        """When somebody was last served who had not waited for long, or, in a line that is pressed, refused."""
        self.offered = 0
        self.share = 0.0

    def first(self) -> Ticket:
        """Who is served next."""
        return min(islice(reversed(self.tickets) if self.pressed else self.tickets, _LOOKED_AT), key=_USED)

    def last(self) -> Ticket:
        """Who makes room: whose client had most, and who would have been served last."""
        return max(islice(self.tickets if self.pressed else reversed(self.tickets), _LOOKED_AT), key=_USED)

    def patience(self, settings: AdmissionSettings) -> float:
        """How long one may wait."""
        whole_s = settings.wait_critical_s if self.critical else settings.wait_s
        if not self.pressed:
            return whole_s
        return 0.5 * whole_s if self.critical else min(settings.pressed_wait_s, whole_s)

    def press(self, now: float, after_s: float) -> None:
        """See whether it is a burst, or stays."""
        if now - self.well_at > after_s:
            self.pressed = bool(self.tickets) and not self.pressed
            self.well_at = now
        elif not (self.tickets or self.pressed):
            self.well_at = now


class Admission:
    """The slots and the queue in front of them."""

    def __init__(self, settings: AdmissionSettings | None = None) -> None:
        """Nobody is served yet, and nobody waits."""
        self.settings: AdmissionSettings = settings or AdmissionSettings()
        self.in_flight: int = 0
        self.waiting: int = 0
        self.ratio: float = 0.0
        """The part of what comes that is refused at the door."""
        self._lines = tuple(_Line(critical=priority is Priority.CRITICAL) for priority in Priority)
        self._soonest = _NEVER
        """Nobody who waits has to be refused before, for time."""
        self._accounts: OrderedDict[object, _Account] = OrderedDict()
        self._mild = 0.0
        """Who had less than this lately is not refused at the door; 0 while nobody is loud."""
        self._epoch = 0.0
        self._since = 0.0
        self._evicted = self._shed = 0
        self._was_free = True
        self._lowest = -1

    # -- slots --

    def admit(self, limit: float) -> bool:
        """Take a slot for a request that has just come, if one is free and nobody waits for it."""
        if self.waiting or self.in_flight >= limit:
            return False
        self.in_flight += 1
        self._was_free = True
        return True

    def release(self) -> None:
        """Give a slot back."""
        self.in_flight -= 1

    # -- the queue --

    def turn_away(self, priority: Priority, now: float, chance: float, tenant: object = None) -> bool:
        """Whether to refuse one at the door, before a ticket is made. One that is not is enqueued with chance 1.

        Who is not known yet is looked at more closely while a client is loud: it may be one of the others.
        """
        self._look(now)
        line = self._lines[priority]
        line.press(now, self.settings.wait_s)
        if not (self.ratio and self._is_shed(priority, chance)) or self._is_mild(tenant):
            return False
        line.offered += 1
        self._shed += 1
        return True

    def enqueue(self, ticket: Ticket, limit: float, now: float, chance: float) -> Refused | None:
        """Let a request wait. Returns who is refused for it, which may be itself. `chance` is from 0 to 1."""
        self._look(now)
        line = self._lines[ticket.priority]
        line.offered += 1
        if ticket.deadline is not None and ticket.deadline <= now:
            return Refused(ticket, Why.LATE)
        line.press(now, self.settings.wait_s)
        if self.ratio and self._is_shed(ticket.priority, chance) and not self._is_mild(ticket.tenant):
            self._shed += 1
            return Refused(ticket, Why.SHED)
        ticket.account = self._accounts.get(ticket.tenant, _NOBODY)
        line.tickets.append(ticket)
        self.waiting += 1
        self._soonest = min(self._soonest, self._due(ticket, line))
        return None if self.waiting <= self._room(limit, now) else self._push_out(now)

    def take(self, limit: float, now: float) -> tuple[Ticket | None, list[Refused]]:
        """The next to be served, with a slot; and who is refused because it is too late for them.

        In a line that is not pressed, whoever waited for long is served all the same where a slot is free: it may be
        the loop that stood still.
        """
        refused = self._late(now, (line for line in self._lines if line.pressed)) if now >= self._soonest else []
        while self.waiting and self.in_flight < limit:
            line = next(line for line in self._lines if line.tickets)
            ticket = line.first()
            self._remove(ticket)
            if ticket.deadline is None or ticket.deadline > now:
                self._serve(ticket, line, now)
                return ticket, refused
            refused.append(Refused(ticket, Why.LATE))
            self._note_lost(ticket, now)
        if not self.waiting:
            self._was_free = self._was_free or self.in_flight < limit
        return None, refused + self.overdue(now)

    def _serve(self, ticket: Ticket, line: _Line, now: float) -> None:
        if not line.pressed and now - ticket.arrived <= 0.5 * line.patience(self.settings):
            line.well_at = now
        self._lowest = max(self._lowest, ticket.priority)
        self.in_flight += 1
        self._charge(ticket, now)

    def overdue(self, now: float) -> list[Refused]:
        """Refuse those who waited too long, or whose deadline has passed."""
        if not self.waiting or now < self._soonest:
            return []
        self._soonest = _NEVER
        late = self._late(now, self._lines)
        for line in self._lines:
            for ticket in line.tickets:
                self._soonest = min(self._soonest, self._due(ticket, line))
        return late

    def _late(self, now: float, lines: Iterable[_Line]) -> list[Refused]:
        late: list[Refused] = []
        for line in lines:
            for ticket in line.tickets:
                if self._due(ticket, line) <= now:
                    passed = ticket.deadline is not None and ticket.deadline <= now
                    late.append(Refused(ticket, Why.LATE if passed else Why.WAITED))
        for refused in late:
            self._remove(refused.ticket)
            self._note_lost(refused.ticket, now)
        return late

    def _due(self, ticket: Ticket, line: _Line) -> float:
        """When one that waits is refused. While one client is loud, the others may wait for longer than usual."""
        mild = ticket.account.used < self._mild
        patience = _MILD_PATIENCE * self.settings.wait_s if mild else line.patience(self.settings)
        due = ticket.arrived + patience
        return due if ticket.deadline is None else min(due, ticket.deadline)

    def withdraw(self, ticket: Ticket) -> bool:
        """Take out a request that has gone by itself. Says whether it was waiting."""
        if ticket not in self._lines[ticket.priority].tickets:
            return False
        self._remove(ticket)
        return True

    def next_due(self) -> float | None:
        """When to look again for those who waited too long: not after the first is; None where nobody waits."""
        return self._soonest if self.waiting else None

    def _room(self, limit: float, now: float) -> int:
        """How many may wait: fewer where those who would make room are pressed."""
        settings = self.settings
        line = next((line for line in reversed(self._lines) if line.tickets), self._lines[0])
        line.press(now, settings.wait_s)
        if not line.pressed:
            return settings.queue_most
        return min(settings.queue_most, max(settings.queue_least, int(limit * settings.queue_factor)))

    def _push_out(self, now: float) -> Refused:
        ticket = next(line for line in reversed(self._lines) if line.tickets).last()
        self._remove(ticket)
        self._note_lost(ticket, now)
        return Refused(ticket, Why.FULL)

    def _note_lost(self, ticket: Ticket, now: float) -> None:
        self._evicted += 1
        line = self._lines[ticket.priority]
        if line.pressed:
            line.well_at = now

    def _remove(self, ticket: Ticket) -> None:
        self._lines[ticket.priority].tickets.remove(ticket)
        self.waiting -= 1

    # -- what clients had --

    def _charge(self, ticket: Ticket, now: float) -> None:
        """Count a request that is served. Older ones count less: the unit grows instead, so that nothing is decayed."""
        lives = (now - self._epoch) / _HALF_LIFE_S
        if lives > _LIVES:
            for account in self._accounts.values():
                account.used *= 0.5**lives
            self._epoch, lives = now, 0.0
        account = self._accounts.get(ticket.tenant)
        if account is None:
            account = self._accounts[ticket.tenant] = _Account()
            for waiting in self._lines[ticket.priority].tickets:
                if waiting.tenant == ticket.tenant:
                    waiting.account = account
        else:
            self._accounts.move_to_end(ticket.tenant)
        account.used += 2.0**lives
        if len(self._accounts) > _MOST_TENANTS:
            self._accounts.popitem(last=False)

    def _is_mild(self, tenant: object) -> bool:
        """Whether a client had little, while another had much; also one of whom nothing is known."""
        return self._mild > 0.0 and self._accounts.get(tenant, _NOBODY).used < self._mild

    def _listen(self) -> None:
        """See whether one client is loud. One of whom alone we know is: the others may be those that were refused."""
        used = [account.used for account in self._accounts.values()] or [0.0]
        loudest = max(used)
        self._mild = _MILD * loudest if loudest > _LOUD * sum(used) else 0.0

    # -- refused at the door --

    def _look(self, now: float) -> None:
        """See each window how much is to be refused before it waits: more while the queue overflows, none soon after a
        slot was free. Without the second it could hold on to its own refusals for ever."""
        windows = (now - self._since) / _WINDOW_S
        if windows < 1:
            return
        offered = sum(line.offered for line in self._lines)
        over = min(1.0, self._evicted / max(1, offered - self._shed)) - _TURNED_AWAY
        if self._was_free or windows > 2:
            self.ratio = max(0.0, 0.85 ** min(windows, 100.0) * self.ratio - 0.01)
        elif over <= 0.0:
            self.ratio = max(0.0, self.ratio - 0.02)
        else:
            self.ratio = min(0.98, self.ratio + 0.3 * (1 - self.ratio) * over / (1 - _TURNED_AWAY))
        self._listen()
        for line in self._lines:
            line.share += 0.3 * (line.offered / offered - line.share) if offered else 0.0
            line.offered = 0
        self._since, self._was_free, self._evicted, self._shed, self._lowest = now, False, 0, 0, -1

    def _is_shed(self, priority: Priority, chance: float) -> bool:
        """Whether one of this class is refused at the door: all of the lower ones before any of this one."""
        line, lower = self._lines[priority], self._lines[priority + 1 :]
        if not (line.pressed and line.tickets) or self._lowest > priority or any(each.tickets for each in lower):
            return False
        return line.share > 0.0 and chance < (self.ratio - sum(each.share for each in lower)) / line.share
