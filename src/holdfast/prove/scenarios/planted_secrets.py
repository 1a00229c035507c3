"""Discreet: secrets made up for the run are sent in all places, and every output is searched for them."""

import asyncio
import secrets
import string
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, cast
from urllib.parse import urlencode

from holdfast.decide.openapi import operations
from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.acts.planted_secrets.leaking import PIECE, Leak, Planted, found_in_text, in_bytes, leaks_of_log
from holdfast.prove.acts.planted_secrets.planting import Ground, Sower, Sowing
from holdfast.prove.http import Answer
from holdfast.prove.props.calling import calling, do
from holdfast.prove.props.outputs import log_lines, other_files
from holdfast.prove.props.sign_in_pages import SIGN_INS, sign_in_pages
from holdfast.prove.proxy import Proxy, Reset
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.sending import fresh_names, request
from holdfast.prove.stage import Stage, Target, send

_CREDENTIALS: Final = {"authorization", "cookie", "x-api-key", "x-auth-token"}
_MOST_BODIES: Final = 5
_MOST_NUMBERS: Final = 6
_MOST_LEAKS: Final = 40
_MOST_S: Final = 25.0
_PATIENCE_S: Final = 3.0
_CALLED_S: Final = 2.0
_GLANCE_S: Final = 0.05
_STILL_S: Final = 0.3
_MEND_LOG: Final = "Redact where lines are written: `holdfast run` does, for all that is logged."
_MEND_ANSWER: Final = (
    "Do not send back what was sent: `holdfast.contrib.fastapi.problem_details` leaves inputs out of 422."
)
_MEND_FILE: Final = "Keep of a password only its hash, of a token only its digest."


class Secrets(Facts, frozen=True):
    """What was sent, what was searched, what was found."""

    planted: int = 0
    asked: int = 0
    answered: int = 0
    lines: int = 0
    """Of the log."""
    files: int = 0
    """Others in the backend's folder."""
    leaked: int = 0
    """Secrets that were found somewhere."""
    leaks: tuple[Leak, ...] = ()
    """Some of them, the worst first."""


async def gather(stage: Stage) -> Secrets:
    """Send secrets everywhere, then look for them everywhere."""
    async with stage.app() as app:
        _, first = await send(app, stage.target.read)
        before = len(log_lines(app))
        sowings = list(Sower(stage.chance).sowings(await _ground(app, stage)))
        own = [Planted(stage.secret, "configured secret", "the environment", -1), *_credentials(app)]
        sowings = [*await _pages(app, stage), *sowings]
        answers, leaks = await _sown(app, sowings, own)
        await _signed_in(app, stage)
        await _called(app, stage.target)
        lines = await _written(app)
        planted = [*own, *(one for each in sowings[: len(answers)] for one in each.planted)]
        leaks = [*leaks_of_log(lines, planted), *leaks]
        files = 0
        for path, data in other_files(app):
            files += 1
            for one in in_bytes(data, [one for one in planted if not one.stored and not one.echoed]):
                leaks.append(Leak(one.kind, one.place, f"the file {path.relative_to(app.folder)}"))
        return Secrets(
            well=f"{stage.target.read.shown} said {first.shown}" if first.good else "",
            fault=f"{len(planted)} secrets were sent in {len(answers)} requests" if any(answers) else "",
            planted=len(planted),
            asked=len(answers),
            answered=sum(answers),
            lines=len(lines) - before,
            files=files,
            leaked=len({(one.kind, one.place) for one in leaks}),
            leaks=tuple(leaks[:_MOST_LEAKS]),
        )


async def _ground(app: App, stage: Stage) -> Ground:
    """Where secrets can be sent, as far as is known."""
    target = stage.target
    read = target.read.path.partition("?")[0]
    bodies: list[tuple[str, str, Mapping[str, object]]] = []
    numbers: list[tuple[str, str]] = []
    if target.write and isinstance(target.write.json, dict):
        made = request(target.write, app.names)
        bodies.append((made.method, made.path, cast("dict[str, object]", target.write.json)))
    if target.schema:
        found, _ = operations((await app.client.ask("GET", target.schema)).json())
        numbers = [(one.path, name) for one in found if one.method == "GET" and one.plain for name in one.numbers]
        for one in found:
            path = one.path
            for name in one.parameters:
                path = path.replace(f"{{{name}}}", "1")
            known = cast("dict[str, object]", one.example) if isinstance(one.example, dict) else {}
            if "application/json" in one.consumes and all((one.method, path) != each[:2] for each in bodies):
                bodies.append((one.method, path, known))
    bodies = bodies[:_MOST_BODIES] or [("POST", read, {})]
    signing = target.config.sign_in.request.path if target.config.sign_in else ""
    upload = ("POST", read, "file")
    if target.upload:
        path = request(target.upload, {**app.names, **fresh_names()}).path
        upload = (target.upload.method, path, target.upload.file or "file")
    return Ground(
        read=read,
        missing=f"/no-such-{secrets.token_hex(3)}",
        bodies=bodies,
        forms=[each[:2] for each in bodies[:2]],
        upload=upload,
        sign_ins=[path for path in dict.fromkeys((signing, *SIGN_INS)) if path],
        numbers=numbers[:_MOST_NUMBERS],
    )


def _credentials(app: App) -> Iterator[Planted]:
    """What every request of ours is signed in with; where sessions are kept, it may be kept."""
    for name, value in app.client.headers.items():
        word = value.rpartition(" ")[2].rpartition("=")[2]
        if name.lower() in _CREDENTIALS and len(word) >= PIECE:
            yield Planted(word, "credential", f"the header {name} of each request", -1, stored=True)


