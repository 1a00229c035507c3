"""The connection itself: reuse, pipelining, what is refused before the application."""

from grid.cell import Group
from grid.client import request
from grid.shop import Shop

wire = Group("Connections")
hostile = Group("Requests with two readings are refused")

OFFER = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAoAAAAAIAAAAA")


@wire.cell("a connection serves one request after another")
def reuse(shop: Shop) -> None:
    with shop.connect() as connection:
        for number in range(3):
            assert connection.ask("GET", f"/items/{number}").json["id"] == str(number)


@wire.cell("... each with its own ID", ours=True)
def reuse_with_ids(shop: Shop) -> None:
    with shop.connect() as connection:
        found = [connection.ask("GET", "/items/7").id for _ in range(3)]
    assert len({*found}) == 3
    for request_id in found:
        assert shop.line(request_id)["outcome"] == "ok"


@wire.cell("`Connection: close` is said back, and done")
def close(shop: Shop) -> None:
    with shop.connect() as connection:
        answer = connection.ask("GET", "/items/7", "connection: close")
        assert (answer.status, answer["connection"]) == (200, "close")
        assert connection.is_closed()


@wire.cell("three requests in one packet are answered in their order")
def pipelined(shop: Shop) -> None:
    with shop.connect() as connection:
        connection.send(b"".join(request("GET", f"/items/{number}") for number in range(3)))
        assert [connection.read().json["id"] for _ in range(3)] == ["0", "1", "2"]


@wire.cell("... each with its own ID", ours=True)
def pipelined_with_ids(shop: Shop) -> None:
    with shop.connect() as connection:
        connection.send(b"".join(request("GET", f"/items/{number}") for number in range(3)))
        found = [connection.read().id for _ in range(3)]
    assert [shop.line(request_id)["path"] for request_id in found] == ["/items/0", "/items/1", "/items/2"]


@wire.cell("pipelined bodies go to their own requests")
def pipelined_bodies(shop: Shop) -> None:
    json = "content-type: application/json"
    bodies = [f'{{"name": "tea {number}"}}'.encode() for number in range(3)]
    with shop.connect() as connection:
        connection.send(b"".join(request("PUT", f"/items/{n}", json, body=body) for n, body in enumerate(bodies)))
        assert [connection.read().json for _ in range(3)] == [{"id": str(n), "name": f"tea {n}"} for n in range(3)]


@wire.cell("an HTTP/1.0 client is answered, and the connection closed")
def old(shop: Shop) -> None:
    with shop.connect() as connection:
        answer = connection.send(b"GET /items/7 HTTP/1.0\r\n\r\n").read()
        assert answer.json["id"] == "7"
        assert connection.is_closed()


@wire.cell("... also with a stream, without chunks that it does not know")
def old_stream(shop: Shop) -> None:
    with shop.connect() as connection:
        answer = connection.send(b"GET /slow HTTP/1.0\r\n\r\n").read()
        assert (answer["transfer-encoding"], answer.body) == (None, b"begun\ndone\n")


@wire.cell("an offer of HTTP/2 is passed over, and the request served")
def upgrade(shop: Shop) -> None:
    with shop.connect() as connection:
        assert connection.ask("GET", "/items/7", *OFFER).json["id"] == "7"
        assert connection.ask("GET", "/items/8").json["id"] == "8"


@wire.cell("... also with a body")
def upgrade_with_a_body(shop: Shop) -> None:
    with shop.connect() as connection:
        json = "content-type: application/json"
        answer = connection.ask("PUT", "/items/7", json, *OFFER, body=b'{"name": "Assam"}')
        assert answer.json == {"id": "7", "name": "Assam"}
        assert connection.ask("GET", "/items/8").json["id"] == "8"


SMUGGLED = request("GET", "/items/666")


def refused(shop: Shop, *headers: str, before: bytes = b"") -> None:
    """A request with two readings is refused. In each of them what follows would be a body, or one more request."""
    head = "\r\n".join(["POST /guarded HTTP/1.1", *headers, "", ""]).encode()
    with shop.connect() as connection:
        answer = connection.send(head + before + SMUGGLED).read()
        assert answer.status == 400, f"answered {answer.status}"
        assert connection.is_closed()


@hostile.cell("a length and chunks")
def length_and_chunks(shop: Shop) -> None:
    refused(shop, "host: x", "content-length: 5", "transfer-encoding: chunked", before=b"0\r\n\r\n")


@hostile.cell("two lengths")
def two_lengths(shop: Shop) -> None:
    refused(shop, "host: x", "content-length: 0", f"content-length: {len(SMUGGLED)}")


@hostile.cell("a length that is no plain number")
def strange_length(shop: Shop) -> None:
    refused(shop, "host: x", f"content-length: +{len(SMUGGLED)}")


@hostile.cell("a coding that is not chunks, or not last")
def strange_coding(shop: Shop) -> None:
    refused(shop, "host: x", "transfer-encoding: xchunked")
    refused(shop, "host: x", "transfer-encoding: chunked, identity")


@hostile.cell("a space before the colon")
def space_before_the_colon(shop: Shop) -> None:
    refused(shop, "host: x", f"content-length : {len(SMUGGLED)}")


@hostile.cell("a header that is folded over two lines")
def folded(shop: Shop) -> None:
    refused(shop, "host: x", f"content-length:\r\n {len(SMUGGLED)}")


@hostile.cell("no host, or two of them")
def hosts(shop: Shop) -> None:
    refused(shop, "content-length: 0")
    refused(shop, "host: x", "host: y", "content-length: 0")


@hostile.cell("a chunk whose size is none")
def strange_chunk(shop: Shop) -> None:
    with shop.connect() as connection:
        head = request("POST", f"/upload/{shop.key()}", "transfer-encoding: chunked")
        answer = connection.send(head + b"0x5\r\nhello\r\n0\r\n\r\n").read()
        assert answer.status == 400, answer.status
        assert connection.is_closed()


@hostile.cell("a body behind an offer of HTTP/2 is no request of its own")
def body_behind_an_offer(shop: Shop) -> None:
    with shop.connect() as connection:
        connection.send(request("POST", "/guarded", *OFFER, f"content-length: {len(SMUGGLED)}"))
        shop.get("/items/7")  # one more turn, so that the server has read the head by itself
        assert connection.send(SMUGGLED).read().status == 401
        assert connection.ask("GET", "/items/7").json["id"] == "7", "what was smuggled is answered"


@hostile.cell("a head that is too large is refused with 431", ours=True)
def large_head(shop: Shop) -> None:
    with shop.connect() as connection:
        answer = connection.send(request("GET", "/items/7", "x-long: " + "y" * 100_000)).read()
        assert answer.status == 431
        assert shop.line(answer.id)["outcome"] == "refused"
