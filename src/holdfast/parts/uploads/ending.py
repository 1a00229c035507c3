"""How an upload ends: digests, the scan, publication, the application's own part.

Each step can be done again. An upload that is being finished says so in the ledger, and whoever is at it says again and
again that they live; if they die, somebody else takes it up. A client that leaves stops nothing.
"""

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final

from holdfast.decide.uploads.errors import WrongDigest
from holdfast.decide.uploads.sniff import ENOUGH, sniffed
from holdfast.decide.uploads.vocabulary import Kind, Phase, Upload
from holdfast.errors import Evicted, HoldfastError, ScanRefused, Unavailable
from holdfast.parts.uploads.hashing import SHA256, Hashes
from holdfast.parts.uploads.hooks import Hooks, Verdict, Whole
from holdfast.stores.blobs import Blobs, Part
from holdfast.stores.ledger import Entry, Ledger

_LOG = logging.getLogger("holdfast.uploads")
LEASE_S: Final = 3.0
"""For how long somebody who finishes an upload may say nothing before they are taken for dead."""


def algorithms(upload: Upload) -> set[str]:
    """The digests that are made of the whole."""
    return {SHA256, *(digest.algorithm for digest in upload.digests)}


def current(ledger: Ledger, upload: Upload) -> Callable[[], Awaitable[None]]:
    """Asks whether the turn that `upload` tells of is still the present one; raises Evicted if not."""

    async def ask() -> None:
        if (await ledger.turns([upload.id])).get(upload.id) != upload.turn:
            raise Evicted

    return ask


