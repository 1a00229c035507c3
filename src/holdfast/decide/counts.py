"""What can be counted of a process and those below it, from outside: records, and nothing that reads them.

What could not be seen is None, and is named in `Counts.unseen`: never an empty list, which would say that it is not
there.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple


class Kind(StrEnum):
    """Kinds of things that are counted; each value is the word for one of it."""

    FILE = "file"
    SOCKET = "socket"
    UNIX = "unix socket"
    PIPE = "pipe"
    ANONYMOUS = "anonymous inode"
    """What the kernel makes for epoll, timers, events and the like."""
    DEVICE = "device"
    OTHER = "descriptor"
    PROCESS = "process"
    ZOMBIE = "zombie"
    """A process that has ended, and that nobody has waited for."""
    THREAD = "thread"
    """Beyond the first of its process."""
    LOCK = "lock"
    STORED = "stored file"
    """A file in a folder, open or not."""
    SESSION = "PostgreSQL session"


class Descriptor(NamedTuple):
    """An open file descriptor."""

    number: int
    kind: Kind
    target: str
    """In the words of /proc: a path, perhaps with ` (deleted)`, or `socket:[12345]`."""
    state: str = ""
    """Of TCP, as `ESTABLISHED` or `LISTEN`; `UDP`; empty for one that is not connected yet, or of another family."""
    local: str = ""
    """This end: an address and port, or the path of a unix socket."""
    peer: str = ""
    """The other end, if there is one."""


class Memory(NamedTuple):
    """What a process has in memory, in bytes."""

    rss: int
    """In RAM, with all that others have as well."""
    pss: int
    """In RAM, with its share of what others have as well."""
    anonymous: int
    """Of that, what is no page of a file: what it has for itself. Libraries and files in the page cache are left out,
    for how many of their pages are whose changes with what else is running."""
    swapped: int
    """Its share of what is swapped out."""
    high_water: int
    """The most it ever had in RAM, as the kernel noted it."""


class Process(NamedTuple):
    """One process."""

    pid: int
    parent: int
    group: int
    session: int
    name: str
    state: str
    """R runs, S sleeps, D waits for a disk, T is stopped, t is traced, Z is a zombie."""
    born: int
    """Clock ticks from the start of the system until its own: with the PID, this is one process and no other."""
    threads: int
    cpu_s: float
    memory: Memory | None = None
    open: Sequence[Descriptor] | None = None
    beside: bool = False
    """It was re-parented, and belongs to the tree by its session or process group alone."""


_PENDING: Final = 0x40000000
_RESERVED: Final = _PENDING + 1
_SHARED: Final = _PENDING + 2
_WAL_WRITE: Final = 120
_WAL_CHECKPOINT: Final = 121
_WAL_READ: Final = range(123, 128)


class Lock(NamedTuple):
    """A lock on a part of a file, that a process holds or waits for."""

    pid: int
    """-1 for a lock of an open file description, which is no single process's."""
    kind: str
    """`POSIX`, `FLOCK` or `OFDLCK`."""
    mode: str
    """`READ` or `WRITE`."""
    path: str
    """Or `inode 12345`, where no descriptor leads to the file."""
    start: int
    end: int | None
    """The last byte; None: to the end of the file."""
    waits: bool = False

    def covers(self, byte: int) -> bool:
        """Whether this byte is among the locked ones."""
        return self.start <= byte and (self.end is None or byte <= self.end)

    @property
    def sqlite(self) -> str:
        """What it means to SQLite, by the bytes that it locks (os.h, os_unix.c): empty where it means nothing."""
        if self.path.endswith("-shm"):
            if self.mode == "WRITE" and self.covers(_WAL_WRITE):
                return "write transaction"
            if self.mode == "WRITE" and self.covers(_WAL_CHECKPOINT):
                return "checkpoint"
            return "read transaction" if any(map(self.covers, _WAL_READ)) else ""
        if self.start < _PENDING or self.end is None:
            return ""
        if self.mode == "WRITE" and (self.covers(_RESERVED) or self.covers(_PENDING)):
            return "write transaction"
        return "read transaction" if self.mode == "READ" and self.covers(_SHARED) else ""


class Stored(NamedTuple):
    """A file in a folder."""

    path: str
    """Below the folder."""
    size: int


class Folder(NamedTuple):
    """A folder, with all that is in it and below."""

    path: str
    files: Sequence[Stored] | None

    @property
    def size(self) -> int:
        """Bytes of all that was seen."""
        return sum(one.size for one in self.files or ())


class Session(NamedTuple):
    """A client's connection, as PostgreSQL sees it."""

    pid: int
    """Of the server's process for it."""
    application: str
    user: str
    database: str
    address: str
    """The client's; empty over a unix socket."""
    port: int
    """The client's: what joins it to a socket of a tree."""
    state: str | None
    """`active`, `idle`, `idle in transaction` and the like; None: another user's, which may not be seen."""
    in_transaction_s: float | None = None
    """For how long."""


class Counts(NamedTuple):
    """All that was counted at a moment. It was read piece by piece, so it is no snapshot."""

    root: int
    processes: Sequence[Process]
    locks: Sequence[Lock] | None = ()
    folders: Sequence[Folder] = ()
    sessions: Sequence[Session] | None = None
    """None: nobody asked, or they could not be seen."""
    unseen: Sequence[str] = ()
    """What could not be seen, and why, in words."""

    @property
    def alive(self) -> Process | None:
        """The root, if it runs."""
        return next((one for one in self.processes if one.pid == self.root and one.state not in {"Z", "X"}), None)

    @property
    def threads(self) -> int:
        """Of all processes."""
        return sum(one.threads for one in self.processes)

    @property
    def memory(self) -> Memory | None:
        """Of all processes; the high water marks are added too, though they need not be of the same moment."""
        found = [one.memory for one in self.processes if one.state != "Z"]
        seen = [one for one in found if one is not None]
        if len(seen) < len(found) or not seen:
            return None
        return Memory(*map(sum, zip(*seen, strict=True)))

    def of(self, kind: Kind) -> list[Descriptor]:
        """The open descriptors of a kind that were seen, of all processes."""
        return [found for one in self.processes for found in one.open or () if found.kind == kind]

    def connections(self, port: int) -> list[Descriptor]:
        """The sockets that are connected to this port, such as a database's."""
        return [one for one in self.of(Kind.SOCKET) if port_of(one.peer) == port]

    def sessions_of_tree(self) -> list[Session]:
        """Those of PostgreSQL's sessions whose other end is a TCP socket of these processes."""
        ports = {port_of(one.local) for one in self.of(Kind.SOCKET)}
        return [one for one in self.sessions or () if one.port in ports]


def port_of(address: str) -> int:
    """The port of `127.0.0.1:80` or `[::1]:80`; 0 without one."""
    digits = address.rpartition(":")[2]
    return int(digits) if digits.isdigit() else 0


class Sample(NamedTuple):
    """The memory of all processes of a tree at a moment, in bytes."""

    at: float
    """By the monotonic clock."""
    rss: int
    pss: int
    anonymous: int
    processes: int
