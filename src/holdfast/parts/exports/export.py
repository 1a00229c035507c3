"""One export: sent as an answer, walked through piece by piece, or kept as a file."""

import asyncio
import base64
import inspect
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from holdfast.asgi import Headers, Message, Receive, Scope, Send
from holdfast.decide.exports import formats
from holdfast.decide.exports.columns import Columns
from holdfast.decide.exports.errors import ReaderTooSlow
from holdfast.decide.exports.formats import Format
from holdfast.decide.names import disposition
from holdfast.events import ExportEnded
from holdfast.parts.exports.answering import Answering
from holdfast.parts.exports.formats.csv import Csv, CsvEncoder
from holdfast.parts.exports.formats.encoding import Encoder
from holdfast.parts.exports.line import Progress, Recipe
from holdfast.parts.exports.outlet import Outlet
from holdfast.parts.exports.packing import PACKERS, codings
from holdfast.parts.exports.producing import Tasked, Threaded
from holdfast.parts.exports.settings import ExportSettings
from holdfast.parts.exports.sources.source import AsyncSource, Source
from holdfast.parts.exports.spool import Spool

_LOG = logging.getLogger("holdfast.exports")
_TELL_S: Final = 0.25

Open = Callable[[], Source | AsyncSource]
"""Makes the source of the rows, for one time that they are read."""

Tell = Callable[[Progress], None]
"""Hears how far an export is: with its first block, a few times a second while it is read, and at the end.

It is called on the loop and must not block. What it is given is the same each time, and goes on to change. What it
raises is logged, and the export goes on.
"""


class Choices(NamedTuple):
    """How an export is written."""

    form: Format | None
    """None: as the request asks, by its path or by what it accepts."""
    name: str
    """What the file is called where it is saved, without the extension."""
    csv: Csv
    marked: bool
    """Whether CSV and NDJSON end with a mark that says they are whole."""
    compress: bool
    """Whether a request that accepts it gets it compressed."""
    headers: Mapping[str, str]
    """More headers of the answer, or others in place of those that are usual."""


