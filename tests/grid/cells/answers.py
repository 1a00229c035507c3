"""What the application answers, and what it sees of the request."""

from grid.cell import Group
from grid.client import request
from grid.shop import Shop

group = Group("Requests and answers")


@group.cell("a path parameter arrives decoded")
def path_parameter(shop: Shop) -> None:
    answer = shop.get("/items/caf%C3%A9%20noir")
    assert (answer.status, answer.json["id"]) == (200, "café noir")


@group.cell("path, query and repeated headers arrive as they were sent")
def request_as_sent(shop: Shop) -> None:
    answer = shop.get("/request?tea=green&tea=black%20tea", "x-thing: one", "x-thing: two")
    seen = answer.json
    assert (seen["method"], seen["path"], seen["query"]) == ("GET", "/request", "tea=green&tea=black%20tea")
    assert seen["things"] == ["one", "two"]


@group.cell("an absolute address in the request line is the path that it names")
def absolute_address(shop: Shop) -> None:
    with shop.connect() as connection:
        connection.send(b"GET http://shop.test/request?a=1 HTTP/1.1\r\nhost: shop.test\r\n\r\n")
        seen = connection.read().json
    assert (seen["path"], seen["query"]) == ("/request", "a=1")


@group.cell("JSON in, JSON out")
def json_in(shop: Shop) -> None:
    answer = shop.ask("PUT", "/items/7", "content-type: application/json", body=b'{"name": "Assam"}')
    assert (answer.status, answer.json) == (200, {"id": "7", "name": "Assam"})


@group.cell("what the start leaves in the state reaches the handlers")
def state(shop: Shop) -> None:
    assert shop.get("/items/7").json["opened"] == "by the first light"


@group.cell("a header that a middleware adds is on plain and on streamed answers")
def middleware(shop: Shop) -> None:
    assert shop.get("/items/7").all("x-shop") == ["open"]
    assert shop.get("/slow").all("x-shop") == ["open"]


@group.cell("two cookies of one answer both arrive")
def cookies(shop: Shop) -> None:
    found = shop.get("/cookies").all("set-cookie")
    assert [cookie.partition(";")[0] for cookie in found] == ["tea=green", "cup=large"]


@group.cell("large headers pass, 16 KiB out and 32 KiB in")
def large_headers(shop: Shop) -> None:
    assert len(shop.get("/large")["x-large"] or "") == 16_384
    assert shop.get("/request", "x-long: " + "y" * 32_768).json["long"] == 32_768


@group.cell("a mounted application answers below its path")
def mounted(shop: Shop) -> None:
    answer = shop.get("/sub/hello/world")
    assert (answer.status, answer.json) == (200, {"hello": "world"})


@group.cell("an error body of the application's own is left alone")
def own_errors(shop: Shop) -> None:
    for status in (404, 405, 422, 500, 503):
        answer = shop.get(f"/own/{status}")
        assert (answer.status, answer.json) == (status, {"error": "ours"})


@group.cell("a background task runs after the answer")
def background(shop: Shop) -> None:
    key = shop.key()
    assert shop.ask("POST", f"/later/{key}", body=b"").status == 202
    assert shop.seen(key) is None
    shop.release(key)
    shop.await_seen(key, "done")


@group.cell("HEAD is answered with the length and without the body")
def head(shop: Shop) -> None:
    length = len(shop.get("/items/7").body)
    with shop.connect() as connection:
        answer = connection.ask("HEAD", "/items/7")
        assert (answer.status, answer["content-length"]) == (200, str(length))
        assert connection.ask("GET", "/items/7").status == 200


@group.cell("HEAD of a stream is answered without a body")
def head_of_a_stream(shop: Shop) -> None:
    key = shop.key()
    shop.release(key)
    with shop.connect() as connection:
        assert connection.ask("HEAD", f"/stream/{key}").status == 200
        assert connection.ask("GET", "/items/7").status == 200


@group.cell("204 has no body and no length, and the connection goes on")
def no_content(shop: Shop) -> None:
    with shop.connect() as connection:
        connection.send(request("GET", "/empty") + request("GET", "/items/7"))
        answer = connection.read()
        assert (answer.status, answer["transfer-encoding"]) == (204, None)
        assert answer["content-length"] is None, f"content-length: {answer['content-length']}"
        assert connection.read().json["id"] == "7"


@group.cell("304 has no body, and the connection goes on")
def not_modified(shop: Shop) -> None:
    with shop.connect() as connection:
        connection.send(request("GET", "/same") + request("GET", "/items/7"))
        answer = connection.read()
        assert (answer.status, answer["etag"], answer["transfer-encoding"]) == (304, '"same"', None)
        assert connection.read().json["id"] == "7"
