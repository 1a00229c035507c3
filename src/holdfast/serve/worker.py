"""One serving process, started alone or by the supervisor."""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from typing import Final

import msgspec
from uvicorn.config import Config

from holdfast import logs
from holdfast.app import Holdfast
from holdfast.context import ContextSettings
from holdfast.errors import HoldfastError
from holdfast.parts import offload
from holdfast.parts.drain import DrainSettings
from holdfast.parts.offload import OffloadSettings
from holdfast.serve import health, load
from holdfast.serve.door import Door, DoorState
from holdfast.serve.server import STARTUP_FAILURE, Server
from holdfast.serve.settings import DoorSettings, ServerSettings
from holdfast.settings import warn_of_unknown

_LOG = logging.getLogger("holdfast.serve")
READY: Final = b"ready\n"
RETIRE: Final = b"retire\n"


class Plan(msgspec.Struct, frozen=True):
    """What one process is to do, as the supervisor hands it over."""

    app: str
    server: ServerSettings
    door: DoorSettings
    drain: DrainSettings
    context: ContextSettings
    log: logs.LogSettings
    offload: OffloadSettings
    sockets: tuple[int, ...] = ()
    """File descriptors of the bound sockets."""
    channel: int | None = None
    """File descriptor of the socket to the supervisor."""
    log_lock: str | None = None
    slot: int = 0
    """The worker's place among its supervisor's, from 0. A place that became free is taken again."""


def main() -> None:
    """The worker's own entry: the plan comes as JSON on the command line."""
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    sys.exit(run(plan, [socket.socket(fileno=fd) for fd in plan.sockets]))


def run(plan: Plan, sockets: list[socket.socket]) -> int:
    """Serve as `plan` says, until told to stop. The exit code: 0 after a drain, 3 where the start failed."""
    log = logs.configure(plan.log, lock=plan.log_lock)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # what it says of its life, the lifecycle says
    logging.getLogger("uvicorn.error").addFilter(_not_twice)
    offload.configure(plan.offload)
    try:
        app = _load(plan)
        return _serve(plan, app, sockets) if app is not None else STARTUP_FAILURE
    finally:
        log.pipe.flush()


def _load(plan: Plan) -> Holdfast | None:
    try:
        app = load.wrap(load.find(plan.app), plan.context)
    except HoldfastError as error:
        _LOG.critical(f"the start failed: {error}", extra={"advice": error.advice})
        return None
    except Exception as error:  # noqa: BLE001 - whatever importing the application raises
        _LOG.critical("the start failed: the application cannot be imported", exc_info=error)
        return None
    load.adopt_loggers()
    warn_of_unknown()
    return app


def _serve(plan: Plan, app: Holdfast, sockets: list[socket.socket]) -> int:
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
    )
    state = DoorState(head_max_bytes=plan.door.head_max_bytes, observe=plan.server.observe, trusted=app.trusted)
    server = Server(config, state, app.lifecycle, plan.drain)
    factory = config.get_loop_factory()
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(_live(plan, app, server, sockets))
    except SystemExit:
        _LOG.critical("the start failed: the application did not start")
        return STARTUP_FAILURE
    except OSError as error:
        _LOG.critical(f"the start failed: {error}")
        return STARTUP_FAILURE
    return 1 if server.failed else 0


async def _live(plan: Plan, app: Holdfast, server: Server, sockets: list[socket.socket]) -> None:
    alone = plan.channel is None
    address = plan.server.health_address if alone else ""
    names = [f"http://{_name(listener)}" for listener in sockets]

    def say() -> None:
        _LOG.info("serving", extra={"at": names, "app": plan.app, "observe": plan.server.observe})

    server.on_listening = say if alone else _tell_supervisor(plan.channel, server)
    async with health.listening(address, lambda: (app.lifecycle.state, app.lifecycle.standing), app.checks):
        await server.serve(sockets)


def _tell_supervisor(channel: int | None, server: Server) -> Callable[[], None]:
    """Say when requests are accepted, and listen for what the supervisor says; without one, stop."""
    assert channel is not None  # noqa: S101 - seen by the caller
    connection = socket.socket(fileno=channel)
    connection.setblocking(False)

    def hear() -> None:
        try:
            heard = connection.recv(64)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        if not heard:
            asyncio.get_running_loop().remove_reader(connection)
            _LOG.warning("the supervisor has gone: stopping")
        server.retire()

    def ready() -> None:
        asyncio.get_running_loop().add_reader(connection, hear)
        connection.send(READY)

    return ready


def _name(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _not_twice(record: logging.LogRecord) -> bool:
    """uvicorn tells that the application did not start; so do we, with what to do."""
    return record.getMessage() != "Application startup failed. Exiting."


if __name__ == "__main__":
    main()