class Export(Answering):
    """Rows that become an answer: an ASGI application, so that any framework that takes one can return it."""

    def __init__(self, opened: Open, choices: Choices, settings: ExportSettings, tell: Tell | None) -> None:
        """Nothing is opened or read before it is called."""
        self._open = opened
        self._choices = choices
        self._settings = settings
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        What goes wrong before the first row raises, and is answered as every error is. After that the answer is cut
        off: the exception leaves, and the server closes the connection before its end.
        """
        form = self._choices.form or _asked(scope)
        coding = self._coding(scope, form)
        headers = self._head(form, coding)
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        trailing = "http.response.trailers" in (scope.get("extensions") or {})
        async with self.running(form, coding, digest=trailing) as run:
            leaving = asyncio.ensure_future(_left(receive))
            try:
                await _Answer(run, send, headers, self._settings.idle_s, trailing=trailing).sent_unless(leaving)
            except ReaderTooSlow as error:  # which is no failure of ours, and so nobody else says why it was cut off
                _LOG.warning("an export was cut off", extra={"problem": error.code})
                raise
            finally:
                leaving.cancel()
                await asyncio.wait({leaving})

    async def pieces(self, form: Format) -> AsyncGenerator[bytes]:
        """The export in pieces. Leave it with `aclosing`, so that its source is closed when the loop is broken off."""
        async with self.running(form, None) as run:
            while (block := await run.next()) is not None:
                yield block

    @asynccontextmanager
    async def running(self, form: Format, coding: str | None, *, digest: bool = False) -> AsyncGenerator["Run"]:
        """Begin to read the rows, and stop however it is left: then the source is closed, and nothing is left."""
        choices, settings = self._choices, self._settings
        recipe = Recipe(
            encoder=lambda columns: _encoder(form, columns, choices),
            packer=PACKERS[coding],
            packs=coding is not None,
            csv=choices.csv if form is formats.CSV else None,
            marker=form.name if choices.marked and not form.proves_its_end else None,
            digest=digest,
        )
        outlet = Outlet(Spool(settings.spool, settings.spool_bytes, settings.spool_all_bytes), settings.hold_s)
        run = Run(form, self._open(), recipe, outlet, self._tell)
        try:
            yield run
        finally:
            await run.stop()

    def file_name(self, form: Format) -> str:
        """What it is called where it is saved."""
        return f"{self._choices.name}.{form.name}"

    def _coding(self, scope: Scope, form: Format) -> str | None:
        if form.packed or not self._choices.compress:
            return None
        return formats.coding(_listed(scope, b"accept-encoding"), codings())

    def _head(self, form: Format, coding: str | None) -> Headers:
        usual = {
            "content-type": form.media_type,
            "content-disposition": disposition(self.file_name(form)),
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        }
        varies = ["accept"] * (self._choices.form is None)
        varies += ["accept-encoding"] * (self._choices.compress and not form.packed)
        if varies:
            usual["vary"] = ", ".join(varies)
        if coding is not None:
            usual["content-encoding"] = coding
        usual |= {name.lower(): value for name, value in self._choices.headers.items()}
        return [(name.encode("ascii"), value.encode("latin-1")) for name, value in usual.items()]


class Run:
    """An export that is being read."""

    def __init__(
        self, form: Format, source: Source | AsyncSource, recipe: Recipe, outlet: Outlet, tell: Tell | None
    ) -> None:
        """Begin."""
        self.progress: Progress = Progress()
        """How far it is."""
        self._form = form
        self._outlet = outlet
        self._tell = tell
        self._tell_failed = False
        self._began = time.monotonic()
        self._telling = None if tell is None else asyncio.create_task(self._tell_now_and_then())
        self._sent = 0
        self._whole = False
        works: Any = Tasked if inspect.iscoroutinefunction(source.open) else Threaded
        self._work: Threaded | Tasked = works(source, recipe, self.progress, outlet)

    async def next(self) -> bytes | None:
        """The next block; None at the end. Raises what the source raised, ColumnsMismatch, ReaderTooSlow."""
        block = await self._outlet.get()
        self._whole = block is None
        if not self._sent:
            self._told()
        self._sent += len(block or b"")
        return block

    async def stop(self) -> None:
        """Close the source, throw away what waits, and say what came of it."""
        await self._work.stop()
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait({self._telling})
        self._told()
        rows = self.progress.rows
        fact = ExportEnded(
            form=self._form.name,
            rows=rows,
            bytes_out=self._sent,
            spooled=self._outlet.spooled,
            seconds=round(time.monotonic() - self._began, 3),
            whole=self._whole,
        )
        _LOG.info("export", extra=fact._asdict())

    async def _tell_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_TELL_S)
            self._told()

    def _told(self) -> None:
        """Say how far it is. What fails in hearing it is logged, once, and no reason to end the export."""
        if self._tell is None:
            return
        try:
            self._tell(self.progress)
        except Exception:  # noqa: BLE001 - whatever the application does wrong there
            if not self._tell_failed:
                _LOG.exception("the progress of an export could not be told")
            self._tell_failed = True


class _Answer:
    """An answer that is on its way."""

    def __init__(self, run: Run, send: Send, headers: Headers, idle_s: float, *, trailing: bool) -> None:
        self._run = run
        self._send = send
        self._start: Message = {"type": "http.response.start", "status": 200, "headers": headers}
        self._idle_s = idle_s
        self._trailing = trailing
        if trailing:
            self._start |= {"trailers": True, "headers": [*headers, (b"trailer", b"repr-digest")]}

    async def sent_unless(self, leaving: "asyncio.Future[None]") -> None:
        """Send it, unless the client leaves first: then it is over at once."""
        sending = asyncio.ensure_future(self._sent())
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not sending.done():
                sending.cancel()
                await asyncio.wait({sending})
        if not sending.cancelled():
            sending.result()

    async def _sent(self) -> None:
        block = await self._run.next()  # before the head: what fails before the first row has an answer of its own
        await self._read(self._send(self._start))
        while block is not None:
            await self._read(self._send({"type": "http.response.body", "body": block, "more_body": True}))
            block = await self._run.next()
        await self._read(self._send({"type": "http.response.body", "body": b""}))
        if self._trailing:
            digest = base64.b64encode(bytes.fromhex(self._run.progress.sha256 or ""))
            trailers = [(b"repr-digest", b"sha-256=:" + digest + b":")]
            await self._send({"type": "http.response.trailers", "headers": trailers, "more_trailers": False})

    async def _read(self, sending: Awaitable[None]) -> None:
        """Wait until the client has read so much that this could be sent."""
        try:
            async with asyncio.timeout(self._idle_s):
                await sending
        except TimeoutError as error:
            raise ReaderTooSlow from error


def _encoder(form: Format, columns: Columns, choices: Choices) -> Encoder:
    """What writes a format. Those that only some need are imported when they are needed."""
    if form is formats.CSV:
        return CsvEncoder(columns, choices.csv)
    if form is formats.XLSX:
        from holdfast.parts.exports.formats.xlsx import XlsxEncoder  # noqa: PLC0415 - it brings zipfile

        return XlsxEncoder(columns, choices.name)
    if form is formats.PARQUET:
        from holdfast.parts.exports.formats.parquet import ParquetEncoder  # noqa: PLC0415 - it brings pyarrow, an extra

        return ParquetEncoder(columns)
    from holdfast.parts.exports.formats.ndjson import JsonEncoder, NdjsonEncoder  # noqa: PLC0415 - beside the others

    return JsonEncoder(columns) if form is formats.JSON else NdjsonEncoder(columns)


def _asked(scope: Scope) -> Format:
    """The format by the request's path, or by what it accepts. Raises NotAcceptable."""
    by_path = formats.by_path(scope["path"])
    if by_path is not None:
        return by_path
    return formats.accepted(_listed(scope, b"accept"))


def _listed(scope: Scope, name: bytes) -> str | None:
    """A request header that is a list, which may be on several lines."""
    found = [value for key, value in scope["headers"] if key == name]
    return b", ".join(found).decode("latin-1") if found else None


async def _left(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
