"""Durable, against power loss: when the answer is sent, has the disk what it acknowledges?

A power cut cannot be made here. What decides is seen all the same: in which order the backend writes, syncs, answers.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from holdfast.decide.durability import Asked, Danger, Durability
from holdfast.decide.verdicts import Judgement, broken, kept, not_asked, not_proven
from holdfast.prove.acts.power_loss.tracing import Traced, strace, traced
from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.props.removing import DONE, gone, removal, removals
from holdfast.prove.props.resumable import address, creation, offset_in, piece
from holdfast.prove.running import AppFailed
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.sending import Request, filled, found_in, fresh_names, request
from holdfast.prove.stage import Stage, send

_TIMES: Final = 3
_ROWS: Final = 6000
"""So many that no number of bytes in the middle is so small that it is found in any file by chance."""
_LEAST: Final = 66_000
_TIMEOUT_S: Final = 30.0
_MENDS: Final = {
    Danger.UNSYNCED: "fsync before answering (`holdfast.uploads` does); for SQLite, PRAGMA synchronous = FULL.",
    Danger.NAMELESS: "After a file is made or renamed, fsync its folder before answering: `holdfast.uploads` does.",
    Danger.UNDONE: "Say PRAGMA synchronous = EXTRA, or use journal_mode = WAL with synchronous = FULL.",
    Danger.EARLY: "Sync the bytes first, then note how far they are safe, then answer: `holdfast.uploads` does.",
    Danger.UNJOURNALED: "Say PRAGMA journal_mode = DELETE or WAL: with MEMORY and OFF a kill may spoil the database.",
    Danger.LATER: "Answer when the data is stored, not before: `holdfast.uploads` does.",
}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One request that was acknowledged, or was to be."""

    what: str
    status: int
    seen: bool = False
    """Whether its answer was found among the system calls."""
    files: tuple[str, ...] = ()
    """The files that held its data."""
    unsafe: tuple[tuple[str, Danger], ...] = ()
    syncs: int = 0
    elsewhere: tuple[str, ...] = ()
    unseen: str = ""

    @property
    def counts(self) -> bool:
        """Whether it was acknowledged, and seen."""
        return 200 <= self.status < 300 and self.seen


class PowerLoss(Facts, frozen=True):
    """What was on the disk when each request was answered."""

    steps: tuple[Step, ...] = ()
    missing: str = ""
    """Why no system calls were seen."""


async def gather(stage: Stage) -> PowerLoss:
    """Send what is to be kept, one after the other, and look at what was called before each answer."""
    words, missing = await strace()
    if not words:
        return PowerLoss(missing=missing)
    if stage.target.upload is None and stage.target.write is None:
        return PowerLoss()
    stage.tell("starting the backend under strace")
    try:
        async with traced(stage, words) as seen:
            _, well = await send(seen.app, stage.target.read)
            steps = await _steps(stage, seen)
            return PowerLoss(
                well=f"{stage.target.read.shown} said {well.shown}" if well.good else "",
                fault=f"strace saw {sum(step.syncs for step in steps)} syncs and {sum(map(_counts, steps))} answers",
                steps=tuple(steps),
            )
    except AppFailed as failure:
        return PowerLoss(missing=f"the backend does not run under strace: {str(failure).splitlines()[0]}")


def _counts(step: Step) -> bool:
    return step.counts


