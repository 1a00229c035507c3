"""The control socket of a serving process: its user may ask it, on the same machine, who it is and for a profile.

A Unix socket for each process, `PID.sock` in a folder that belongs to the service's user alone. It is answered by
threads of its own, so also while the event loop is held up. A question is a line of JSON, and so is the answer.
"""

import asyncio
import contextlib
import logging
import os
import select
import socket
import stat
import struct
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Final

import msgspec

from holdfast.errors import ExtraMissing, HoldfastError

_LOG = logging.getLogger("holdfast.control")
_CREDENTIALS: Final = struct.Struct("3i")
_LONGEST: Final = 4096
_ASK_S: Final = 5.0
"""How long who connects has to say what it wants."""
OFF: Final = "off"
MOST_S: Final = 3600.0


class Who(msgspec.Struct):
    """What a process says of itself."""

    pid: int
    service: int
    """The process ID of the supervisor, or its own where there is none."""
    slot: int
    app: str
    at: list[str]
    """The addresses that it serves at."""


class Question(msgspec.Struct):
    """What is asked."""

    do: str
    """`who` or `profile`."""
    seconds: float = 0.0


class Refusal(msgspec.Struct):
    """Why there is no answer."""

    error: str
    advice: str


def folder(setting: str) -> Path:
    """Where the control sockets of this user's services are."""
    if setting:
        return Path(setting)
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "holdfast" if runtime else Path(f"/tmp/holdfast-{os.getuid()}")  # noqa: S108 - checked below


@contextlib.contextmanager
def answering(setting: str, who: Who, loop: asyncio.AbstractEventLoop) -> Generator[None]:
    """Answer while the block runs. Where no socket can be had, a line says so, and the service serves all the same."""
    if setting == OFF:
        yield
        return
    try:
        place = _private(folder(setting)) / f"{who.pid}.sock"
        listener = _listening(place)
    except OSError as error:
        level = logging.WARNING if setting else logging.INFO
        _LOG.log(
            level, f"there is no control socket, and so no profile: {error}", extra={"setting": "HOLDFAST_CONTROL"}
        )
        yield
        return
    try:
        threading.Thread(
            target=_Answers(who, loop).serve, args=(listener,), name="holdfast-control", daemon=True
        ).start()
        yield
    finally:
        place.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # so that whoever waits in it wakes
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _private(place: Path) -> Path:
    """The folder, made if it is not there. Raises OSError where it is not ours alone: others could put theirs in it."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{place} is not a folder that belongs to this user alone (mode 0700)")
    _remove_abandoned(place)
    return place


def _remove_abandoned(place: Path) -> None:
    """Remove the sockets of processes that were killed."""
    for found in place.glob("*.sock"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(found))
            except ConnectionRefusedError:
                found.unlink(missing_ok=True)
            except OSError:
                continue


def _listening(place: Path) -> socket.socket:
    making = place.with_suffix(".new")
    making.unlink(missing_ok=True)  # left by another of the same number
    listener = socket.socket(socket.AF_UNIX)
    try:
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(str(making))
        listener.listen(8)
        making.rename(place)  # only now, for one that does not listen is taken for abandoned
    except BaseException:
        listener.close()
        raise
    return listener


class _Answers:
    """Answers whoever connects."""

    def __init__(self, who: Who, loop: asyncio.AbstractEventLoop) -> None:
        self._who = who
        self._loop = loop
        self._profiling = threading.Lock()

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # it was closed
                return
            threading.Thread(target=self._answer, args=(connection,), name="holdfast-control", daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if _uid(connection) not in {os.getuid(), 0}:
                return
            connection.settimeout(_ASK_S)
            try:
                answer = self._of(msgspec.json.decode(_line(connection), type=Question), connection)
            except HoldfastError as error:
                answer = Refusal(str(error), error.advice)
            except msgspec.MsgspecError:
                answer = Refusal("The question is not one that is known.", "Use the same version of Holdfast to ask.")
            except Exception as error:  # noqa: BLE001 - who asks is told, and the service serves on
                _LOG.exception("a question could not be answered")
                answer = Refusal(f"It failed: {type(error).__name__}.", "The log of the service says more.")
            connection.settimeout(60.0)
            connection.sendall(msgspec.json.encode(answer) + b"\n")

    def _of(self, question: Question, connection: socket.socket) -> object:
        if question.do == "who":
            return self._who
        if question.do != "profile" or not 0 < question.seconds <= MOST_S:
            raise msgspec.ValidationError
        return self._profile(question.seconds, connection)

    def _profile(self, seconds: float, connection: socket.socket) -> object:
        try:
            from holdfast.profile.session import CannotProfile, Session  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise ExtraMissing(
                f"A profile needs {error.name} where the service runs: pip install 'holdfast[profile]'."
            ) from error
        if not self._profiling.acquire(blocking=False):
            raise CannotProfile("Another profile of this process is being taken.")
        try:
            session = Session(self._loop)
            with _told_when_gone(connection) as gone:
                session.run(seconds, gone)
            return session.process(slot=self._who.slot, app=self._who.app)
        finally:
            self._profiling.release()


@contextlib.contextmanager
def _told_when_gone(connection: socket.socket) -> Generator[threading.Event]:
    """An event that is set when whoever asked goes, as nothing more is to come from there."""
    gone, over = threading.Event(), os.eventfd(0)

    def wait() -> None:
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        poll.register(over, select.POLLIN)
        if any(found == connection.fileno() for found, _ in poll.poll()):
            gone.set()

    waiting = threading.Thread(target=wait, name="holdfast-control", daemon=True)
    waiting.start()
    try:
        yield gone
    finally:
        os.eventfd_write(over, 1)
        waiting.join()
        os.close(over)


def _uid(connection: socket.socket) -> int:
    """Who is at the other end, by the kernel's word."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(found)[1]


def _line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < _LONGEST and (piece := connection.recv(_LONGEST)):
        data += piece
    return data
