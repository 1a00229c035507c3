"""Once: a write that is sent again with its idempotency key takes effect once, and is answered as before."""

import asyncio
import contextlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from holdfast.decide.verdicts import Judgement, broken, kept, not_asked, not_proven
from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.running import App, AppFailed
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.sending import found_in, request
from holdfast.prove.stage import Stage, send

_AT_ONCE: Final = 8
_MEND: Final = "Keep each key with its answer in the transaction of the write, and answer a repetition from there."
_SAY: Final = 'Say in [tool.holdfast.prove] which header carries the key: write = { ..., key = "Idempotency-Key" }.'
_BUSY: Final = {409, 423, 425, 429, 503}
"""What a repetition may be told while the first is under way."""


class Repeated(msgspec.Struct, frozen=True):
    """A write that was sent more than once."""

    how: str
    statuses: tuple[int, ...]
    effects: int
    """How often it took effect; -1: that could not be seen."""
    wrong: str = ""
    """What is wrong with its answers."""


class Duplicates(Facts, frozen=True):
    """What became of writes that were repeated."""

    keyed: bool = False
    """Whether it is known which header carries a key."""
    repeated: tuple[Repeated, ...] = ()
    again: str = ""
    """Why the backend did not start again after kill -9."""


class Writes:
    """Writes with keys, and how often each took effect."""

    def __init__(self, app: App, stage: Stage, write: Template) -> None:
        """They are seen in what lists them: `content`, if it names no single one, or else where one reads."""
        self._app = app
        self._write = write
        self._list = stage.target.read
        if write.content and "{id}" not in write.content:
            self._list = Template("GET", write.content)
        self._once = 0

    async def look(self) -> Answer:
        """See how often something that took effect once is named where it is listed."""
        names, key = self.fresh()
        answer = await self.ask(names, key)
        self._once = await self._named(names["name"])
        return answer

    def fresh(self) -> tuple[dict[str, str], str]:
        """What a write of its own is filled with, and its key."""
        return {"name": f"prove-{secrets.token_hex(8)}", "n": str(secrets.randbelow(10**6))}, secrets.token_hex(16)

    async def ask(self, names: Mapping[str, str], key: str) -> Answer:
        """Send a write with a key."""
        template = self._write._replace(headers={**self._write.headers, self._write.key: key})
        _, answer = await send(self._app, template, names)
        return answer

    async def leave(self, names: Mapping[str, str], key: str) -> None:
        """Send a write, and do not wait for its answer."""
        sent = request(self._write, {**self._app.names, **names})
        head = self._app.client.head(
            sent.method, sent.path, {**sent.headers, self._write.key: key}, length=len(sent.body or b"")
        )
        with contextlib.suppress(OSError, TimeoutError):
            async with self._app.client.wire() as wire:
                await wire.send(head + (sent.body or b""))
                await self._app.kill()

    async def effects(self, name: str) -> int:
        """How often a write took effect; -1 where it cannot be seen."""
        return -1 if not self._once else round(await self._named(name) / self._once)

    async def _named(self, name: str) -> int:
        _, answer = await send(self._app, self._list)
        return answer.body.count(name.encode()) if answer.good else 0

    def differ(self, answers: Sequence[Answer]) -> bool:
        """Whether answers to the same write say different things."""
        where = self._write.id
        said = {found_in(one, where) or one.body.decode(errors="replace") for one in answers if where} or {
            one.body.decode(errors="replace") for one in answers
        }
        return len(said) > 1


async def gather(stage: Stage) -> Duplicates:
    """Send writes again: in turn, at once, with another body, and after kill -9."""
    write = stage.target.write
    if write is None or not write.key:
        return Duplicates()
    async with stage.app() as app:
        writes = Writes(app, stage, write)
        first = await writes.look()
        found = [await _in_turn(writes), await _at_once(writes), await _other_body(writes)]
        stage.tell("kill -9, and again")
        try:
            found += await _killed(app, writes)
            again = ""
        except AppFailed as error:
            again = str(error).partition("\n")[0]
    return Duplicates(
        well=f"{write.shown} said {first.shown}" if first.good else "",
        fault=f"{sum(len(one.statuses) for one in found)} writes were sent, {len(found)} of them different",
        keyed=True,
        repeated=tuple(found),
        again=again,
    )