class Ending:
    """Finishes uploads."""

    def __init__(self, blobs: Blobs, ledger: Ledger, hooks: Hooks, *, expires_s: float) -> None:
        """`expires_s` says for how long what came of an upload can be asked, in seconds."""
        self._blobs = blobs
        self._ledger = ledger
        self._hooks = hooks
        self._expires_s = expires_s
        self.running: dict[str, asyncio.Task[Upload]] = {}
        """What is being finished in this process, by ID."""

    async def finish(self, entry: Entry, hashes: Hashes | None) -> Upload:
        """Finish an upload whose turn is ours and which the ledger has as being finished; the upload as it is then.

        The work goes on when this is cancelled. Raises what refuses the file, and Unavailable where it is tried later.
        """
        upload_id = entry.upload.id
        task = self.running.get(upload_id)
        if task is None:
            task = asyncio.create_task(self._finish(entry, hashes))
            self.running[upload_id] = task
            task.add_done_callback(lambda done: self._over(upload_id, done))
        return await asyncio.shield(task)

    async def leave(self, within_s: float) -> None:
        """Wait for what is being finished, but not longer than `within_s` seconds; others take up what is left then."""
        tasks = set(self.running.values())
        if not tasks:
            return
        _, left = await asyncio.wait(tasks, timeout=within_s)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _over(self, upload_id: str, task: "asyncio.Task[Upload]") -> None:
        self.running.pop(upload_id, None)
        if not task.cancelled():
            task.exception()  # whoever waited has it; where nobody did, it is in the log

    async def _finish(self, entry: Entry, hashes: Hashes | None) -> Upload:
        upload = entry.upload
        if upload.kind is Kind.PARTIAL:
            expires = time.time() + self._expires_s
            await self._ledger.advance(upload.id, upload.turn, Phase.FINISHED, expires=expires, holds=True)
            return dataclasses.replace(upload, phase=Phase.FINISHED, expires=expires)
        saying = asyncio.create_task(self._say_alive(entry))
        try:
            return await self._steps(entry, hashes)
        except HoldfastError as error:
            await (self.refuse(entry, error) if error.status < 500 else self._let_go(entry))
            raise
        except Exception as error:
            _LOG.exception("an upload could not be finished; it is tried again", extra={"upload": upload.id})
            await self._let_go(entry)
            raise Unavailable(headers={"retry-after": "5"}) from error
        finally:
            saying.cancel()

    async def _steps(self, entry: Entry, hashes: Hashes | None) -> Upload:
        """THE order, from all bytes being safe to the application knowing the file."""
        whole = await self.whole(entry, hashes)
        result = await self._hooks.finished(whole) if self._hooks.finished is not None else None
        return await self.told(whole, result or entry.upload.id)

    async def whole(self, entry: Entry, hashes: Hashes | None) -> Whole:
        """Check and scan an upload whose bytes are all safe, then publish it under its ID."""
        upload = entry.upload
        async with self._opened(entry) as content:
            made = await self._digested(upload, hashes, content)
            wrong = made.wrong(upload.digests)
            if wrong:
                raise WrongDigest(wrong, "Repr-Digest")
            verdict = await self._scanned(upload, content)
            await content.publish()
        sha256 = made.hexadecimal()
        kind = await self._sniffed(upload.id)
        return Whole(dataclasses.replace(upload, sha256=sha256), upload.offset, sha256, kind, verdict)

    async def _digested(self, upload: Upload, hashes: Hashes | None, content: "_Content") -> Hashes:
        if hashes is not None and hashes.offset == upload.offset and hashes.has(algorithms(upload)):
            return hashes
        return await Hashes(algorithms(upload)).read(content.read())

    async def _scanned(self, upload: Upload, content: "_Content") -> Verdict:
        if self._hooks.scan is None:
            return Verdict.NOT_SCANNED
        async with contextlib.aclosing(content.read()) as pieces:
            verdict = await self._hooks.scan(upload, pieces)
        if verdict is Verdict.INFECTED:
            raise ScanRefused
        if verdict is Verdict.FAILED:
            raise Unavailable("The file could not be looked into.", headers={"retry-after": "5"})
        return verdict

    async def _sniffed(self, upload_id: str) -> str:
        start = b""
        async for piece in self._blobs.read(upload_id, 0, ENOUGH):
            start += piece
        return sniffed(start)

    async def told(self, whole: Whole, result: str) -> Upload:
        """Note that the application knows the file, as `result`. Raises Evicted."""
        upload = whole.upload
        expires = time.time() + self._expires_s
        await self._ledger.advance(
            upload.id, upload.turn, Phase.FINISHED, sha256=whole.sha256, result=result, expires=expires
        )
        return dataclasses.replace(upload, phase=Phase.FINISHED, result=result, expires=expires)

    async def refuse(self, entry: Entry, error: HoldfastError) -> None:
        """End an upload whose turn is ours for good; its bytes go. It says why until it expires. Raises Evicted."""
        upload = entry.upload
        await self._ledger.advance(
            upload.id, upload.turn, Phase.REFUSED, problem=error.code, expires=time.time() + self._expires_s
        )
        await self._blobs.remove(upload.id, entry.saved)

    @contextlib.asynccontextmanager
    async def _opened(self, entry: Entry) -> AsyncGenerator["_Content"]:
        """The bytes of an upload."""
        upload = entry.upload
        async with self._blobs.opened(upload.id, entry.saved, current(self._ledger, upload)) as part:
            yield _Content(self._blobs, upload.id, part)

    async def _say_alive(self, entry: Entry) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 3)
            with contextlib.suppress(HoldfastError):  # what ends meanwhile can not be said to be alive, nor need be
                await self._lease(entry, LEASE_S)

    async def _let_go(self, entry: Entry) -> None:
        """Say that nobody is at it any more."""
        with contextlib.suppress(HoldfastError):
            await self._lease(entry, 0.0)

    async def _lease(self, entry: Entry, seconds: float) -> None:
        upload = entry.upload
        await self._ledger.save(upload.id, upload.turn, entry.saved, length=None, expires=time.time() + seconds)


class _Content:
    """The bytes of a whole upload, wherever they can be read."""

    def __init__(self, blobs: Blobs, upload_id: str, part: Part) -> None:
        self._blobs = blobs
        self._id = upload_id
        self._part = part
        self._readable = True

    async def publish(self) -> None:
        """Make the file visible."""
        await self._part.publish()

    async def read(self) -> AsyncGenerator[bytes]:
        """All of it. A store that cannot read what is not published has it published for that: nobody knows its ID."""
        async with contextlib.aclosing(self._pieces()) as pieces:
            async for piece in pieces:
                yield piece

    async def _pieces(self) -> AsyncGenerator[bytes]:
        if self._readable:
            try:
                async for piece in self._part.read():
                    yield piece
            except NotImplementedError:
                self._readable = False
            else:
                return
        await self.publish()
        found: AsyncIterator[bytes] = self._blobs.read(self._id)
        async for piece in found:
            yield piece