async def _sown(app: App, sowings: Sequence[Sowing], own: Sequence[Planted]) -> tuple[list[bool], list[Leak]]:
    """Send them; whether each was answered, and what their answers gave away."""
    answers: list[bool] = []
    leaks: list[Leak] = []
    sent: list[Planted] = [*own]
    began = time.monotonic()
    for each in sowings:
        if time.monotonic() - began > _MOST_S:
            break
        client = app.stranger if each.stranger else app.client
        answer = await client.ask(each.method, each.path, headers=each.headers, body=each.body, timeout_s=10.0)
        sent += each.planted
        answers.append(bool(answer.status))
        leaks += _leaks_of_answer(each, answer, sent)
    return answers, leaks


def _leaks_of_answer(each: Sowing, answer: Answer, sent: Sequence[Planted]) -> list[Leak]:
    """What an error page gives away: what was just sent, unless it may repeat it, or what others sent before."""
    if answer.status < 400:
        return []
    text = answer.body.decode(errors="replace") + "\n".join(answer.headers.values())
    where = f"the answer to it, {answer.status}"
    return [
        Leak(one.kind, one.place, where if one in each.planted else f"an answer to another, {answer.status}")
        for one in found_in_text(text, sent)
        if one not in each.planted or not (one.personal or one.echoed)
    ]


async def _pages(app: App, stage: Stage) -> list[Sowing]:
    """Pages where one signs in, filled in as a browser does, with a password that is wrong, and with the right one;
    and with a password in the field of the name, as happens."""
    found: list[Sowing] = []
    for page in await sign_in_pages(app):
        wrong, strayed = (_word(stage) for _ in range(2))
        told = Planted(wrong, "password", f"the form on the page {page.path}", -1)
        there = Planted(strayed, "password", f"the field of the name on the page {page.path}", -1, echoed=True)
        for name, password, planted in (
            ("someone", wrong, (told,)),
            (strayed, _word(stage), (there,)),
            ("someone", stage.secret, ()),
        ):
            body = urlencode(page.form.filled(name, password)).encode()
            found.append(Sowing("POST", page.form.action, page.headers, body, planted, stranger=True))
    return found


def _word(stage: Stage) -> str:
    return "".join(stage.chance.choices(string.ascii_letters + string.digits, k=24))


async def _signed_in(app: App, stage: Stage) -> None:
    """Sign in once more with the right password."""
    signing = stage.target.config.sign_in
    if signing is not None:
        sent = request(signing.request, app.names)
        await app.stranger.ask(sent.method, sent.path, headers=sent.headers, body=sent.body)


async def _called(app: App, target: Target) -> None:
    """Have it call what it depends on, which answers, and then resets connections: addresses may hold secrets."""
    proxies = [proxy for each in app.neighbours.values() for proxy in each.proxies]
    if not proxies:
        return
    for ill in (False, True):
        async with AsyncExitStack() as faults:
            for proxy in proxies if ill else ():
                await faults.enter_async_context(proxy.fault(Reset()))
            before = _tried(proxies)
            for each in calling(target)[:1]:
                await do(app, target, each)
            for _ in range(round(_CALLED_S / _GLANCE_S)):
                if _tried(proxies) > before:
                    break
                await asyncio.sleep(_GLANCE_S)
            await _written(app)


def _tried(proxies: Sequence[Proxy]) -> int:
    return sum(proxy.seen.opened + proxy.seen.acted(Reset) + proxy.seen.bytes_up for proxy in proxies)


async def _written(app: App) -> list[str]:
    """The log, once nothing more is added."""
    until = time.monotonic() + _PATIENCE_S
    lines, since = log_lines(app), time.monotonic()
    while time.monotonic() < until and time.monotonic() - since < _STILL_S:
        await asyncio.sleep(0.05)
        now = log_lines(app)
        if len(now) != len(lines):
            lines, since = now, time.monotonic()
    return lines


def judge(facts: Secrets) -> Judgement:
    """None of what was sent is anywhere."""
    number = f"{facts.leaked} of {facts.planted} secrets found"
    if facts.leaks:
        worst = min(facts.leaks, key=_rank)
        shown = f": {worst.shown}" if worst.shown else ""
        mend = _MEND_LOG if "the log" in worst.output else _MEND_FILE if "the file" in worst.output else _MEND_ANSWER
        return broken(
            f"The {worst.kind} in {worst.place} is in {worst.output}{shown}; "
            f"so are {facts.leaked} of {facts.planted} secrets somewhere.",
            number,
            mend=mend,
            certain=True,
        )
    if not facts.lines:
        return not_proven("The backend wrote no line, so it was not seen what its log would show.", number=number)
    return kept(
        f"{facts.planted} secrets were sent in {facts.asked} requests, and none is in {facts.lines} lines of the log, "
        f"in an error answer or in {facts.files} files.",
        number,
    )


_KINDS: Final = ("configured secret", "credential", "password", "bearer token", "session", "token", "API key", "JWT")


def _rank(leak: Leak) -> int:
    return _KINDS.index(leak.kind) if leak.kind in _KINDS else len(_KINDS)


SCENARIO: Final = Scenario(
    name="planted-secrets",
    promise="discreet",
    title="sends made-up secrets in every place, and searches every output for them",
    seconds=6,
    facts=Secrets,
    gather=gather,
    judge=judge,
    quick=True,
)
