import pytest
from calling import call, scope_of
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from holdfast.decide.routes import route_of

pytestmark = pytest.mark.anyio


async def home(request):
    return PlainTextResponse("home")


def starlette(folder) -> Starlette:
    below = [Route("/hello/{name}", home), Mount("/deeper", routes=[Route("/{size:int}", home)])]
    return Starlette(
        routes=[
            Route("/items/{item_id}", home),
            Mount("/sub", routes=below),
            Mount("/of/{tenant}", routes=below),
            Mount("/static", StaticFiles(directory=folder)),
        ]
    )


def fastapi(folder) -> FastAPI:
    app, sub, inner, outer = FastAPI(), FastAPI(), APIRouter(prefix="/inner"), APIRouter(prefix="/outer")
    for router, path in ((app, "/items/{item_id}"), (sub, "/hello/{name}"), (sub, "/deeper/{size}"), (inner, "/{x}")):
        router.get(path)(lambda: "home")
    outer.include_router(inner, prefix="/middle")
    app.include_router(inner, prefix="/v1")
    app.include_router(outer)
    app.mount("/sub", sub)
    app.mount("/of/{tenant}", sub)
    app.mount("/static", StaticFiles(directory=folder))
    return app


async def route(app, path: str, root: str = "", method: str = "GET") -> str | None:
    """What is found in the scope when the application has returned."""
    scope = scope_of(root + path, method, root_path=root, asgi={"spec_version": "2.3"})
    await call(app, scope)
    return route_of(scope)


@pytest.mark.parametrize("root", ["", "/shop"])
@pytest.mark.parametrize("make", [starlette, fastapi])
@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/items/7", "/items/{item_id}"),
        ("/sub/hello/you", "/sub/hello/{name}"),
        ("/of/acme/hello/you", "/of/{tenant}/hello/{name}"),
        ("/of/acme/hello/acme", "/of/{tenant}/hello/{name}"),
        ("/static/some/page.html", "/static"),
        ("/sub/nowhere", "/sub"),
        ("/nowhere", None),
    ],
)
async def test_the_template_is_found_below_mounts_and_without_the_root_path(make, path, template, root, tmp_path):
    assert await route(make(tmp_path), path, root) == template


@pytest.mark.parametrize("root", ["", "/shop"])
async def test_a_mount_in_a_mount_is_found(root, tmp_path):
    assert await route(starlette(tmp_path), "/sub/deeper/7", root) == "/sub/deeper/{size:int}"
    assert await route(starlette(tmp_path), "/of/acme/deeper/7", root) == "/of/{tenant}/deeper/{size:int}"


@pytest.mark.parametrize("root", ["", "/shop"])
@pytest.mark.parametrize(
    ("path", "template"), [("/v1/inner/7", "/v1/inner/{x}"), ("/outer/middle/inner/7", "/outer/middle/inner/{x}")]
)
async def test_the_prefixes_of_routers_that_fastapi_includes_are_found(path, template, root, tmp_path):
    assert await route(fastapi(tmp_path), path, root) == template


async def test_a_method_that_the_route_has_not_names_the_route(tmp_path):
    assert await route(fastapi(tmp_path), "/v1/inner/7", method="DELETE") == "/v1/inner/{x}"
    assert await route(starlette(tmp_path), "/items/7", method="DELETE") == "/items/{item_id}"


async def test_a_websocket_has_a_route_too():
    async def socket(websocket):
        await websocket.close()

    app, router = FastAPI(), APIRouter(prefix="/live")
    router.websocket("/{room}")(lambda websocket: socket(websocket))
    app.include_router(router, prefix="/v1")
    for served, path, template in (
        (app, "/v1/live/7", "/v1/live/{room}"),
        (Starlette(routes=[WebSocketRoute("/ws/{key}", socket)]), "/ws/7", "/ws/{key}"),
    ):
        scope = {**scope_of(path), "type": "websocket", "subprotocols": []}
        await call(served, scope)
        assert route_of(scope) == template


@pytest.mark.parametrize(("left", "template"), [("/teas/<name>", "/teas/<name>"), ("", None), (7, None)])
def test_a_template_that_an_application_leaves_is_taken(left, template):
    assert route_of({"path_template": left}) == template
