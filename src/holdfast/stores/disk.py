"""Uploads and files on a disk.

    FOLDER/incoming/ID    an upload that is being received; locked (flock) by whoever has it open
    FOLDER/ab/ID          a file that is whole; `ab` are the first two digits of its ID

A file gets its own name when all of it is on the disk: it is renamed, and the folder synced. The 256 folders keep each
of them small where there are millions of files. All processes that use the folder run on one machine, or the folder is
on a network file system that has locks.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, ParamSpec, Self, TypeVar

from holdfast.errors import Evicted, NotFound, Unavailable, UploadGone
from holdfast.stores.blobs import UPLOAD_ID, Current, Saved, checked
from holdfast.stores.disk_files import SYSTEM, Files, shut
from holdfast.stores.disk_part import DiskPart, Places, explained, first
from holdfast.stores.disk_threads import Threads

P = ParamSpec("P")
T = TypeVar("T")

_LOG = logging.getLogger("holdfast.uploads")
_LOOK_S: Final = 0.02


class _Grasped(NamedTuple):
    """A file that is open, and locked unless it is whole."""

    file: int
    size: int
    whole: bool


class Disk:
    """A folder of uploads and files. The methods are explained in `blobs.Blobs`."""

    def __init__(self, folder: Path, *, threads: int = 8, wait_s: float = 1.0, files: Files = SYSTEM) -> None:
        """Keep them in `folder`, which is made if it is not there; the one above it is.

        `threads` of this process read and write at the same time. Another process that has an upload open is waited
        for at most `wait_s` seconds. `files` is the disk.
        """
        self._folder = folder
        self._files = files
        self._wait_s = wait_s
        self._threads = Threads(files, threads)
        self._open: dict[str, DiskPart] = {}
        self._prepared = False

    async def __aenter__(self) -> Self:
        """Make the folders."""
        await self._prepare()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is open, and let the threads end."""
        for part in list(self._open.values()):
            await part.close(Unavailable("This server is stopping."))
        self._threads.close()

    def path(self, upload_id: str) -> Path:
        """Where a published file is, for whoever reads it by its name."""
        return self._places(upload_id).whole

    @asynccontextmanager
    async def opened(self, upload_id: str, saved: Saved, current: Current | None = None) -> AsyncGenerator[DiskPart]:
        """Open an upload: lock its file, and cut it back to what was saved."""
        places = self._places(upload_id)
        await self._prepare()
        found = await self._mine(upload_id, places, saved, current)
        part = DiskPart(self._files, self._threads, places, found.file, saved, whole=found.whole)
        self._open[upload_id] = part
        try:
            if current is not None:
                await current()
            if found.size > saved.offset and not found.whole:
                await part.cut()
            yield part
        finally:
            self._forget(upload_id, part)
            await part.close(RuntimeError("the upload is not open any more"))

    async def join(self, upload_id: str, parts: Sequence[tuple[str, Saved]]) -> Saved:
        """Copy what was saved of `parts` to a new upload."""
        async with self.opened(upload_id, Saved(0, "")) as joined:
            for part_id, saved in parts:
                places = self._places(part_id)
                await joined.add((places.whole, places.part), saved.offset)
            await joined.sync()
        return Saved(sum(saved.offset for _, saved in parts), "")

    async def read(self, upload_id: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """Read a published file."""
        path = self._places(upload_id).whole
        try:
            file = await self._threads.hold(lambda: first(self._files, (path,)), self._let_go)
            if file is None:
                raise NotFound
            async with aclosing(self._threads.pieces(file, start, end)) as pieces:
                async for piece in pieces:
                    yield piece
        except OSError as error:
            raise explained(error) from error

    async def size(self, upload_id: str) -> int | None:
        """Look how large a published file is."""
        return await self._run(self._size, self._places(upload_id).whole)

    async def remove(self, upload_id: str, saved: Saved | None = None) -> None:  # noqa: ARG002 - others need it
        """Remove an upload and a file."""
        places = self._places(upload_id)
        holder = self._open.get(upload_id)
        if holder is not None:
            await self._evicted(upload_id, holder, self._wait_s)
        await self._run(self._remove, places)

    async def leftovers(self, older_than: float) -> AsyncGenerator[str]:
        """Look through what is being received. What somebody has open is not left over."""
        await self._prepare()
        for upload_id in await self._run(self._old, older_than):
            yield upload_id

    async def free(self) -> int | None:
        """Ask the disk."""
        await self._prepare()
        return await self._run(self._files.free, self._folder)

    # -- on the loop --

    def _places(self, upload_id: str) -> Places:
        return Places(self._folder, checked(upload_id))

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._threads.run(function, *args, **kwargs)
        except OSError as error:
            raise explained(error) from error

    async def _prepare(self) -> None:
        if not self._prepared:
            await self._run(self._make_folders)
            self._prepared = True

    async def _mine(self, upload_id: str, places: Places, saved: Saved, current: Current | None) -> _Grasped:
        """Open the file of an upload, once nobody else has it open."""
        give_up = time.monotonic() + self._wait_s
        while True:
            holder = self._open.get(upload_id)
            if holder is not None:
                if current is not None:
                    await current()  # it may be this turn that is over, not the holder's
                await self._evicted(upload_id, holder, give_up - time.monotonic())
            try:
                found = await self._threads.hold(lambda: self._grasp(places, saved), self._let_go)
            except OSError as error:
                raise explained(error) from error
            if found is not None:
                return found
            if time.monotonic() >= give_up:
                raise _in_use()
            await asyncio.sleep(_LOOK_S)

    async def _evicted(self, upload_id: str, holder: DiskPart, wait_s: float) -> None:
        """Have a request of this process let go. It writes no more from now on, but may wait for the disk."""
        try:
            async with asyncio.timeout(max(wait_s, _LOOK_S)):
                await holder.close(Evicted())
        except TimeoutError:
            raise _in_use() from None
        self._forget(upload_id, holder)

    def _forget(self, upload_id: str, part: DiskPart) -> None:
        if self._open.get(upload_id) is part:
            del self._open[upload_id]

    # -- in threads --

    def _make_folders(self) -> None:
        files, folder = self._files, self._folder
        files.make_folder(folder)
        with suppress(PermissionError):  # then it was made by somebody else, long ago
            files.sync_folder(folder.parent)
        for name in ("incoming", *(f"{number:02x}" for number in range(256))):
            files.make_folder(folder / name)
        files.sync_folder(folder)

    def _grasp(self, places: Places, saved: Saved) -> _Grasped | None:
        """Open the file of an upload, and lock it; None while somebody else has it open."""
        whole = first(self._files, (places.whole,))
        if whole is not None:
            return _Grasped(whole, saved.offset, whole=True)
        file = self._part(places, saved)
        if file is None:
            return None
        try:
            if self._files.lock(file) and self._is_there(places, file):
                size = self._files.look(file).size
                if size < saved.offset:
                    _LOG.error("acknowledged bytes are not on the disk", extra={"upload": places.part.name})
                    raise UploadGone("Bytes that were saved are not there any more.")
                mine, file = file, None
                return _Grasped(mine, size, whole=False)
        finally:
            if file is not None:
                shut(self._files, file)
        return None

    def _part(self, places: Places, saved: Saved) -> int | None:
        part = first(self._files, (places.part,), "write")
        if part is not None:
            return part
        if saved.offset:
            if self._size(places.whole) is not None:
                return None  # it was published this very moment
            raise UploadGone("Bytes that were saved are not there any more.")
        try:
            return self._files.open(places.part, "new")
        except FileExistsError:
            return None

    def _is_there(self, places: Places, file: int) -> bool:
        """Whether a file that was opened still has its name, and was not published or removed before it was locked."""
        try:
            return self._files.look(places.part).inode == self._files.look(file).inode
        except FileNotFoundError:
            return False

    def _let_go(self, found: _Grasped | int | None) -> None:
        if found is not None:
            shut(self._files, found if isinstance(found, int) else found.file)

    def _size(self, path: Path) -> int | None:
        try:
            return self._files.look(path).size
        except FileNotFoundError:
            return None

    def _remove(self, places: Places) -> None:
        for path in (places.part, places.whole):
            with suppress(FileNotFoundError):
                self._files.remove(path)
        # Or the file might be there again after a power cut; also if it was removed before, and that was not synced.
        self._files.sync_folder(places.whole.parent)

    def _old(self, older_than: float) -> list[str]:
        names = self._files.names(self._folder / "incoming")
        return [name for name in names if UPLOAD_ID.fullmatch(name) and self._is_old(name, older_than)]

    def _is_old(self, upload_id: str, older_than: float) -> bool:
        places = Places(self._folder, upload_id)
        file = first(self._files, (places.part,), "write")
        if file is None:
            return False
        try:
            if self._files.look(file).changed >= older_than or not self._files.lock(file):
                return False
            if self._size(places.whole) is None:
                return True
            self._files.remove(places.part)  # the rename to the other name was not wholly on the disk
            return False
        finally:
            shut(self._files, file)


def _in_use() -> Unavailable:
    return Unavailable("Another request still has this upload.", headers={"retry-after": "1"})
