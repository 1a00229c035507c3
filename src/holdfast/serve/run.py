"""`holdfast run`: read the settings, bind the sockets, serve."""

import dataclasses
import socket
from pathlib import Path
from typing import Final

import msgspec

from holdfast import logs
from holdfast.context import ContextSettings
from holdfast.errors import HoldfastError, SettingsInvalid
from holdfast.parts.deadlines import DeadlineSettings, timeouts_of
from holdfast.parts.drain import DrainSettings
from holdfast.parts.metrics import MetricsSettings, place_of
from holdfast.parts.offload import OffloadSettings
from holdfast.parts.rates import Rates, RateSettings
from holdfast.parts.shedding import SheddingSettings
from holdfast.parts.watchdog import WatchdogSettings
from holdfast.serve.settings import (
    ControlSettings,
    DoorSettings,
    ProxySettings,
    ServerSettings,
    SlowSettings,
    StartSettings,
    WorkerSettings,
)
from holdfast.serve.supervisor import supervise
from holdfast.serve.worker import Plan, run
from holdfast.settings import load, load_all, options_of
from holdfast.settings.values import allowed, fits, quoted

_SETTINGS: Final = (
    ServerSettings,
    DoorSettings,
    SlowSettings,
    ProxySettings,
    StartSettings,
    WorkerSettings,
    DrainSettings,
    SheddingSettings,
    DeadlineSettings,
    RateSettings,
    ContextSettings,
    logs.LogSettings,
    OffloadSettings,
    WatchdogSettings,
    ControlSettings,
    MetricsSettings,
)


class CannotListen(HoldfastError):
    """The address cannot be listened on."""

    code = "cannot-listen"
    advice = "Stop what listens there, or choose another port with --port."


def serve(
    app: str,
    *,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
    observe: bool | None = None,
    root_path: str | None = None,
    reload: bool = False,
) -> int:
    """Serve the application that `app` names until told to stop. What is None comes from the settings.

    Returns the exit code. Raises SettingsInvalid, ExtraMissing, CannotListen.
    """
    plan = _plan(app)
    given = {"host": host, "port": port, "workers": workers, "observe": observe}
    server = dataclasses.replace(plan.server, **{key: value for key, value in given.items() if value is not None})
    plan = msgspec.structs.replace(plan, server=server)
    place_of(plan.metrics, health=bool(server.health_address))
    Rates(plan.rates)
    timeouts_of(plan.deadlines)
    if root_path is not None:
        plan = msgspec.structs.replace(plan, proxy=ProxySettings(root_path=_checked(root_path)))
    sockets = bind(server.host, server.port)
    if reload:  # who halts at a breakpoint must not be taken for hung
        plan = msgspec.structs.replace(plan, worker=dataclasses.replace(plan.worker, hang_s=0.0))
    if reload or server.workers > 1 or plan.worker.limited:
        return supervise(plan, sockets, watch=Path.cwd() if reload else None)
    return run(plan, sockets)


def _plan(app: str) -> Plan:
    """What the settings say, all of them or none."""
    load_all(*_SETTINGS)  # so that every fault is named at once
    return Plan(
        app=app,
        server=load(ServerSettings),
        door=load(DoorSettings),
        slow=load(SlowSettings),
        proxy=load(ProxySettings),
        start=load(StartSettings),
        worker=load(WorkerSettings),
        drain=load(DrainSettings),
        deadlines=load(DeadlineSettings),
        rates=load(RateSettings),
        context=load(ContextSettings),
        log=load(logs.LogSettings),
        offload=load(OffloadSettings),
        control=load(ControlSettings),
        metrics=load(MetricsSettings),
    )


def _checked(root_path: str) -> str:
    """The root path from the command line, kept to what the setting takes. Raises SettingsInvalid."""
    kind = options_of(ProxySettings)[0].kind
    if not fits(kind, root_path):
        raise SettingsInvalid([f"--root-path: found {quoted(root_path)}, allowed: {allowed(kind)}"])
    return root_path


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on all addresses that `host` means. Raises CannotListen."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise CannotListen(f"{host!r} is no address of this machine: {error.strerror}.") from error
    sockets: list[socket.socket] = []
    for family, kind, protocol, _, address in dict.fromkeys(found):
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            listener.bind(address)
        except OSError as error:
            for opened in (*sockets, listener):
                opened.close()
            raise CannotListen(f"{host}:{port} cannot be listened on: {error.strerror}.") from error
        listener.listen(2048)
        listener.setblocking(False)
        sockets.append(listener)
    return sockets
