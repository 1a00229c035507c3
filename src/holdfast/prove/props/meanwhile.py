"""Quick requests at a steady rate while something else goes on, and how long they take then.

    quick = await quickest(app, stage.target)
    before = await paced(app, quick, 1.5)
    during = await paced(app, quick, 1.5, acting)

They come from a process of their own, each with a connection of its own, at moments that were fixed beforehand: a
backend that stands still is charged with all that was to be asked meanwhile. What that process itself was kept from
is taken off.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from holdfast.decide.latencies import Outcome, Request, Result, quantile
from holdfast.prove import load
from holdfast.prove.config import Template
from holdfast.prove.load import Job, Phase, offering
from holdfast.prove.running import App
from holdfast.prove.sending import request
from holdfast.prove.stage import Target, send

RATE: Final = 60.0
"""Requests a second, of all kinds together."""
PATIENCE_S: Final = 5.0
_TRIES: Final = 3
_MOST: Final = 0.97


class Pace(msgspec.Struct, frozen=True):
    """How the requests of one kind fared."""

    shown: str = ""
    asked: int = 0
    good: int = 0
    refused: int = 0
    """Answered with 503 or 429."""
    hung: int = 0
    """Not answered in time."""
    p50_ms: float = 0.0
    p97_ms: float = 0.0
    """97 of 100 were answered so soon, in whatever way; from the moment at which they were to be sent."""
    worst_ms: float = 0.0

    @property
    def failed(self) -> int:
        """Those that had no good answer."""
        return self.asked - self.good


class Paced(msgspec.Struct, frozen=True):
    """How all of them fared, and how late the process was that asked."""

    kinds: tuple[Pace, ...] = ()
    late_ms: float = 0.0
    """With 99 of 100."""


async def quickest(app: App, target: Target) -> list[Template]:
    """What is asked: the quickest read that is known, and what says that the backend is ready, if anything does."""
    times = [(await _usual_s(app, each), number) for number, each in enumerate(target.reads or (target.read,))]
    chosen = [(target.reads or (target.read,))[min(times)[1]]]
    if target.config.ready and all(target.config.ready != each.path for each in chosen):
        chosen.append(Template("GET", target.config.ready))
    return chosen


async def _usual_s(app: App, template: Template) -> float:
    return quantile([(await send(app, template))[1].took_s for _ in range(_TRIES)], 0.5)


def asking(app: App, template: Template, *, anew: bool = False) -> load.Template:
    """A template as the load generator wants it, signed in; `anew` for a connection of its own."""
    sent = request(template, app.names)
    headers = {**app.client.headers, **({"Connection": "close"} if anew else {}), **sent.headers}
    return load.Template(sent.path, sent.method, tuple(headers.items()), sent.body or b"")


async def paced(
    app: App,
    templates: Sequence[Template],
    seconds: float,
    acting: Callable[[float], Awaitable[object]] | None = None,
    *,
    rate: float = RATE,
    patience_s: float = PATIENCE_S,
) -> Paced:
    """Ask for so long while `acting` goes on, which is told by when it is to begin nothing more. Raises LoadFailed."""
    asked = [asking(app, each, anew=True) for each in templates]
    job = Job(app.port, asked, [Phase(seconds, rate)], kind="new", timeout_s=patience_s)
    async with offering(job) as running, asyncio.TaskGroup() as group:
        found = group.create_task(running.result())
        if acting is not None:
            await acting(max(running.began, time.monotonic()) + seconds)
    return Paced(tuple(_pace(found.result(), number, each) for number, each in enumerate(templates)), _late(found))


def _late(found: "asyncio.Task[Result]") -> float:
    return found.result().late_p99 * 1000


def _pace(result: Result, template: int, asked: Template) -> Pace:
    requests = [one for one in result.requests if one.template == template]
    times = [_owed(result, one) * 1000 for one in requests]
    return Pace(
        shown=asked.shown,
        asked=len(requests),
        good=sum(one.outcome == Outcome.GOOD for one in requests),
        refused=sum(one.outcome == Outcome.REFUSED for one in requests),
        hung=sum(one.outcome == Outcome.TIMED_OUT for one in requests),
        p50_ms=quantile(times, 0.5),
        p97_ms=quantile(times, _MOST),
        worst_ms=max(times, default=0.0),
    )


def _owed(result: Result, one: Request) -> float:
    """How long a request took, without the time in which the process that asked did not run."""
    if one.outcome == Outcome.TIMED_OUT:
        return one.took
    end = one.at + one.took
    stalled = sum(max(0.0, min(end, each.at + each.lasted_s) - max(one.at, each.at)) for each in result.stalls)
    return max(0.0, one.took - stalled)
