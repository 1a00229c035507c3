"""The leak report: what was opened and is still open at the end, and where it was made.

    async with leaks.watch() as report:
        ...
    assert report == []

It looks twice, at the start and at the end, and costs nothing in between unless it is asked to trace.
"""

import asyncio
import inspect
import logging
import os
import socket
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final, cast
from weakref import WeakKeyDictionary, WeakSet

from holdfast.decide.leaks import Descriptor, Leak, frame_to_show, left_open
from holdfast.resources import Container, open_containers
from holdfast.settings import Settings, option

_LOG = logging.getLogger("holdfast.leaks")
_DESCRIPTORS: Final = Path("/proc/self/fd")
_STANDARD: Final = str(Path(os.__file__).parent)
_ASYNCIO: Final = str(Path(asyncio.__file__).parent)
_OURS: Final = str(Path(__file__).parent)
_TURN_S: Final = 0.01
_MAX_LINES: Final = 100

_Task = asyncio.Task[Any]


class LeakSettings(Settings, prefix="HOLDFAST_LEAKS", title="leaks"):
    """The report of what is still open when the process ends."""

    report: Annotated[bool, option("Whether to look, and to log a line for each leak.")] = True
    trace: Annotated[bool, option("Whether to note where files, sockets and tasks are made; costs time.")] = False


@asynccontextmanager
async def watch(*, trace: bool = False, settle: float = 0.25) -> AsyncGenerator[list[Leak], None]:
    """Report what the block opens and leaves open: files, sockets, pipes, tasks, and containers of resources.

    The list is filled at the end of the block, and each leak is logged by `holdfast.leaks`. With `trace`, where
    something was made is noted as it is made; without, only containers know. What is still being closed has `settle`
    seconds for it. Files and sockets need /proc, so Linux.
    """
    before, tasks, containers = _descriptors(), WeakSet(asyncio.all_tasks()), set(open_containers())
    report: list[Leak] = []
    with _tracing(asyncio.get_running_loop()) if trace else nullcontext(_Places()) as places:
        try:
            yield report
        finally:
            for _ in range(max(1, round(settle / _TURN_S))):
                report[:] = [
                    *(_of_container(found) for found in open_containers() if found not in containers),
                    *(_of_task(task, places) for task in _tasks_beside(tasks)),
                    *(_of_descriptor(found, places) for found in left_open(before, _descriptors())),
                ]
                if not report:
                    break
                await asyncio.sleep(_TURN_S)
    for leak in report[:_MAX_LINES]:
        _LOG.warning("leak", extra=leak._asdict())
    if len(report) > _MAX_LINES:
        _LOG.warning("more leaks than are told", extra={"leaks": len(report), "told": _MAX_LINES})


# -- looking --


def _descriptors() -> dict[int, str]:
    found: dict[int, str] = {}
    with suppress(FileNotFoundError):
        for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208 - iterdir would make a path of each
            with suppress(FileNotFoundError):  # the descriptor of this very listing
                found[int(name)] = os.readlink(f"{_DESCRIPTORS}/{name}")  # noqa: PTH115 - no file but a name for one
    return found


def _tasks_beside(known: "WeakSet[_Task]") -> list[_Task]:
    """The tasks that run, but for this one, the known ones, and those of containers, which are told as such."""
    told = {task for container in open_containers() for task in container.tasks()}
    return [
        task
        for task in asyncio.all_tasks()
        if task not in known and task not in told and task != asyncio.current_task()
    ]


def _of_container(container: Container) -> Leak:
    return Leak("container", ", ".join(container.holds()), container.made_at)


def _of_task(task: _Task, places: "_Places") -> Leak:
    coroutine = task.get_coro()
    what = f"{task.get_name()} {getattr(coroutine, '__qualname__', coroutine)}"
    at = _waits_at(coroutine)
    return Leak("task", f"{what}, waiting at {at}" if at else what, places.tasks.get(task))


