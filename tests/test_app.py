"""`Holdfast(app)` on a server that is not ours."""

import asyncio
import socket
import threading
from contextlib import asynccontextmanager

import httpx2
import pytest
import uvicorn
from running import wait_until
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from holdfast import Holdfast, draining
from holdfast.context import ContextSettings
from holdfast.decide.lifecycle import State


async def home(request):
    return PlainTextResponse(f"the lifespan gave {request.state.given}")


@asynccontextmanager
async def life(app):
    yield {"given": "a database"}


@pytest.fixture
def wrapped():
    app = Holdfast(Starlette(routes=[Route("/", home)], lifespan=life), settings=ContextSettings(), own_logs=False)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    wait_until(lambda: server.started, "started")
    yield app, f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    assert app.lifecycle.state is State.STOPPED
    assert not draining.is_set()


def test_on_plain_uvicorn_requests_have_ids_errors_are_explained_and_probes_answer(wrapped):
    _, url = wrapped
    answer = httpx2.get(url)
    assert answer.headers["x-request-id"]
    assert answer.text == "the lifespan gave a database"
    assert httpx2.get(f"{url}/nowhere").json()["type"] == "urn:holdfast:problem:not-found"
    assert httpx2.get(f"{url}/-/ready").json() == {"status": "ready", "state": "serving"}
    assert httpx2.get(f"{url}/-/live").status_code == 200