def _repeated(how: str, writes: Writes, answers: Sequence[Answer], effects: int) -> Repeated:
    good = [one for one in answers if one.good]
    wrong = ""
    if not good:
        wrong = f"none of {len(answers)} was answered with 2xx, but with {answers[0].status or answers[0].error}"
    elif writes.differ(good):
        wrong = "the answers differ"
    elif odd := [one for one in answers if not one.good and one.status not in _BUSY]:
        wrong = f"a repetition was answered with {odd[0].status or odd[0].error}"
    return Repeated(how, tuple(one.status for one in answers), effects, wrong)


async def _in_turn(writes: Writes) -> Repeated:
    names, key = writes.fresh()
    answers = [await writes.ask(names, key), await writes.ask(names, key)]
    seen = _repeated("twice in turn", writes, answers, await writes.effects(names["name"]))
    if not seen.wrong and not answers[1].good:
        return msgspec.structs.replace(seen, wrong=f"the repetition was answered with {answers[1].status}")
    return seen


async def _at_once(writes: Writes) -> Repeated:
    names, key = writes.fresh()
    answers = await asyncio.gather(*(writes.ask(names, key) for _ in range(_AT_ONCE)))
    return _repeated(f"{_AT_ONCE} times at once", writes, answers, await writes.effects(names["name"]))


async def _other_body(writes: Writes) -> Repeated:
    names, key = writes.fresh()
    other, _ = writes.fresh()
    first, second = await writes.ask(names, key), await writes.ask(other, key)
    wrong = "" if 400 <= second.status < 500 else f"the same key with another body was answered with {second.status}"
    effects = await writes.effects(names["name"])
    if await writes.effects(other["name"]) > 0:
        wrong = "the same key with another body took effect, too"
    return Repeated("with another body", (first.status, second.status), effects, wrong)


async def _killed(app: App, writes: Writes) -> list[Repeated]:
    """Once acknowledged before kill -9, and once sent just before it. Raises AppFailed."""
    (known, key), (cut, other) = writes.fresh(), writes.fresh()
    first = await writes.ask(known, key)
    await writes.leave(cut, other)
    await app.again()
    answers = [first, await writes.ask(known, key)]
    late = [await writes.ask(cut, other), await writes.ask(cut, other)]
    return [
        _repeated("again after kill -9", writes, answers, await writes.effects(known["name"])),
        _repeated("again after kill -9 cut it off", writes, late, await writes.effects(cut["name"])),
    ]


def judge(facts: Duplicates) -> Judgement:
    """Each took effect once, and was answered alike."""
    if not facts.keyed:
        return not_asked("No idempotency key is known of the backend, and Holdfast has no part for it yet.", mend=_SAY)
    number = f"{sum(one.effects in {1, -1} and not one.wrong for one in facts.repeated)} of {len(facts.repeated)} once"
    for one in facts.repeated:
        if one.effects not in {1, -1}:
            why = f"A write that was sent {one.how} took effect {one.effects} times."
            return broken(why, f"{one.effects} effects", mend=_MEND, certain=True)
    for one in facts.repeated:
        if one.wrong:
            return broken(f"A write was sent {one.how}: {one.wrong}.", number, mend=_MEND)
    if facts.again:
        return broken(f"After kill -9 the backend did not start again: {facts.again}", number, mend=_MEND)
    if any(one.effects < 0 for one in facts.repeated):
        mend = 'Say where writes are listed: write = { ..., content = "/items" }.'
        return not_proven("It could not be seen how often a write took effect.", mend=mend, number=number)
    return kept(f"Each of {len(facts.repeated)} writes that were repeated took effect once, with one answer.", number)


SCENARIO: Final = Scenario(
    name="duplicates",
    promise="once",
    title="sends writes again with their keys: in turn, at once, with another body, after kill -9",
    seconds=4,
    facts=Duplicates,
    gather=gather,
    judge=judge,
    part="with idempotency keys",
)
