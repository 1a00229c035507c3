"""How important a request is: what a trusted peer says, what its route says, what its principal says, then hints.

The first that says something counts. Whoever is not trusted can only make a request less important.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from holdfast.decide.admission import Priority
from holdfast.decide.patterns import Patterns

_WORDS: Final = {priority.name.lower(): priority for priority in Priority}
_URGENCY: Final = re.compile(r"(?:^|[,;\s])u=([0-7])(?:$|[,;\s])")
_BY_URGENCY: Final = {6: Priority.LOW, 7: Priority.BACKGROUND}
"""RFC 9218. Browsers ask for most of a page with 0 to 5, so only the last two lower anything."""


class Said(NamedTuple):
    """What is said of one request."""

    asked: str | None = None
    """The value of `Holdfast-Priority`."""
    trusted: bool = False
    """Whether who sent it is believed."""
    purpose: str | None = None
    """The value of `Sec-Purpose`."""
    urgency: str | None = None
    """The value of `Priority` (RFC 9218)."""


def word(text: str | None) -> Priority | None:
    """The priority that a word names; None for any other text."""
    return _WORDS.get(text.strip().lower()) if text is not None else None


def routes(entries: Iterable[str]) -> Patterns[Priority]:
    """Read entries such as `/reports/*=background` or `POST /pay/*=critical`. Raises ValueError."""
    return Patterns(entries, _known)


def _known(text: str) -> Priority:
    found = word(text)
    if found is None:
        raise ValueError(f"{text!r} is none of {', '.join(_WORDS)}")
    return found


def priority(said: Said, *, route: Priority | None = None, principal: Priority | None = None) -> Priority:
    """How important a request is."""
    asked = word(said.asked)
    if asked is not None and said.trusted:
        return asked
    own = next((given for given in (route, principal) if given is not None), Priority.NORMAL)
    return max(own, asked or Priority.CRITICAL, _hinted(said))


def _hinted(said: Said) -> Priority:
    if said.purpose is not None and "prefetch" in said.purpose.lower():
        return Priority.BACKGROUND
    urgency = _URGENCY.search(said.urgency) if said.urgency is not None else None
    return _BY_URGENCY.get(int(urgency[1]), Priority.CRITICAL) if urgency is not None else Priority.CRITICAL
