"""Whether what was acknowledged was on the disk by then: a rule over system calls.

When the first byte of the answer is sent, each file that holds the data has to have been synced after it was last
written; and the folder of each name that was made for it has to have been synced after that, for else the file may be
there without its name, or with the one it had before. SQLite's files are read as SQLite means them:

- With a write-ahead log, the log is what counts: the database itself is written later.
- A rollback journal that is removed is the commit. If its removal does not reach the disk, SQLite takes the journal for
  that of a broken transaction and undoes what was committed (that is what `PRAGMA synchronous = EXTRA` is for).

Sources: fsync(2); "Atomic Commit In SQLite"; `PRAGMA synchronous` in SQLite's documentation.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from posixpath import dirname, normpath
from typing import Final, NamedTuple

from holdfast.decide.commits import LOG, NOWHERE, SQLITE, SYNCS, WRITES, changes, told_too_soon, unjournaled
from holdfast.decide.syscalls import DELETED, Call

_SIZES: Final = frozenset({"ftruncate", "fallocate"})
_COPIES: Final = {"sendfile": (1, 0), "copy_file_range": (0, 1), "splice": (0, 1)}
"""Which of the descriptors is read, and which is written."""
_SENDS: Final = frozenset({"sendto", "sendmsg", "sendmmsg"})
OPENS: Final = frozenset({"open", "openat", "openat2", "creat"})
_RENAMES: Final = frozenset({"rename", "renameat", "renameat2"})
_LINKS: Final = frozenset({"link", "linkat"})
_UNLINKS: Final = frozenset({"unlink", "unlinkat"})
_FOLDERS: Final = frozenset({"mkdir", "mkdirat"})
_RINGS: Final = frozenset({"io_uring_setup", "io_uring_enter"})
TRACED: Final = (
    *sorted(SYNCS | WRITES | _SIZES | _SENDS | OPENS | _RENAMES | _LINKS | _UNLINKS | _FOLDERS | _RINGS),
    *_COPIES,
)
"""The calls that have to be seen."""

_MAIN: Final = re.compile(r"\.(?:sqlite3?|db3?)$")
_DATABASE: Final = re.compile(rf"-(?:wal|journal)$|{_MAIN.pattern}")
_TCP: Final = re.compile(r"TCP(?:v6)?:\[(?P<local>\S+):(?P<local_port>\d+)->(?P<peer>\S+):(?P<peer_port>\d+)\]")


class Danger(StrEnum):
    """Why a file may not be there after a power cut right after the answer; what is worst comes first."""

    LATER = "was written after the answer"
    UNSYNCED = "was not synced after it was last written"
    NAMELESS = "has a new name, and the folder of that name was not synced"
    UNDONE = "was removed to commit, and its folder was not synced, so SQLite may undo the commit"
    EARLY = "was synced with how far the data is safe, and the data was synced after it"
    UNJOURNALED = "was changed with no journal beside it, so SQLite cannot undo what a kill in the middle leaves"


class Unsafe(NamedTuple):
    """A file that was not safe when the answer was sent."""

    path: str
    danger: Danger


class Asked(NamedTuple):
    """A request whose data is looked for."""

    began: float
    """When it was sent, in seconds since 1970."""
    status: int
    """Of its answer."""
    port: int
    """The client's, by which the connection is known."""
    server_port: int
    marker: str
    """A text that stands in each part of the data."""
    size: int
    """Bytes of the data."""
    offset: int = 0
    """How far the answer says that the data is safe, where it says so."""
    removes: bool = False
    """Whether it removes what `marker` is the name of."""


class World(NamedTuple):
    """What is known of the machine beside the calls."""

    folder: str
    """Where the backend keeps things."""
    cwd: str
    """The folder it was started in."""
    there: Collection[str]
    """The paths that were there before."""
    logs: Collection[str] = ()
    """Files that are logs."""


