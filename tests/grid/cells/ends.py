"""How requests end that do not end well: exceptions, and clients that go."""

from grid.cell import Group
from grid.client import request
from grid.shop import Shop

failures = Group("Exceptions")
leaving = Group("Clients that go")


@failures.cell("before the first byte: a 500, and the connection goes on")
def before_the_first_byte(shop: Shop) -> None:
    with shop.connect() as connection:
        assert connection.ask("GET", "/breaks").status == 500
        assert connection.ask("GET", "/items/7").status == 200


@failures.cell("after the first byte: the answer is cut and cannot be taken for whole")
def after_the_first_byte(shop: Shop) -> None:
    with shop.connect() as connection:
        connection.send(request("GET", "/half"))
        answer = connection.head()
        assert answer.status == 200
        received = b""
        try:
            while piece := connection.piece():
                received += piece
        except AssertionError:
            assert connection.ended
        else:
            raise AssertionError(f"the answer looks whole: {received!r}")


@failures.cell("... and is told of as `cut`, with its traceback", ours=True)
def line_of_what_was_cut(shop: Shop) -> None:
    with shop.connect() as connection:
        request_id = connection.send(request("GET", "/half")).head().id
        line = shop.line(request_id)
    assert (line["status"], line["outcome"], line["level"]) == (200, "cut", "error")
    assert shop.lines(request_id, "the shelf fell down in the middle")


@leaving.cell("while its body is awaited: the handler is told")
def gone_while_sending(shop: Shop) -> None:
    key = shop.key()
    with shop.connect() as connection:
        connection.send(request("POST", f"/upload/{key}", "content-length: 5000") + b"a" * 1000)
        shop.await_seen(key, 1000)
    told = "ClientDisconnect InternalServerException ClientException MessageAborted ConnectionResetError CancelledError"
    shop.await_seen(key, *(f"told: {name}" for name in told.split()))


@leaving.cell("... and the line says `client_left`", ours=True)
def line_of_who_left_while_sending(shop: Shop) -> None:
    path = f"/upload/{shop.key()}"
    with shop.connect() as connection:
        connection.send(request("POST", path, "content-length: 5000") + b"a" * 1000)
        shop.get("/items/7")
    line = shop.line_of_path(path)
    assert (line["outcome"], line["level"]) == ("client_left", "info")


@leaving.cell("... which is no error in the log", ours=True)
def no_error_of_who_left(shop: Shop) -> None:
    path = f"/upload/{shop.key()}"
    with shop.connect() as connection:
        connection.send(request("POST", path, "content-length: 5000") + b"a" * 1000)
        shop.get("/items/7")
    request_id = shop.line_of_path(path)["request_id"]
    told = [line for line in shop.log if line.get("request_id") == request_id]
    assert [line for line in told if line["level"] in {"error", "critical"}] == []


@leaving.cell("while it is streamed to: the stream is told")
def gone_while_reading(shop: Shop) -> None:
    key = shop.key()
    with shop.connect() as connection:
        connection.send(request("GET", f"/ticks/{key}"))
        assert connection.head().status == 200
        assert connection.piece() == b"tick\n"
    shop.await_seen(key, "told")


@leaving.cell("... and the line says `client_left`", ours=True)
def line_of_who_left_while_reading(shop: Shop) -> None:
    with shop.connect() as connection:
        answer = connection.send(request("GET", f"/ticks/{shop.key()}")).head()
        assert connection.piece() == b"tick\n"
    line = shop.line(answer.id)
    assert (line["status"], line["outcome"], line["level"]) == (200, "client_left", "info")


@leaving.cell("while a handler is at work: the line says `client_left`", ours=True)
def line_of_who_left_while_waiting(shop: Shop) -> None:
    key = shop.key()
    with shop.connect() as connection:
        connection.send(request("GET", f"/wait/{key}"))
        shop.await_seen(key, "waits")
    shop.get("/items/7")  # one more turn, so that the server has seen that the client is gone
    shop.release(key)
    line = shop.line_of_path(f"/wait/{key}")
    assert (line["outcome"], line["level"]) == ("client_left", "info")


@leaving.cell("while a handler is at work: the work is cancelled")
def cancelled_while_waiting(shop: Shop) -> None:
    key = shop.key()
    with shop.connect() as connection:
        connection.send(request("GET", f"/wait/{key}"))
        shop.await_seen(key, "waits")
    try:
        shop.await_seen(key, "cancelled")
    finally:
        shop.release(key)
