"""One serving process, started alone or by the supervisor."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
from uvicorn.config import Config

from holdfast import logs
from holdfast.app import Holdfast
from holdfast.context import ContextSettings
from holdfast.errors import HoldfastError
from holdfast.parts import deadlines, metrics, offload, rates
from holdfast.parts.deadlines import DeadlineSettings
from holdfast.parts.drain import DrainSettings
from holdfast.parts.metrics import MetricsSettings
from holdfast.parts.offload import OffloadSettings
from holdfast.parts.rates import RateSettings
from holdfast.serve import control, health, load, notify
from holdfast.serve.door import Door
from holdfast.serve.heart import Heart
from holdfast.serve.server import STARTUP_FAILURE, Server
from holdfast.serve.settings import (
    ControlSettings,
    DoorSettings,
    ProxySettings,
    ServerSettings,
    SlowSettings,
    StartSettings,
    WorkerSettings,
)
from holdfast.serve.slow import SlowSenders
from holdfast.serve.stacks import Patience
from holdfast.serve.state import DoorState
from holdfast.settings import warn_of_unknown

_LOG = logging.getLogger("holdfast.serve")


class Plan(msgspec.Struct, frozen=True):
    """What one process is to do, as the supervisor hands it over."""

    app: str
    server: ServerSettings
    door: DoorSettings
    slow: SlowSettings
    drain: DrainSettings
    context: ContextSettings
    log: logs.LogSettings
    offload: OffloadSettings
    proxy: ProxySettings = ProxySettings()
    start: StartSettings = StartSettings()
    worker: WorkerSettings = WorkerSettings()
    deadlines: DeadlineSettings = DeadlineSettings()
    rates: RateSettings = RateSettings()
    rate_table: int | None = None
    """File descriptor of the table in which workers count together."""
    sockets: tuple[int, ...] = ()
    """File descriptors of the bound sockets."""
    channel: int | None = None
    """File descriptor of the socket to the supervisor."""
    stack: int | None = None
    """File descriptor of the file into which the worker writes what it is doing."""
    beat_s: float = 1.0
    """Seconds from one sign of life to the next."""
    log_lock: str | None = None
    control: ControlSettings = ControlSettings()
    metrics: MetricsSettings = MetricsSettings()
    metrics_folder: str | None = None
    """Where workers share their numbers."""
    slot: int = 0
    """The worker's place among its supervisor's, from 0. A place that became free is taken again."""


class Alone:
    """What `Heart` is to a worker, for a process that has no supervisor: it says itself how it stands."""

    def __init__(self, plan: Plan, sockets: list[socket.socket]) -> None:
        """A process that is to serve on `sockets` as `plan` says."""
        self.patience: Patience = Patience(plan.start.limit_s)
        self._said = {
            "at": [f"http://{_name(listener)}" for listener in sockets],
            "app": plan.app,
            "observe": plan.server.observe,
        }

    def begin(self, _: Callable[[], None]) -> None:
        """Say that requests are accepted."""
        self.patience.over()
        _LOG.info("serving", extra=self._said)
        notify.ready()


def main() -> None:
    """The worker's own entry: the plan comes as JSON on the command line."""
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    assert plan.channel is not None  # noqa: S101 - a supervisor is at the other end
    assert plan.stack is not None  # noqa: S101 - as above
    heart = Heart(plan.channel, plan.stack, plan.beat_s)
    for descriptor in plan.sockets:
        os.set_inheritable(descriptor, False)
    sys.exit(run(plan, [socket.socket(fileno=descriptor) for descriptor in plan.sockets], heart))


