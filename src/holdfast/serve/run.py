"""`holdfast run`: read the settings, bind the sockets, serve."""

import dataclasses
import socket
from pathlib import Path

from holdfast import logs
from holdfast.context import ContextSettings
from holdfast.errors import HoldfastError
from holdfast.parts.drain import DrainSettings
from holdfast.parts.offload import OffloadSettings
from holdfast.serve.settings import DoorSettings, ServerSettings
from holdfast.serve.supervisor import supervise
from holdfast.serve.worker import Plan, run
from holdfast.settings import load_all


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
    reload: bool = False,
) -> int:
    """Serve the application that `app` names until told to stop. What is None comes from the settings.

    Returns the exit code. Raises SettingsInvalid, CannotListen.
    """
    server, door, drain, context, log, threads = load_all(
        ServerSettings, DoorSettings, DrainSettings, ContextSettings, logs.LogSettings, OffloadSettings
    )
    given = {"host": host, "port": port, "workers": workers, "observe": observe}
    server = dataclasses.replace(server, **{key: value for key, value in given.items() if value is not None})
    plan = Plan(app=app, server=server, door=door, drain=drain, context=context, log=log, offload=threads)
    sockets = bind(server.host, server.port)
    if server.workers > 1 or reload:
        return supervise(plan, sockets, watch=Path.cwd() if reload else None)
    return run(plan, sockets)


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
