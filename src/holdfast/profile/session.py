"""One profile of an event loop, taken in the process that it runs in. pyinstrument's hook does the sampling.

The hook is called in the loop's own thread, as functions are called and return there, but does something only once
the interval is over. So what it sees is always between two steps of Python: a long call into C is seen as it returns,
and is given all of its time. In between, tasks are looked at now and then: where they wait.

The hook costs each call in Python something, whether it looks or not: with small handlers nearly as much as they do
themselves. So it is there for a part of the time only, in windows that begin and end where the loop turns, and what was
seen is taken for the whole.
"""

import asyncio
import os
import sys
import sysconfig
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from pyinstrument.low_level.stat_profile import setstatprofile

from holdfast import logs
from holdfast.context import RequestContext, current
from holdfast.decide.metrics import method_label, route_label
from holdfast.errors import HoldfastError
from holdfast.events import RequestFinished
from holdfast.profile.report import NO_REQUEST, Line, Process, Route, Stack
from holdfast.profile.waiting import context_of, where_it_waits

INTERVAL_S: Final = 0.002
WINDOW_S: Final = 0.05
EVERY_S: Final = 0.25
"""How long the hook is there, and how often."""
_PASS_S: Final = 0.05
"""How often it is looked where tasks wait."""
_SHARE: Final = 0.02
"""The most of the loop's time that looking at them may take."""
_PATIENCE_S: Final = 30.0
_MOST_STACKS: Final = 20_000
_DEPTH: Final = 80
_SELECT: Final = sys.modules["selectors"].__file__
_OURS: Final = str(Path(__file__).parent.parent)

_Key = tuple[str, tuple[tuple[CodeType | str, int], ...]]


class CannotProfile(HoldfastError):
    """The profile cannot be taken."""

    code = "cannot-profile"
    status = 409
    advice = "Try again in a while."


