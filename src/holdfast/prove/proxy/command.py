"""`holdfast proxy`: a proxy by itself, told what to do by options, by lines on standard input, and by a timeline."""

import asyncio
import contextlib
import errno
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

import click

from holdfast.decide.dependencies import Address
from holdfast.decide.faults import Direction, Fault
from holdfast.prove.proxy.orders import HELP, Order, Timed, address, fault, orders, seconds, timeline
from holdfast.prove.proxy.proxy import Proxy
from holdfast.prove.proxy.seen import Seen

T = TypeVar("T")

_STATUS_S: Final = 1.0
_INPUT: Final = 0


class Plan(NamedTuple):
    """What the command was told to do."""

    listen: Address
    to: Address
    faults: Sequence[Fault] = ()
    script: Sequence[Timed] = ()
    seed: int = 0
    for_s: float | None = None


class PortNotHad(click.ClickException):
    """The port to listen on cannot be had."""

    exit_code = 2
    advice: str

    def __init__(self, where: Address, error: OSError) -> None:
        """Say why, and what to do."""
        why, self.advice = {
            errno.EADDRINUSE: (
                f"Port {where.port} of {where.host} is in use.",
                "Stop what listens there, or choose another with --listen; port 0 is any that is free.",
            ),
            errno.EACCES: (f"Port {where.port} may not be listened on.", "Choose one from 1024 on with --listen."),
        }.get(
            error.errno or 0,
            (f"{where} cannot be listened on: {_reason(error)}.", "Choose an address of this machine with --listen."),
        )
        super().__init__(why)

    def show(self, file: object = None) -> None:
        """Tell it on standard error."""
        del file
        click.echo(f"holdfast: {self.message}", err=True)
        click.echo(self.advice, err=True)


def _reads(read: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, str | None], T | None]:
    """A callback for an option whose value a function reads, which says itself what is wrong with it."""

    def convert(ctx: click.Context, param: click.Parameter, value: str | None) -> T | None:
        try:
            return None if value is None else read(value)
        except ValueError as error:
            raise click.BadParameter(f"{error}.", ctx, param) from error

    return convert


@click.command("proxy")
@click.option(
    "--to",
    metavar="HOST:PORT",
    callback=_reads(address),
    required=True,
    help="What it stands in front of, such as 127.0.0.1:5432.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    callback=_reads(address),
    default="127.0.0.1:0",
    help="Where to listen. [a free port of 127.0.0.1]",
)
@click.option("--latency", metavar="MS", help="Data comes so much later, in order, and as much of it.")
@click.option("--jitter", metavar="MS", help="Up to so much sooner or later than that.")
@click.option("--bandwidth", metavar="SIZE", help="Bytes a second for each connection, such as 64KB.")
@click.option("--slice", "slices", metavar="SIZE:PAUSE", help="In pieces, with a pause after each: 10:5ms.")
@click.option("--cut-after", metavar="SIZE", help="Connections are closed after so many bytes; 0: at once.")
@click.option("--reset-after", metavar="SIZE", help="Connections are reset after so many bytes; 0: at once.")
@click.option("--half-open", is_flag=True, help="Connections stay open, and nothing arrives.")
@click.option("--accept-hang", is_flag=True, help="New connections are accepted, and then nothing happens.")
@click.option("--refuse", is_flag=True, help="Nobody listens.")
@click.option("--direction", type=click.Choice(["up", "down", "both"]), help="Towards --to, from it, or both. [both]")
@click.option("--seed", type=int, default=0, help="The same seed gives the same jitter. [0]")
@click.option("--for", "for_s", callback=_reads(seconds), metavar="TIME", help="End after so long: 30, 500ms, 5m.")
@click.option("--script", callback=_reads(timeline), metavar="SCRIPT", help="What to do when: '5s cut; 6s clear'.")
def proxy(
    to: Address,
    listen: Address,
    seed: int,
    for_s: float | None,
    script: Sequence[Timed] | None,
    direction: Direction | None,
    **options: object,
) -> int:
    """Put a bad network in front of a service: a TCP proxy whose faults can be changed while it runs.

    \b
      holdfast proxy --listen 15432 --to db:5432 --latency 200 --jitter 50
      holdfast proxy --listen 16379 --to 6379 --script '5s half-open; 10s clear; 15s refuse' --for 20
      echo 'cut 1MB down' | holdfast proxy --listen 18080 --to 127.0.0.1:8000

    Then let the application connect to what it listens on. Lines on standard input change it at once, typed or from a
    pipe: `latency 200`, `half-open`, `refuse`, `clear`, `status`; `help` lists them all.

    It prints what was changed, and what it has seen, a line a second at most. Ctrl-C or SIGTERM ends it with a summary.
    """
    try:
        faults = _faults(options, direction)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from error
    _allow_many_files()
    asyncio.run(_Session(Plan(listen, to, faults, script or (), seed, for_s)).run())
    return 0


