"""Runs the scenarios one after the other, again where one is broken, and never longer than each may take."""

import asyncio
import shutil
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol, cast

from holdfast.decide.verdicts import Judgement, Verdict, not_asked
from holdfast.errors import HoldfastError
from holdfast.prove.discovery import LINES, Found
from holdfast.prove.record import Attempt, Outcome, judged, outcome
from holdfast.prove.running import MOST_LOG
from holdfast.prove.scenario import AnyScenario, Facts
from holdfast.prove.stage import Stage

_LOOK_S: Final = 0.5
_PATIENCE: Final = 6.0
_LEAST_S: Final = 60.0
"""A scenario may take so many times what it usually takes, and at least so long."""


class Options(NamedTuple):
    """How to run it all."""

    cwd: Path
    folder: Path
    seed: int
    secret: str
    quick: bool = False
    repeats: int = 2
    """How often a scenario that is broken is run again."""


class Watching(Protocol):
    """Whoever wants to know how far it is."""

    def begins(self, scenario: AnyScenario, number: int, count: int) -> None:
        """A scenario begins, or begins again."""
        ...

    def tells(self, text: str) -> None:
        """Something about it, in a few words."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """It has ended."""
        ...


class Unwatched:
    """Nobody wants to know."""

    def begins(self, scenario: AnyScenario, number: int, count: int) -> None:
        """Say nothing."""

    def tells(self, text: str) -> None:
        """Say nothing."""

    def ended(self, outcome: Outcome) -> None:
        """Say nothing."""


async def run(found: Found, scenarios: Sequence[AnyScenario], options: Options, watching: Watching) -> list[Outcome]:
    """Run all of them that can be run."""
    outcomes: list[Outcome] = []
    for number, scenario in enumerate(scenarios):
        missing = [need for need in scenario.needs if not found.target.has(need)]
        if missing:
            came = Outcome(scenario, _unknown(found, missing[0]))
        else:
            watching.begins(scenario, number, len(scenarios))
            came = outcome(scenario, await _attempts(found, scenario, options, watching.tells))
        watching.ended(came)
        outcomes.append(came)
    return outcomes


def _unknown(found: Found, need: str) -> Judgement:
    why = found.missing.get(need, "nothing of the kind is known")
    return not_asked(f"`{need}` is not known: {why}.", mend=f"Say it in [tool.holdfast.prove]: {LINES[need]}")


async def _attempts(
    found: Found, scenario: AnyScenario, options: Options, tell: Callable[[str], None]
) -> list[Attempt]:
    """The first run; and others, where it is broken, until it is clear whether it always is."""
    attempts = [await _attempt(found, scenario, options, 0, tell)]
    while judged(scenario, attempts[-1]).verdict is Verdict.BROKEN and len(attempts) <= options.repeats:
        tell(f"broken; once more, to be sure ({len(attempts)} of {options.repeats})")
        attempts.append(await _attempt(found, scenario, options, len(attempts), tell))
    return attempts


async def _attempt(
    found: Found, scenario: AnyScenario, options: Options, again: int, tell: Callable[[str], None]
) -> Attempt:
    folder = Path(tempfile.mkdtemp(prefix=f"{scenario.name}-", dir=options.folder))
    seed = zlib.crc32(f"{options.seed}/{scenario.name}/{again}".encode())
    stage = Stage(found.target, options.cwd, folder, seed=seed, secret=options.secret, quick=options.quick, tell=tell)
    began = time.monotonic()
    try:
        async with asyncio.timeout(max(_LEAST_S, _PATIENCE * scenario.seconds)):
            facts = await _unless_flooded(scenario.gather(stage), folder)
    except TimeoutError:
        return Attempt(None, time.monotonic() - began, "it did not end in time")
    except Exception as error:  # noqa: BLE001 - one scenario must not end the others
        return Attempt(None, time.monotonic() - began, _told(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Attempt(facts, time.monotonic() - began)


def _told(error: Exception) -> str:
    """What failed, in words: what was first, where several things went on at once."""
    while isinstance(error, ExceptionGroup):
        error = cast("ExceptionGroup[Exception]", error).exceptions[0]
    return str(error) if isinstance(error, HoldfastError) else f"{type(error).__name__}: {error}"


def _longest_log(folder: Path) -> int:
    return max((log.stat().st_size for log in folder.glob("*/output.log")), default=0)


class LogFlooded(HoldfastError):
    """The backend floods its log."""

    code = "prove-log-flooded"
    advice = "See what it writes so often: start it by hand."


async def _unless_flooded(gathering: Awaitable[Facts], folder: Path) -> Facts:
    """What it gathers. Raises LogFlooded as soon as a log in the folder is too long to be kept."""
    task = asyncio.ensure_future(gathering)
    try:
        while not (await asyncio.wait([task], timeout=_LOOK_S))[0]:
            if _longest_log(folder) > MOST_LOG:
                raise LogFlooded(f"The backend wrote more than {MOST_LOG >> 20} MB into its log, and was stopped.")
        return await task
    finally:
        task.cancel()
        await asyncio.wait([task])