def _waits_at(coroutine: object) -> str | None:
    """The innermost line of the application's or of a library's that a coroutine stands at."""
    frames: list[FrameType] = []
    inner = coroutine
    while inner is not None:
        frame = getattr(inner, "cr_frame", None) or getattr(inner, "ag_frame", None)
        if isinstance(frame, FrameType):
            frames.insert(0, frame)
        inner = getattr(inner, "cr_await", None)
    return _shown(frames)


def _of_descriptor(found: Descriptor, places: "_Places") -> Leak:
    if found.kind == "socket":
        return Leak(found.kind, _ends(found.number), places.of_socket(found.number))
    return Leak(found.kind, found.target, places.of_file(found.target))


def _ends(number: int) -> str:
    """Between whom the socket of a descriptor is, as far as it says."""
    try:
        with socket.socket(fileno=os.dup(number)) as copy:
            here = _address(copy.getsockname())
            if copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return f"listening on {here}"
            try:
                return f"{here} to {_address(copy.getpeername())}"
            except OSError:
                return f"{here}, not connected"
    except OSError:
        return "a socket that says nothing of itself"


def _address(found: object) -> str:
    if isinstance(found, tuple):
        host, port = cast("tuple[object, ...]", found)[:2]
        return f"{host}:{port}"
    return str(found) or "an unnamed end"


# -- tracing --


@dataclass(slots=True)
class _Places:
    """Where things were made."""

    files: dict[str, str] = field(default_factory=dict[str, str])
    sockets: "WeakKeyDictionary[socket.socket, str]" = field(default_factory=WeakKeyDictionary["socket.socket", str])
    tasks: "WeakKeyDictionary[_Task, str]" = field(default_factory=WeakKeyDictionary["_Task", str])

    def of_file(self, target: str) -> str | None:
        """Where the file that `target` names was opened last."""
        return next((at for path, at in self.files.items() if os.path.realpath(path) == target), None)

    def of_socket(self, number: int) -> str | None:
        """Where the socket with this descriptor was made."""
        return next((at for made, at in self.sockets.items() if made.fileno() == number), None)


_MADE: Final = frozenset({"open", "sqlite3.connect", "socket.__new__"})
_MAX_FILES: Final = 10_000
_traced: list[_Places] = []  # those who trace now; the hook can never be removed, so it asks here
_hooked: list[bool] = []


@contextmanager
def _tracing(loop: asyncio.AbstractEventLoop) -> Generator[_Places, None, None]:
    places, before = _Places(), loop.get_task_factory()

    def noting(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        made = before(loop, coroutine, **options) if before else asyncio.Task(coroutine, loop=loop, **options)
        at = _place()
        if at is not None and isinstance(made, asyncio.Task):
            places.tasks[made] = at
        return made

    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_hook)
    _traced.append(places)
    loop.set_task_factory(noting)
    try:
        yield places
    finally:
        loop.set_task_factory(before)
        _traced.remove(places)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _traced or event not in _MADE:
        return
    at = _place()
    if at is None:
        return
    made = arguments[0]
    for places in _traced:
        if isinstance(made, socket.socket):
            places.sockets[made] = at
        elif isinstance(made, str | bytes | os.PathLike):
            path = os.fsdecode(cast("str | bytes | os.PathLike[str]", made))
            if len(places.files) >= _MAX_FILES:
                del places.files[next(iter(places.files))]
            places.files[os.path.abspath(path)] = at  # noqa: PTH100 - no path object for each opening


def _place() -> str | None:
    """The line that makes something now."""
    frames: list[FrameType] = []
    frame = inspect.currentframe()
    while frame is not None and not _is_loop(frame):
        frames.append(frame)
        frame = frame.f_back
    return _shown(frames)


def _is_loop(frame: FrameType) -> bool:
    """Whether a frame is the event loop's: whoever started the loop made nothing of what is made in it."""
    return frame.f_code.co_filename.startswith(_ASYNCIO) and frame.f_code.co_name in {"_run_once", "run_forever", "run"}


def _shown(frames: list[FrameType]) -> str | None:
    index = frame_to_show([frame.f_code.co_filename for frame in frames], _OURS, _STANDARD)
    return f"{frames[index].f_code.co_filename}:{frames[index].f_lineno}" if index is not None else None
