"""Released, when file descriptors run out: the backend survives, floods no log, and serves as before afterwards."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import msgspec

from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.config import Template
from holdfast.prove.counters import counted
from holdfast.prove.http import Wire
from holdfast.prove.load.looks import spent
from holdfast.prove.props.holding import Held, calm, grown, held, in_words
from holdfast.prove.props.round_trip import Trip, recovered, round_trip
from holdfast.prove.props.shortage import LAST, Shortage, asked_without, serving, shortage
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.sending import request, table
from holdfast.prove.stage import Stage

_ROOM: Final = 12
"""So many descriptors are free when the limit is lowered."""
_CROWD: Final = 60
_MOST_CROWD: Final = 240
_ROOMS: Final = 8
_SWEEP_S: Final = 5.0
_ANSWER_S: Final = 1.0
_HOLD_S: Final = 2.0
_QUICK_HOLD_S: Final = 1.5
_ANNOUNCED: Final = 1 << 20
_SETTLE_S: Final = 5.0
_WARM_S: Final = 2.0
_BACK_S: Final = 10.0
_FLOOD: Final = 4000
"""Lines a second: more than a long traceback for each client that was turned away."""
_SPINS: Final = 0.8
_IGNORED: Final = ("memory", "stored")
"""What an upload left that could not even be removed for want of a descriptor may be swept up later."""
"""It is not what runs out here."""
_MEND_DEAD: Final = (
    "Catch OSError where connections are accepted and files are opened, and go on: `holdfast run` does at its door."
)
_MEND_FLOOD: Final = "Pause before accepting again, and say it once: `holdfast run` does."
_MEND_LEFT: Final = "Close in `finally` what is open when opening the next thing fails: `holdfast.Resources` does."


class Exhaustion(msgspec.Struct, frozen=True):
    """One time without descriptors."""

    lowered: int = 0
    """Processes whose limit was lowered."""
    exhausted: bool = False
    """It was seen that a process was down to its last ones."""
    limit: int = 0
    came: int = 0
    """Clients that came; each was to have a descriptor or more."""
    seconds: float = 0.0
    log_lines: int = 0
    """Written meanwhile."""
    cpu_s: float = 0.0
    """Used meanwhile, by the processes whose limit was lowered."""
    ended: int = 0
    """Serving processes that were there before and not after."""
    held: Held = Held()
    """After it, with the files left in its folders counted from the first time on."""


class Descriptors(Facts, frozen=True, kw_only=True):
    """What a lack of descriptors did."""

    rounds: tuple[Exhaustion, ...] = ()
    before: Trip
    after: Trip
    alive: bool = True
    refusal: str = ""
    """Why the limit could not be lowered, if it could not."""


async def gather(stage: Stage) -> Descriptors:
    """Lower the limit of the running processes, let clients come until nothing is free, let them go, and look."""
    temporary = stage.folder / "temporary"
    temporary.mkdir(parents=True)
    async with stage.app({"TMPDIR": str(temporary)}) as app:
        folders = [app.folder, temporary]
        before = await round_trip(app, stage.target)
        rounds: list[Exhaustion] = []
        refusal, after = "", Trip()
        while app.alive:
            stage.tell(f"no descriptors left, time {len(rounds) + 1}")
            than = await held(app, folders)
            try:
                one = await _exhausted(stage, app)
            except PermissionError as error:
                refusal = str(error)
                break
            now = than
            if app.alive:
                within_s = _SETTLE_S if rounds else _WARM_S
                now = await calm(app, folders, than, within_s, ignoring=("stored",))
            rounds.append(msgspec.structs.replace(one, held=now))
            after = await recovered(app, stage.target, before, _BACK_S)
            leaks = len(rounds) == 1 or grown([each.held for each in rounds], ignoring=_IGNORED)
            if after.missed(before) or one.ended or len(rounds) > 2 or not leaks:
                break
        return Descriptors(
            well=f"{', '.join(before.good)} were answered 2xx" if before.good else "",
            fault=_fault(rounds),
            rounds=tuple(rounds),
            before=before,
            after=after,
            alive=app.alive,
            refusal=refusal,
        )


def _fault(rounds: Sequence[Exhaustion]) -> str:
    seen = [one for one in rounds if one.exhausted or (one.ended and one.limit)]
    if not seen:
        return ""
    how = f"at most {LAST} of {seen[0].limit} descriptors were free" if seen[0].exhausted else "it ended at once"
    return f"{len(seen)} times, with {seen[0].came} clients, {how}"


async def _exhausted(stage: Stage, app: App) -> Exhaustion:
    """Lower the limits, and have a crowd there for a while. Raises PermissionError."""
    pids = serving(await asyncio.to_thread(counted, app.pid), app.port)
    lines, cpu_s, began = len(app.lines()), _cpu_s(pids), time.monotonic()
    async with shortage() as lack:
        async with AsyncExitStack() as stack:
            crowd = range(min(_MOST_CROWD, _CROWD * len(pids)))
            lack.leave(pids, _ROOM)
            came = await asyncio.gather(*(_comes(stack, stage, app, number) for number in crowd))
            await asyncio.sleep(_QUICK_HOLD_S if stage.quick else _HOLD_S)  # so long the trouble lasts
        lack.give_back()
        await _one_by_one(stage, app, lack)
        seconds = time.monotonic() - began
        used_s = _cpu_s(pids) - cpu_s
        written = len(app.lines()) - lines
    return Exhaustion(
        lowered=len(lack.limits),
        exhausted=lack.seen,
        limit=max(lack.limits.values(), default=0),
        came=sum(came),
        seconds=round(seconds, 3),
        log_lines=written,
        cpu_s=round(max(0.0, used_s), 3),
        ended=sum(not _runs(pid) for pid in pids),
    )


async def _one_by_one(stage: Stage, app: App, lack: Shortage) -> None:
    """Have each kind of request meet no free descriptor, one, two and so on."""
    kinds = [one for one in (stage.target.read, stage.target.upload, stage.target.export) if one is not None]
    every = [request(each, app.names, table(20) if each is stage.target.upload else None) for each in kinds]
    await asked_without(lack, app, every, range(_ROOMS), timeout_s=_ANSWER_S, within_s=_SWEEP_S)


async def _comes(stack: AsyncExitStack, stage: Stage, app: App, number: int) -> bool:
    """A client comes, and stays: one that says nothing, one that was answered, or one in the middle of an upload."""
    try:
        wire = await stack.enter_async_context(app.client.wire(timeout_s=2.0))
        stack.callback(_leave, wire)
        match number % 3:
            case 0:
                return True
            case 1:
                await wire.send(_head(app, stage.target.read))
            case _:
                await wire.send(_head(app, stage.target.upload or stage.target.read, half=True))
    except (OSError, TimeoutError):
        return False
    return True


def _head(app: App, template: Template, *, half: bool = False) -> bytes:
    sent = request(template, app.names, b"" if half and template.file else None)
    if not half or template.method == "GET":
        return app.client.head(sent.method, sent.path, sent.headers)
    begun = b"".join((sent.body or b"").partition(b"\r\n\r\n")[:2]) if template.file else b""
    return app.client.head(sent.method, sent.path, sent.headers, length=_ANNOUNCED) + begun + b"a" * 1000


def _leave(wire: Wire) -> None:
    with contextlib.suppress(OSError):  # it has ended already
        wire.reset()


def _cpu_s(pids: Sequence[int]) -> float:
    return spent(pids, None)[0]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def judge(facts: Descriptors) -> Judgement:
    """It survived, it serves as before, nothing is left, and the log can be read."""
    if facts.refusal:
        return not_proven(f"The limit of its file descriptors could not be lowered: {facts.refusal}.")
    if not facts.before.good or not facts.rounds:
        return not_proven("Nothing was served before.")
    ended = sum(one.ended for one in facts.rounds)
    if not facts.alive or ended:
        why = f"Without file descriptors {ended or 1} of its serving processes ended."
        return broken(why, f"{ended or 1} ended", mend=_MEND_DEAD, certain=True)
    if missed := facts.after.missed(facts.before):
        why = f"{_BACK_S:g} s after there were file descriptors again it did not serve as before: {missed}."
        return broken(why, "not as before", mend=_MEND_DEAD)
    worst = max(facts.rounds, key=lambda one: one.log_lines / max(0.1, one.seconds))
    rate = worst.log_lines / max(0.1, worst.seconds)
    if rate > _FLOOD:
        spins = worst.cpu_s / worst.seconds > _SPINS * worst.lowered
        why = f"Without file descriptors it wrote {rate:.0f} lines a second into its log"
        why += ", and kept a core busy with accepting." if spins else "."
        return broken(why, f"{rate:.0f} lines/s", mend=_MEND_FLOOD)
    if more := grown([one.held for one in facts.rounds], ignoring=_IGNORED):
        why = f"Each time that it had no file descriptors, at least {in_words(more)} were left, and more each time."
        return broken(why, f"{in_words(more)} left each time", mend=_MEND_LEFT)
    return kept(
        f"{len(facts.rounds)} times {worst.came} clients took all its file descriptors: it survived, wrote at most "
        f"{rate:.0f} lines a second into its log, and served as before when they had gone, with nothing left open.",
        f"{rate:.0f} log lines/s",
    )


SCENARIO: Final = Scenario(
    name="descriptors",
    promise="released",
    part="when descriptors run out",
    title="lowers the limit of file descriptors while it runs, until none is free, and gives it back",
    seconds=8,
    facts=Descriptors,
    gather=gather,
    judge=judge,
)
