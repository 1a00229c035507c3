"""Watchdog: a thread that sees the event loop held up, and says by what, and for whom. Keeps *responsive*.

The loop notes the time every few milliseconds. The thread sleeps, and wakes when that is overdue; it then looks at the
loop's thread again and again until the loop turns. What it saw is judged by `holdfast.decide.watchdog`.
"""

from holdfast.parts.watchdog.dog import Watchdog
from holdfast.parts.watchdog.settings import WatchdogSettings

__all__ = ["Watchdog", "WatchdogSettings"]
