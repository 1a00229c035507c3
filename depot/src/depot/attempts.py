"""Throttled attempts: who fails to sign in has to wait, longer each time.

Counted are a name from one address, and an address whatever the names. A name alone is not: who knows it could lock its
owner out. The rule is a pure function of what failed and of the time; below it, what it needs in the database, so that
it holds over all workers. An attempt counts as failed before it is made, or many at once would count as one.
"""

import hashlib
import ipaddress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from depot.models import Attempts

_SWEPT_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Rule:
    """How failures are held against those who come again. Times are in seconds."""

    free: int
    """So many attempts may fail before anybody has to wait."""
    first_wait: float = 15.0
    """Before the next one; each that fails doubles it."""
    longest_wait: float = 900.0
    memory: float = 900.0
    """A quiet time of this length after a wait is over, and all is forgotten."""

    def wait_after(self, failures: int) -> float:
        """How long after the last of so many failures the next attempt may be made."""
        if failures < self.free:
            return 0.0
        return min(self.first_wait * 2.0 ** min(failures - self.free, 32), self.longest_wait)

    def wait(self, failures: int, last: float, now: float) -> float:
        """How long to wait at the time `now`, when the last of the failures was at `last`; 0 if not at all."""
        whole = self.wait_after(failures)
        return max(0.0, min(last + whole - now, whole))  # never longer, should the clock have been set back

    def forgotten(self, failures: int, last: float, now: float) -> bool:
        """Whether at the time `now` nothing of it counts any more."""
        return now >= last + self.wait_after(failures) + self.memory


NAME: Final = Rule(free=5)
"""For a name from one address."""
ADDRESS: Final = Rule(free=20)
"""For an address, behind which there may be many people."""
LONGEST_MEMORY: Final = NAME.longest_wait + NAME.memory

Keys = dict[str, Rule]


def keys(name: str, client: str) -> Keys:
    """What an attempt counts for."""
    place = network(client)
    return {_key("name", name, place): NAME, _key("address", place): ADDRESS}


def network(client: str) -> str:
    """What counts as one address: of IPv6 the first 64 bits, for a network hands out the rest as one likes."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv4Address):
        return client
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


# -- in the database --


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that may be made, and counts as failed until it is known to be none."""

    at: float
    before: dict[str, tuple[int, float]]
    """What counted until then: failures and the time of the last, by key."""


def wait(session: Session, counted: Keys, now: float) -> float:
    """How many seconds to wait before the next attempt; 0 if it may be made."""
    rows = session.scalars(select(Attempts).where(Attempts.key.in_(counted)))
    return max((counted[row.key].wait(row.failures, row.last, now) for row in rows), default=0.0)


def begin(session: Session, counted: Keys, now: float) -> Begun | float:
    """Count an attempt, or say how many seconds it is too early; one that is too early does not count."""
    early = wait(session, counted, now)
    if early:
        return early
    before: dict[str, tuple[int, float]] = {}
    for key, rule in counted.items():
        row = session.get(Attempts, key) or Attempts(key=key, failures=0, last=now)
        if rule.forgotten(row.failures, row.last, now):
            row.failures = 0
        before[key] = row.failures, row.last
        row.failures, row.last = row.failures + 1, now
        session.add(row)
    return Begun(now, before)


def succeeded(session: Session, counted: Keys, begun: Begun) -> None:
    """The attempt was none that failed: the name's failures are forgotten, those of the address are as before."""
    for key, rule in counted.items():
        row = session.get(Attempts, key)
        if row is None:
            continue
        if rule is NAME or row.failures <= 1:
            session.delete(row)
            continue
        row.failures -= 1
        if row.last == begun.at:
            row.last = begun.before[key][1]


def sweep(session: Session, now: float) -> None:
    """Remove what is forgotten, so that the table stays as small as what goes on."""
    old = select(Attempts.key).where(Attempts.last < now - LONGEST_MEMORY).limit(_SWEPT_AT_ONCE)
    session.execute(delete(Attempts).where(Attempts.key.in_(old)))