class Durability(NamedTuple):
    """What was seen of one request."""

    answered: bool
    """Whether its answer was found among the calls."""
    files: tuple[str, ...] = ()
    """The files that held the data when it was answered."""
    unsafe: tuple[Unsafe, ...] = ()
    syncs: int = 0
    """Before the answer."""
    elsewhere: tuple[str, ...] = ()
    """Where else data went: other servers."""
    unseen: str = ""
    """Why it may not all have been seen."""


class _File:
    """A file, by whatever names it has."""

    def __init__(self) -> None:
        self.names: dict[str, int | None] = {}
        """Each name; and when it was made, if its folder was not synced since."""
        self.dirty: int | None = None
        """When it was last written, if it was not synced since."""
        self.synced = False
        """Whether each write to it waits for the disk."""
        self.database = False
        self.marked = 0
        """Bytes of writes in which the marker was seen."""
        self.plain = 0
        """Bytes of other writes."""


class _Disk:
    """What is on the disk, and what only seems to be."""

    def __init__(self, world: World, marker: str) -> None:
        self.world = world
        self.marker = marker
        self.files: dict[str, _File] = {}
        self.folders: dict[str, int] = {}
        """Folders that were made, and when, if their parents were not synced since."""
        self.journals: dict[str, int] = {}
        """Rollback journals that were removed, and when, if their folders were not synced since."""
        self.descriptors: dict[str, str] = {}
        self.there = set(world.there)
        self.synced: set[str] = set()
        self.syncs = 0
        self.acts: Mapping[str, Callable[[Call], None]] = {
            **dict.fromkeys(WRITES | _SIZES, self.write),
            **dict.fromkeys(_COPIES, self.copy),
            **dict.fromkeys(OPENS, self.open),
            **dict.fromkeys(_RENAMES, self.rename),
            **dict.fromkeys(_LINKS, self.link),
            **dict.fromkeys(_UNLINKS, self.unlink),
            **dict.fromkeys(_FOLDERS, self.mkdir),
            **dict.fromkeys(SYNCS, self.sync),
        }

    def see(self, call: Call) -> None:
        """Let a call take effect."""
        for number, what in call.descriptors:
            self.descriptors[number] = what
        act = self.acts.get(call.name)
        if act is not None and call.result >= 0:
            act(call)

    def at(self, path: str) -> _File:
        """The file at a path."""
        if path not in self.files:
            self.files[path] = _File()
            self.files[path].names[path] = None
            self.files[path].synced = path in self.synced
        return self.files[path]

    def absolute(self, path: str) -> str:
        return normpath(path if path.startswith("/") else f"{self.world.cwd}/{path}")

    def write(self, call: Call) -> None:
        where = next((what for _, what in call.descriptors), "")
        if where.startswith("/") and not where.startswith(NOWHERE) and where not in self.world.logs:
            marked = self.marker in call.arguments
            self._written(self.at(where), call, call.result if call.name in WRITES else 0, marked=marked)

    def copy(self, call: Call) -> None:
        ends = [what for _, what in call.descriptors]
        if len(ends) == 2:
            read, written = (ends[index] for index in _COPIES[call.name])
            if written.startswith("/") and not written.startswith(NOWHERE):
                marked = read in self.files and self.files[read].marked > 0
                self._written(self.at(written), call, call.result, marked=marked)

    def _written(self, file: _File, call: Call, size: int, *, marked: bool) -> None:
        file.dirty = None if file.synced else call.ended
        file.database = file.database or SQLITE in call.arguments
        if marked:
            file.marked += size
        else:
            file.plain += size

    def before(self, call: Call) -> None:
        """Let a call from before the request take effect, as far as that matters."""
        if call.name in OPENS and call.opened:
            self.there.add(call.opened)
            if _waits(call):
                self.synced.add(call.opened)

    def open(self, call: Call) -> None:
        path = call.opened
        if not path.startswith("/") or path.startswith(NOWHERE):
            return
        file = self.at(path)
        file.synced = file.synced or _waits(call)
        made = "O_CREAT" in call.arguments or call.name == "creat"
        if made and path not in self.there and not _MAIN.search(path):  # nobody makes a database for each request
            file.names[path] = call.ended
        self.there.add(path)

    def rename(self, call: Call) -> None:
        if len(call.paths) == 2:
            old, new = map(self.absolute, call.paths)
            file = self.at(old)
            del file.names[old], self.files[old]
            self._forget(new)
            file.names[new] = call.ended
            self.files[new] = file
            self.there.add(new)

    def link(self, call: Call) -> None:
        if len(call.paths) == 2:
            old, new = map(self.absolute, call.paths)
            if old.startswith("/proc/"):  # how a file without a name gets one
                old = self.descriptors.get(old.rpartition("/")[2], old)
            file = self.at(old)
            file.names[new] = call.ended
            self.files[new] = file

    def unlink(self, call: Call) -> None:
        for path in map(self.absolute, call.paths[:1]):
            if path.endswith("-journal"):
                self.journals[path] = call.ended
            self._forget(path)

    def _forget(self, path: str) -> None:
        self.there.discard(path)
        file = self.files.pop(path, None)
        if file is not None:
            file.names.pop(path, None)

    def mkdir(self, call: Call) -> None:
        for path in map(self.absolute, call.paths[:1]):
            self.folders[path] = call.ended

    def sync(self, call: Call) -> None:
        self.syncs += 1
        where = next((what for _, what in call.descriptors), "")
        everything = call.name in {"sync", "syncfs"}
        for path, file in self.files.items():
            if (everything or path == where) and file.dirty is not None and file.dirty < call.began:
                file.dirty = None
            for name, made in file.names.items():
                if (everything or dirname(name) == where) and made is not None and made < call.began:
                    file.names[name] = None
        for pending in (self.folders, self.journals):
            for path in [each for each, made in pending.items() if made < call.began]:
                if everything or dirname(path) == where:
                    del pending[path]


