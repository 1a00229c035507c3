"""One request for uploads: authorised, told apart, carried out, answered."""

import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec

from holdfast.asgi import INTERIM, Headers, Receive, Scope, Send
from holdfast.decide.uploads.dialect import Answer, Dialect, Terms
from holdfast.decide.uploads.dialects import spoken
from holdfast.decide.uploads.head import Head, content_length
from holdfast.decide.uploads.rules import Refuse
from holdfast.decide.uploads.vocabulary import Create, Upload
from holdfast.decide.uploads.whole import FORM
from holdfast.errors import Forbidden, HoldfastError, InsufficientStorage, Unavailable
from holdfast.parts.uploads.acting import Act, Caller, Failed
from holdfast.parts.uploads.bodies import Body, FormBody
from holdfast.parts.uploads.engine import Engine
from holdfast.parts.uploads.hooks import Authorise
from holdfast.parts.uploads.intake import ClientLeft
from holdfast.problems import log_failure, problem

_LOG = logging.getLogger("holdfast.uploads")


class Serving:
    """One request."""

    def __init__(
        self,
        engine: Engine,
        authorise: Authorise,
        scope: Scope,
        receive: Receive,
        send: Send,
        asked: Head,
        terms: Terms,
    ) -> None:
        """`asked` is the head of the request, `terms` what its answer is made under."""
        self._engine = engine
        self._authorise = authorise
        self._scope = scope
        self._receive = receive
        self._send = send
        self._asked = asked
        self._terms = terms
        self._dialect: Dialect = spoken(asked)

    async def serve(self) -> None:
        """Carry out what was asked, and answer."""
        try:
            caller = await self._caller()
            command = self._dialect.parse(self._asked)
            if isinstance(command, Refuse):
                raise command.error
            if self._dialect is FORM and isinstance(command, Create):
                await self._serve_form(caller, command)
                return
            act = Act(self._engine, caller, resumable=self._dialect.resumable, tell=self._tell)
            upload = await act.carry_out(self._asked.upload_id, command, Body(self._receive).more)
            answer = self._dialect.answer(command, upload, self._terms)
        except Failed as failed:
            answer = self._dialect.refusal(failed.error, failed.upload, self._terms, whole=failed.whole)
        except HoldfastError as error:
            answer = self._dialect.refusal(error, None, self._terms)
        except ClientLeft:
            return
        await answered(self._scope, self._send, answer)

    async def _caller(self) -> Caller:
        if not self._engine.is_running:
            raise Unavailable("Uploads are not open here: `running()` was not entered.")
        owner = await self._authorise(self._scope)

        async def again() -> None:
            if await self._authorise(self._scope) != owner:
                raise Forbidden

        return Caller(owner, again)

    def _tell(self, upload: Upload, created: bool) -> None:
        """Send the interim answer that is due, where the server can and the client asked for it."""
        extensions: Mapping[str, Callable[[int, Headers], None]] = self._scope.get("extensions") or {}
        send = extensions.get(INTERIM)
        interim = self._dialect.interim(upload, self._terms, created=created) if send is not None else None
        if send is not None and interim is not None:
            send(interim.status, _encoded(interim.headers))

    async def _serve_form(self, caller: Caller, command: Create) -> None:
        """Each file of a form is an upload of its own, finished when it is whole; the answer names them all."""
        kind = self._asked.get("content-type") or ""
        form = FormBody(self._receive, kind, content_length(self._asked))
        done: list[Upload] = []
        try:
            while (file := await form.file()) is not None:
                wanted = Create(None, file.name, file.media_type, has_content=True, ends=command.ends)
                act = Act(self._engine, caller, resumable=False)
                done.append(await act.carry_out(None, wanted, form.more))
        except (Failed, HoldfastError) as error:
            found = error.error if isinstance(error, Failed) else error
            found.members = {**found.members, "files": _told(done)}
            await answered(self._scope, self._send, self._dialect.refusal(found, None, self._terms))
            return
        answer = self._dialect.answer(command, done[0], self._terms) if len(done) == 1 else Answer(201, ())
        body = msgspec.json.encode({"files": _told(done)})
        headers = (*answer.headers, ("content-type", "application/json"))
        await answered(self._scope, self._send, answer._replace(headers=headers), body)


def _told(uploads: Sequence[Upload]) -> list[dict[str, object]]:
    return [
        {"file": upload.result, "name": upload.name, "bytes": upload.offset, "sha256": upload.sha256}
        for upload in uploads
    ]


def _log(error: HoldfastError) -> None:
    """Log what failed; a refusal that nobody is to blame for is told of without a traceback."""
    if isinstance(error, Unavailable | InsufficientStorage) and error.__cause__ is None:
        _LOG.warning("an upload was refused", extra={"problem": error.code, "detail": error.detail})
    else:
        log_failure(error)


async def answered(scope: Scope, send: Send, answer: Answer, body: bytes = b"") -> None:
    """Send `answer`, with its problem document where it has an error."""
    headers = _encoded(answer.headers)
    if answer.error is not None:
        _log(answer.error)
        made = problem(answer.error, scope)
        named = {name for name, _ in headers}
        if not scope.get("http_version", "1.1").startswith("1"):
            named.add(b"connection")  # which only HTTP/1 knows
        kept = [pair for pair in made.headers if pair[0] not in named]
        await made._replace(status=answer.status, headers=kept + headers).send(send)
        return
    if answer.status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _encoded(headers: Sequence[tuple[str, str]]) -> Headers:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
