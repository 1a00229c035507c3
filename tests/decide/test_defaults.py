import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from holdfast.decide import defaults
from holdfast.decide.defaults import is_default, may_be_default


async def fails(request):
    raise RuntimeError


@pytest.mark.filterwarnings("ignore::Warning")
@pytest.mark.parametrize(
    "app", [Starlette(routes=[Route("/", fails)]), FastAPI(routes=[Route("/", fails)])], ids=["starlette", "fastapi"]
)
def test_what_the_installed_frameworks_answer_by_default_is_known(app):
    client = TestClient(app, raise_server_exceptions=False)
    for answer in (client.get("/nowhere"), client.post("/"), client.get("/")):
        assert is_default(answer.status_code, answer.content), answer.content


@pytest.mark.parametrize(
    "body", [b'{"detail":"File not found"}', b"", b'{"detail":"Not Found","code":7}', b"not found"]
)
def test_a_body_that_the_application_wrote_is_not_taken_for_a_default(body):
    assert not is_default(404, body)


def test_no_known_default_is_longer_than_what_is_looked_at():
    assert max(len(body) for bodies in defaults._KNOWN.values() for body in bodies) <= defaults.MAX_BYTES


def test_a_long_or_well_answer_is_not_looked_at():
    assert not may_be_default(200, 20)
    assert not may_be_default(404, 100_000)
    assert may_be_default(404, None)
