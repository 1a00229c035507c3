"""Bodies that stream in and out, early answers, server-sent events."""

import hashlib
import time

from grid.cell import Group
from grid.client import chunk, eventually, request
from grid.shop import Shop

into = Group("Bodies in")
out = Group("Bodies out")

MIB = 1 << 20
MUCH = 32 * MIB
KERNEL = 16 * MIB
"""More than the two ends of a local connection hold between them."""


def upload(path: str, *headers: str, length: int | None = None) -> bytes:
    """The head of a POST with a body."""
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return request("POST", path, *headers, framing)


@into.cell("a body with a length is read as it comes")
def length_in_pieces(shop: Shop) -> None:
    key = shop.key()
    with shop.connect() as connection:
        connection.send(upload(f"/upload/{key}", length=5000) + b"a" * 1000)
        shop.await_seen(key, 1000)
        connection.send(b"b" * 4000)
        assert connection.read().json["bytes"] == 5000


@into.cell("a body in chunks is read as it comes")
def chunks_in_pieces(shop: Shop) -> None:
    key = shop.key()
    with shop.connect() as connection:
        connection.send(upload(f"/upload/{key}") + chunk(b"a" * 1000))
        shop.await_seen(key, 1000)
        connection.send(chunk(b"b" * 4000) + chunk(b""))
        assert connection.read().json["bytes"] == 5000


@into.cell("a large body in chunks of odd sizes arrives whole")
def whole(shop: Shop) -> None:
    pieces = [bytes([number % 251]) * (number * 37 % 9001 + 1) for number in range(600)]
    with shop.connect() as connection:
        connection.send(upload(f"/upload/{shop.key()}") + b"".join(map(chunk, pieces)) + chunk(b""))
        result = connection.read().json
    assert result["sha256"] == hashlib.sha256(b"".join(pieces)).hexdigest()


@into.cell("who reads slowly is sent slowly: the body does not pile up")
def back_pressure_in(shop: Shop) -> None:
    key = shop.key()
    with shop.connect() as connection:
        connection.send(upload(f"/held/{key}", length=MUCH))
        taken = connection.send_until_stuck(b"z" * MIB, MUCH)
        assert taken < KERNEL, f"{taken} bytes were taken"
        shop.release(key)
        connection.send(b"z" * (MUCH - taken))
        assert connection.read().json["bytes"] == MUCH


@into.cell("`Expect: 100-continue` is answered when the application reads")
def expect(shop: Shop) -> None:
    with shop.connect() as connection:
        connection.send(upload(f"/upload/{shop.key()}", "expect: 100-continue", length=5))
        assert connection.head().status == 100
        connection.send(b"hello")
        answer = connection.read()
        assert (answer.status, answer.json["bytes"]) == (200, 5)
        assert connection.ask("GET", "/items/7").status == 200


@into.cell("... and not where it answers without reading")
def expect_nothing(shop: Shop) -> None:
    with shop.connect() as connection:
        connection.send(upload("/guarded", "expect: 100-continue", length=5))
        assert connection.read().status == 401


@into.cell("an early answer arrives while the body is still being sent")
def early_answer(shop: Shop) -> None:
    with shop.connect() as connection:
        connection.send(upload("/guarded", length=8 * MIB) + b"z" * 65_536)
        assert not connection.quiet(shop.patience_s), "no answer comes"
        answer = connection.read()
        assert (answer.status, answer.json) == (401, {"error": "who are you?"})


@into.cell("... and the connection can be used again once the body is out")
def after_an_early_answer(shop: Shop) -> None:
    with shop.connect() as connection:
        connection.send(upload("/guarded", length=8 * MIB) + b"z" * (8 * MIB))
        assert connection.read().status == 401
        assert connection.ask("GET", "/items/7").status == 200


@out.cell("the first bytes arrive before the last are made")
def stream(shop: Shop) -> None:
    key = shop.key()
    with shop.connect() as connection:
        connection.send(request("GET", f"/stream/{key}"))
        assert connection.head().status == 200
        assert connection.piece() == b"first\n"
        shop.release(key)
        assert connection.rest() == b"last\n"


@out.cell("who reads slowly is written to slowly: the answer does not pile up")
def back_pressure_out(shop: Shop) -> None:
    key = shop.key()
    with shop.connect() as connection:
        connection.send(request("GET", f"/flood/{key}"))
        assert connection.head().status == 200
        made: list[object] = [None]

        def stands_still() -> bool:
            time.sleep(0.2)
            made.append(shop.seen(key))
            return made[-1] == made[-2] and made[-1] is not None

        eventually(stands_still, "the answer stops being made", shop.patience_s)
        assert isinstance(made[-1], int)
        assert made[-1] * 65_536 < KERNEL, f"{made[-1]} pieces were made"
        assert len(connection.rest()) == MUCH


@out.cell("server-sent events arrive one by one")
def events(shop: Shop) -> None:
    key = shop.key()
    with shop.connect() as connection:
        connection.send(request("GET", f"/events/{key}", "accept: text/event-stream"))
        answer = connection.head()
        assert (answer["content-type"] or "").partition(";")[0] == "text/event-stream"
        assert b"data: one" in connection.piece()
        shop.release(key)
        assert b"data: two" in connection.rest()
