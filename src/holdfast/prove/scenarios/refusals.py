"""Explained: mistakes of every day are refused in one form that says what to do, and failures tell nothing of the
inside."""

import contextlib
import secrets
from collections.abc import Sequence
from typing import Final

import msgspec

from holdfast.decide.openapi import operations
from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.acts.refusals.mistakes import Known, Mistake, is_problem, lacks, mistakes
from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.props.shortage import asked_without, shortage
from holdfast.prove.props.sign_in_pages import sign_in_pages
from holdfast.prove.props.telling import failed, gives_away, tells_nothing
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.sending import Request, found_in, request, table
from holdfast.prove.stage import Stage, send

_MOST_NUMBERS: Final = 6
_PATIENCE_S: Final = 5.0
_NO_HTTP: Final = b"HELO example.com\r\n\r\n"
_ROOMS: Final = 6
"""So many descriptors, and fewer, are left when it is to fail."""
_FAILING_S: Final = 3.0
_ANSWER_S: Final = 1.0
_MEND: Final = (
    "Answer every refusal in one form, with what is wrong and the headers that the standard wants: "
    "Holdfast's problem details do, for the framework's own refusals too."
)
_MEND_INSIDE: Final = "Log what happened, and tell the caller an ID to ask about: Holdfast's problem details do."


class Met(msgspec.Struct, frozen=True):
    """A mistake, and what came of it."""

    name: str
    status: int
    """0: no answer."""
    problem: bool | None = None
    """Whether it was told as a problem document; None where it was not told in JSON."""
    wrong: str = ""
    """What is wrong with the answer, in words."""
    certain: bool = True
    """Whether it is so each time."""


class Refusals(Facts, frozen=True):
    """What came of all mistakes, and of making the backend fail."""

    met: tuple[Met, ...] = ()
    failures: tuple[Met, ...] = ()
    """Answers of 5xx while it had no file descriptors."""


async def gather(stage: Stage) -> Refusals:
    """Make each mistake once; then take the backend's descriptors, so that it fails."""
    async with stage.app() as app:
        _, first = await send(app, stage.target.read)
        met = [await _made(app, each) for each in mistakes(await _known(app, stage))]
        met.append(await _no_http(app))
        failures = await _failures(app, stage)
    return Refusals(
        well=f"{stage.target.read.shown} said {first.shown}" if first.good else "",
        fault=f"{len(met)} mistakes were made" if any(one.status for one in met) else "",
        met=tuple(met),
        failures=tuple(failures),
    )


async def _known(app: App, stage: Stage) -> Known:
    target = stage.target
    read = target.read.path.partition("?")[0]
    found = operations((await app.client.ask("GET", target.schema)).json())[0] if target.schema else []
    reads = [one for one in found if one.method == "GET" and one.plain]
    pages = await sign_in_pages(app)
    return Known(
        read=read,
        missing=f"/no-such-{secrets.token_hex(4)}",
        methods=frozenset(one.method for one in found if one.path == read),
        numbers=tuple((one.path, name) for one in reads for name in one.numbers)[:_MOST_NUMBERS],
        content=await _uploaded(app, target.upload),
        resumable=target.upload.resumable if target.upload else "",
        form=(pages[0].form.action, pages[0].form.password) if pages else ("", ""),
    )


async def _uploaded(app: App, upload: Template | None) -> str:
    """The path of something that was just uploaded, if there is one."""
    if upload is None or not upload.content:
        return ""
    _, made = await send(app, upload, content=table(10))
    if not made.good:
        return ""
    sent, content = await send(app, Template("GET", upload.content), {"id": found_in(made, upload.id)})
    return sent.path if content.good else ""


async def _made(app: App, each: Mistake) -> Met:
    client = app.stranger if each.stranger else app.client
    answer = await client.ask(each.method, each.path, headers=each.headers, body=each.body, timeout_s=_PATIENCE_S)
    return Met(each.name, answer.status, is_problem(answer), _wrong(answer, each.method, each.path.encode()))


