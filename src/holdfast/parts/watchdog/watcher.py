"""The thread's side of the watchdog: it looks at the loop when that is late, and tells what held it."""

import logging
import sysconfig
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextvars import Context
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.context import RequestContext, current
from holdfast.decide.watchdog import Frame, Held, Look, Moment, Silence, Telling, held, to_blame
from holdfast.events import LoopBlocked
from holdfast.parts.watchdog.looking import LoopThread, Seen

_LOG = logging.getLogger("holdfast.watchdog")
_LATE: Final = 2.2
"""After so many times its interval the loop is late. A little more than a whole number, so that a loop that is well has
just turned when it is looked at, and is left alone for as long as can be."""
_LOOK_S: Final = 0.01
_LONGEST_LOOK_S: Final = 0.03
"""From one look to the next, in the end: what has been held up for long is looked at less often."""
_STILL_S: Final = 1.0
"""What holds the loop up for so long is told of before it ends: perhaps it does not."""
_MOST_LOOKS: Final = 500
_SHOWN: Final = 10
_OURS: Final = str(Path(__file__).parent.parent.parent)


class Turn(NamedTuple):
    """The last time that the loop turned."""

    at: float
    cpu_s: float
    """The processor time that its thread had used by then."""


class _Notes:
    """What is seen while the loop does not turn."""

    def __init__(self, turn: Turn, wanted_s: float, overslept_s: float) -> None:
        self.turn = turn
        self.since: Moment = Moment(turn.at, turn.cpu_s, wanted_s)
        self.overslept_s = overslept_s
        self.looks: list[Look] = []
        self.seen: list[Seen] = []

    def look(self, thread: LoopThread) -> None:
        if len(self.looks) < _MOST_LOOKS:
            step, what = thread.look()
            self.looks.append(Look(thread.moment(), step))
            self.seen.append(what)


class Watcher:
    """Looks at the thread of an event loop."""

    def __init__(
        self,
        thread: LoopThread,
        turned: Callable[[], Turn],
        every_s: float,
        at_least_s: float,
        end: threading.Lock,
        tell: Callable[[LoopBlocked], None] | None,
    ) -> None:
        """Look at `thread`, which is said to have `turned` each `every_s`, until `end` can be had.

        What held it up for `at_least_s` is logged, now and then if it comes often, and `tell` hears of it each time.
        """
        self._thread = thread
        self._turned = turned
        self._every_s = every_s
        self._at_least_s = at_least_s
        self._end = end
        self._tell = tell
        self._telling = Telling()
        self._libraries = _libraries()
        self._wanted_s = 0.0
        """What the loop's thread had wanted of the processors when all was well."""
        self._overslept_s = 0.0

    def run(self) -> None:
        """Sleep until the loop is late, look until it turns, tell."""
        try:
            while not self._over():
                pass
        finally:
            self._thread.close()

    def _over(self) -> bool:
        """One round. Says whether there is nothing to watch any more."""
        turned, now = self._turned(), time.monotonic()
        due = self._due(turned)
        if now >= due:
            return self._late(turned)
        self._wanted_s = self._thread.moment().wanted
        return self._sleep(due - now)

    def _sleep(self, seconds: float) -> bool:
        """Sleep, and note by how much it was too long. Says whether there is nothing to watch any more."""
        wake = time.monotonic() + seconds
        ended = self._end.acquire(timeout=seconds)
        self._overslept_s = max(0.0, time.monotonic() - wake)
        return ended

    def _late(self, turned: Turn) -> bool:
        """Look until the loop turns, and tell. Says whether there is nothing to watch any more."""
        notes = _Notes(turned, self._wanted_s, self._overslept_s)
        while True:
            until = self._until_it_turns(notes)
            if until is None:
                return True
            following = _Notes(until, self._wanted_s, self._overslept_s)
            again = time.monotonic() >= self._due(until)
            if again:  # something else holds it up by now, and may have ended when all is told
                following.look(self._thread)
            self._say(notes, Moment(until.at, until.cpu_s, self._thread.moment().wanted))
            if not again:
                return False
            notes = following

    def _until_it_turns(self, notes: _Notes) -> Turn | None:
        """Look until the loop turns; None where there is nothing to watch any more."""
        pause_s, told = _LOOK_S, False
        while (now := self._turned()) is notes.turn:
            notes.look(self._thread)
            self._wanted_s = notes.looks[-1].moment.wanted
            if self._sleep(pause_s):
                return None
            notes.overslept_s = max(notes.overslept_s, self._overslept_s)
            pause_s = min(_LONGEST_LOOK_S, pause_s * 1.1)
            so_far = self._thread.moment()
            still = so_far.at - notes.since.at >= _STILL_S and self._overslept_s < _STILL_S
            if still and not told and self._turned() is notes.turn:
                told = self._say(notes, so_far, over=False)
        return now

    def _due(self, turned: Turn) -> float:
        """When the loop is late, if it does not turn again."""
        return turned.at + _LATE * self._every_s

    # -- telling --

    def _say(self, notes: _Notes, until: Moment, *, over: bool = True) -> bool:
        """Tell what held the loop up, if that can be said. Says whether it can."""
        silence = Silence(notes.since, until, self._every_s, notes.overslept_s, notes.looks)
        found = held(silence, self._at_least_s)
        if found is None:
            return False
        what = self._most_seen([notes.seen[index] for index in found.looks])
        context = what.context if what.context is not None else Context()
        fact = self._fact(found, what, context.run(current), over=over)
        if self._tell is not None and over:
            self._tell(fact)
        kept = self._telling.take(f"{fact.file}:{fact.line}", until.at)
        if kept is not None or (over and until.at - notes.since.at >= _STILL_S):
            context.run(_log, fact, kept)
        return True

    def _most_seen(self, seen: list[Seen]) -> Seen:
        """Of all looks one that shows the line which was seen most often."""
        lines = Counter(to_blame(one.stack, self._libraries) for one in seen)
        most = lines.most_common(1)[0][0]
        return next(one for one in seen if to_blame(one.stack, self._libraries) == most)

    def _fact(self, found: Held, what: Seen, record: RequestContext | None, *, over: bool) -> LoopBlocked:
        frame = to_blame(what.stack, self._libraries) or Frame("?", 0, "?")
        return LoopBlocked(
            at=time.time(),
            held_ms=round(found.seconds * 1000, 1),
            cpu_ms=round(found.cpu * 1000, 1),
            how=found.how.value,
            file=frame.file,
            line=frame.line,
            function=frame.function,
            stack="\n".join(map(str, what.stack[:_SHOWN])),
            request_id=record.id if record is not None else None,
            route=record.route if record is not None else None,
            over=over,
        )


def _log(fact: LoopBlocked, kept: int | None) -> None:
    said: dict[str, object] = {
        "held_ms": fact.held_ms,
        "cpu_ms": fact.cpu_ms,
        "how": fact.how,
        "at": f"{fact.file}:{fact.line} in {fact.function}",
        "stack": fact.stack,
    }
    if kept:
        said["not_told"] = kept
    _LOG.warning("the event loop was held up" if fact.over else "the event loop is held up", extra=said)


def _libraries() -> frozenset[str]:
    """The folders of what is not the application: the standard library, installed packages, ourselves."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return frozenset({*(sysconfig.get_path(name) for name in names), _OURS})
