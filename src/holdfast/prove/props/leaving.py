"""Clients that ask for something long and leave before it is there, and what the backend goes on doing for them."""

import asyncio
import contextlib
import time
from collections.abc import Collection
from typing import Final

import msgspec

from holdfast.decide.latencies import quantile
from holdfast.prove.config import Template
from holdfast.prove.counters import counted
from holdfast.prove.props.canary import used
from holdfast.prove.props.work import calm
from holdfast.prove.running import App
from holdfast.prove.sending import request
from holdfast.prove.stage import send

_LEAVE_S: Final = 0.2
_LEAVE_LATEST_S: Final = 0.6
_BEGUN: Final = 0.125
"""They leave no sooner than such a part of all the work can be done: what was not begun yet costs nobody anything."""
_FULL_S: Final = 10.0
_CALM_S: Final = 8.0
_LATER_S: Final = 2.0
_READS: Final = 5
_READ_S: Final = 5.0


class Left(msgspec.Struct, frozen=True):
    """What a backend did for clients that had left."""

    what: str = ""
    one_s: float = 0.0
    """How long one takes for whom somebody waits."""
    one_cpu_s: float = 0.0
    """What it costs in CPU time."""
    leave_s: float = _LEAVE_S
    """After how long they left."""
    left: int = 0
    """Clients that left without an answer."""
    answered: int = 0
    """Clients that had one before, such as a refusal."""
    spent_s: float = 0.0
    """CPU time after they had left, until there was hardly any more."""
    idle: bool = True
    """Whether there was hardly any more at the end."""
    calls: int = 0
    """Connections to what it depends on, when they left."""
    calls_later: int = 0
    """And two seconds later."""
    read_before_ms: float = 0.0
    read_after_ms: float = 0.0
    """How long an ordinary request took before, and right after they had left."""

    @property
    def full_s(self) -> float:
        """What it would have cost to do all of it."""
        return self.left * self.one_cpu_s


async def left(app: App, template: Template, read: Template, clients: int, ports: Collection[int] = ()) -> Left:
    """Have many ask for `template` and leave; `ports` are those of what the backend depends on."""
    before_ms = await _read_ms(app, read)
    first = await asyncio.to_thread(used, app.pid)
    _, answer = await send(app, template, timeout_s=_FULL_S)
    await calm(app, 1.0)
    last = await asyncio.to_thread(used, app.pid)
    kept = await asyncio.to_thread(_calls, app, ports)
    one_cpu_s = max(0.0, last.backend_s - first.backend_s)
    leave_s = max(_LEAVE_S, min(_LEAVE_LATEST_S, _BEGUN * clients * one_cpu_s))
    stayed = await asyncio.gather(*(_leaving(app, template, number, leave_s) for number in range(clients)))
    calls = await asyncio.to_thread(_calls, app, ports)
    gone = time.monotonic()
    rest, after_ms = await asyncio.gather(calm(app, _CALM_S), _read_ms(app, read))
    if calls - kept:
        await asyncio.sleep(max(0.0, gone + _LATER_S - time.monotonic()))
    later = await asyncio.to_thread(_calls, app, ports)
    return Left(
        what=template.shown,
        one_s=answer.took_s,
        one_cpu_s=one_cpu_s,
        leave_s=leave_s,
        left=clients - sum(stayed),
        answered=sum(stayed),
        spent_s=rest.spent_s,
        idle=rest.idle,
        calls=len(calls - kept),
        calls_later=len((later - kept) & calls),
        read_before_ms=before_ms,
        read_after_ms=after_ms,
    )


async def _leaving(app: App, template: Template, number: int, leave_s: float) -> bool:
    """Ask, wait for a moment, leave; whether there was an answer before. Every second one leaves with a reset."""
    sent = request(template, app.names)
    with contextlib.suppress(OSError, TimeoutError):
        async with app.client.wire() as wire:
            length = None if sent.body is None else len(sent.body)
            await wire.send(app.client.head(sent.method, sent.path, sent.headers, length=length) + (sent.body or b""))
            answer = await wire.answer(sent.method, timeout_s=leave_s)
            if number % 2:
                wire.reset()
            return bool(answer.status) and not answer.error
    return False


async def _read_ms(app: App, read: Template) -> float:
    """How long an ordinary request takes, of some that are asked at the same time."""
    answers = await asyncio.gather(*(send(app, read, timeout_s=_READ_S) for _ in range(_READS)))
    return quantile([answer.took_s for _, answer in answers], 0.5) * 1000


def _calls(app: App, ports: Collection[int]) -> set[str]:
    """Our ends of the connections that the backend has to some ports."""
    if not ports:
        return set()
    now = counted(app.pid)
    return {one.local for port in ports for one in now.connections(port) if one.state == "ESTABLISHED"}


def calls(app: App) -> set[str]:
    """The backend's ends of its connections to what it depends on."""
    return _calls(app, [proxy.address.port for each in app.neighbours.values() for proxy in each.proxies])
