"""`holdfast prove`: looks at the backend, runs the scenarios, tells what came of it, and leaves nothing behind."""

import asyncio
import contextlib
import os
import platform
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import NamedTuple

from holdfast.decide.verdicts import exit_code
from holdfast.errors import HoldfastError
from holdfast.promises import BY_NAME
from holdfast.prove import keeper
from holdfast.prove.config import Config, read_config
from holdfast.prove.discovery import Found, look
from holdfast.prove.gauntlet import Options, run
from holdfast.prove.neighbours import neighbours
from holdfast.prove.plan import plan
from holdfast.prove.record import Proof, promised
from holdfast.prove.reports import changes, machines, terminal
from holdfast.prove.reports import json as json_report
from holdfast.prove.reports.page import page
from holdfast.prove.running import running
from holdfast.prove.scenario import AnyScenario
from holdfast.prove.scenarios import ALL


class Asked(NamedTuple):
    """What was asked for on the command line."""

    app: str = ""
    serve: str = ""
    config: Path | None = None
    only: tuple[str, ...] = ()
    """Names of scenarios or promises."""
    require: tuple[str, ...] = ()
    plan: bool = False
    quick: bool = False
    seed: int | None = None
    repeats: int = 2
    again: Path | None = None
    json: Path | None = None
    junit: Path | None = None
    html: Path | None = None
    github: bool = False
    baseline: Path | None = None


class AskedWrongly(HoldfastError):
    """The command line names something that is not there."""

    code = "prove-asked-wrongly"
    advice = "`holdfast prove --list` shows the scenarios and the promises they prove."


class Interrupted(HoldfastError):
    """It was interrupted."""

    code = "prove-interrupted"
    advice = "Nothing was proven. `--quick` and `--only NAME` take less time."


class CannotRun(HoldfastError):
    """The machine does not let it run."""

    code = "prove-cannot-run"
    advice = "It needs some room in the folder for temporary files (TMPDIR names another), and Linux."


class CannotWrite(HoldfastError):
    """A report could not be written."""

    code = "prove-cannot-write"
    advice = "Name a file in a folder that is there, may be written to, and has room."


def prove(asked: Asked) -> int:
    """Do what was asked for; the exit code."""
    scenarios = wanted(asked)
    if unknown := [name for name in asked.require if name not in BY_NAME]:
        raise AskedWrongly(f"There is no promise {unknown[0]!r}. Promises: {', '.join(BY_NAME)}.")
    if asked.again is not None:
        proof = json_report.again(asked.again, ALL)
    else:
        found = _begun(asked, configured(asked), scenarios)
        if isinstance(found, str):
            _print(found)
            return 0
        proof = found
    _report(asked, proof)
    required = [each.judgement.verdict for each in proof.promises if each.name in asked.require]
    return exit_code([each.judgement.verdict for each in proof.promises], required)


