"""WebSockets."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from grid.cell import Group
from grid.shop import Shop
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

group = Group("WebSockets")


@contextmanager
def talking(shop: Shop, path: str, *subprotocols: str) -> Iterator[ClientConnection]:
    offered = [Subprotocol(name) for name in subprotocols] or None
    try:
        socket = connect(
            shop.websocket(path),
            subprotocols=offered,
            open_timeout=shop.patience_s,
            close_timeout=shop.patience_s,
            compression=None,
            proxy=None,
        )
    except InvalidStatus as error:
        raise AssertionError(f"the handshake is answered {error.response.status_code}") from error
    with socket:
        yield socket


def refusal(shop: Shop, path: str) -> InvalidStatus:
    try:
        connect(shop.websocket(path), open_timeout=shop.patience_s, proxy=None).close()
    except InvalidStatus as error:
        return error
    raise AssertionError("the handshake succeeds")


def code(socket: ClientConnection, patience_s: float) -> int | None:
    """The code that the server closes with."""
    try:
        received = socket.recv(timeout=patience_s)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None
    raise AssertionError(f"a message comes instead: {received!r}")


@group.cell("text and bytes are echoed")
def echo(shop: Shop) -> None:
    with talking(shop, f"/ws/{shop.key()}") as socket:
        for message in ("tea", b"\x00\xff", "t" * 500_000, b"\x01" * 500_000):
            socket.send(message)
            assert socket.recv(timeout=shop.patience_s) == message


@group.cell("a subprotocol is agreed on")
def subprotocol(shop: Shop) -> None:
    with talking(shop, f"/ws/{shop.key()}", "other", "shop") as socket:
        assert socket.subprotocol == "shop"


@group.cell("a handshake that the application denies is answered 403")
def denied(shop: Shop) -> None:
    assert refusal(shop, "/denied").response.status_code == 403


@group.cell("the server's close code arrives")
def closed_by_the_server(shop: Shop) -> None:
    with talking(shop, f"/ws/{shop.key()}") as socket:
        socket.send("close")
        assert code(socket, shop.patience_s) == 4001


@group.cell("an exception in the handler closes with 1011")
def exception(shop: Shop) -> None:
    with talking(shop, f"/ws/{shop.key()}") as socket:
        socket.send("raise")
        found = code(socket, shop.patience_s)
        assert found == 1011, f"closed with {found}"


@group.cell("the handler hears that the client closes, and with what code")
def closed_by_the_client(shop: Shop) -> None:
    key = shop.key()
    with talking(shop, f"/ws/{key}") as socket:
        socket.send("tea")
        assert socket.recv(timeout=shop.patience_s) == "tea"
        socket.close(4002)
    shop.await_seen(key, "told: 4002")


@group.cell("the handler hears that the client vanishes")
def vanished(shop: Shop) -> None:
    key = shop.key()
    with talking(shop, f"/ws/{key}") as socket:
        socket.send("tea")
        assert socket.recv(timeout=shop.patience_s) == "tea"
        socket.socket.close()
    shop.await_seen(key, "told: 1005", "told: 1006", "told: cancelled")


@group.cell("the handshake's answer carries an ID, and the connection has one line", ours=True)
def line(shop: Shop) -> None:
    with talking(shop, f"/ws/{shop.key()}") as socket:
        assert socket.response is not None
        request_id = socket.response.headers["x-request-id"]
    found = shop.line(request_id)
    assert (found["kind"], found["status"], found["outcome"]) == ("websocket", 101, "ok")


@group.cell("the line names the route", ours=True)
def route(shop: Shop) -> None:
    with talking(shop, f"/ws/{shop.key()}") as socket:
        assert socket.response is not None
        request_id = socket.response.headers["x-request-id"]
    assert shop.line(request_id)["route"] == "/ws/{key}"


@group.cell("a denial carries an ID, and its line says `rejected`", ours=True)
def line_of_a_denial(shop: Shop) -> None:
    request_id = refusal(shop, "/denied").response.headers["x-request-id"]
    found = shop.line(request_id)
    assert (found["kind"], found["status"], found["outcome"]) == ("websocket", 403, "rejected")


@group.cell("an exception is `failed`, with its traceback under the ID", ours=True)
def line_of_an_exception(shop: Shop) -> None:
    with talking(shop, f"/ws/{shop.key()}") as socket:
        assert socket.response is not None
        request_id = socket.response.headers["x-request-id"]
        socket.send("raise")
        code(socket, shop.patience_s)
    assert shop.line(request_id)["outcome"] == "failed"
    assert any(
        "Traceback" in json.dumps(told) or told.get("exception") for told in shop.lines(request_id, "line is cut")
    )
