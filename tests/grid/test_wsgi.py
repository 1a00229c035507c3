"""WSGI is not served; an application of Flask is, through asgiref's adapter."""

import pytest
from grid.shop import opened

pytest.importorskip("flask")
pytest.importorskip("asgiref")


@pytest.fixture(scope="module")
def shop():
    with opened("flask", "holdfast") as shop:
        yield shop


def test_flask_is_served_through_its_adapter(shop):
    answer = shop.get("/items/7")
    assert (answer.status, answer.json, answer["x-shop"]) == (200, {"id": "7"}, "open")
    line = shop.line(answer.id)
    assert (line["path"], line["status"], line["outcome"], line["route"]) == ("/items/7", 200, "ok", None)
    assert len(shop.lines(answer.id, "item read")) == 1


def test_flask_is_sent_bodies(shop):
    answer = shop.ask("PUT", "/items/7", "content-type: application/json", body=b'{"name": "Assam"}')
    assert answer.json == {"id": "7", "name": "Assam"}


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/items/7", 405)])
def test_what_flask_answers_by_default_becomes_a_problem_document(shop, method, path, status):
    answer = shop.ask(method, path)
    assert (answer.status, answer.json["status"], answer.json["request_id"]) == (status, status, answer.id)


def test_an_exception_in_flask_is_a_problem_document_and_in_the_log_under_its_id(shop):
    answer = shop.get("/breaks")
    assert (answer.status, answer.json["type"]) == (500, "urn:holdfast:problem:unforeseen")
    assert any("RuntimeError" in str(line) for line in shop.lines(answer.id, "the shelf fell down"))


def test_flask_itself_is_not_served_and_the_way_is_named(tmp_path):
    with opened("flask", "holdfast", app="flask_app:flask", ready=False) as shop:
        assert shop.running.ended() == 3
        assert any("asgiref.wsgi.WsgiToAsgi" in line for line in shop.told)
