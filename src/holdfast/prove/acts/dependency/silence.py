"""A neighbour that takes what it is asked and never answers it, also when it is well again for who asks anew.

What is made meanwhile is looked at again and again: where some of it comes to the state that such things came to before
the silence, it needs no neighbour for that, and then all of it should.
"""

import asyncio
import json
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

import msgspec

from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.neighbours import Neighbour
from holdfast.prove.props.calling import back, calling, do, needs, talked, traffic
from holdfast.prove.props.leaving import calls
from holdfast.prove.proxy import HalfOpen
from holdfast.prove.running import App
from holdfast.prove.sending import found_in
from holdfast.prove.stage import Stage, Target, send

_MADE: Final = 12
"""At once, before and in the silence: more than a few tasks or connections can have to wait for, and no flood."""
_LOOK_S: Final = 0.2
_STILL_S: Final = 0.8
"""What has not changed for so long does not change any more."""
_CHANGES_S: Final = 5.0
_SLOW_S: Final = 1.2
"""What takes longer by itself is not waited for."""
_PROMPT_S: Final = 0.5
"""So much longer than before is as good as before."""
_TIMES: Final = 8.0
"""So many times as long as before: no busy machine explains that, while some of it is as soon as before."""
_LEAST_S: Final = 3.0
_CALLED_S: Final = 3.0
_RESTS_S: Final = 0.4
BACK_S: Final = 12.0
"""A call that is never answered may have that long, and no other has to wait for longer."""

State = Mapping[str, str]


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """What became of requests while a neighbour was silent, and afterwards."""

    name: str
    what: str
    """The requests that made it be called."""
    acted: bool = False
    """Whether anything was held back."""
    ends: tuple[str, ...] = ()
    """What things came to while it was well: `state: ready`."""
    well_s: float = 0.0
    """How long that took."""
    made: int = 0
    """Things that were made in the silence."""
    prompt: int = 0
    """Those that came to it as soon as before."""
    late: int = 0
    """Those that had not come to it after `bound_s`."""
    bound_s: float = 0.0
    stuck: int = 0
    """Connections to it when it was well again; on these nothing ever comes."""
    back_s: float | None = None
    """From then on until it was called anew; none: not within `within_s`."""
    within_s: float = BACK_S
    left: int = 0
    """Those of the stuck ones that were still open then."""


async def silences(stage: Stage) -> list[Silence]:
    """Each neighbour that is called by what is known, and that reads do not need, in an app for itself."""
    if not calling(stage.target):
        return []
    async with stage.app() as app:
        found = [await _silent(app, stage, each) for each in app.neighbours.values()]
    return [one for one in found if one is not None]


async def _silent(app: App, stage: Stage, neighbour: Neighbour) -> Silence | None:
    target = stage.target
    if await needs(app, target, neighbour):
        return None
    template = await _calls(app, target, neighbour)
    if template is None:
        return None
    things = Things(app, target, template)
    usual = await things.usual()
    bound_s = max(_LEAST_S, _TIMES * usual.within_s)
    acts = _held_back(neighbour)
    stage.tell(f"{neighbour.variable} is silent")
    async with AsyncExitStack() as faults:
        for proxy in neighbour.proxies:
            await faults.enter_async_context(proxy.fault(HalfOpen()))
        took = await asyncio.gather(*(things.came_to(usual.ends, bound_s) for _ in range(_MADE)))
        stuck = await _rested(app, neighbour, acts)
        for proxy in neighbour.proxies:
            proxy.strand()
    back_s = await back(app, target, neighbour, needed=False, within_s=BACK_S)
    left = stuck & await asyncio.to_thread(calls, app)
    made = [one for one in took if one is not None] if usual.ends else []
    return Silence(
        name=neighbour.variable,
        what=template.shown,
        acted=_held_back(neighbour) > acts,
        ends=tuple(f"{name}: {value}" for name, value in usual.ends.items()),
        well_s=usual.within_s,
        made=len(made),
        prompt=sum(one <= usual.within_s + _PROMPT_S for one in made),
        late=sum(one > bound_s for one in made),
        bound_s=bound_s,
        stuck=len(stuck),
        back_s=back_s,
        left=len(left),
    )


async def _calls(app: App, target: Target, neighbour: Neighbour) -> Template | None:
    """The first of what may call it that is seen to."""
    for each in calling(target):
        before = traffic(neighbour)
        await do(app, target, each)
        if await talked(neighbour, before, within_s=_CALLED_S):
            return each
    return None