class Session:
    """A profile of one event loop, taken once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Of `loop`, which runs in another thread."""
        self._loop = loop
        self._began = threading.Event()
        self._ended = threading.Event()
        self._failed: str | None = None
        self._below: dict[int, CodeType] = {}
        self._running: defaultdict[_Key, float] = defaultdict(float)
        self._waiting: defaultdict[_Key, float] = defaultdict(float)
        self._in_flight: defaultdict[str, float] = defaultdict(float)
        self._finished: Counter[str] = Counter()
        self._known: set[str] = set()
        self._idle_s = self._cost_s = 0.0
        self._samples = 0
        self._since = self._until = self._last = self._last_pass = 0.0
        self._opened: float | None = None
        self._observed = 0.0
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def run(self, seconds: float, gone: threading.Event) -> None:
        """Look for `seconds`, unless who asked has `gone`. Raises CannotProfile."""
        self._call(self._begin, self._began)
        gone.wait(seconds)
        self._call(self._end, self._ended)

    def _call(self, step: Any, done: threading.Event) -> None:
        try:
            self._loop.call_soon_threadsafe(step)
        except RuntimeError as error:
            raise CannotProfile("The service is ending.") from error
        if not done.wait(_PATIENCE_S):
            raise CannotProfile(f"The event loop has not turned for {_PATIENCE_S:g} s: its log says what holds it up.")
        if self._failed is not None:
            raise CannotProfile(self._failed)

    # -- in the loop's thread --

    def _begin(self) -> None:
        if sys.getprofile() is not None:
            self._failed = "Another profiler is at work in the process."
            self._began.set()
            return
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - its documented name
        while frame is not None:
            self._below[id(frame.f_code)] = frame.f_code
            frame = frame.f_back
        logs.also_tell(self._note_finished)
        self._since = self._last_pass = time.perf_counter()
        self._timers["pass"] = self._loop.call_later(_PASS_S, self._pass)
        self._began.set()
        self._open()

    def _open(self) -> None:
        self._timers["window"] = self._loop.call_later(WINDOW_S, self._close)
        self._opened = self._last = time.perf_counter()
        setstatprofile(self._sample, INTERVAL_S, timer_type="walltime")

    def _close(self) -> None:
        self._look_no_more()
        self._timers["window"] = self._loop.call_later(EVERY_S - WINDOW_S, self._open)

    def _look_no_more(self) -> None:
        setstatprofile(None)
        if self._opened is not None:
            self._observed += time.perf_counter() - self._opened
            self._opened = None

    def _end(self) -> None:
        self._look_no_more()
        self._until = time.perf_counter()
        for timer in self._timers.values():
            timer.cancel()
        logs.tell_no_more(self._note_finished)
        self._ended.set()

    def _sample(self, frame: FrameType | None, event: str, arg: Any) -> None:
        """The time since the last look was spent where the thread stands now."""
        try:
            began = time.perf_counter()
            took, self._last = began - self._last, began
            if event == "call":  # what has just begun took no time yet
                frame = frame.f_back if frame is not None else None
            stack = self._stack(frame)
            if event in {"c_return", "c_exception"}:
                stack.insert(0, (getattr(arg, "__qualname__", "?"), 0))
            self._samples += 1
            if _is_idle(stack):
                self._idle_s += took
            else:
                self._add(self._running, (self._label(current()), tuple(stack)), took)
            self._cost_s += time.perf_counter() - began
        except Exception as error:  # noqa: BLE001 - it would be raised in the application
            self._failed = f"Looking has failed: {type(error).__name__}."

    def _stack(self, frame: FrameType | None) -> list[tuple[CodeType | str, int]]:
        stack: list[tuple[CodeType | str, int]] = []
        while frame is not None and len(stack) < _DEPTH and id(frame.f_code) not in self._below:
            stack.append((frame.f_code, frame.f_lineno))
            frame = frame.f_back
        return stack

    def _pass(self) -> None:
        """See where tasks wait."""
        began = time.perf_counter()
        took, self._last_pass = began - self._last_pass, began
        seen: set[int] = set()
        for task in list(asyncio.all_tasks(self._loop)):
            context = context_of(task)
            record = context.run(current) if context is not None else None
            if record is None or record.over:
                continue
            label = self._label(record)
            if id(record) not in seen:
                seen.add(id(record))
                self._in_flight[label] += took
            frames = where_it_waits(task.get_coro())
            if frames:
                self._add(self._waiting, (label, tuple((one.f_code, one.f_lineno) for one in frames)), took)
        spent = time.perf_counter() - began
        self._cost_s += spent
        self._timers["pass"] = self._loop.call_later(max(_PASS_S, spent / _SHARE), self._pass)

    def _add(self, counter: "defaultdict[_Key, float]", key: _Key, seconds: float) -> None:
        if key not in counter and len(counter) >= _MOST_STACKS:
            key = (key[0], key[1][:1])
        counter[key] += seconds

    def _note_finished(self, fact: RequestFinished) -> None:
        self._finished[self._named(fact.kind, fact.method, fact.route)] += 1

    def _label(self, record: RequestContext | None) -> str:
        return NO_REQUEST if record is None else self._named(record.kind, record.method, record.route)

    def _named(self, kind: str, method: str, route: str | None) -> str:
        """The method and the template. What a client may have made up of it is not told."""
        if kind == "continued":
            return NO_REQUEST
        template = "(no route)" if route is None else route_label(route, self._known)
        return f"{'WS' if kind == 'websocket' else method_label(method)} {template}"

    # -- afterwards --

    def process(self, *, slot: int, app: str) -> Process:
        """What was seen."""
        seconds = self._until - self._since
        whole = seconds / self._observed  # for what was seen, as it were all the time
        lines = _Lines()
        return Process(
            pid=os.getpid(),
            slot=slot,
            app=app,
            folder=str(Path.cwd()),
            seconds=seconds,
            idle_s=self._idle_s * whole,
            samples=self._samples,
            cost_s=self._cost_s,
            running=[Stack(key[0], lines.of(key), amount * whole) for key, amount in self._running.items()],
            waiting=[Stack(key[0], lines.of(key), amount / seconds) for key, amount in self._waiting.items()],
            routes=[
                Route(label, self._finished[label], self._in_flight[label] / seconds)
                for label in {*self._finished, *self._in_flight}
            ],
        )


def _is_idle(stack: list[tuple[CodeType | str, int]]) -> bool:
    """Whether the loop waits for something to do: asyncio's in a selector, uvloop's in nothing of Python."""
    outermost = stack[-1][0] if stack else ""
    return isinstance(outermost, str) or outermost.co_filename == _SELECT


class _Lines:
    """Makes lines of code objects; says which are the application's."""

    def __init__(self) -> None:
        names = ("stdlib", "platstdlib", "purelib", "platlib")
        self._libraries = tuple(f"{folder}/" for folder in {*map(sysconfig.get_path, names), _OURS})

    def of(self, key: _Key) -> list[Line]:
        """The stack of `key`, the outermost first."""
        return [self._line(code, number) for code, number in reversed(key[1])]

    def _line(self, code: CodeType | str, number: int) -> Line:
        if isinstance(code, str):
            return Line("", 0, code, own=False)
        own = not code.co_filename.startswith(("<", *self._libraries))
        file = code.co_filename
        file = f"holdfast{file.removeprefix(_OURS)}" if file.startswith(f"{_OURS}/") else file
        return Line(file, number, code.co_qualname, own)