def durability(seen: Iterable[Call], asked: Asked, world: World) -> Durability:
    """What became of the data of one request by the time it was answered."""
    disk, after = _Disk(world, asked.marker), _Disk(world, asked.marker)
    mine: list[Call] = []
    for call in seen:
        if call.at < asked.began:
            disk.before(call)
        else:
            mine.append(call)
    answer = next((call for call in mine if _answers(call, asked)), None)
    if answer is None:
        return Durability(False)
    before = [call for call in mine if call.ended < answer.began]
    for call in mine:
        (disk if call.ended < answer.began else after).see(call)
    holding = dict(_holding(disk, asked))
    unsafe = [*_unsafe(holding, disk), *_later(holding, after, asked), *_in_disorder(before, asked, world)]
    unseen = _unseen(mine, holding, asked)
    elsewhere = tuple(_elsewhere(mine, asked))
    if asked.removes and not elsewhere:
        changed = [(call.ended < answer.began, path) for call, path in changes(mine, world.logs)]
        in_time = any(early for early, _ in changed)
        unsafe += [Unsafe(path, Danger.LATER) for _, path in changed[:1] if not in_time]
        unseen = "" if in_time else unseen
    return Durability(
        True,
        tuple(sorted(holding)),
        tuple(sorted(set(unsafe), key=lambda one: (list(Danger).index(one.danger), one.path))),
        disk.syncs,
        elsewhere,
        unseen,
    )


def _in_disorder(before: Sequence[Call], asked: Asked, world: World) -> Iterator[Unsafe]:
    """What is all on the disk, and was not brought there in the order in which a kill in the middle takes nothing."""
    for path in unjournaled(before, world.there):
        yield Unsafe(path, Danger.UNJOURNALED)
    for path in told_too_soon(before, asked.marker, asked.offset) if asked.offset else ():
        yield Unsafe(path, Danger.EARLY)


def touches(call: Call) -> bool:
    """Whether a call changes or syncs a file."""
    if call.name in _RENAMES | _LINKS | _UNLINKS:
        return True
    where = next((what for _, what in call.descriptors), "")
    return call.name in WRITES | SYNCS | set(_COPIES) and where.startswith("/") and not where.startswith(NOWHERE)


