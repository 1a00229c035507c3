"""Requests of templates: what is filled in, what bodies are made, and what is found in answers."""

import asyncio
import csv
import io

import pytest

from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.sending import (
    chance_bytes,
    chance_pieces,
    filled,
    found_in,
    request,
    streamed,
    table,
    table_pieces,
)


def test_names_are_filled_in_and_what_is_not_known_stays():
    assert filled("/files/{id}?n={x y}&m={unknown}", {"id": "a/b"}, quoted=True) == "/files/a%2Fb?n={x y}&m={unknown}"


def test_two_requests_of_one_template_differ():
    template = Template("POST", "/items?name={name}", json={"n": "{n}", "deep": ["{name}"]})
    first, second = request(template), request(template)
    assert first.path != second.path
    assert first.body != second.body
    assert first.headers["Content-Type"] == "application/json"


def test_a_form_carries_the_file_and_its_fields():
    sent = request(Template("POST", "/files", file="upload", form={"title": "{name}"}), {"name": "x"}, b"a,b\n1,2\n")
    assert b'name="title"\r\n\r\nx\r\n' in (sent.body or b"")
    assert b'name="upload"; filename="x.csv"' in (sent.body or b"")
    assert b"a,b\n1,2\n" in (sent.body or b"")


def test_a_streamed_form_has_the_length_that_it_says():
    async def run() -> bytes:
        sent = streamed(Template("POST", "/files", file="f"), chance_pieces(200_000, 1), 200_000)
        whole = b"".join([piece async for piece in sent.pieces])
        assert len(whole) == sent.length
        return whole

    assert chance_bytes(200_000, 1) in asyncio.run(run())


@pytest.mark.parametrize("rows", [0, 1, 999, 1000, 1001, 5432])
def test_a_table_has_as_many_rows_as_are_wanted_in_pieces_too(rows):
    whole = b"".join(table_pieces(rows))
    assert whole == table(rows)
    assert len(list(csv.reader(io.StringIO(whole.decode())))) == rows + 1


@pytest.mark.parametrize(
    ("where", "found"),
    [("id", "7"), ("file.id", "x"), ("items.1.id", "b"), ("header:Location", "/x"), ("nothing.here", ""), ("", "")],
)
def test_what_an_answer_names_is_found(where, found):
    body = b'{"id": 7, "file": {"id": "x"}, "items": [{"id": "a"}, {"id": "b"}]}'
    assert found_in(Answer(201, {"location": "/x"}, body, 0.0), where) == found


def test_an_answer_that_is_no_json_names_nothing():
    assert found_in(Answer(200, {}, b"<html>", 0.0), "id") == ""
