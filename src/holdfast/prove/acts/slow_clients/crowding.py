"""More connections than there are descriptors: do those that only wait make room, and what does it cost to have none?

    crowded = await crowding(stage, descriptors)

It is a backend of its own, started with `ulimit -n`. A crowd has more connections than that, asks for something cheap
over each now and then, and goes where it is sent away. Others come meanwhile. When the crowd has gone, the limit is
lowered to what is open, somebody comes all the same, and the processor that is used for nobody is looked at.
"""

import asyncio
import contextlib
import copy
import resource
import shlex
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import msgspec

from holdfast.decide.verdicts import Judgement, broken
from holdfast.prove.counters import counted
from holdfast.prove.http import Client, Wire
from holdfast.prove.load.looks import spent
from holdfast.prove.props.greedy import ADDRESS
from holdfast.prove.props.ordinary import Fared, fared, harmed, load
from holdfast.prove.props.shortage import LAST, free, serving, shortage
from holdfast.prove.running import App, AppFailed, command
from holdfast.prove.sending import request
from holdfast.prove.stage import Stage, send

_ROOM: Final = 128
"""So many descriptors a backend has beside what it has open when it serves nobody."""
_MORE: Final = 80
"""So many more connections come than that."""
_MOST: Final = 1200
_OURS: Final = 550
"""Files that we have open beside them, with the other slow clients."""
_AT_ONCE: Final = 8
_AGAIN_S: Final = 1.0
"""How often each asks again: sooner than anybody takes a connection for forgotten."""
_BEFORE_S: Final = 1.0
_DURING_S: Final = 3.0
_APART_S: Final = 0.02
_REST_S: Final = 0.5
_LOOK_S: Final = 1.0
_WAITING: Final = 3
_SPINS: Final = 0.4
_HALF: Final = 0.5
_MEND: Final = (
    "Close connections that wait for their next request when there is no room for a new one: `holdfast run` does "
    "(HOLDFAST_CONNECTIONS_MAX), and so do nginx and HAProxy in front."
)
_MEND_SPIN: Final = (
    "When accept fails for want of descriptors, look away from the listening socket for a moment: `holdfast run` does, "
    "and so does asyncio without uvloop."
)


class Crowding(msgspec.Struct, frozen=True):
    """What became of more connections than there are descriptors."""

    limit: int = 0
    """`ulimit -n`; 0 where it was not tried."""
    came: int = 0
    """Connections that were made, as far as the kernel is concerned."""
    stayed: int = 0
    """Those that were there to the end."""
    full: bool = False
    """Whether a process that serves had no descriptor left in the end."""
    before: Fared = Fared()
    during: Fared = Fared()
    exhausted: bool = False
    """Whether there was no descriptor left, and somebody waited to be let in, for the next three."""
    idle_s: float = 0.0
    """Processor seconds a second when nobody asked for anything."""
    used_s: float = 0.0
    """The same while somebody waited to be let in."""
    unclear: str = ""
    """Why it was not tried."""


async def crowding(stage: Stage, most_open: int) -> Crowding:
    """Let a crowd come to a backend whose processes have room for some connections beside `most_open` descriptors."""
    limit = most_open + _ROOM
    try:
        async with _limited(stage, limit).app() as app:
            _, first = await send(app, stage.target.read)
            pids = serving(await asyncio.to_thread(counted, app.pid), app.port)
            before = fared([await load(app, stage.target, _BEFORE_S)])
            if not first.good or not before.good:
                return Crowding(unclear=f"with ulimit -n {limit} it said {first.shown}")
            count = limit * len(pids) + _MORE
            if count > min(_MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OURS):
                return Crowding(unclear=f"{count} connections are more than may be opened here")
            async with _crowd(stage, app, count) as crowd:
                during = fared([await load(app, stage.target, _DURING_S)])
                came, stayed, full = crowd.came, crowd.there, any(0 <= free(pid, limit) <= LAST for pid in pids)
            await asyncio.sleep(_REST_S)
            exhausted, idle_s, used_s = await _without_descriptors(app, pids)
            return Crowding(limit, came, stayed, full, before, during, exhausted, idle_s, used_s)
    except AppFailed as failure:
        return Crowding(unclear=f"it does not run with ulimit -n {limit}: {str(failure).splitlines()[0]}")


