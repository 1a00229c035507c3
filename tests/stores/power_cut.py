"""A small disk in memory that loses what a real one may lose when the power goes.

What was not synced is on the disk or not, sector by sector, in any version that was written since the last sync; so it
is reordered and torn. A folder keeps any of the changes that it was not synced for; a rename is kept whole, not at all,
or with both names. The sync of a file that fails leaves some of it behind, and believes all of it to be written from
then on, as Linux does; only what is written anew is synced anew. Names are in a journal: the next sync has them all.
"""

import errno
import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from holdfast.stores.disk_files import Found, How

SECTOR = 512


class PowerCut(Exception):
    """The power is gone; nothing can be called any more."""


class Node:
    """A file: what programs see of it, and what is on the disk."""

    def __init__(self, inode: int, content: bytes = b"") -> None:
        self.inode = inode
        self.current = bytearray(content)
        self.durable = bytearray(content)
        self.sizes: list[int] = []  # since the last sync
        self.dirty: dict[int, list[bytes]] = {}  # sector: every version since the last sync
        self.holder: int | None = None
        self.changed = 0.0

    def touch(self, start: int, end: int) -> None:
        for sector in range(start // SECTOR, -(-end // SECTOR)):
            self.dirty.setdefault(sector, []).append(self.sector(self.current, sector))
        self.sizes.append(len(self.current))

    @staticmethod
    def sector(content: bytearray, number: int) -> bytes:
        return bytes(content[number * SECTOR : (number + 1) * SECTOR]).ljust(SECTOR, b"\0")

    def write(self, data: bytes, offset: int) -> None:
        if len(self.current) < offset:
            self.current.extend(bytes(offset - len(self.current)))
        self.current[offset : offset + len(data)] = data
        self.touch(offset, offset + len(data))

    def cut(self, size: int) -> None:
        shrunk = size < len(self.current)
        del self.current[size:]
        self.current.extend(bytes(size - len(self.current)))
        for sector in [number for number in self.dirty if number * SECTOR >= size]:
            del self.dirty[sector]
        if shrunk and size % SECTOR:
            self.touch(size - 1, size)  # the rest of the sector is made zero
        self.sizes.append(size)

    def sync(self) -> None:
        self.place({sector: self.sector(self.current, sector) for sector in self.dirty}, len(self.current))

    def place(self, sectors: dict[int, bytes], size: int) -> None:
        """Bring sectors, and a size, onto the disk."""
        needed = (max(sectors, default=-1) + 1) * SECTOR
        self.durable.extend(bytes(max(0, needed - len(self.durable))))
        for sector, content in sectors.items():
            self.durable[sector * SECTOR : (sector + 1) * SECTOR] = content
        self.durable.extend(bytes(max(0, size - len(self.durable))))
        del self.durable[size:]
        self.dirty, self.sizes = {}, []

    def lose(self, chance: random.Random) -> None:
        """Bring some of it onto the disk, in any version, and forget that the rest is not there."""
        sectors = {sector: chance.choice(versions) for sector, versions in self.dirty.items() if chance.random() < 0.5}
        self.place(sectors, chance.choice([len(self.durable), *self.sizes]))


class Change:
    """A change of names in folders: all of it, or for a rename also both names, comes onto the disk."""

    def __init__(self, gone: tuple["Folder", str] | None, there: tuple["Folder", str, Node] | None) -> None:
        self.gone = gone
        self.there = there

    def place(self, *, whole: bool = True) -> None:
        if self.there is not None:
            folder, name, node = self.there
            folder.durable[name] = node
            self.there = None
        if self.gone is not None and whole:
            folder, name = self.gone
            folder.durable.pop(name, None)
            self.gone = None


class Folder:
    """Names: as programs see them, and as they are on the disk."""

    def __init__(self) -> None:
        self.current: dict[str, Node] = {}
        self.durable: dict[str, Node] = {}
        self.changes: list[Change] = []

    def change(self, change: Change) -> None:
        self.changes.append(change)

    def sync(self) -> None:
        for change in self.changes:
            # Of a rename to here the other folder may still have the old name.
            change.place(whole=change.gone is None or change.gone[0] is self)
        self.changes = []

    def lose(self, chance: random.Random) -> None:
        for change in self.changes:
            if chance.random() < 0.5:
                change.place(whole=chance.random() < 0.5)
        self.changes = []


class SmallDisk:
    """A disk that can fail at any call; the methods are those of `Files`."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.folders: dict[Path, Folder] = {Path("/"): Folder()}
        self.safe_folders: set[Path] = {Path("/")}
        self.open_files: dict[int, Node] = {}
        self.calls = 0
        self.cut_at: int | None = None
        self.is_cut = False
        self.faults: Callable[[str], int | None] = lambda _: None
        self.now = 1000.0
        self._last = 100
        self._guard = threading.RLock()

    # -- trouble --

    def _do(self, name: str, act: Callable[[], object], fail: Callable[[], object] = lambda: None):
        with self._guard:
            self.calls += 1
            if self.is_cut:
                raise PowerCut
            if self.cut_at is not None and self.calls >= self.cut_at:
                self.is_cut = True
                if self.chance.random() < 0.5:
                    act()
                raise PowerCut
            error = self.faults(name)
            if error is not None:
                fail()
                raise OSError(error, f"{errno.errorcode[error]} at {name}")
            return act()

    def after_power_cut(self) -> "SmallDisk":
        """What is there when the power is back."""
        with self._guard:
            self.is_cut = True
            for folder in list(self.folders.values()):
                folder.lose(self.chance)
            kept = {path for path in self.folders if path in self.safe_folders or self.chance.random() < 0.5}
            after = SmallDisk(self.chance)
            for path in sorted(kept):
                if path.parent in after.folders:
                    after.folders[path] = Folder()
                    after.safe_folders.add(path)
            copies: dict[int, Node] = {}
            for path, folder in after.folders.items():
                for name, node in self.folders[path].durable.items():
                    if node.inode not in copies:
                        node.lose(self.chance)
                        copies[node.inode] = Node(node.inode, bytes(node.durable))
                    folder.current[name] = folder.durable[name] = copies[node.inode]
            after._last = self._last + 1000
            after.now = self.now
            return after

    def after_kill(self) -> "SmallDisk":
        """What is there for the next process, when this one was killed: the disk has lost nothing."""
        with self._guard:
            self.is_cut = True
            after = SmallDisk(self.chance)
            after.folders, after.safe_folders = self.folders, self.safe_folders
            after._last, after.now = self._last + 1000, self.now
            for folder in after.folders.values():
                for node in folder.current.values():
                    node.holder = None
            return after

    # -- what a disk does --

    def open(self, path: Path, how: How) -> int:
        def act() -> int:
            folder = self._folder(path.parent)
            node = folder.current.get(path.name)
            if how == "new":
                if node is not None:
                    raise FileExistsError(errno.EEXIST, "there")
                self._last += 1
                node = folder.current[path.name] = Node(self._last)
                node.changed = self.now
                folder.change(Change(None, (folder, path.name, node)))
            if node is None:
                raise FileNotFoundError(errno.ENOENT, "not there")
            self._last += 1
            self.open_files[self._last] = node
            return self._last

        return self._do("open", act)

    def close(self, file: int) -> None:
        def act() -> None:
            node = self.open_files.pop(file)
            if node.holder == file:
                node.holder = None

        self._do("close", act, act)  # the file is closed, whatever it says

    def lock(self, file: int) -> bool:
        def act() -> bool:
            node = self.open_files[file]
            if node.holder not in {None, file}:
                return False
            node.holder = file
            return True

        return self._do("lock", act)

    def look(self, at: Path | int) -> Found:
        def act() -> Found:
            node = self.open_files[at] if isinstance(at, int) else self._folder(at.parent).current.get(at.name)
            if node is None:
                raise FileNotFoundError(errno.ENOENT, "not there")
            return Found(len(node.current), node.inode, node.changed)

        return self._do("look", act)

    def write(self, file: int, pieces: Sequence[bytes], offset: int) -> int:
        data = b"".join(pieces)

        def act(most: int = len(data)) -> int:
            size = self.chance.randint(1, most) if most > 1 and self.chance.random() < 0.3 else most
            self.open_files[file].write(data[:size], offset)
            self.open_files[file].changed = self.now
            return size

        return self._do("write", act, lambda: act(len(data) // 2))

    def read(self, file: int, size: int, offset: int) -> bytes:
        return self._do("read", lambda: bytes(self.open_files[file].current[offset : offset + size]))

    def copy(self, source: int, start: int, target: int, offset: int, size: int) -> int:
        def act() -> int:
            data = bytes(self.open_files[source].current[start : start + self.chance.randint(1, size)])
            self.open_files[target].write(data, offset)
            return len(data)

        return self._do("copy", act)

    def cut(self, file: int, size: int) -> None:
        self._do("cut", lambda: self.open_files[file].cut(size))

    def sync(self, file: int) -> None:
        node = self.open_files.get(file)
        assert node is not None, "a file was synced that was closed"
        self._do("sync", node.sync, lambda: node.lose(self.chance))

    def sync_folder(self, folder: Path) -> None:
        found = self._folder(folder)

        def act() -> None:
            found.sync()
            self.safe_folders |= {path for path in self.folders if path.parent == folder}

        self._do("sync_folder", act)

    def make_folder(self, folder: Path) -> None:
        def act() -> None:
            self._folder(folder.parent)
            self.folders.setdefault(folder, Folder())

        self._do("make_folder", act)

    def rename(self, path: Path, to: Path) -> None:
        def act() -> None:
            before, after = self._folder(path.parent), self._folder(to.parent)
            if path.name not in before.current:
                raise FileNotFoundError(errno.ENOENT, "not there")
            node = after.current[to.name] = before.current.pop(path.name)
            change = Change((before, path.name), (after, to.name, node))
            before.change(change)
            after.change(change)

        self._do("rename", act)

    def remove(self, path: Path) -> None:
        def act() -> None:
            folder = self._folder(path.parent)
            if folder.current.pop(path.name, None) is None:
                raise FileNotFoundError(errno.ENOENT, "not there")
            folder.change(Change((folder, path.name), None))

        self._do("remove", act)

    def names(self, folder: Path) -> list[str]:
        return self._do("names", lambda: list(self._folder(folder).current))

    def free(self, folder: Path) -> int:
        return self._do("free", lambda: 1 << 30)

    def _folder(self, path: Path) -> Folder:
        found = self.folders.get(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "not there")
        return found