async def _steps(stage: Stage, seen: Traced) -> list[Step]:
    target, app = stage.target, seen.app
    steps: list[Step] = []
    upload_ways, write_ways = await removals(app, target, target.upload), await removals(app, target, target.write)
    for number in range(_TIMES):
        stage.tell(f"round {number + 1} of {_TIMES}")
        marker = f"prove-{stage.chance.getrandbits(48):012x}"
        content = marked_table(_ROWS, marker)
        if target.upload is not None:
            sent = request(target.upload, app.names, content)
            step, answer = await _step(seen, target.upload.shown, sent, marker, len(content))
            steps += [step, *await _removal(seen, target.upload, answer, upload_ways)]
            if target.upload.resumable:
                middle = stage.chance.randrange(_LEAST, len(content) - _LEAST // 2)
                steps += await _pieces(seen, target.upload.resumable, marker, content, middle)
        if target.write is not None:
            sent = request(target.write, app.names)
            step, answer = await _step(seen, target.write.shown, sent, sent.names["name"], 0)
            steps += [step, *await _removal(seen, target.write, answer, write_ways)]
    return steps


async def _pieces(seen: Traced, where: str, marker: str, content: bytes, middle: int) -> list[Step]:
    """An upload in three pieces, each of which is acknowledged.

    The middle one is what the offset is told of: it is neither as long as that nor the end.
    """
    sent = creation(where, len(content), f"{fresh_names()['name']}.csv")
    made, answer = await _step(seen, f"POST {where}", sent, marker, 0)
    steps = [made]
    path, begun, size = address(answer), middle // 3, len(content)
    pieces = (
        (0, begun, "PATCH of the first piece"),
        (begun, middle, "PATCH of a piece"),
        (middle, size, "PATCH of the last piece"),
    )
    for first, last, what in pieces:
        if path:
            sent, offset = piece(path, first, content[first:last]), last if first > 0 and last < size else 0
            step, answer = await _step(seen, what, sent, marker, last - first, offset=offset)
            steps.append(step)
            path = path if offset_in(answer) is not None else ""
    return steps


async def _removal(seen: Traced, made: Template, answer: Answer, ways: list[str]) -> list[Step]:
    """The removal of what was just made, where there is a way; `ways` loses those that are none."""
    called = found_in(answer, made.id) if answer.good and made.id else ""
    while ways and called:
        path = ways[0]
        sent = removal(path, called, seen.app.names)
        step, _ = await _step(seen, f"DELETE {path}", sent, called, 0, removes=True)
        if step.status in DONE and await gone(seen.app, filled(made.content, sent.names, quoted=True)):
            return (
                [step] if step.unsafe or not step.unseen else []
            )  # what no file tells of is told by the step that made it
        del ways[0]
    return []


def marked_table(rows: int, marker: str) -> bytes:
    """A CSV table in each line of which stands `marker`."""
    lines = ["row,name,note", *(f"{number},Person {number},{marker}" for number in range(1, rows + 1))]
    return ("\n".join(lines) + "\n").encode()


async def _step(
    seen: Traced, what: str, sent: Request, marker: str, size: int, *, offset: int = 0, removes: bool = False
) -> tuple[Step, Answer]:
    app = seen.app
    await seen.quiet()
    world = await asyncio.to_thread(seen.world)
    body = sent.body or b""
    began = time.time()
    try:
        async with app.client.wire() as wire:
            length = len(body) if body or not removes else None
            head = app.client.head(sent.method, sent.path, {"Connection": "close", **sent.headers}, length=length)
            await wire.send(head + body, timeout_s=_TIMEOUT_S)
            answer, port = await wire.answer(sent.method, timeout_s=_TIMEOUT_S), wire.port
    except (OSError, TimeoutError) as failure:
        return Step(what=what, status=0), Answer(0, {}, b"", 0.0, error=type(failure).__name__)
    if not answer.good:
        return Step(what=what, status=answer.status), answer
    asked = Asked(began, answer.status, port, app.port, marker, size, offset, removes)
    return _read(what, answer.status, await seen.durability(asked, world), str(app.folder)), answer


def _read(what: str, status: int, seen: Durability, folder: str) -> Step:
    def short(path: str) -> str:
        return path.removeprefix(f"{folder}/")

    return Step(
        what=what,
        status=status,
        seen=seen.answered,
        files=tuple(map(short, seen.files)),
        unsafe=tuple((short(one.path), one.danger) for one in seen.unsafe),
        syncs=seen.syncs,
        elsewhere=seen.elsewhere,
        unseen=seen.unseen,
    )


def judge(facts: PowerLoss) -> Judgement:
    """Each time, all that held the data was synced before the answer."""
    if facts.missing:
        return not_proven(f"{facts.missing[0].upper()}{facts.missing[1:]}.")
    if not facts.steps:
        return not_asked(
            "Nothing is known that it is to keep: neither an upload nor a write.",
            mend='Say it in [tool.holdfast.prove]: write = { request = "POST /items", json = { name = "{name}" } }',
        )
    counted = [step for step in facts.steps if step.counts]
    if not counted:
        statuses = ", ".join(f"{step.what} said {step.status}" for step in facts.steps[:2])
        return not_proven(f"No request was acknowledged so that it could be seen in the system calls: {statuses}.")
    found = [_of_one(tries) for tries in _grouped(counted)]
    bad = [each for each in found if each is not None and each.mend]
    return bad[0] if bad else next((each for each in found if each is not None), _kept(counted))


def _grouped(steps: Iterable[Step]) -> Sequence[Sequence[Step]]:
    groups: dict[str, list[Step]] = {}
    for step in steps:
        groups.setdefault(step.what, []).append(step)
    return list(groups.values())


def _of_one(tries: Sequence[Step]) -> Judgement | None:
    """What the tries of one request amount to; None if they were all safe."""
    what = tries[0].what
    bad = [step for step in tries if step.unsafe]
    number = f"{len(bad)} of {len(tries)} unsafe"
    if bad and len(bad) == len(tries) > 1:
        path, danger = bad[-1].unsafe[0]
        more = f" (and {len(bad[-1].unsafe) - 1} more)" if len(bad[-1].unsafe) > 1 else ""
        return broken(
            f"{len(bad)} of {len(tries)} times {what} was answered, {path} {danger}{more}.", number, mend=_MENDS[danger]
        )
    if bad:
        path, danger = bad[-1].unsafe[0]
        return not_proven(
            f"{len(bad)} of {len(tries)} times {what} was answered, {path} {danger}: perhaps for something else.",
            number=number,
        )
    unseen = next((step for step in tries if step.unseen), None)
    if unseen is not None:
        where = f": its data went to {', '.join(unseen.elsewhere)}" if unseen.elsewhere else f": {unseen.unseen}"
        return not_proven(f"What {what} acknowledged is not in files of this machine that could be watched{where}.")
    return None


def _kept(counted: Sequence[Step]) -> Judgement:
    files = len({path for step in counted for path in step.files})
    return kept(
        f"Each of {len(counted)} times, every file that held the data was synced, its name too, before the first byte "
        f"of the answer: {files} files in all.",
        f"{len(counted)} of {len(counted)} synced",
    )


SCENARIO: Final = Scenario(
    name="power-loss",
    promise="durable",
    title="watches with strace whether what is acknowledged was synced to the disk before",
    seconds=8,
    facts=PowerLoss,
    gather=gather,
    judge=judge,
    quick=True,
    part="against power loss",
)