def _held_back(neighbour: Neighbour) -> int:
    return sum(proxy.seen.acted(HalfOpen) for proxy in neighbour.proxies)


async def _rested(app: App, neighbour: Neighbour, acts: int) -> set[str]:
    """The connections to it, once it was called and no more are made."""
    began = still = time.monotonic()
    there: set[str] = set()
    while time.monotonic() - began < _CALLED_S:
        now = await asyncio.to_thread(calls, app)
        if now != there or _held_back(neighbour) == acts:
            there, still = now, time.monotonic()
        if time.monotonic() - still > _RESTS_S:
            break
        await asyncio.sleep(_LOOK_S)
    return there


# -- what is made --


class Usual(NamedTuple):
    """What becomes of things that are made while all is well."""

    ends: State
    """What of them changes by itself, and to what; nothing where that cannot be seen."""
    within_s: float


class Things:
    """What is made by a request, and how it is seen."""

    def __init__(self, app: App, target: Target, template: Template) -> None:
        """`template` makes it."""
        self._app = app
        self._target = target
        self._template = template

    async def usual(self) -> Usual:
        """Make some, and watch them until nothing changes any more."""
        if not self._template.id:
            return Usual({}, 0.0)
        seen = await asyncio.gather(*(self._settled() for _ in range(_MADE)))
        every = [one for one in seen if one is not None]
        within_s = max((one.within_s for one in every), default=math.inf)
        if len(every) < _MADE or within_s > _SLOW_S:
            return Usual({}, 0.0)
        ends = every[0].ends
        alike = {name: value for name, value in ends.items() if all(one.ends.get(name) == value for one in every)}
        return Usual(alike, within_s)

    async def _settled(self) -> Usual | None:
        """What of one that is made now changes, and until when."""
        began = time.monotonic()
        answer = await do(self._app, self._target, self._template)
        called = found_in(answer, self._template.id) if answer.good else ""
        if not called:
            return None
        changed = time.monotonic()
        last = await self._state(answer, called)
        first = _state_in(answer, called, alone=True) or last
        while time.monotonic() - changed < _STILL_S and changed - began < _CHANGES_S:
            await asyncio.sleep(_LOOK_S)
            now = await self._state(answer, called)
            if now and now != last:
                last, changed = now, time.monotonic()
        ends = {name: value for name, value in last.items() if name in first and first[name] != value}
        return Usual(ends, changed - began)

    async def came_to(self, ends: State, bound_s: float) -> float | None:
        """How long one that is made now takes to come to that; None where it was not made, or cannot be seen."""
        began = time.monotonic()
        answer = await do(self._app, self._target, self._template)
        called = found_in(answer, self._template.id) if answer.good and self._template.id else ""
        if not called or not ends:
            return None
        while time.monotonic() - began < bound_s:
            state = await self._state(answer, called)
            if all(state.get(name) == value for name, value in ends.items()):
                return time.monotonic() - began
            await asyncio.sleep(_LOOK_S)
        return math.inf

    async def _state(self, answer: Answer, called: str) -> State:
        """What is said of it now, in the first place that says anything."""
        for path in self._places(answer):
            _, there = await send(self._app, Template("GET", path), {"id": called})
            if there.good and (found := _state_in(there, called, alone="{id}" in path)):
                return found
        return {}

    def _places(self, answer: Answer) -> Sequence[str]:
        """Where it may be seen: where its answer says, where its content is, or where that lies under, or in a list."""
        place = urlsplit(answer.headers.get("location", "")).path
        content = self._template.content
        under = content[: content.index("{id}") + len("{id}")] if "{id}" in content else content
        return [each for each in dict.fromkeys((place, under, content, self._target.read.path)) if each]


def _state_in(answer: Answer, called: str, *, alone: bool) -> State:
    """The plain values of the object that names it in an answer; `alone`: the answer is about nothing else."""
    value = answer.json()
    plain = _naming(value, called) or {}
    if not plain and alone and isinstance(value, dict):
        plain = cast("dict[str, object]", value)
    return {name: json.dumps(each) for name, each in plain.items() if not isinstance(each, dict | list)}


def _naming(value: object, called: str) -> dict[str, object] | None:
    """The object in which one of the values is its name."""
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        if any(isinstance(each, str | int) and str(each) == called for each in table.values()):
            return table
        inside = list(table.values())
    else:
        inside = cast("list[object]", value) if isinstance(value, list) else []
    return next((found for each in inside if (found := _naming(each, called)) is not None), None)
