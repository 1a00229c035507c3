"""Work that is accepted and done later: a POST that is answered with 202, and a GET that tells how far it is.

Both are found in the OpenAPI document: `POST /jobs` with an answer 202, and `GET /jobs/{id}`. How a job that is done is
called nobody says; so some are made in peace before, and what those came to is what the others have to come to.
"""

import asyncio
import time
from collections.abc import Sequence
from itertools import islice, product
from typing import Final, NamedTuple, cast
from urllib.parse import quote, urlencode

from holdfast.decide.openapi import Operation, operations
from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.props.underway import is_set
from holdfast.prove.running import App
from holdfast.prove.stage import send

_STATES: Final = ("state", "status", "phase")
_NAMES: Final = ("id", "job_id", "task_id")
_HTTP: Final = "HTTP"
_MOST_KINDS: Final = 16
_LOOK_S: Final = 0.08
_PEACE_S: Final = 4.0
_STILL_S: Final = 0.5
"""A state that does not change for so long is the last one."""
_STUCK_S: Final = 3.0
_BACK_S: Final = 8.0
_ASK_S: Final = 5.0
_IN_PEACE: Final = 5
_AT_ONCE: Final = 4
_MOST_EACH: Final = 8


class Job(NamedTuple):
    """One that was accepted."""

    template: Template
    path: str
    """Where it is looked at."""
    first: str
    """Its state when it was accepted."""


class Peace(NamedTuple):
    """A kind of job, made while nothing was wrong."""

    job: Job
    states: frozenset[str]
    """The states that it was seen in, but for the first."""
    done: str
    """The last of them."""
    took_s: float


def kinds(document: object) -> list[Template]:
    """What can be asked for that is done later and looked at meanwhile."""
    found, _ = operations(document)
    looks = {one.path for one in found if one.method == "GET" and len(one.parameters) == 1}
    made: list[Template] = []
    for one in found:
        if one.method == "POST" and one.accepted and not one.parameters and _looked_at(one, looks):
            made += [Template("POST", path, json=one.example) for path in _paths(one)]
    return made[:_MOST_KINDS]


def _looked_at(one: Operation, looks: set[str]) -> bool:
    return any(path.startswith(f"{one.path}/{{") and path.endswith("}") for path in looks)


def _paths(one: Operation) -> list[str]:
    """Its path with each choice of values for what is required; none where the document does not name any."""
    if set(one.values) != set(one.required):
        return []
    choices = product(*one.values.values())
    queries = [urlencode(dict(zip(one.values, choice, strict=True))) for choice in islice(choices, _MOST_KINDS)]
    return [f"{one.path}?{query}" if query else one.path for query in queries]


async def asked(app: App, template: Template) -> Job | None:
    """Ask for a job; None where it was not accepted, or does not say how it is called and how far it is."""
    _, answer = await send(app, template, timeout_s=_ASK_S)
    said = _said(answer)
    name = next((str(said[key]) for key in _NAMES if isinstance(said.get(key), str | int)), "")
    if answer.status != 202 or answer.error or not name or not _state(said):
        return None
    return Job(template, f"{template.path.partition('?')[0]}/{quote(name, safe='')}", _state(said))


async def state_of(app: App, job: Job) -> str:
    """What is said of it now; `HTTP 404` where the answer is not 2xx, empty where there was none."""
    _, answer = await send(app, Template("GET", job.path), timeout_s=_ASK_S)
    if not answer.good:
        return f"{_HTTP} {answer.status}" if answer.status else ""
    return _state(_said(answer))


def _said(answer: Answer) -> dict[str, object]:
    value = answer.json()
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _state(said: dict[str, object]) -> str:
    return next((str(said[key]) for key in _STATES if isinstance(said.get(key), str)), "")


# -- in peace --


async def in_peace(app: App, templates: Sequence[Template]) -> list[Peace]:
    """Have one of each kind made, a few at a time, and see what becomes of it; the longest first."""
    until = time.monotonic() + _PEACE_S
    free = asyncio.Semaphore(_IN_PEACE)

    async def one(template: Template) -> Peace | None:
        async with free:
            if time.monotonic() > until:
                return None
            job = await asked(app, template)
            return await _watched(app, job, until) if job is not None else None

    made = await asyncio.gather(*(one(template) for template in templates))
    return sorted((peace for peace in made if peace is not None), key=lambda peace: -peace.took_s)


async def _watched(app: App, job: Job, until: float) -> Peace | None:
    """Look at a job until its state changes no more; None where it never does."""
    began = changed = time.monotonic()
    seen, last = set[str](), job.first
    while time.monotonic() < min(until, changed + _STILL_S if seen else until):
        await asyncio.sleep(_LOOK_S)
        now = await state_of(app, job)
        if now != last:
            last, changed = now, time.monotonic()
            seen.add(now)
    seen.discard(job.first)
    return Peace(job, frozenset(seen), last, changed - began) if last in seen else None


# -- while it ends, and after --


async def until_refused(app: App, peaces: Sequence[Peace], soon: asyncio.Event) -> list[Job]:
    """Have one of each of some kinds made now, and again and again from the moment that it is `soon` over until nobody
    takes any more; those that were accepted."""
    accepted: list[Job] = []

    async def made(peace: Peace) -> bool:
        """Whether it was accepted, and is done."""
        job = await asked(app, peace.job.template)
        if job is None:
            return False
        if job.first == peace.done:  # it was done before, and is no work that could be lost
            return True
        accepted.append(job)
        return await _comes_to(app, job, peace.done)

    async def asking(peace: Peace) -> None:
        if await made(peace):
            while app.alive and not await is_set(soon, _LOOK_S):
                pass
            for _ in range(_MOST_EACH):
                if not await made(peace):
                    return

    await asyncio.gather(*(asking(peace) for peace in peaces[:_AT_ONCE]))
    return accepted


async def _comes_to(app: App, job: Job, done: str) -> bool:
    until = time.monotonic() + _STUCK_S
    while (state := await state_of(app, job)) != done:
        if not state or time.monotonic() > until:
            return False
        await asyncio.sleep(_LOOK_S)
    return True


async def lost(app: App, jobs: Sequence[Job], peaces: Sequence[Peace]) -> str:
    """What of `jobs` does not become, after a restart, what such a job became in peace; empty where all do.

    Where those that were done are not known any more either, nothing is kept on purpose, and nothing is said.
    """
    good = {peace.job.template.path: peace.states | {await state_of(app, peace.job)} for peace in peaces}
    until = time.monotonic() + _BACK_S
    for job in jobs:
        wanted = good[job.template.path] - {job.first}
        if not wanted or any(state.startswith(_HTTP) for state in wanted):
            continue
        while (state := await state_of(app, job)) not in wanted:
            if time.monotonic() > until:
                done = " or ".join(repr(one) for one in sorted(wanted))
                what = f"{job.template.shown}, accepted with 202 before the end, says {state!r} after the restart"
                return f"{what}; what was made in peace said {done}"
            await asyncio.sleep(_LOOK_S)
    return ""
