"""How long a request may take, as the operator says it, and what that comes to for one request."""

import dataclasses
from typing import Annotated

from holdfast.context import RequestContext
from holdfast.decide.deadlines import Timeouts, allowed, timeouts
from holdfast.errors import SettingsInvalid
from holdfast.settings import Settings, load, option


class DeadlineSettings(Settings, prefix="HOLDFAST", title="deadlines"):
    """How long a request may take."""

    timeout_s: Annotated[
        float,
        option("Seconds until a request has to be answered, where nothing else is said of it; 0: no limit.", ge=0),
    ] = 30.0
    timeout_routes: Annotated[
        tuple[str, ...],
        option(
            "The same for single routes, the first that matches: /reports/*=120, POST /import=300.",
            pattern=r"([A-Za-z]+\s+)?/[^\s=]*\s*=\s*[0-9]{1,6}(\.[0-9]{1,3})?",
            pattern_words="a path in which * stands for any text, after a method or alone, then = and seconds",
        ),
    ] = ()
    timeout_ceiling_s: Annotated[
        float, option("Seconds that a trusted proxy can give a request by its headers, at most; 0: any.", ge=0)
    ] = 300.0
    timeout_idle_s: Annotated[float, option("Seconds that a stream or a WebSocket may be silent; 0: any.", ge=0)] = (
        600.0
    )
    timeout_observe: Annotated[bool, option("Only report what a deadline would end.")] = False


_configured: DeadlineSettings | None = None


def configure(settings: DeadlineSettings | None, *, observe: bool = False) -> None:
    """Go by `settings` in every application that is put into Holdfast from now on; None: by what is loaded then.

    With `observe` nothing is ended, whatever they say.
    """
    global _configured  # noqa: PLW0603 - the process has one
    _configured = dataclasses.replace(settings, timeout_observe=True) if settings is not None and observe else settings


def timeouts_of(settings: DeadlineSettings | None = None) -> Timeouts:
    """What the service allows. Raises SettingsInvalid where a route's entry cannot be read."""
    said = settings or _configured or load(DeadlineSettings)
    try:
        return timeouts(
            usual_s=said.timeout_s,
            ceiling_s=said.timeout_ceiling_s,
            idle_s=said.timeout_idle_s,
            routes=said.timeout_routes,
            observes=said.timeout_observe,
        )
    except ValueError as error:
        raise SettingsInvalid([f"HOLDFAST_TIMEOUT_ROUTES: {error}"]) from error


def seconds_of(record: RequestContext, rule: Timeouts) -> float:
    """How long a request may take, from when it began to wait, wherever that was."""
    given = of_operator(record, rule) or rule.usual_s
    if record.asked_s is None:
        return given
    return allowed(given, record.asked_s, trusted=record.trusted_peer, ceiling_s=rule.ceiling_s)


def of_operator(record: RequestContext, rule: Timeouts) -> float | None:
    """What the operator says of the request's route; None where nothing."""
    if rule.routes is None:
        return None
    root: str = record.scope.get("root_path", "")
    found = rule.routes.find(record.method, record.path.removeprefix(root))
    return None if found is None else found[1]


def give(record: RequestContext, rule: Timeouts) -> float:
    """Give a request its deadline, by `time.monotonic()`; one that is only observed is not told of it."""
    # `started` is by the performance counter, which on Linux is the same clock.
    simple = rule.routes is None and record.asked_s is None
    deadline = record.started - record.waited_s + (rule.usual_s if simple else seconds_of(record, rule))
    if not rule.observes:
        record.deadline = deadline
    return deadline
