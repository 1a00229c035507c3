"""Explained: what no client of good will sends is refused by an answer or by a close, and does no harm."""

import asyncio
import time
from typing import Final

import msgspec

from holdfast.decide.openapi import operations
from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.http import Answer
from holdfast.prove.props.hostility import MARK, Aim, Hostile, hostilities
from holdfast.prove.props.telling import failed, gives_away, tells_nothing
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.stage import Stage, send

_WAIT_S: Final = 1.5
"""For an answer to what may not be whole; then we say that nothing more comes, which ends what waits for it."""
_PATIENCE_S: Final = 5.0
_RECOVERY_S: Final = 5.0
_MOST_S: Final = 25.0
_MEND: Final = (
    "Catch what a body, a header or a path can be wrong in, and answer it with 4xx and the reason; "
    "Holdfast's problem details answer what nobody catches."
)
_MEND_SILENT: Final = "Answer each request or close its connection, also where it asks for what is not there."


class Met(msgspec.Struct, frozen=True):
    """Something hostile, and what came of it."""

    name: str
    status: int = 0
    """0: it was closed without an answer."""
    wrong: str = ""
    """What is wrong with that, in words."""
    certain: bool = True
    """Whether it is wrong each time."""


class Hostility(Facts, frozen=True):
    """What came of everything hostile."""

    met: tuple[Met, ...] = ()
    refused: int = 0
    """Answered with 4xx."""
    closed: int = 0
    left: int = 0
    """Those for which no time was left."""


async def gather(stage: Stage) -> Hostility:
    """Send one hostile thing after the other, and ask for an ordinary one after each."""
    async with stage.app() as app:
        _, first = await send(app, stage.target.read)
        if not first.good:
            return Hostility(well="", fault="nothing was sent")
        every = hostilities(await _aim(app, stage))
        met: list[Met] = []
        began = time.monotonic()
        for each in every:
            if time.monotonic() - began > _MOST_S:
                break
            came = await _meet(app, stage, each)
            met.append(came)
            if came.wrong and not app.alive:
                break
        return Hostility(
            well=f"{stage.target.read.shown} said {first.shown}",
            fault=f"{len(met)} hostile requests were sent" if met else "",
            met=tuple(met),
            refused=sum(400 <= one.status < 500 for one in met),
            closed=sum(not one.status for one in met),
            left=len(every) - len(met),
        )


async def _aim(app: App, stage: Stage) -> Aim:
    """Where bodies go: what is written, or what the document says takes JSON, or else where one reads."""
    target = stage.target
    method, write = "POST", target.read.path
    if target.write:
        method, write = target.write.method, target.write.path
    elif target.config.sign_in:
        method, write = target.config.sign_in.request.method, target.config.sign_in.request.path
    elif target.schema:
        found, _ = operations((await app.client.ask("GET", target.schema)).json())
        json = [one for one in found if "application/json" in one.consumes and not one.parameters]
        method, write = (json[0].method, json[0].path) if json else (method, write)
    upload = target.upload.path.partition("?")[0] if target.upload else ""
    return Aim(app.client.headers, target.read.path, method, write.partition("{")[0], upload)


async def _meet(app: App, stage: Stage, each: Hostile) -> Met:
    answer, ended = await _sent(app, each)
    met = _seen(each, answer, ended=ended)
    if failed(met.status) and met.wrong:
        again, ended = await _sent(app, each)
        met = msgspec.structs.replace(met, certain=failed(again.status))
    harm = await _harm(app, stage)
    return Met(each.name, met.status, f"{harm} after it", certain=not app.alive) if harm else met


def _seen(each: Hostile, answer: Answer, *, ended: bool) -> Met:
    """What an answer, or the lack of one, amounts to. `ended`: the backend has closed the connection."""
    if not answer.status:
        wrong = "" if ended else f"neither an answer nor a close within {_PATIENCE_S:g} s"
        return Met(each.name, 0, wrong, certain=False)
    if MARK in answer.headers:
        return Met(each.name, answer.status, "what was sent became a header of the answer")
    if inside := gives_away(answer, each.data):
        return Met(each.name, answer.status, f"{inside} in the answer, which was {answer.status}")
    if failed(answer.status):
        return Met(each.name, answer.status, f"answered with {answer.status}")
    told = tells_nothing(answer, each.method) if each.told else ""
    return Met(each.name, answer.status, told and f"answered with {told}")


async def _sent(app: App, each: Hostile) -> tuple[Answer, bool]:
    """The answer to it, and whether the connection was closed."""
    end_after_s = None if each.whole else _WAIT_S
    return await app.client.raw(each.method, each.data, timeout_s=_PATIENCE_S, end_after_s=end_after_s)


async def _harm(app: App, stage: Stage) -> str:
    """What is wrong with an ordinary request now, and still is after some patience; empty where nothing."""
    until = time.monotonic() + _RECOVERY_S
    while True:
        _, answer = await send(app, stage.target.read, timeout_s=_RECOVERY_S)
        if answer.good:
            return ""
        if not app.alive:
            return f"the backend ended with exit code {app.exit_code}"
        if time.monotonic() > until:
            return f"{stage.target.read.shown} said {answer.shown}"
        await asyncio.sleep(0.05)


def judge(facts: Hostility) -> Judgement:
    """Nothing of it is answered with a failure or with nothing, and the backend is well after each."""
    wrong = [one for one in facts.met if one.wrong]
    number = f"{len(facts.met) - len(wrong)} of {len(facts.met)} refused well"
    if wrong:
        worst = max(wrong, key=lambda one: (one.certain, one.status >= 500))
        more = f"; so were {len(wrong) - 1} more of {len(facts.met)}" if len(wrong) > 1 else ""
        mend = _MEND if worst.status else _MEND_SILENT
        return broken(f"{worst.name}: {worst.wrong}{more}.", number, mend=mend, certain=worst.certain)
    if facts.left:
        return not_proven(f"For {facts.left} of {facts.left + len(facts.met)} no time was left.", number=number)
    return kept(
        f"Of {len(facts.met)} hostile requests {facts.refused} were answered with 4xx, {facts.closed} by a close, "
        "none with a failure, and the backend was well after each.",
        number,
    )


SCENARIO: Final = Scenario(
    name="hostile",
    promise="explained",
    title="sends what no client of good will sends: broken HTTP, lying lengths, endless brackets",
    seconds=4,
    facts=Hostility,
    gather=gather,
    judge=judge,
    part="against hostile requests",
    quick=True,
)
