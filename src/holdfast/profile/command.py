"""`holdfast profile`: finds the service, asks all of its processes at once, shows what they say."""

import concurrent.futures
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from holdfast.errors import HoldfastError
from holdfast.profile.asking import ask, there
from holdfast.profile.page import page
from holdfast.profile.report import Process, Report
from holdfast.profile.table import table
from holdfast.serve.control import Question, Refusal, Who, folder
from holdfast.serve.settings import ControlSettings
from holdfast.settings import load

_PATIENCE_S = 60.0
"""How long an answer may take beyond the profile: a loop that is held up cannot begin or end one."""
_TURN_S = 0.1


class ServiceNotFound(HoldfastError):
    """There is no running service to be profiled."""

    code = "service-not-found"
    advice = "Start one with `holdfast run`, as this user, with the same HOLDFAST_CONTROL, in the same container."


class ServiceUnclear(HoldfastError):
    """There are several services."""

    code = "service-unclear"
    advice = "Say which with --pid."


class ProfileFailed(HoldfastError):
    """The profile could not be taken."""

    code = "profile-failed"
    advice = "Look at the log of the service."

    def __init__(self, detail: str, advice: str | None = None) -> None:
        """Say what happened in `detail`, and in `advice` what to do."""
        super().__init__(detail)
        if advice is not None:
            object.__setattr__(self, "advice", advice)  # the service knows better what to do than the class


def profile(
    seconds: float,
    *,
    pid: int | None = None,
    worker: int | None = None,
    html: Path | None = None,
    json: Path | None = None,
) -> int:
    """Profile a running service for `seconds`, and print a table; write the page `html` and the report `json` if given.

    `pid` is that of the service or of one of its workers, `worker` the slot of one. Returns the exit code.
    Raises ServiceNotFound, ServiceUnclear, ProfileFailed.
    """
    chosen = choose(_found(folder(load(ControlSettings).control)), pid=pid, worker=worker)
    report = Report(_asked(chosen, seconds))
    if json is not None:
        json.write_bytes(msgspec.json.encode(report))
    if html is not None:
        html.write_text(page(report))
    sys.stdout.write(table(report))
    return 0


def _found(place: Path) -> list[tuple[Path, Who]]:
    try:
        return there(place)
    except PermissionError as error:
        raise ServiceNotFound(f"{place} belongs to another user: run this as the user of the service.") from error


def choose(found: Sequence[tuple[Path, Who]], *, pid: int | None, worker: int | None) -> list[tuple[Path, Who]]:
    """Of the processes that were `found`, those to be profiled: all of one service, or the one that is asked for.

    Raises ServiceNotFound, ServiceUnclear.
    """
    fitting = [
        (path, who)
        for path, who in found
        if (pid is None or pid in {who.pid, who.service}) and (worker is None or who.slot == worker)
    ]
    if not fitting:
        others = f" There is {_list(found)}." if found else ""
        raise ServiceNotFound(f"{ServiceNotFound.message()}{others}")
    if len({who.service for _, who in fitting}) > 1:
        raise ServiceUnclear(f"There are several services: {_list(fitting)}.")
    return fitting


def _list(found: Sequence[tuple[Path, Who]]) -> str:
    services = {who.service: who for _, who in found}
    return ", ".join(f"{who.app} at {', '.join(who.at)} (--pid {service})" for service, who in services.items())


def _asked(chosen: Sequence[tuple[Path, Who]], seconds: float) -> list[Process]:
    question = Question("profile", seconds)
    with concurrent.futures.ThreadPoolExecutor(len(chosen)) as threads:
        asking = [threads.submit(_one, path, who, question) for path, who in chosen]
        _show_progress(asking, chosen, seconds)
        return [one.result() for one in asking]


def _one(path: Path, who: Who, question: Question) -> Process:
    try:
        answer = ask(path, question, Process, question.seconds + _PATIENCE_S)
    except TimeoutError as error:
        raise ProfileFailed(f"Process {who.pid} does not answer.") from error
    except OSError as error:
        raise ProfileFailed(f"Process {who.pid} has ended meanwhile.", "Try again.") from error
    if isinstance(answer, Refusal):
        raise ProfileFailed(f"Process {who.pid}: {answer.error}", answer.advice)
    return answer


def _show_progress(
    asking: Sequence["concurrent.futures.Future[Process]"], chosen: Sequence[tuple[Path, Who]], seconds: float
) -> None:
    """On a terminal, say how far it is; elsewhere nothing."""
    began, alive = time.monotonic(), sys.stderr.isatty()
    what = f"{chosen[0][1].app}, {len(chosen)} process{'es' if len(chosen) > 1 else ''}"
    while concurrent.futures.wait(asking, _TURN_S).not_done:
        if alive:
            passed = min(time.monotonic() - began, seconds)
            sys.stderr.write(f"\rprofiling {what}: {passed:.0f} of {seconds:g} s ")
            sys.stderr.flush()
    if alive:
        sys.stderr.write("\r\x1b[K")
