"""What makes a backend stand still: a request of some kind, a database that is held, a disk that is slow.

Each is tried once; what seems to hold everything up is tried again, with quiet times in between. So chance would have
to strike each time, and never in between.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from holdfast.prove.acts.slow_handler.heavy import TIMES, Heavy, heads, kinds
from holdfast.prove.acts.slow_handler.pulse import Pulse, beating, cheap, nonsense
from holdfast.prove.acts.slow_handler.slow_disk import HELD_UP_MS, slow_disk
from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.props.canary import Machine
from holdfast.prove.props.locking import Hold, databases, held
from holdfast.prove.running import App
from holdfast.prove.sending import table
from holdfast.prove.stage import Stage, Target, send

STILL_MS: Final = 100.0
"""Beneath this nobody feels it."""
_FELT_MS: Final = 50.0
"""What stops a loop for so long is looked at more closely; so long does the watchdog of `holdfast run` bear it."""
_AT_ONCE: Final = 6
_LONG_MS: Final = 400.0
_VERY_LONG_MS: Final = 2_000.0
_QUIET: Final = 1 / 3
_QUIET_S: Final = 0.15
_HELD_S: Final = 0.6
_HELD_TIMES: Final = 2
_MOST_S: Final = 12.0
_ROWS: Final = 20
_HOLDS: Final[dict[Hold, str]] = {
    "EXCLUSIVE": "while another process had the database {0} for itself, and it was asked for {1}",
    "IMMEDIATE": "while another process wrote in the database {0}, and it was asked for {1}",
}


class Standing(msgspec.Struct, frozen=True):
    """Something during which nothing at all was answered."""

    what: str
    """As it follows `Nothing was answered`."""
    held_ms: tuple[float, ...] = ()
    """For how long, each time."""
    quiet_ms: tuple[float, ...] = ()
    """And in the quiet times between."""
    asked: str = ""
    """What was not answered."""

    @property
    def stood(self) -> bool:
        """Whether it stood still each time, and never in between: the longer, the less often it has to be seen."""
        least = min(self.held_ms, default=0.0)
        enough = len(self.held_ms) >= _often(least)
        return enough and least >= STILL_MS and max(self.quiet_ms, default=0.0) < _QUIET * least


def _often(least_ms: float) -> int:
    """How often something has to be seen that lasts at least so long."""
    return 1 if least_ms >= _VERY_LONG_MS else 2 if least_ms >= _LONG_MS else TIMES


class Tried(msgspec.Struct, frozen=True):
    """What was tried, and what of it seemed to hold everything up the first time."""

    kinds: int = 0
    databases: tuple[str, ...] = ()
    """Which were held."""
    disk: bool = False
    """Whether the disk was slow, and it was waited for."""
    standing: tuple[Standing, ...] = ()


async def standstills(stage: Stage, machine: Machine, begin: asyncio.Event) -> Tried:
    """Try it all with a backend of its own, from a moment on."""
    async with stage.app() as app:
        await begin.wait()
        probes = await cheap(app, stage.target, nonsense())
        if not probes:
            return Tried()
        async with beating(app, probes, machine) as pulse:
            trying = _Trying(app, stage.target, pulse)
            await trying.all()
            return trying.found


class _Trying:
    def __init__(self, app: App, target: Target, pulse: Pulse) -> None:
        self._app = app
        self._target = target
        self._pulse = pulse
        self._until = time.monotonic() + _MOST_S
        self.found = Tried()

    @property
    def _goes_on(self) -> bool:
        """Whether there is time for more, and nothing found yet that holds it up: it may do so for ever."""
        return time.monotonic() < self._until and not any(one.stood for one in self.found.standing)

    async def all(self) -> None:
        """Try everything."""
        known: list[Heavy] = []
        async for one in kinds(self._app, self._target):
            known.append(one)
            if self._goes_on:
                await self._single(one)
        files = await asyncio.to_thread(databases, self._app.folder)
        for how in _HOLDS if files and nonsense() in self._pulse.probes else ():
            if self._goes_on:
                await self._holding(files, how, self._waiting(how, known))
        if self._goes_on and self._target.upload is not None:
            await self._disk()
        for one in heads(self._app, self._target):  # last, for it may never end
            if self._goes_on:
                await self._single(one)

    def _note(self, standing: Standing | None, kinds: int = 1) -> None:
        more = () if standing is None else (standing,)
        found = self.found
        self.found = msgspec.structs.replace(found, kinds=found.kinds + kinds, standing=(*found.standing, *more))

    def _waiting(self, how: Hold, known: Sequence[Heavy]) -> list[Heavy]:
        """What is asked for while the database is held: few enough for a server that has a few threads.

        A read; or else what writes: something is deleted, kept, and looked at, which may be noted.
        """
        target = self._target
        if how == "EXCLUSIVE":
            return [self._sent(target.read)]
        keeping = [self._sent(one) for one in (target.write, target.upload) if one is not None]
        deleting = [one for one in known if one.method == "DELETE"]
        looking = [one for one in known if one.method == "GET" and "{" in one.shown]
        return [*deleting[:1], *keeping[:1], *looking[-1:]]

    def _sent(self, template: Template) -> Heavy:
        async def once() -> Answer:
            content = table(_ROWS) if template is self._target.upload else None
            return (await send(self._app, template, content=content, timeout_s=_MOST_S))[1]

        return Heavy(template.shown, once, template.method)

    # -- a single request --

    async def _single(self, heavy: Heavy) -> None:
        before = self._before_s()
        first, _ = await self._pulse.felt(heavy.once)
        found: Standing | None = None
        if first * 1000 >= STILL_MS:
            found = await self._again(f"while it was asked for {heavy.shown}", before, first, heavy.once)
        if first * 1000 >= _FELT_MS and heavy.again and not (found is not None and found.stood):
            found = await self._at_once(heavy, before) or found
        self._note(found)

    async def _at_once(self, heavy: Heavy, before_s: float) -> Standing | None:
        """Some of a kind at once, where one alone is felt: what a loop does itself it does one after the other."""

        async def acting() -> None:
            await asyncio.gather(*(heavy.once() for _ in range(_AT_ONCE)))

        first, _ = await self._pulse.felt(acting)
        if first * 1000 < (_AT_ONCE - 1) * _FELT_MS:
            return None
        what = f"while it was asked {_AT_ONCE} times at once for {heavy.shown}"
        found = await self._again(what, before_s, first, acting)
        return found if min(found.held_ms) >= (_AT_ONCE - 1) * _FELT_MS else None

    def _before_s(self) -> float:
        """How it was right before now."""
        now = time.monotonic()
        return self._pulse.held_s(now - _QUIET_S, now)

    async def _again(
        self, what: str, before_s: float, first_s: float, acting: Callable[[], Awaitable[object]]
    ) -> Standing:
        """Do again what seemed to hold everything up, with quiet times in between; but not what may last for ever."""
        held_s, quiet_s = [first_s], [before_s]
        while len(held_s) < _often(min(held_s) * 1000):
            quiet_s.append((await self._pulse.felt(_rest))[0])
            held_s.append((await self._pulse.felt(acting))[0])
        return Standing(what, _in_ms(held_s), _in_ms(quiet_s), self._pulse.shown)

    # -- a database that is held --

    async def _holding(self, files: Sequence[Path], how: Hold, asked: Sequence[Heavy]) -> None:
        held_s: list[float] = []
        quiet_s: list[float] = []
        if not asked:
            return
        names = [str(path.relative_to(self._app.folder)) for path in files]
        for _ in range(_HELD_TIMES):
            before_s = (await self._pulse.felt(_rest))[0] if held_s else self._before_s()
            taken, felt_s = await self._held_once(files, how, asked)
            if not taken:
                return
            held_s.append(felt_s)
            quiet_s.append(before_s)
            self.found = msgspec.structs.replace(self.found, databases=tuple(names))
            if felt_s * 1000 < _LONG_MS:
                break
        what = _HOLDS[how].format(", ".join(names), " and ".join(one.shown for one in asked))
        slow = min(held_s) * 1000 >= _LONG_MS
        self._note(Standing(what, _in_ms(held_s), _in_ms(quiet_s), self._pulse.shown) if slow else None)

    async def _held_once(
        self, files: Sequence[Path], how: Hold, asked: Sequence[Heavy]
    ) -> tuple[Sequence[Path], float]:
        async with held(files, how) as taken:
            begin = time.monotonic()
            waiting = [asyncio.ensure_future(one.once()) for one in asked]
            await asyncio.sleep(_HELD_S)
            end = time.monotonic()
        await asyncio.gather(*waiting)
        await self._pulse.settled(_HELD_S)
        return taken, self._pulse.held_s(begin, end)

    # -- a disk that is slow --

    async def _disk(self) -> None:
        upload = self._target.upload
        if upload is None:
            return
        marker = f"prove-{secrets.token_hex(6)}"

        async def acting() -> Answer:
            return (await send(self._app, upload, content=f"{marker}\n{marker}\n".encode() * _ROWS))[1]

        async with slow_disk(self._app) as disk:
            if disk is None:
                return
            quiet_s, _ = await self._pulse.felt(_rest)
            first_s, answer = await self._pulse.felt(acting)
            self.found = msgspec.structs.replace(self.found, disk=answer.good)
            stored = await asyncio.to_thread(disk.stored_by_loop, self._app.folder, marker)
            if first_s * 1000 < STILL_MS or not stored:
                return
            what = (
                f"while it was sent {upload.shown} and the disk took {HELD_UP_MS} ms for each call of the event loop's"
            )
            what += f" thread, which stores that itself ({stored})"
            standing = await self._again(what, quiet_s, first_s, acting)
        self._note(standing)


async def _rest() -> None:
    await asyncio.sleep(_QUIET_S)


def _in_ms(seconds: Sequence[float]) -> tuple[float, ...]:
    return tuple(one * 1000 for one in seconds)
