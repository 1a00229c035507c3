"""Durable, against kill: kill -9 while clients write; then each acknowledged write is looked up."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.props.killing import Killing
from holdfast.prove.running import App, AppFailed
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.sending import filled, found_in
from holdfast.prove.stage import Stage, send

_CLIENTS: Final = 6
_MOST: Final = 20
"""Writes of a client in one round: a list may give out so many at a time."""
_BASELINE: Final = 3
_WITHIN_S: Final = 8.0
_PATIENCE_S: Final = 4.0
_LOOK_S: Final = 0.2
_AT_ONCE: Final = 8
_TIMEOUT_S: Final = 15.0
_MEND: Final = "Answer after the commit, not before it, and keep nothing that was acknowledged in memory alone."


class KilledWrite(Facts, frozen=True):
    """What became of acknowledged writes around kill -9."""

    rounds: int = 0
    acknowledged: int = 0
    lost: tuple[str, ...] = ()
    """Acknowledged writes that were gone, and what was said for them."""
    where: str = ""
    """Where they were looked up."""
    restart: str = ""
    """What happened where it did not start again."""
    unknown: str = ""
    """Why nothing could be looked up."""


class _Written:
    """A write that was acknowledged."""

    def __init__(self, name: str, called: str) -> None:
        self.name = name
        self.called = called


class _Writers:
    """Clients that write, and look up what they wrote."""

    def __init__(self, app: App, write: Template) -> None:
        self.app = app
        self.write = write
        self.where = ""
        """The path at which a write is found again."""
        self.refused = ""

    async def one(self) -> _Written | None:
        """Write once."""
        sent, answer = await send(self.app, self.write, timeout_s=_TIMEOUT_S)
        if not answer.good:
            self.refused = answer.shown
            return None
        return _Written(sent.names["name"], found_in(answer, self.write.id) if self.write.id else "")

    async def client(self, killing: Killing, into: list[_Written]) -> None:
        """Write one after the other until it is gone."""
        for _ in range(_MOST):
            if killing.done.is_set():
                return
            written = await self.one()
            if written is None:
                await asyncio.sleep(_LOOK_S / 4)
            else:
                into.append(written)
                killing.acknowledged()

    def places(self, read: Template) -> Sequence[str]:
        """Where a write could be found again: as it is configured, or as one would guess."""
        if self.write.content:
            return (self.write.content,)
        below = (f"{self.write.path.rstrip('/')}/{{id}}",) if self.write.id else ()
        return (*below, self.write.path, read.path)

    async def answer(self, written: _Written, where: str) -> Answer:
        """What is at `where` for a write."""
        names = {**self.app.names, "name": written.name, "id": written.called}
        return await self.app.client.ask("GET", filled(where, names, quoted=True), timeout_s=_TIMEOUT_S)

    async def there(self, written: _Written, where: str) -> tuple[bool, str]:
        """Whether a write is found, and what was said."""
        answer = await self.answer(written, where)
        return answer.good and written.name.encode() in answer.body, answer.shown

    async def find_where(self, read: Template, made: Sequence[_Written]) -> None:
        """See where those that were just made are found, all of them."""
        for where in self.places(read):
            if ("{id}" in where and not made[0].called) or self.where:
                continue
            seen = [await self.there(written, where) for written in made]
            if all(found for found, _ in seen):
                self.where = where

    async def missing(self, made: Sequence[_Written]) -> list[str]:
        """Which of these are not found, after some patience with whoever does not answer yet."""
        turn = asyncio.Semaphore(_AT_ONCE)
        until = time.monotonic() + _PATIENCE_S

        async def look(written: _Written) -> str:
            async with turn:
                found, said = await self.there(written, self.where)
                while not found and time.monotonic() < until:
                    await asyncio.sleep(_LOOK_S)
                    found, said = await self.there(written, self.where)
                return "" if found else said

        return [said for said in await asyncio.gather(*map(look, made)) if said]


async def gather(stage: Stage) -> KilledWrite:
    """Write, kill, start again, look it all up; several times."""
    write = stage.target.write
    if write is None:
        return KilledWrite(unknown="no write is known")
    async with stage.app() as app:
        writers = _Writers(app, write)
        first = [made for _ in range(_BASELINE) if (made := await writers.one()) is not None]
        if len(first) < _BASELINE:
            return KilledWrite(unknown=f"{write.shown} said {writers.refused}")
        await writers.find_where(stage.target.read, first)
        if not writers.where:
            tried = ", ".join(writers.places(stage.target.read))
            return KilledWrite(unknown=f"what was written was not found in {tried} even before anything was killed")
        well = f"{len(first)} writes were found at {writers.where}"
        return await _rounds(stage, writers, well)


async def _rounds(stage: Stage, writers: _Writers, well: str) -> KilledWrite:
    acknowledged = killed = 0
    lost: list[str] = []
    unknown = restart = ""
    for number in range(2 if stage.quick else 3):
        stage.tell(f"writing, to be killed ({number + 1})")
        delay_s = 0.0 if number % 2 == 0 else stage.chance.uniform(0.0, 0.03)
        killing = Killing(writers.app, after=stage.chance.randrange(10, 60), delay_s=delay_s)
        made: list[_Written] = []
        killed += await killing.amid([writers.client(killing, made) for _ in range(_CLIENTS)], _WITHIN_S)
        try:
            await writers.app.again()
        except AppFailed as failure:
            restart = str(failure).splitlines()[0]
            break
        stage.tell("looking it all up")
        control = await writers.one()
        if control is None or not (await writers.there(control, writers.where))[0]:
            unknown = f"after the restart not even a new write was found at {writers.where}"
            break
        acknowledged += len(made)
        lost += await writers.missing(made)
    return KilledWrite(
        well=well,
        fault=f"{killed} times it ended by SIGKILL while {_CLIENTS} clients wrote" if killed else "",
        rounds=killed,
        acknowledged=acknowledged,
        lost=tuple(lost),
        where=writers.where,
        restart=restart,
        unknown=unknown if not lost else "",
    )


def judge(facts: KilledWrite) -> Judgement:
    """Each acknowledged write is there."""
    if facts.unknown:
        return not_proven(
            f"It could not be looked up what a write became: {facts.unknown}.",
            mend='Say where it is found, as in content = "/items/{id}", and where its ID is, as in id = "id".',
        )
    if facts.restart:
        return broken(f"After kill -9 it did not start again: {facts.restart}", "no restart", mend=_MEND)
    if facts.lost:
        number = f"{len(facts.lost)} of {facts.acknowledged} lost"
        why = f"{len(facts.lost)} of {facts.acknowledged} acknowledged writes were gone after kill -9"
        return broken(f"{why}; {facts.where} said {facts.lost[0]}.", number, mend=_MEND, certain=True)
    if not facts.acknowledged:
        return not_proven("No write was acknowledged before the kills, so there was nothing to be lost.")
    return kept(
        f"After {facts.rounds} kills all {facts.acknowledged} acknowledged writes were found at {facts.where}.",
        f"0 of {facts.acknowledged} lost",
    )


SCENARIO: Final = Scenario(
    name="killed-write",
    promise="durable",
    title="kills it with -9 while clients write, and looks up each acknowledged write",
    seconds=8,
    facts=KilledWrite,
    gather=gather,
    judge=judge,
    needs=("write",),
    part="against kill",
)
