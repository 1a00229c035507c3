"""How values are written on a page. Pure functions; the scripts write them alike."""

from datetime import datetime
from typing import Final

_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_STEPS: Final = ("bytes", "kB", "MB", "GB", "TB")
_EXACT: Final = 3
"""From gigabytes on, tenths are told up to a hundred of them."""


def when(rfc3339: str) -> str:
    """A time as people read it, in UTC: `22 Nov 2026, 20:10`."""
    at = datetime.fromisoformat(rfc3339)
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}, {at:%H:%M}"


def size(count: int) -> str:
    """A number of bytes as people read it: `1.2 MB`, a thousand kilobytes to the megabyte."""
    step, left = 0, float(count)
    while left >= 999.5 and step < len(_STEPS) - 1:
        step, left = step + 1, left / 1000
    if step == 0:
        return f"{count} byte{'' if count == 1 else 's'}"
    return f"{left:.1f} {_STEPS[step]}" if left < (9.95 if step < _EXACT else 99.95) else f"{left:.0f} {_STEPS[step]}"


def number(count: int) -> str:
    """A number with its thousands apart: `1,234,567`."""
    return f"{count:,}"
