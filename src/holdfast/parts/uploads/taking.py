"""The files of one request, by all the rules of the place where uploads arrive, for a handler that answers itself."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from holdfast.asgi import Receive, Scope
from holdfast.decide.uploads.head import content_length, head, media_type
from holdfast.decide.uploads.rules import Refuse
from holdfast.decide.uploads.vocabulary import Command, Create, Phase, Upload
from holdfast.decide.uploads.whole import PLAIN
from holdfast.errors import BadRequest, Forbidden, HoldfastError, Unavailable
from holdfast.parts.uploads.acting import Act, Caller, Failed
from holdfast.parts.uploads.bodies import Body, FormBody
from holdfast.parts.uploads.engine import Engine
from holdfast.parts.uploads.hooks import Authorise
from holdfast.parts.uploads.intake import ClientLeft


class Offered(NamedTuple):
    """A file of which no byte was taken yet."""

    name: str | None
    """The client's name for it, as it is kept."""
    field: str | None
    """The name of its field in a form; None if it is the body itself."""
    fields: Mapping[str, str]
    """The fields before it; of those of one name the last."""


Check = Callable[[Offered], None]
"""Raises if a file is not taken."""


class Asked(NamedTuple):
    """What a handler wants of a request."""

    authorise: Authorise
    name: str | None
    check: Check | None
    max_files: int


async def taken(engine: Engine, scope: Scope, receive: Receive, asked: Asked) -> tuple[Upload, ...]:
    """The files of a request: see `UploadsApp.take`."""
    if not engine.is_running:
        raise Unavailable("Uploads are not open here: `running()` was not entered.")
    owner = await asked.authorise(scope)

    async def again() -> None:
        if await asked.authorise(scope) != owner:
            raise Forbidden

    done: list[Upload] = []
    try:
        await _take(engine, Caller(owner, again), scope, receive, asked, done)
    except (Failed, HoldfastError, ClientLeft) as failed:
        error = _explained(failed)
        if done:
            error.members = {**error.members, "files": [upload.result for upload in done]}
        raise error from failed
    return tuple(done)


async def _take(
    engine: Engine, caller: Caller, scope: Scope, receive: Receive, asked: Asked, done: list[Upload]
) -> None:
    version: str = scope.get("http_version", "1.1")
    request = head(scope["method"], scope["headers"], name=asked.name, http_version=version)

    def check(offered: Offered) -> None:
        if asked.check is not None:
            asked.check(offered)

    async def take(command: Command, body: Body | FormBody) -> None:
        upload = await Act(engine, caller, resumable=False).carry_out(None, command, body.more)
        if upload.phase is not Phase.FINISHED:
            raise Unavailable("The file has arrived, and is still being finished.", headers={"retry-after": "5"})
        done.append(upload)

    if not (media_type(request) or "").startswith("multipart/"):
        command = PLAIN.parse(request)
        if isinstance(command, Refuse):
            raise command.error
        check(Offered(command.name if isinstance(command, Create) else None, None, {}))
        await take(command, Body(receive))
        return
    kind = request.get("content-type") or ""
    form = FormBody(receive, kind, content_length(request), max_files=asked.max_files)
    while (file := await form.file()) is not None:
        check(Offered(file.name, file.field, dict(form.fields)))
        await take(Create(None, file.name, file.media_type, has_content=True, ends=True), form)


def _explained(failed: Failed | HoldfastError | ClientLeft) -> HoldfastError:
    if isinstance(failed, Failed):
        return failed.error
    if isinstance(failed, ClientLeft):
        return BadRequest("The client left before the body was whole.")
    return failed
