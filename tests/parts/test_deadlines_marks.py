"""Routes that have deadlines of their own, in the frameworks that leave in the scope what they call."""

import asyncio

import pytest
from calling import call, scope_of
from fastapi import FastAPI, Request
from litestar import Litestar, get
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from holdfast import context, deadlines, problems
from holdfast.context import ContextSettings
from holdfast.parts.deadlines import DeadlineSettings, layer, timeouts_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def pause() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0.2)


def starlette_app():
    @deadlines.route(timeout_s=0.05)
    async def short(request):
        await pause()
        return PlainTextResponse("done")

    @deadlines.route(timeout_s=60)
    async def long(request):
        await pause()
        return PlainTextResponse("done")

    async def passes(request, call_next):
        return await call_next(request)

    app = Starlette(routes=[Route("/short", short), Mount("/of", routes=[Route("/long", long)])])
    app.add_middleware(BaseHTTPMiddleware, dispatch=passes)
    return app


def fastapi_app():
    app = FastAPI()

    @app.get("/short")
    @deadlines.route(timeout_s=0.05)
    async def short() -> str:
        await pause()
        return "done"

    @app.post("/of/long")
    @app.get("/of/long")
    @deadlines.route(timeout_s=60)
    async def long(request: Request) -> str:
        await pause()
        return "done"

    return app


def litestar_app():
    @get("/short")
    @deadlines.route(timeout_s=0.05)
    async def short() -> str:
        await pause()
        return "done"

    @get("/of/long")
    @deadlines.route(timeout_s=60)
    async def long() -> str:
        await pause()
        return "done"

    return Litestar([short, long])


@pytest.mark.parametrize("make", [starlette_app, fastapi_app, litestar_app])
async def test_a_route_has_the_deadline_that_it_says(make):
    def kept(**settings):
        rule = timeouts_of(DeadlineSettings(**settings))
        return context.layer(problems.layer(layer(make(), rule)), ContextSettings())

    def ask(path, **headers):
        more = {"root_path": "", "http_version": "1.1", "asgi": {"version": "3.0"}, "server": None, "raw_path": b""}
        return scope_of(path, headers=[(name.replace("_", "-"), value) for name, value in headers.items()], **more)

    assert (await call(kept(timeout_s=60), ask("/short"))).status == 504
    assert (await call(kept(timeout_s=0.1), ask("/of/long"))).status == 200
    asked = ask("/of/long", holdfast_timeout_ms="100")
    assert (await call(kept(timeout_s=60), asked)).status == 504  # the sender may have less
    said = kept(timeout_s=60, timeout_routes=("/short=60", "/of/*=0.1"))
    assert (await call(said, ask("/short"))).status == 200  # what the operator says counts before it
    assert (await call(said, ask("/of/long"))).status == 504