def _wrong(answer: Answer, method: str = "GET", sent: bytes = b"") -> str:
    if inside := gives_away(answer, sent):
        return f"{inside} in the answer, which was {answer.status}"
    if failed(answer.status):
        return f"answered with {answer.status}"
    if told := tells_nothing(answer, method) or lacks(answer):
        return f"answered with {told}"
    return ""


async def _no_http(app: App) -> Met:
    """Bytes that are no HTTP: a server answers with 400 (RFC 9112, 3), which may be as bare as it likes."""
    name = "a line that is no HTTP"
    for _ in range(2):
        answer, _ = await app.client.raw("GET", _NO_HTTP, timeout_s=_PATIENCE_S)
        if answer.status:
            inside = gives_away(answer, _NO_HTTP)
            return Met(name, answer.status, is_problem(answer), inside and f"{inside} in the answer")
    return Met(name, 0, None, "answered with nothing, where RFC 9112 wants a 400", certain=False)


async def _failures(app: App, stage: Stage) -> list[Met]:
    """What it answers with 5xx when it has no descriptors."""
    target = stage.target
    every = [request(one, app.names) for one in (target.read, target.export) if one is not None]
    every += [request(target.upload, app.names, table(20))] if target.upload else []
    answers: list[tuple[Request, Answer]] = []
    with contextlib.suppress(PermissionError):
        async with shortage() as lack:
            answers += await asked_without(lack, app, every, range(_ROOMS), timeout_s=_ANSWER_S, within_s=_FAILING_S)
    return [_failure(sent, answer) for sent, answer in answers if answer.status >= 500]


def _failure(sent: Request, answer: Answer) -> Met:
    wrong = ""
    if inside := gives_away(answer):
        wrong = f"{inside} in the answer, which was {answer.status}"
    elif told := tells_nothing(answer, sent.method):
        wrong = f"answered with {told}"
    name = f"{sent.method} {sent.path.partition('?')[0]}, without file descriptors"
    return Met(name, answer.status, is_problem(answer), wrong)


def judge(facts: Refusals) -> Judgement:
    """Each refusal says what is wrong, all in one form, and no failure tells of the inside."""
    refused = [one for one in facts.met if 400 <= one.status < 500]
    every = (*facts.met, *facts.failures)
    wrong = [one for one in every if one.wrong]
    number = f"{len(every) - len(wrong)} of {len(every)} answered well"
    if wrong:
        worst = max(wrong, key=lambda one: (one.certain, one.status >= 500))
        more = f"; so were {len(wrong) - 1} more of {len(every)}" if len(wrong) > 1 else ""
        mend = _MEND_INSIDE if worst in facts.failures else _MEND
        return broken(f"{worst.name}: {worst.wrong}{more}.", number, mend=mend, certain=worst.certain)
    if other := _in_another_form(every):
        problems = sum(one.problem is True for one in every)
        return broken(
            f"{other.name}: its {other.status} is JSON but no problem document (RFC 9457), as {problems} others of "
            f"{len(every)} are; who can read those cannot read it.",
            f"{problems} of {len(every)} in one form",
            mend=_MEND,
            certain=True,
        )
    if not refused:
        return not_proven(f"None of {len(facts.met)} mistakes was refused.", number=number)
    failures = f"of {len(facts.failures)} failures none told of the inside" if facts.failures else "it never failed"
    return kept(
        f"Of {len(facts.met)} mistakes {len(refused)} were refused with what is wrong, all in one form; {failures}.",
        number,
    )


def _in_another_form(met: Sequence[Met]) -> Met | None:
    """One told in JSON that is no problem document, where others are."""
    if not any(one.problem for one in met):
        return None
    return next((one for one in met if one.problem is False), None)


SCENARIO: Final = Scenario(
    name="refusals",
    promise="explained",
    part="against mistakes of every day",
    title="makes mistakes of every day, and makes it fail: each answer says what to do, in one form",
    seconds=3,
    facts=Refusals,
    gather=gather,
    judge=judge,
    quick=True,
)