def run(plan: Plan, sockets: list[socket.socket], heart: Heart | None = None) -> int:
    """Serve as `plan` says, until told to stop; `heart` connects it with a supervisor, where there is one.

    The exit code: 0 after a drain, 3 where the start failed.
    """
    log = logs.configure(plan.log, lock=plan.log_lock)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # what it says of its life, the lifecycle says
    logging.getLogger("uvicorn.error").addFilter(_not_twice)
    offload.configure(plan.offload)
    deadlines.configure(plan.deadlines, observe=plan.server.observe)
    rates.configure(plan.rates, plan.rate_table, observe=plan.server.observe)
    _count(plan, supervised=heart is not None)
    company = heart or Alone(plan, sockets)
    try:
        app = _load(plan)
        return _serve(plan, app, sockets, company) if app is not None else STARTUP_FAILURE
    finally:
        if isinstance(company, Alone):
            company.patience.over()
        log.pipe.flush()


def _count(plan: Plan, *, supervised: bool) -> None:
    """Put the metrics in place, before the application is imported: its own are to join in."""
    health_address = bool(plan.server.health_address)
    if not supervised:
        metrics.configure(plan.metrics, health=health_address)
    elif plan.metrics_folder is not None:
        place = metrics.place_of(plan.metrics, health=health_address)
        metrics.configure_worker(place, Path(plan.metrics_folder), plan.slot)


def _load(plan: Plan) -> Holdfast | None:
    try:
        app = load.wrap(load.find(plan.app), plan.context)
    except HoldfastError as error:
        _LOG.critical(f"the start failed: {error}", extra={"advice": error.advice})
        return None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever importing the application raises
        _LOG.critical("the start failed: the application cannot be imported", exc_info=error)
        return None
    load.adopt_loggers()
    warn_of_unknown()
    return app


def _serve(plan: Plan, app: Holdfast, sockets: list[socket.socket], company: Heart | Alone) -> int:
    config = Config(
        app=app.layered,
        http=Door,
        ws="websockets-sansio",  # closes with 1012 when the server drains
        loop="uvloop",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=plan.door.keep_alive_s,
        root_path=plan.proxy.root_path,
    )
    if app.gate is not None and plan.server.observe:
        app.gate.observe()
    state = DoorState(
        head_max_bytes=plan.door.head_max_bytes,
        observe=plan.server.observe,
        trusted=app.trusted,
        gate=app.gate,
        timeouts=app.timeouts,
        slow=SlowSenders(plan.slow.header_timeout_s, plan.slow.body_min_bytes_s),
    )
    server = Server(config, state, app.lifecycle, plan.drain, supervised=isinstance(company, Heart))
    server.most_connections = plan.slow.connections_max
    factory = config.get_loop_factory()
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(_live(plan, app, server, sockets, company))
    except SystemExit:
        _LOG.critical("the start failed: the application did not start")
        return STARTUP_FAILURE
    except OSError as error:
        _LOG.critical(f"the start failed: {error}")
        return STARTUP_FAILURE
    return 1 if server.failed else 0


async def _live(
    plan: Plan, app: Holdfast, server: Server, sockets: list[socket.socket], company: Heart | Alone
) -> None:
    address = ""
    if isinstance(company, Alone):
        address = plan.server.health_address
        company.patience.loop = asyncio.get_running_loop()
    server.on_listening = lambda: company.begin(server.retire)
    who = _who(plan, sockets, supervised=isinstance(company, Heart))
    with control.answering(plan.control.control, who, asyncio.get_running_loop()):
        async with health.listening(
            address, lambda: (app.lifecycle.state, app.lifecycle.standing), app.checks, numbers=app.metrics
        ):
            await server.serve(sockets)


def _who(plan: Plan, sockets: list[socket.socket], *, supervised: bool) -> control.Who:
    service = os.getppid() if supervised else os.getpid()
    return control.Who(os.getpid(), service, plan.slot, plan.app, [f"http://{_name(one)}" for one in sockets])


def _name(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _not_twice(record: logging.LogRecord) -> bool:
    """uvicorn tells that the application did not start; so do we, with what to do."""
    return record.getMessage() != "Application startup failed. Exiting."


if __name__ == "__main__":
    main()
