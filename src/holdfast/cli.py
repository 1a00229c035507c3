"""The command `holdfast`."""

import importlib
import shutil
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, ParamSpec

import click

from holdfast.errors import ExtraMissing, HoldfastError

P = ParamSpec("P")

_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_WITH_SETTINGS = (
    "holdfast.context",
    "holdfast.leaks",
    "holdfast.logs",
    "holdfast.parts.drain",
    "holdfast.parts.metrics",
    "holdfast.parts.offload",
    "holdfast.parts.watchdog",
    "holdfast.serve.settings",
)


class _Explained(click.ClickException):
    """An error of ours on the terminal: what happened, and what to do."""

    exit_code = 2

    def __init__(self, error: HoldfastError) -> None:
        super().__init__(str(error))
        self.advice = error.advice

    def show(self, file: object = None) -> None:
        del file
        click.echo(f"holdfast: {self.message}", err=True)
        click.echo(self.advice, err=True)


def _explains(command: Callable[P, int | None]) -> Callable[P, None]:
    @wraps(command)
    def explained(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = command(*args, **kwargs)
        except HoldfastError as error:
            raise _Explained(error) from error
        sys.exit(code or 0)

    return explained


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="holdfast")
def main() -> None:
    """Holdfast makes a Python backend hold up.

    \b
      holdfast run shop.main:app          serve an ASGI application, unchanged
      holdfast settings                   every setting, with its value and where it comes from
      holdfast profile --seconds 10       where the time of a running service goes, by route and by line
      holdfast prove shop.main:app        break it on purpose, and say which promises it kept
      holdfast proxy --to db:5432         a bad network in front of a service, changed while it runs
      holdfast logs find ID app.log       everything that happened under one request ID
      holdfast logs review app.log        what should not be in a log, and where it came from
    """


@main.command()
@click.argument("app", metavar="MODULE:APP")
@click.option("--host", help="The address to listen on. [HOLDFAST_HOST; 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on. [HOLDFAST_PORT or PORT; 8000]")
@click.option("--workers", type=click.IntRange(1, 512), help="How many processes serve. [HOLDFAST_WORKERS; 1]")
@click.option(
    "--root-path", help="The path that a proxy in front takes away, such as /shop. [HOLDFAST_ROOT_PATH; none]"
)
@click.option("--observe", is_flag=True, default=None, help="Decide and report everything, refuse nothing.")
@click.option("--reload", is_flag=True, help="Restart when a Python file below this folder changes.")
@_explains
def run(
    app: str,
    host: str | None,
    port: int | None,
    workers: int | None,
    root_path: str | None,
    observe: bool | None,
    reload: bool,
) -> int:
    """Serve an ASGI application with Holdfast around it.

    MODULE:APP names it as in `shop.main:app`, or `shop.main:create_app()` for a function that makes it.

    \b
    Signals:  SIGTERM  not ready, serve on for HOLDFAST_DRAIN_DELAY_S, finish within HOLDFAST_DRAIN_GRACE_S, exit 0
              SIGINT   the same without the delay; a second signal hurries
              SIGHUP   replace the workers one by one, where there is more than one process

    Other settings come from the environment or holdfast.toml: `holdfast settings` lists them.
    """
    try:
        from holdfast.serve.run import serve  # noqa: PLC0415 - the server is an extra
    except ModuleNotFoundError as error:
        raise ExtraMissing(f"The server needs {error.name}: pip install 'holdfast[serve]'.") from error
    return serve(app, host=host, port=port, workers=workers, root_path=root_path, observe=observe, reload=reload)


@main.command()
@click.argument("apps", metavar="[MODULE:APP]...", nargs=-1)
@_explains
def settings(apps: tuple[str, ...]) -> int:
    """Print every setting with its value and where it comes from.

    With MODULE:APP the settings that the application itself declares are printed too. Secrets are never shown.
    """
    from holdfast.serve.load import find  # noqa: PLC0415 - a command loads what it needs
    from holdfast.settings import declared, explain, load_all, render  # noqa: PLC0415 - as above

    for module in _WITH_SETTINGS:
        importlib.import_module(module)
    for app in apps:
        find(app)
    classes = declared() if apps else declared("holdfast")
    click.echo(render(explain(classes), shutil.get_terminal_size((120, 24)).columns))
    load_all(*classes)  # what is wrong is named below the table
    return 0


@main.command()
@click.option("--seconds", type=click.FloatRange(0.1, 3600), default=10.0, help="For how long to look. [10]")
@click.option("--pid", type=int, help="Which service, or which of its workers: a process ID.")
@click.option("--worker", type=click.IntRange(0), help="The slot of one worker, from 0; without it all of them.")
@click.option("--html", type=click.Path(dir_okay=False, writable=True), help="Write a page to this file.")
@click.option(
    "--json", "as_json", type=click.Path(dir_okay=False, writable=True), help="Write the report to this file."
)
@_explains
def profile(seconds: float, pid: int | None, worker: int | None, html: str | None, as_json: str | None) -> int:
    """Look where the time of a running service goes, while it serves.

    The service was started with `holdfast run`, on this machine and by the same user, and has the extra [profile].

    \b
      holdfast profile                         the only service there is, for ten seconds
      holdfast profile --pid 4107              one of several, or one of its workers
      holdfast profile --html profile.html     a page with everything, to be kept or sent

    It tells two things apart. Running: what is on the event loop, by route and by line. While it runs, every other
    request of the process is held up; calculation and blocking calls belong elsewhere. Waiting: where requests await
    something, such as a database. The event loop is free meanwhile.

    It shows files, lines, functions and route templates; no values, no addresses, nothing of what a request brought.
    """
    from holdfast.profile import command  # noqa: PLC0415 - a command loads what it needs

    return command.profile(
        seconds, pid=pid, worker=worker, html=Path(html) if html else None, json=Path(as_json) if as_json else None
    )


