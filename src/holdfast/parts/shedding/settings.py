"""The settings of shedding."""

from typing import Annotated, Literal

from holdfast.settings import Settings, option


class SheddingSettings(Settings, prefix="HOLDFAST", title="shedding"):
    """What happens when more comes than can be served."""

    shed: Annotated[
        Literal["on", "observe", "off"],
        option("Refuse what cannot be served (on), only report what would be refused (observe), or do neither (off)."),
    ] = "on"
    shed_at_once_max: Annotated[
        int, option("The most requests that a process serves at once, whatever it could.", ge=1, le=100_000)
    ] = 1000
    shed_wait_ms: Annotated[
        int,
        option(
            "Milliseconds that a request may wait to be served, in a burst; one of many waits less.", ge=1, le=10_000
        ),
    ] = 70
    priority_routes: Annotated[
        tuple[str, ...],
        option(
            "How important requests are by path, the first that matches: /reports/*=background, POST /pay=critical.",
            pattern=r"([A-Za-z]+\s+)?/[^\s=]*\s*=\s*(critical|normal|low|background)",
            pattern_words="a path in which * stands for any text, = and critical, normal, low or background",
        ),
    ] = ()
