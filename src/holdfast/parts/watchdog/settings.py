"""The settings of the watchdog."""

from typing import Annotated

from holdfast.settings import Settings, option


class WatchdogSettings(Settings, prefix="HOLDFAST", title="watchdog"):
    """When the event loop counts as held up."""

    watchdog_ms: Annotated[
        int,
        option(
            "Milliseconds from which on it is told what holds the event loop up, at least 10; 0: it never is.",
            ge=0,
            le=60_000,
        ),
    ] = 50