def _faults(options: dict[str, object], direction: Direction | None) -> list[Fault]:
    """The faults of the options. Raises ValueError."""
    found: list[Fault] = []
    for name, option in (
        ("latency", "latency"),
        ("bandwidth", "bandwidth"),
        ("slice", "slices"),
        ("cut", "cut_after"),
        ("reset", "reset_after"),
    ):
        if options[option] is not None:
            jitter = [str(options["jitter"])] if name == "latency" and options["jitter"] is not None else []
            found.append(fault(name, [str(options[option]), *jitter], direction))
    if options["jitter"] is not None and options["latency"] is None:
        raise ValueError("--jitter varies a latency: give --latency too")
    if options["half_open"]:
        found.append(fault("half-open", [], direction))
    return [*found, *(fault(name, []) for name in ("accept-hang", "refuse") if options[name.replace("-", "_")])]


class _Session:
    """One run of the command."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._proxy = Proxy(upstream=plan.to, listen=plan.listen, seed=plan.seed, on_trouble=self._trouble)
        self._began = time.monotonic()
        self._over = asyncio.Event()
        self._shown = Seen()
        self._told: set[str] = set()

    async def run(self) -> None:
        """Run until it is over. Raises PortNotHad."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._over.set)
        try:
            await self._proxy.start()
        except OSError as error:
            raise PortNotHad(self._plan.listen, error) from error
        try:
            self._say(f"{self._proxy.address} leads to {self._plan.to}")
            self._set(*self._plan.faults)
            for timed in self._plan.script:
                loop.call_later(timed.at_s, self._follow, timed.order)
            threading.Thread(target=self._listen_to_input, args=(loop,), daemon=True).start()
            await self._watch()
        finally:
            await self._proxy.close()
        self._say(f"over: {told(self._proxy.seen)}")

    async def _watch(self) -> None:
        """Tell what was seen, where it is something new, until it is over."""
        left = self._plan.for_s if self._plan.for_s is not None else float("inf")
        end = self._began + left
        while not self._over.is_set() and (now := time.monotonic()) < end:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), min(_STATUS_S, end - now))
            if self._proxy.seen != self._shown and not self._over.is_set():
                self._show()

    def _show(self) -> None:
        self._shown = self._proxy.seen
        self._say(told(self._shown))

    def _say(self, text: str) -> None:
        line = f"{time.monotonic() - self._began:7.1f} s  {text}\n"
        try:
            sys.stdout.write(line)
            sys.stdout.flush()
        except OSError:  # nobody reads it any more; the proxy is still needed
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _trouble(self, error: OSError) -> None:
        """Tell of each kind of trouble once: there may be thousands of connections."""
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            text = "no more files: connections wait; raise `ulimit -n`"
        else:
            text = f"{self._plan.to} cannot be reached ({_reason(error)}); clients are reset"
        if text not in self._told:
            self._told.add(text)
            self._say(text)

    # -- what it is told --

    def _listen_to_input(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is over
            for line in lines_of(_INPUT):
                loop.call_soon_threadsafe(self._hear, line)

    def _hear(self, line: str) -> None:
        try:
            for order in orders(line):
                self._follow(order)
        except ValueError as error:
            self._say(f"{error}.")

    def _follow(self, order: Order) -> None:
        match order.verb:
            case "set":
                self._set(*([order.fault] if order.fault else []))
            case "clear":
                self._clear(order.kind)
            case "status":
                self._say(f"set: {', '.join(map(str, self._proxy.faults)) or 'nothing'}")
                self._show()
            case "help":
                self._say(f"there is\n\n{HELP}\n")
            case "quit":
                self._over.set()

    def _set(self, *faults: Fault) -> None:
        if faults:
            self._proxy.set(*faults)
            self._say(", ".join(map(str, faults)))

    def _clear(self, kind: type[Fault] | None) -> None:
        try:
            self._proxy.clear(*([kind] if kind else []))
        except OSError as error:
            self._say(f"{self._proxy.address} was taken meanwhile ({_reason(error)}): clear again when it is free")
        else:
            self._say(f"clear {kind.name}" if kind else "clear")


def told(seen: Seen) -> str:
    """What was seen, in a line."""
    parts = [f"{seen.open} open of {seen.opened}", f"{seen.bytes_up} bytes up", f"{seen.bytes_down} bytes down"]
    if seen.unreachable:
        parts.append(f"{seen.unreachable} did not reach the upstream")
    return ", ".join([*parts, *(f"{name}: {number}" for name, number in seen.acts.items())])


def lines_of(descriptor: int) -> Iterator[str]:
    """The lines that come from a file descriptor, until it ends.

    It is read without a buffer of Python's: a thread that waits in one cannot be left behind at the end.
    """
    rest = b""
    with contextlib.suppress(OSError):
        while data := os.read(descriptor, 4096):
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def _allow_many_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)  # in the background of a terminal it goes on, without input


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
