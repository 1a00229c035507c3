"""Traceable: each answer has an ID, and the ID finds the request in the log, with what became of it."""

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.acts.journeys.journey import Asked, Journey, id_of, looked_up
from holdfast.prove.acts.journeys.provoking import at_the_door, failures
from holdfast.prove.acts.journeys.setting_off import SetOff, set_off
from holdfast.prove.config import Template
from holdfast.prove.http import Answer, head
from holdfast.prove.props.outputs import log_lines
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.sending import request
from holdfast.prove.stage import Stage, send

_AT_ONCE: Final = 20
_LONG: Final = 3_000
"""Bytes of each one's query, so that what is logged of them at once is more than a short line for each."""
_GIVEN: Final = 5
_LEAVERS: Final = 3
_NEVER_SENT: Final = 100_000
_BEGUN_S: Final = 0.1
_PATIENCE_S: Final = 8.0
"""For the line of a request; one that its client left may be served to its end."""
_LOOK_S: Final = 0.1
_MEND: Final = "Give each request an ID in X-Request-ID, and write it into each line: `holdfast run` does both."
_MEND_TOLD: Final = "Write one line for each request, with its ID, time, path and status: `holdfast run` does."
_MEND_SET_OFF: Final = (
    "Hand the request's ID on to what goes on after it, and log that under it: `holdfast.continuing` does, and "
    "`offload.thread` for threads."
)


class Journeys(Facts, frozen=True):
    """What became of each request's ID."""

    journeys: tuple[Journey, ...] = ()
    shared: int = 0
    """Answers whose ID is also another's."""
    gave_ours: int = 0
    """IDs that the client gave."""
    kept_ours: int = 0
    """Those of them that are in the log."""
    mixed: int = 0
    """Lines that have the ID of one request and what only another sent."""
    set_off: tuple[SetOff, ...] = ()
    """What became of what was made, once its request was answered."""


Sent = Callable[[Mapping[str, str]], Awaitable[Answer]]


async def gather(stage: Stage) -> Journeys:
    """Ask in all ways that there are, then look each ID up."""
    async with stage.app() as app:
        _, first = await send(app, stage.target.read)
        made = await set_off(app, stage.target)
        asked = [*await _each_kind(app, stage), *(one for one, _ in made), *await at_the_door(app, stage)]
        together = await _at_once(app, stage)
        given = [secrets.token_hex(16) for _ in range(_GIVEN)]
        for one in given:
            await _ask(app, "GET", stage.target.read.path, {"X-Request-ID": one})
        leavers = [await _left(app, stage) for _ in range(_LEAVERS)]
        if any(one.answer is not None and id_of(one.answer) for one in asked):  # else there is nothing to be found
            asked += await failures(app, stage)
        every = [one for one in (*asked, *(one for one, _ in together)) if one.answer is not None and one.answer.status]
        answers = [one.answer for one in every if one.answer is not None]
        wanted = [id_of(one) for one in answers if id_of(one)]
        theirs = [one.given for one in leavers]
        lines = await _lines(app, wanted, [*given, *theirs]) if wanted else log_lines(app)
        by_id = _by_id(lines, [*wanted, *given, *theirs])
        # who leaves before the backend has looked need not be in the log, so all of them would have to be missing
        left = next((one for one in leavers if by_id[one.given]), leavers[0])
        counts = Counter(wanted)
        ours = sum(bool(by_id[one]) for one in given)
        return Journeys(
            well=f"{stage.target.read.shown} said {first.shown}" if first.good else "",
            fault=f"{len(every)} answers were looked up" if answers else "",
            journeys=(
                *(looked_up(one, by_id.get(id_of(one.answer) if one.answer else "", [])) for one in every),
                *([looked_up(left, by_id[left.given])] if ours else []),
            ),
            shared=sum(number for number in counts.values() if number > 1),
            gave_ours=len(given),
            kept_ours=ours,
            mixed=_mixed(together, lines),
            set_off=tuple(one for _, one in made if one is not None),
        )


# -- what is asked --