def _waits(call: Call) -> bool:
    return "O_SYNC" in call.arguments or "O_DSYNC" in call.arguments


def _answers(call: Call, asked: Asked) -> bool:
    """Whether a call sends the first byte of the answer."""
    if call.name not in WRITES | _SENDS or not re.search(rf'"HTTP/1\.[01] {asked.status}\b', call.arguments):
        return False
    where = next((what for _, what in call.descriptors), "")
    return where.endswith(f":{asked.port}]") if where.startswith("TCP") else "socket:" in where


def _holding(disk: _Disk, asked: Asked) -> Iterator[tuple[str, _File]]:
    """The files that hold the data: what is known to have a part of it, and every database that was written.

    If no file is known to have a part of it, for it was changed on the way to the disk, then whatever was written where
    the backend keeps things is taken to hold it.
    """
    written = {
        path: file
        for path, file in disk.files.items()
        if (file.marked or file.plain or file.dirty is not None)
        and not path.endswith(DELETED)
        and not path.endswith("-shm")
    }
    logs = {path for path in written if LOG.search(path)}
    databases = {path for path, file in written.items() if file.database or _DATABASE.search(path)}
    marked = {path for path, file in written.items() if file.marked} - logs
    if not marked and (asked.size or not databases):
        here = f"{disk.world.folder}/"
        marked = {
            path for path, file in written.items() if path.startswith(here) and file.plain >= asked.size // 2
        } - logs
    for path in sorted(databases | marked):
        if f"{path}-wal" not in written:  # else the log is what counts
            yield path, written[path]


def _unsafe(holding: Mapping[str, _File], disk: _Disk) -> Iterator[Unsafe]:
    for path, file in holding.items():
        if file.dirty is not None:
            yield Unsafe(path, Danger.UNSYNCED)
        if file.names.get(path) is not None or _in_a_new_folder(path, disk.folders):
            yield Unsafe(path, Danger.NAMELESS)
    for journal in disk.journals:
        if journal.removesuffix("-journal") in holding:
            yield Unsafe(journal, Danger.UNDONE)


def _in_a_new_folder(path: str, folders: Mapping[str, int]) -> bool:
    return any(path.startswith(f"{folder}/") for folder in folders)


def _later(holding: Mapping[str, _File], after: _Disk, asked: Asked) -> Iterator[Unsafe]:
    """What was written too late, where not all of the data was in files in time."""
    if sum(file.marked for file in holding.values()) < asked.size:
        for path, file in after.files.items():
            if file.marked and not path.endswith(DELETED) and not LOG.search(path):
                yield Unsafe(path, Danger.LATER)


def _elsewhere(mine: Sequence[Call], asked: Asked) -> list[str]:
    """Other servers that were sent something: those that got the data, if it can be told."""
    marked: dict[str, None] = {}
    others: dict[str, None] = {}
    for call in mine:
        if call.name in _SENDS | WRITES and call.result > 0:
            where = next((what for _, what in call.descriptors), "")
            peer = _TCP.match(where)
            if peer is not None and int(peer["local_port"]) != asked.server_port:
                others[f"{peer['peer']}:{peer['peer_port']}"] = None
                if asked.marker in call.arguments:
                    marked[f"{peer['peer']}:{peer['peer_port']}"] = None
            elif where.startswith("UNIX") and asked.marker in call.arguments:
                marked["a Unix socket"] = None
    return list(marked or others)


def _unseen(mine: Sequence[Call], holding: Mapping[str, _File], asked: Asked) -> str:
    data = any(file.marked or file.plain >= asked.size // 2 for file in holding.values())
    if holding and (data or not asked.size):
        return ""
    if any(call.name in _RINGS for call in mine):
        return "it may write by io_uring, which strace does not see"
    return "what was sent was not seen in any write to a file"
