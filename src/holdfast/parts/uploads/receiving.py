"""Uploads in a handler of the application's own: the files of one request, whole and durable, inside a block."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

from holdfast.asgi import Receive, Scope
from holdfast.decide.names import name_in
from holdfast.decide.uploads.digests import content_digests, whole_digests
from holdfast.decide.uploads.head import Head, content_length, head, media_type, refuse_codings
from holdfast.decide.uploads.rules import Limits
from holdfast.decide.uploads.vocabulary import Create
from holdfast.errors import BadRequest, Unavailable
from holdfast.parts.uploads.acting import Act, Caller, Failed
from holdfast.parts.uploads.bodies import Body, FormBody
from holdfast.parts.uploads.engine import Engine
from holdfast.parts.uploads.hooks import Whole
from holdfast.parts.uploads.intake import ClientLeft
from holdfast.stores.blobs import Saved
from holdfast.stores.ledger import Entry


class Received(NamedTuple):
    """What a request brought."""

    files: tuple[Whole, ...]
    """In their order; the ID of each file is `file.upload.id`."""
    fields: tuple[tuple[str, str], ...]
    """Names and values of a form's other fields, in their order."""


@asynccontextmanager
async def received(
    engine: Engine, scope: Scope, receive: Receive, owner: str, limits: Limits, max_files: int
) -> AsyncGenerator[Received]:
    """The files of a request: see `UploadsApp.receive`."""
    if not engine.is_running:
        raise Unavailable("Uploads are not open here: `running()` was not entered.")
    asked = head(scope["method"], scope["headers"], http_version=scope.get("http_version", "1.1"))
    taking = _Taking(engine, owner, limits)
    try:
        if (media_type(asked) or "").startswith("multipart/"):
            fields = await taking.form(asked, receive, max_files)
        else:
            fields = ()
            await taking.plain(asked, receive)
        yield Received(tuple(taking.files), fields)
    except BaseException:
        await taking.forget()
        raise
    for file in taking.files:
        await engine.ending.told(file, file.upload.id)


class _Taking:
    def __init__(self, engine: Engine, owner: str, limits: Limits) -> None:
        self._engine = engine
        self._owner = owner
        self._limits = limits
        self.files: list[Whole] = []

    async def plain(self, asked: Head, receive: Receive) -> None:
        refuse_codings(asked)
        size = content_length(asked)
        command = Create(
            length=size,
            name=name_in(asked.get("content-disposition")),
            media_type=media_type(asked),
            digests=whole_digests(asked),
            has_content=size != 0,
            ends=True,
            content_length=size,
            content_digests=content_digests(asked),
        )
        await self._take(command, Body(receive))

    async def form(self, asked: Head, receive: Receive, max_files: int) -> tuple[tuple[str, str], ...]:
        form = FormBody(receive, asked.get("content-type") or "", content_length(asked), max_files=max_files)
        try:
            while (file := await form.file()) is not None:
                await self._take(Create(None, file.name, file.media_type, has_content=True, ends=True), form)
        except ClientLeft:
            raise _left() from None
        return tuple(form.fields)

    async def _take(self, command: Create, body: Body | FormBody) -> None:
        act = Act(self._engine, Caller(self._owner, _nothing), limits=self._limits, resumable=False, left_open=True)
        try:
            await act.carry_out(None, command, body.more)
        except Failed as failed:
            raise failed.error from failed
        except ClientLeft:
            raise _left() from None
        if act.whole is not None:
            self.files.append(act.whole)

    async def forget(self) -> None:
        for file in self.files:
            await self._engine.forget(Entry(file.upload, Saved(file.size, "")))


async def _nothing() -> None:
    """The handler has let them in, and it is still the same request."""


def _left() -> BadRequest:
    return BadRequest("The client left before the body was whole.")