async def _ask(app: App, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
    return await app.client.ask(method, path, headers=headers, body=body)


async def _each_kind(app: App, stage: Stage) -> list[Asked]:
    """One or a few of each kind, one after the other."""
    target, read = stage.target, stage.target.read.path
    found: list[Asked] = []
    for _ in range(3):
        missing = f"/no-such-{secrets.token_hex(4)}"
        json = {"Content-Type": "application/json"}
        posted = target.write.path.partition("{")[0] if target.write else read
        for kind, method, path, headers, body in (
            (f"GET {read}", "GET", read, {}, None),
            ("GET of what is not there", "GET", missing, {}, None),
            (f"PATCH {read}", "PATCH", read, json, b"{"),
            (f"POST {posted} with half of its JSON", "POST", posted, json, b'{"name": '),
        ):
            found.append(Asked(kind=kind, path=path, answer=await _ask(app, method, path, headers, body)))
    found.append(Asked(kind=f"GET {read} by a stranger", path=read, answer=await app.stranger.ask("GET", read)))
    return [*found, await _exported(app, target.export)] if target.export is not None else found


async def _exported(app: App, template: Template) -> Asked:
    sent, answer = await send(app, template)
    return Asked(kind=f"the export, {template.shown}", path=sent.path, answer=answer)


async def _at_once(app: App, stage: Stage) -> list[tuple[Asked, str]]:
    """Several at the same moment, each with a word of its own in its path or query."""

    async def one(number: int) -> tuple[Asked, str]:
        word = secrets.token_hex(6)
        read = stage.target.read.path
        path = f"/no-such-{word}" if number % 2 else read
        path += f"{'&' if '?' in path else '?'}prove={word}&more={'m' * _LONG}"
        answer = await _ask(app, "GET", path, {})
        return Asked(kind="one of several at once", path=path, answer=answer), word

    return list(await asyncio.gather(*(one(number) for number in range(_AT_ONCE))))


async def _left(app: App, stage: Stage) -> Asked:
    """A client that leaves in the middle of its body, so that its request has begun; it has only its own ID."""
    given = secrets.token_hex(16)
    upload = stage.target.upload
    path = request(upload, app.names, b"").path if upload is not None else stage.target.read.path
    method = upload.method if upload is not None else "POST"
    headers = {**app.client.headers, "X-Request-ID": given, "Content-Type": "application/octet-stream"}
    with contextlib.suppress(OSError, TimeoutError):
        async with app.client.wire() as wire:
            await wire.send(head(method, path, headers, length=_NEVER_SENT) + b"a" * 1000)
            await asyncio.sleep(_BEGUN_S)
            wire.reset()
    return Asked(kind="a client that left", path=path, given=given)


# -- what is found --


async def _lines(app: App, wanted: list[str], given: list[str]) -> list[str]:
    """The log, once it has all of these, or after some patience."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        lines = log_lines(app)
        text = "\n".join(lines)
        found = sum(one in text for one in wanted)
        if found == len(wanted) and (all(one in text for one in given) or not any(one in text for one in given)):
            await asyncio.sleep(_LOOK_S)  # of several lines of a request one may be there before the others
            return log_lines(app)
        if time.monotonic() > until:
            return lines
        await asyncio.sleep(_LOOK_S)


def _by_id(lines: list[str], ids: list[str]) -> dict[str, list[str]]:
    """The lines that have each ID, with those that follow it and belong to it, as a traceback's do."""
    found: dict[str, list[str]] = {one: [] for one in ids}
    for number, line in enumerate(lines):
        for one in found:
            if one in line:
                found[one] += [line, *_following(lines, number, ids)]
    return found


def _following(lines: list[str], number: int, ids: list[str]) -> list[str]:
    following: list[str] = []
    for line in lines[number + 1 : number + 200]:
        if not line.startswith((" ", "\t", "Traceback")) and not (following and "Error" in line[:80]):
            break
        if any(one in line for one in ids):
            break
        following.append(line)
    return following


def _mixed(together: list[tuple[Asked, str]], lines: list[str]) -> int:
    """Lines with the ID of one of them and the word of another."""
    named = [(id_of(one.answer), word) for one, word in together if one.answer and id_of(one.answer)]
    mixed = 0
    for line in lines:
        ids = {one for one, _ in named if one in line}
        words = {word for _, word in named if word in line}
        mixed += bool(ids and words) and not any(one in ids and word in words for one, word in named)
    return mixed


# -- what it amounts to --


def judge(facts: Journeys) -> Judgement:
    """Every answer has an ID of its own; in the log it finds when, what, and how it ended."""
    journeys = facts.journeys
    if not journeys:
        return not_proven("Nothing was asked.")
    number = f"{len(journeys) - len(_without(facts)) - len(_lost(facts))} of {len(journeys)} found"
    for why, mend in _wrong(facts):
        return broken(why, number, mend=mend, certain=True)
    kinds = len({one.kind for one in journeys})
    later = sum(one.found for one in facts.set_off)
    background = f"; what went on afterwards wrote {later} more lines with the ID of its request" if later else ""
    return kept(
        f"Each of {len(journeys)} requests of {kinds} kinds has an ID of its own, and is in the log by it{background}.",
        number,
    )


def _without(facts: Journeys) -> list[Journey]:
    return [one for one in facts.journeys if not one.id and not one.given and not one.door]


def _lost(facts: Journeys) -> list[Journey]:
    return [one for one in facts.journeys if one.id and not one.lines]


def _wrong(facts: Journeys) -> Iterator[tuple[str, str]]:
    """What is wrong, the worst first, and what would mend it."""
    every = len(facts.journeys)
    if without := _without(facts):
        yield f"{len(without)} of {every} answers have no request ID, as that to {_shown(without[0])}.", _MEND
    if lost := _lost(facts):
        yield f"The IDs of {len(lost)} of {every} requests are in no line, as that of {_shown(lost[0])}.", _MEND
    if facts.shared:
        yield f"{facts.shared} answers share their ID with another.", _MEND
    if facts.mixed:
        yield f"{facts.mixed} lines have the ID of one request and the path of another.", _MEND
    if untold := [one for one in facts.journeys if one.untold]:
        what = " nor ".join(f"its {each}" for each in untold[0].untold)
        yield (
            f"The lines with the ID of {_shown(untold[0])} do not tell {what}; so for {len(untold)} requests.",
            _MEND_TOLD,
        )
    if facts.kept_ours < facts.gave_ours:
        yield (
            f"{facts.gave_ours - facts.kept_ours} of {facts.gave_ours} IDs that a client gave are in no line.",
            "Write the client's X-Request-ID beside your own: `holdfast run` does.",
        )
    for one in facts.set_off:
        if one.lines and not one.found:
            why = f"What {one.kind} made is named in {one.lines} lines that were written once it was answered, and none"
            yield f"{why} has the request's ID: {one.example}", _MEND_SET_OFF


def _shown(journey: Journey) -> str:
    return f"{journey.kind} ({journey.status or 'no answer'})"


SCENARIO: Final = Scenario(
    name="journeys",
    promise="traceable",
    title="asks for what is there and what is not, and looks each answer's ID up in the log",
    seconds=3,
    facts=Journeys,
    gather=gather,
    judge=judge,
    quick=True,
)
