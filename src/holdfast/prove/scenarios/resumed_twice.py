"""Once: a piece of a resumable upload is sent twice, and counts once; the last one finishes it once."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from holdfast.decide.verdicts import Judgement, broken, kept, not_asked, not_proven
from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.props.resumable import address, creation, ids_in, offset_in, piece, question
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.sending import Request, chance_bytes, table
from holdfast.prove.stage import Stage, send

_ROWS: Final = 2_000
_PATIENCE_S: Final = 5.0
_LOOK_S: Final = 0.1
_ROUNDS: Final = 3
_MEND_PIECE: Final = (
    "Refuse a piece whose Upload-Offset is not where the upload stands, with 409 (tus 1.0), and look while nobody else "
    "has the upload: Holdfast's uploads do both."
)
_MEND: Final = "Let one at a time have an upload, and finish it where its state is kept: Holdfast's uploads do both."


class Finished(msgspec.Struct, frozen=True):
    """An upload whose last piece came twice."""

    how: str
    statuses: tuple[int, ...] = ()
    files: int = -1
    """How many came of it; -1: that could not be seen."""
    same: bool | None = None
    """Whether it has what was sent; None: that could not be seen."""


class Piece(msgspec.Struct, frozen=True):
    """A piece, not the last of its upload, that came twice with the same offset."""

    how: str
    statuses: tuple[int, ...] = ()
    ends: int = 0
    """Where it ends, as it was sent."""
    there: int = -1
    """How many bytes the upload had after it, as the backend says; -1: it does not say."""
    same: bool | None = None
    """Whether, gone on with from there, it has what was sent; None: that could not be seen."""


class Resumed(Facts, frozen=True):
    """What became of them."""

    resumable: bool = False
    pieces: tuple[Piece, ...] = ()
    finished: tuple[Finished, ...] = ()


class Uploads:
    """Uploads in pieces, and what came of them."""

    def __init__(self, app: App, stage: Stage, upload: Template) -> None:
        """`upload` says where they can be gone on with."""
        self._app = app
        self._read = stage.target.read
        self._upload = upload
        self._seed = stage.seed
        self._once = 0

    async def look(self) -> Finished:
        """Upload once, and see how often its name is listed then."""
        name = _name()
        content = self._content(0)
        path, last = await self._all_but_last(name, content)
        answer = await self._sent(last)
        self._once = await self._named(name)
        same = await self._same([answer], path, content)
        return Finished("once", (answer.status,), 1 if self._once else -1, same)

    async def twice(self, number: int, *, at_once: bool) -> Finished:
        """Upload, with the last piece sent twice."""
        name = _name()
        content = self._content(number)
        path, last = await self._all_but_last(name, content)
        if at_once:
            answers = list(await asyncio.gather(self._sent(last), self._sent(last)))
        else:
            answers = [await self._sent(last), await self._sent(last)]
        how = "at once" if at_once else "in turn"
        same = await self._same(answers, path, content)
        files = -1 if not self._once else round(await self._named(name) / self._once)
        return Finished(how, tuple(one.status for one in answers), files, same)

    async def piece_twice(self, number: int, *, at_once: bool) -> Piece:
        """Upload, with the first piece sent twice, and gone on with from where the backend says that it is."""
        content = self._content(number)
        ends = len(content) // 3
        path = address(await self._sent(creation(self._upload.resumable, len(content), f"{_name()}.csv")))
        first = piece(path or self._upload.resumable, 0, content[:ends])
        if at_once:
            answers = list(await asyncio.gather(self._sent(first), self._sent(first)))
        else:
            answers = [await self._sent(first), await self._sent(first)]
        how, statuses = "at once" if at_once else "in turn", tuple(one.status for one in answers)
        there = offset_in(await self._sent(question(path))) if path else None
        if there is not None and there > ends:
            return Piece(how, statuses, ends, there)
        begins = ends if there is None else there  # less may be taken than is sent, if that is said
        last = await self._sent(piece(path or self._upload.resumable, begins, content[begins:]))
        return Piece(how, statuses, ends, -1 if there is None else there, await self._same([last], path, content))

    def _content(self, number: int) -> bytes:
        return table(_ROWS) + chance_bytes(24, self._seed + number).hex().encode() + b",a,b,1,c\n"

    async def _sent(self, one: Request) -> Answer:
        return await self._app.client.ask(one.method, one.path, headers=one.headers, body=one.body, timeout_s=10.0)

    async def _all_but_last(self, name: str, content: bytes) -> tuple[str, Request]:
        """Create an upload and send its first half; its path, and the request that ends it."""
        made = await self._sent(creation(self._upload.resumable, len(content), f"{name}.csv"))
        path = address(made)
        half = len(content) // 2
        if path:
            await self._sent(piece(path, 0, content[:half]))
        return path, piece(path or self._upload.resumable, half, content[half:])

    async def _named(self, name: str) -> int:
        _, answer = await send(self._app, self._read)
        return answer.body.count(name.encode()) if answer.good else 0

    async def _same(self, answers: Sequence[Answer], path: str, content: bytes) -> bool | None:
        """Whether what is there now is what was sent, after some patience; None where it cannot be asked for."""
        ids = [each for answer in answers if answer.good for each in ids_in(answer, path, self._upload.id)]
        if not self._upload.content or not ids:
            return None
        until = time.monotonic() + _PATIENCE_S
        seen = False
        while True:
            for each in dict.fromkeys(ids):
                _, there = await send(self._app, Template("GET", self._upload.content), {"id": each})
                seen = seen or there.good
                if there.good and there.body == content:
                    return True
            if time.monotonic() > until:
                return False if seen else None
            await asyncio.sleep(_LOOK_S)


def _name() -> str:
    return f"prove-{secrets.token_hex(8)}"


async def gather(stage: Stage) -> Resumed:
    """Upload in two pieces, one of which is sent twice: in turn, and at once."""
    upload = stage.target.upload
    if upload is None or not upload.resumable:
        return Resumed()
    async with stage.app() as app:
        uploads = Uploads(app, stage, upload)
        first = await uploads.look()
        finished = [await uploads.twice(1, at_once=False)]
        finished += [await uploads.twice(2 + number, at_once=True) for number in range(_ROUNDS)]
        pieces = [await uploads.piece_twice(8 + at_once, at_once=bool(at_once)) for at_once in range(2)]
    return Resumed(
        well=f"an upload in two pieces was answered with {first.statuses[0]}" if 200 <= first.statuses[0] < 300 else "",
        fault=f"a piece of {len(finished) + len(pieces)} uploads was sent twice",
        resumable=True,
        pieces=tuple(pieces),
        finished=tuple(finished),
    )


def judge(facts: Resumed) -> Judgement:
    """One file came of each, with the right content; the second sender got an answer."""
    if not facts.resumable:
        return not_asked(
            "It is not known where uploads can be gone on with.",
            mend='Say it in [tool.holdfast.prove]: upload = { ..., resumable = "/uploads" }.',
        )
    every = [*facts.pieces, *facts.finished]
    number = f"{sum(not _wrong(one) for one in every)} of {len(every)}"
    for one in every:
        if (found := _found(one, number)) is not None:
            return found
    if all(one.files < 0 and one.same is None for one in facts.finished):
        return not_proven(
            "It could not be seen what came of the uploads.",
            mend='Say upload = { ..., content = "/files/{id}/content" }.',
        )
    return kept(
        f"A piece of {len(every)} uploads was sent twice, in turn or at once; one file came of each, as it was sent.",
        number,
    )


def _found(one: Finished | Piece, number: str) -> Judgement | None:
    """What breaks it, if anything does."""
    last = isinstance(one, Finished)
    mend = _MEND if last else _MEND_PIECE
    sent = f"The {'last' if last else 'first'} piece of an upload was sent twice {one.how}"
    if wrong := _wrong(one):
        files = f"{one.files} files" if last and one.files not in {1, -1} else number
        return broken(f"{sent}, was answered with {_listed(one)}, and {wrong}.", files, mend=mend, certain=True)
    if last and not _taken(one):
        return broken(f"{sent}, and neither was answered with 2xx, but with {_listed(one)}.", number, mend=mend)
    if any(status == 500 or not status for status in one.statuses):
        return broken(f"{sent}, and the answers were {_listed(one)}.", number, mend=mend)
    return None


def _wrong(one: Finished | Piece) -> str:
    """What is wrong with what came of it, in words.

    Whether the second is refused or borne with is the backend's affair; what it takes may count once.
    """
    if isinstance(one, Finished) and one.files not in {1, -1}:
        return f"{one.files} files came of it"
    if isinstance(one, Piece) and _taken(one) and one.there > one.ends:
        return f"the upload then had {one.there} bytes, and {one.ends} were sent"
    taken = isinstance(one, Finished) or _taken(one)
    return "its content is another than was sent" if one.same is False and taken else ""


def _taken(one: Finished | Piece) -> bool:
    return any(200 <= status < 300 for status in one.statuses)


def _listed(one: Finished | Piece) -> str:
    return " and ".join(str(status or "nothing") for status in one.statuses)


SCENARIO: Final = Scenario(
    name="resumed-twice",
    promise="once",
    title="sends the last piece of a resumable upload twice, in turn and at once",
    seconds=3,
    facts=Resumed,
    gather=gather,
    judge=judge,
    needs=("upload",),
    part="of resumed uploads",
    quick=True,
)
