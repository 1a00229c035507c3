"""What Holdfast brings to an application that never heard of it: IDs, lines, problem documents."""

import json
import threading

from grid.cell import Group
from grid.client import Answer
from grid.shop import Shop

ids = Group("Request IDs")
logs = Group("Logs")
problems = Group("Problem documents")

PAGE = "accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


# -- IDs --


@ids.cell("an answer carries one", ours=True)
def id_of_an_answer(shop: Shop) -> None:
    first, second = shop.get("/items/7"), shop.get("/items/7")
    assert first.id != second.id


@ids.cell("so does one to HEAD", ours=True)
def id_of_head(shop: Shop) -> None:
    assert shop.ask("HEAD", "/items/7").id


@ids.cell("so does a stream, from its first byte", ours=True)
def id_of_a_stream(shop: Shop) -> None:
    key = shop.key()
    with shop.connect() as connection:
        connection.send(f"GET /stream/{key} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        assert connection.head().id
        shop.release(key)
        assert connection.rest() == b"first\nlast\n"


@ids.cell("so do 404 and 405", ours=True)
def id_of_what_is_not_there(shop: Shop) -> None:
    assert shop.get("/nowhere").id
    assert shop.ask("DELETE", "/items/7").id


@ids.cell("so does the 500 of an exception", ours=True)
def id_of_an_exception(shop: Shop) -> None:
    answer = shop.get("/breaks")
    assert (answer.status, bool(answer.id)) == (500, True)


@ids.cell("so does an error body of the application's own", ours=True)
def id_of_an_own_error(shop: Shop) -> None:
    assert shop.get("/own/404").id


@ids.cell("so does a refusal before the application", ours=True)
def id_of_a_refusal(shop: Shop) -> None:
    with shop.connect() as connection:
        answer = connection.send(b"GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n").read()
    assert answer.status == 400
    assert shop.line(answer.id)["outcome"] == "refused"


@ids.cell("the client's own ID is kept beside it", ours=True)
def id_of_the_client(shop: Shop) -> None:
    answer = shop.get("/items/7", "x-request-id: mine-1")
    assert answer.id != "mine-1"
    assert shop.line(answer.id)["client_request_id"] == "mine-1"


# -- logs --


@logs.cell("a request has one canonical line, with what came of it", ours=True)
def canonical_line(shop: Shop) -> None:
    answer = shop.get("/items/7?size=2")
    line = shop.line(answer.id)
    assert (line["method"], line["path"], line["query"]) == ("GET", "/items/7", "size=2")
    assert (line["status"], line["outcome"], line["level"]) == (200, "ok", "info")
    assert (line["bytes_out"], line["client"]) == (len(answer.body), "127.0.0.1")


@logs.cell("the line names the route", ours=True)
def route(shop: Shop) -> None:
    assert shop.line(shop.get("/items/7").id)["route"] == "/items/{item_id}"


@logs.cell("the line names the route of a mounted application", ours=True)
def route_of_the_mounted(shop: Shop) -> None:
    line = shop.line(shop.get("/sub/hello/world").id)
    assert line["route"] == "/sub/hello/{name}"


@logs.cell("the line keeps the whole path of a mounted application", ours=True)
def path_of_the_mounted(shop: Shop) -> None:
    answer = shop.get("/sub/hello/world")
    assert (answer.status, shop.line(answer.id)["path"]) == (200, "/sub/hello/world")


@logs.cell("404 is `rejected`", ours=True)
def line_of_what_is_not_there(shop: Shop) -> None:
    line = shop.line(shop.get("/nowhere").id)
    assert (line["status"], line["outcome"], line["level"]) == (404, "rejected", "info")


@logs.cell("an exception is `failed`, and its traceback is found under the ID", ours=True)
def line_of_an_exception(shop: Shop) -> None:
    answer = shop.get("/breaks")
    line = shop.line(answer.id)
    assert (line["status"], line["outcome"], line["level"]) == (500, "failed", "error")
    told = [json.dumps(found) for found in shop.lines(answer.id, "the shelf fell down")]
    assert any("RuntimeError" in text and f"{shop.framework}_app.py" in text for text in told), told


@logs.cell("a line that the application logs carries the ID and its own fields", ours=True)
def line_of_the_application(shop: Shop) -> None:
    answer = shop.get("/items/71")
    (told,) = shop.lines(answer.id, "item read")
    assert (told["logger"], told["level"], told["item"]) == ("shop", "info", "71")


@logs.cell("so does one that is logged in a thread", ours=True)
def line_of_a_thread(shop: Shop) -> None:
    assert len(shop.lines(shop.get("/thread").id, "from a thread")) == 1


@logs.cell("so does one that is logged in a background task", ours=True)
def line_of_a_background_task(shop: Shop) -> None:
    key = shop.key()
    answer = shop.ask("POST", f"/later/{key}", body=b"")
    assert answer.status == 202
    shop.release(key)
    assert len(shop.lines(answer.id, "done afterwards")) == 1


@logs.cell("all that is logged of an exception, by the framework too, is JSON under the ID", ours=True)
def lines_of_the_framework(shop: Shop) -> None:
    before = len(shop.running.output)
    answer = shop.get("/breaks")
    shop.line(answer.id)
    told = [line for line in shop.running.output[before:] if "the shelf fell down" in line]
    assert told
    assert {json.loads(line)["request_id"] for line in told} == {answer.id}


@logs.cell("nothing else is put out: every line is JSON, and standard error stays empty", ours=True)
def nothing_else(shop: Shop) -> None:
    shop.line(shop.get("/items/7").id)
    assert [line for line in shop.running.output if not line.startswith("{")] == []
    assert shop.running.errors == []


@logs.cell("requests that run at the same time do not mix", ours=True)
def meeting(shop: Shop) -> None:
    answers: dict[str, Answer] = {}
    names = ("left", "right")
    asking = [
        threading.Thread(target=lambda name=name: answers.update({name: shop.get(f"/meet/{name}")})) for name in names
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(shop.patience_s)
    for name in names:
        shop.line(answers[name].id)  # the last of its lines
        told = shop.lines(answers[name].id, "the meeting")
        assert [(line["event"], line["who"]) for line in told] == [
            ("before the meeting", name),
            ("after the meeting", name),
        ]


# -- problem documents --


def document(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer["content-type"]) == (status, "application/problem+json"), answer.body
    assert answer.json["type"] == f"urn:holdfast:problem:{code}"
    assert (answer.json["status"], answer.json["request_id"]) == (status, answer.id)


@problems.cell("of an exception that nobody handled, which says nothing of its insides", ours=True)
def problem_of_an_exception(shop: Shop) -> None:
    answer = shop.get("/breaks")
    document(answer, 500, "unforeseen")
    assert b"shelf" not in answer.body


@problems.cell("of the framework's own 404", ours=True)
def problem_of_404(shop: Shop) -> None:
    document(shop.get("/nowhere"), 404, "not-found")


@problems.cell("of the framework's own 405, which keeps `Allow`", ours=True)
def problem_of_405(shop: Shop) -> None:
    answer = shop.ask("DELETE", "/items/7")
    document(answer, 405, "method-not-allowed")
    assert "GET" in (answer["allow"] or "")


@problems.cell("as a page, for a browser", ours=True)
def page(shop: Shop) -> None:
    for path, status in (("/nowhere", 404), ("/breaks", 500)):
        answer = shop.get(path, PAGE)
        assert (answer.status, answer["content-type"]) == (status, "text/html; charset=utf-8")
        assert answer.id.encode() in answer.body, answer.body