@main.command()
@click.argument("app", metavar="[MODULE:APP]", required=False, default="")
@click.option("--serve", default="", help='Start it with this command instead: "uvicorn shop:app --port {port}".')
@click.option("--plan", is_flag=True, help="Break nothing: say what would be done, and what could not be found.")
@click.option("--quick", is_flag=True, help="The quick scenarios only, in about half a minute.")
@click.option("--only", multiple=True, metavar="NAME", help="Only this scenario, or this promise; may be repeated.")
@click.option("--require", multiple=True, metavar="PROMISE", help="Exit with 3 if this one is not proven.")
@click.option("--seed", type=int, help="Repeat what chance decided. [another one each time]")
@click.option("--repeats", type=click.IntRange(0, 20), default=2, help="How often what is broken is tried again. [2]")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="[pyproject.toml]")
@click.option("--json", type=_FILE, help="Write the verdicts, and what was seen, to this file.")
@click.option("--junit", type=_FILE, help="Write a JUnit report to this file.")
@click.option("--html", type=_FILE, help="Write a page with pictures to this file.")
@click.option("--github", is_flag=True, help="Print annotations as GitHub Actions reads them.")
@click.option("--baseline", type=_FILE, metavar="FILE", help="Show what changed since a file of --json.")
@click.option("--again", type=_FILE, metavar="FILE", help="Run nothing: judge what a file of --json has seen.")
@click.option("--list", "listed", is_flag=True, help="List the scenarios.")
@click.option("--clean", is_flag=True, help="End and remove what an earlier run left behind.")
@_explains
def prove(*, listed: bool, clean: bool, **asked: Any) -> int:
    """Start a backend, break it on purpose, and say which promises it kept.

    \b
      holdfast prove shop.main:app                            served by `holdfast run`
      holdfast prove --serve "uvicorn shop.main:app --port {port}"   any command, in any language
      holdfast prove shop.main:app --plan                     what it would do, and what it could not find
      holdfast prove shop.main:app --only graceful            one promise, or one scenario
      holdfast prove shop.main:app --html proof.html          a page to show around

    It starts the backend itself, several times, each with nothing in it; what it wants in its environment is said in
    [tool.holdfast.prove] of pyproject.toml. Everything that was started is gone when it ends.

    Each promise ends as kept, broken, or not proven. Exit code: 0 nothing is broken, 1 something is, 2 it could not
    run, 3 a promise that --require names is not proven.
    """
    try:
        from holdfast.prove import command  # noqa: PLC0415 - a command loads what it needs
    except ModuleNotFoundError as error:
        raise ExtraMissing(f"Proving needs {error.name}: pip install 'holdfast[prove]'.") from error
    if listed:
        click.echo(command.listing())
        return 0
    return command.clean() if clean else command.prove(command.Asked(**asked))


@main.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
@_explains
def proxy(context: click.Context, arguments: tuple[str, ...]) -> int:
    """Put a bad network in front of a service: slow, cut, half open."""
    from holdfast.prove.proxy import command  # noqa: PLC0415 - a command loads what it needs, this one its options too

    with command.proxy.make_context(context.info_name, list(arguments), context.parent) as inner:
        return command.proxy.invoke(inner)


@main.group()
def logs() -> None:
    """Read logs: find one request's story, or look for what should not be there."""


@logs.command()
@click.argument("request_id", metavar="ID")
@click.argument("files", metavar="[FILE]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="The lines themselves, in order.")
@_explains
def find(request_id: str, files: tuple[str, ...], as_json: bool) -> int:
    """Tell everything that happened under one request ID, in order.

    ID is the X-Request-ID that was answered, or the one that the client had sent. FILE may be compressed (.gz); without
    FILE, or for -, standard input is read. Exit code 1: nothing was found.
    """
    from holdfast.logs.story import find_in_files  # noqa: PLC0415 - a command loads what it needs

    return find_in_files(request_id, files or ("-",), sys.stdout, as_json=as_json)


@logs.command()
@click.argument("files", metavar="[FILE]...", nargs=-1)
@_explains
def review(files: tuple[str, ...]) -> int:
    """Look through logs for secrets and personal data, and say where they came from; never what they are.

    FILE may be compressed (.gz); without FILE, or for -, standard input is read. Exit code 1: something was found.
    """
    from holdfast.decide.redaction import Redactor  # noqa: PLC0415 - as above
    from holdfast.logs import LogSettings  # noqa: PLC0415 - as above
    from holdfast.logs.review import review_files  # noqa: PLC0415 - a command loads what it needs
    from holdfast.settings import load  # noqa: PLC0415 - as above

    return review_files(list(files or ("-",)), sys.stdout, Redactor(load(LogSettings).redact))