def _begun(asked: Asked, config: Config, scenarios: Sequence[AnyScenario]) -> Proof | str:
    """Run it, and leave nothing behind. Raises AppFailed, Interrupted or CannotRun."""
    try:
        with interrupted_by_terminate(), kept_clean() as folder:
            return asyncio.run(_proven(asked, config, scenarios, folder))
    except KeyboardInterrupt as error:
        raise Interrupted("Interrupted; everything that was started is gone.") from error
    except OSError as error:
        raise CannotRun(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.") from error


def wanted(asked: Asked) -> Sequence[AnyScenario]:
    """The scenarios to run. Raises AskedWrongly."""
    chosen = ALL
    for name in asked.only:
        if name not in BY_NAME and name not in {each.name for each in ALL}:
            raise AskedWrongly(f"There is no scenario and no promise {name!r}.")
    if asked.only:
        chosen = [each for each in ALL if each.name in asked.only or each.promise in asked.only]
    return [each for each in chosen if each.quick] if asked.quick else list(chosen)


def listing() -> str:
    """All scenarios, by promise."""
    lines = [f"{each.promise:<12} {each.name:<22} {'quick' if each.quick else '':<6} {each.title}" for each in ALL]
    return "\n".join(lines)


def clean() -> int:
    """End and remove what earlier runs left behind, and say so."""
    processes, folders = keeper.clean()
    _print(f"{folders} run(s) had left something: {processes} process(es) ended, {folders} folder(s) removed.")
    return 0


def configured(asked: Asked) -> Config:
    """What is said of the backend, in the configuration and on the command line. Raises ConfigInvalid."""
    config = read_config(Path.cwd(), asked.config)
    if asked.app or asked.serve:
        config = config._replace(app=asked.app, serve=asked.serve)
    if not config.ready and config.app and not config.serve:
        config = config._replace(ready="/-/ready")
    return config


async def _proven(asked: Asked, config: Config, scenarios: Sequence[AnyScenario], folder: Path) -> Proof | str:
    seed = secrets.randbelow(1_000_000) if asked.seed is None else asked.seed
    secret = f"Pr0ve-{secrets.token_hex(12)}"
    began, clock = time.time(), time.monotonic()
    watching = terminal.Progress()
    watching.tells("starting the backend")
    found = await first_look(config, folder, secret, watching.tells)
    if asked.plan:
        watching.tells("")
        return plan(found, scenarios)
    options = Options(Path.cwd(), folder, seed, secret, asked.quick, asked.repeats)
    outcomes = await run(found, scenarios, options, watching)
    return Proof(_shown(asked, config), seed, began, time.monotonic() - clock, promised(outcomes), _machine())


async def first_look(config: Config, folder: Path, secret: str, tell: Callable[[str], None]) -> Found:
    """Start the backend once, and see what is there. Raises AppFailed."""
    async with neighbours(config, seed=0) as found:
        environ = {each.variable: each.value for each in found.values()}
        async with running(config, Path.cwd(), folder / "first-look", environ, secret) as app:
            return await look(app, config, tell)


def _shown(asked: Asked, config: Config) -> str:
    words = f"--serve {shlex.quote(config.serve)}" if config.serve else config.app
    return f"{words} --config {shlex.quote(str(asked.config))}" if asked.config else words


def _machine() -> dict[str, object]:
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "cores": f"{len(os.sched_getaffinity(0))} cores",
        "memory": f"{memory_gb:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"Python {platform.python_version()}",
    }


def _report(asked: Asked, proof: Proof) -> None:
    """Tell it, in every way that was asked for. Raises CannotWrite."""
    cwd = Path.cwd()
    ages = changes.ages(proof, cwd)
    since = changes.changes(proof, asked.baseline) if asked.baseline else {}
    live = sys.stdout.isatty()
    _print(terminal.summary(proof, live=live, columns=shutil.get_terminal_size((120, 24)).columns))
    if asked.baseline:
        _print(changes.table(since))
    if asked.github:
        _print(*machines.annotations(proof))
    for path, made in (
        (asked.json, lambda: json_report.document(proof)),
        (asked.junit, lambda: machines.junit(proof)),
        (asked.html, lambda: page(proof, since, ages).encode()),
    ):
        if path is not None:
            _write(path, made())
    if asked.again is None:
        changes.remember(proof, cwd)


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise CannotWrite(f"{path} could not be written: {error.strerror}.") from error


def _print(*lines: str) -> None:
    for line in lines:
        print(line)  # noqa: T201 - what a command says


# -- nothing is left behind --


@contextlib.contextmanager
def kept_clean() -> Generator[Path]:
    """A folder for the run. At its end, also by kill -9, it is gone, and so is every process that was started."""
    mark = secrets.token_hex(6)
    folder = keeper.begin(mark)
    process = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-m", "holdfast.prove.keeper", mark, str(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    os.environ[keeper.MARK] = mark
    try:
        yield folder
    finally:
        del os.environ[keeper.MARK]
        if process.stdin is not None:
            process.stdin.close()
        process.wait()


@contextlib.contextmanager
def interrupted_by_terminate() -> Generator[None]:
    """SIGTERM ends it as Ctrl-C does: in order."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