def _limited(stage: Stage, limit: int) -> Stage:
    """The same stage, whose backends may open so many files."""
    config = stage.target.config
    started = command(config, {"port": "{port}", "folder": "{folder}", "secret": stage.secret})
    serve = shlex.join(["sh", "-c", f'ulimit -n {limit} && exec "$0" "$@"', *started])
    under = copy.copy(stage)
    under.folder = stage.folder / "crowded"
    under.target = stage.target._replace(config=config._replace(app="", serve=serve))
    return under


class _Crowd:
    """Those who have come, from one address."""

    def __init__(self, client: Client, method: str, asked: bytes) -> None:
        self.client = client
        self.method = method
        self.asked = asked
        self.came = self.there = 0
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def come(self, stack: AsyncExitStack) -> None:
        """Connect, and stay as long as one may."""
        async with self._turn:
            with contextlib.suppress(OSError, TimeoutError):
                wire = await stack.enter_async_context(self.client.wire(timeout_s=2.0))
                self.came += 1
                staying = asyncio.create_task(self._stay(wire))
                stack.callback(staying.cancel)
                await asyncio.sleep(_APART_S)

    async def _stay(self, wire: Wire) -> None:
        self.there += 1
        with contextlib.suppress(OSError):
            while True:
                await wire.send(self.asked, timeout_s=3600)
                answer = await wire.answer(self.method, timeout_s=3600)
                if answer.error or await _ended(wire):
                    break
        self.there -= 1


async def _ended(wire: Wire) -> bool:
    """Whether the backend ends a connection while nobody asks for anything, for as long as nobody does."""
    try:
        await wire.receive(timeout_s=_AGAIN_S)
    except TimeoutError:
        return False
    return True


@asynccontextmanager
async def _crowd(stage: Stage, app: App, count: int) -> AsyncGenerator[_Crowd]:
    """They come, and stay until the end of the block."""
    sent = request(stage.target.read, app.names)
    client = app.client.at(ADDRESS)
    crowd = _Crowd(client, sent.method, client.head(sent.method, sent.path, sent.headers))
    async with AsyncExitStack() as stack:
        await asyncio.gather(*(crowd.come(stack) for _ in range(count)))
        yield crowd


async def _without_descriptors(app: App, pids: Sequence[int]) -> tuple[bool, float, float]:
    """Whether somebody waited for a descriptor, and what share of a core was used before and meanwhile."""
    idle_s = await _used(pids, _REST_S)
    async with shortage() as lack, AsyncExitStack() as stack:
        with contextlib.suppress(OSError, TimeoutError, PermissionError):
            lack.leave(pids, 0)
            for _ in range(_WAITING * len(pids)):
                await stack.enter_async_context(app.client.at(ADDRESS).wire(timeout_s=1.0))
            return lack.seen, idle_s, await _used(pids, _LOOK_S)
    return False, idle_s, 0.0


async def _used(pids: Sequence[int], seconds: float) -> float:
    """Processor seconds a second, of the process that used most."""
    began, at = [spent([pid], None)[0] for pid in pids], time.monotonic()
    await asyncio.sleep(seconds)
    ended, now = [spent([pid], None)[0] for pid in pids], time.monotonic()
    return max(((after - before) / (now - at) for before, after in zip(began, ended, strict=True)), default=0.0)


def crowded_out(facts: Crowding) -> Judgement | None:
    """What is wrong with how a crowd was met, if anything is."""
    harm = harmed(facts.before, facts.during) if facts.limit else ""
    if harm and facts.during.served < _HALF * facts.before.served:
        why = (
            f"One client had {facts.came} connections where ulimit -n is {facts.limit}, asking for something each "
            f"second, {facts.stayed} of them to the end, and {harm}."
        )
        # that all descriptors are taken is nothing that a busy machine does
        return broken(why, f"{facts.during.good} of {facts.during.asked} served", mend=_MEND, certain=facts.full)
    if facts.exhausted and facts.used_s - facts.idle_s > _SPINS:
        why = (
            f"While somebody waited to connect and there was no file descriptor for it, one process used "
            f"{facts.used_s:.0%} of a core, and {facts.idle_s:.0%} before."
        )
        return broken(why, f"{facts.used_s:.0%} of a core", mend=_MEND_SPIN, certain=True)
    return None
