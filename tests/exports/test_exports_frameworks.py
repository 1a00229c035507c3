"""The same export from FastAPI, Starlette, Litestar and nobody, and behind what people put around an application."""

import gzip

import httpx2
import pytest
from exporting_shop import begun, rest, unchunked
from running import serving, wait_until

APP = """
import asyncio
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, Response
from litestar import Litestar, get
from litestar.middleware.compression import CompressionMiddleware
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from holdfast import exports

told = {"background": 0, "closed": 0, "dependency": 0}


def rows(count, error=False):
    def made():
        try:
            for number in range(count):
                yield (number, "x" * 50)
            if error:
                raise RuntimeError("no words of this to anybody")
        finally:
            told["closed"] += 1
    return made


def made(kind):
    if kind == "wrong":
        return exports.stream([(1, 2, 3)], columns=["id"], form="csv")
    counts = {"whole": 3000, "broken": 5000, "endless": 10**9}
    made = rows(counts[kind], kind == "broken")
    return exports.stream(made, columns={"id": int, "note": str}, form="csv", name="teas")


# FastAPI

fast = FastAPI()


async def dependency():
    yield
    told["dependency"] += 1


@fast.get("/{kind}")
async def by_coroutine(kind: str, tasks: BackgroundTasks, open: Annotated[None, Depends(dependency)]):
    tasks.add_task(lambda: told.update(background=told["background"] + 1))
    return made(kind)


@fast.get("/function/{kind}")
def by_function(kind: str) -> exports.Export:
    return made(kind)


@fast.get("/adorned/{kind}")
async def adorned(kind: str):
    answer = made(kind)
    answer.headers["X-Teas"] = "3"
    answer.headers.append("X-Teas", "4")
    answer.set_cookie("seen", "yes")
    return answer


@fast.get("/response/{kind}", response_class=Response)
async def as_response(kind: str):
    return made(kind)


# Starlette


async def plain(request):
    answer = made(request.path_params["kind"])
    answer.background = BackgroundTask(lambda: told.update(background=told["background"] + 1))
    return answer


async def passing(request, call_next):
    answer = await call_next(request)
    answer.headers["x-passed"] = "yes"
    return answer


routes = [Route("/{kind}", plain)]
star = Starlette(routes=routes)
based = Starlette(routes=routes, middleware=[Middleware(BaseHTTPMiddleware, dispatch=passing)])
zipped = Starlette(routes=routes, middleware=[Middleware(GZipMiddleware, minimum_size=0)])
crossed = Starlette(routes=routes, middleware=[Middleware(CORSMiddleware, allow_origins=["*"])])


# Litestar


@get("/{kind:str}", sync_to_thread=False)
def starred(kind: str) -> exports.Export:
    return made(kind)


lite = Litestar([starred])


# nobody


async def bare(scope, receive, send):
    await made(scope["path"].strip("/"))(scope, receive, send)


async def state(scope, receive, send):
    await JSONResponse(told)(scope, receive, send)


apps = {"fastapi": fast, "starlette": star, "base": based, "gzip": zipped, "cors": crossed,
        "litestar": lite, "bare": bare, "state": state}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        async with lite.lifespan():
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    name, _, path = scope["path"].lstrip("/").partition("/")
    await apps[name]({**scope, "path": "/" + path, "raw_path": b"/" + path.encode()}, receive, send)
"""
WAYS = [
    "fastapi",
    "fastapi/function",
    "fastapi/response",
    "starlette",
    "base",
    "gzip",
    "cors",
    "litestar",
    "bare",
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("frameworks"), APP) as running:
        yield running


def get(shop, path: str, coding: str = "identity") -> httpx2.Response:
    return httpx2.get(f"{shop.url}/{path}", headers={"accept-encoding": coding, "origin": "http://x"}, timeout=20)


def told(shop, name: str) -> int:
    return get(shop, "state").json()[name]


@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_same_export_everywhere(shop, way):
    answer = get(shop, f"{way}/whole")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="teas.csv"'
    assert [line.split(",")[0] for line in answer.text.splitlines()] == ['"id"', *map(str, range(3000))]
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("way", WAYS)
def test_compressed_it_is_compressed_once(shop, way):
    with httpx2.stream("GET", f"{shop.url}/{way}/whole", headers={"accept-encoding": "gzip"}) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed) == get(shop, f"{way}/whole").content


@pytest.mark.parametrize("way", WAYS)
def test_an_error_in_the_middle_is_a_cut_everywhere(shop, way):
    before = told(shop, "closed")
    with begun(shop.port, f"/{way}/broken", headers="Accept-Encoding: identity\r\n") as client:
        received = rest(client)
    _, body, whole = unchunked(received)
    assert not whole
    assert body.startswith(b'"id","note"\n0,')
    assert b"no words" not in received
    assert told(shop, "closed") == before + 1


@pytest.mark.parametrize("way", WAYS)
def test_an_error_at_the_start_is_a_problem_document_everywhere(shop, way):
    answer = get(shop, f"{way}/wrong")
    assert answer.status_code == 500
    code = "unforeseen" if way == "litestar" else "columns-mismatch"  # it answers for every error itself
    assert answer.json()["type"] == f"urn:holdfast:problem:{code}"


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_leaves_ends_the_export_everywhere(shop, way):
    before = told(shop, "closed")
    client = begun(shop.port, f"/{way}/endless")
    while len(client.recv(65536)) < 100:
        pass
    client.close()
    wait_until(lambda: told(shop, "closed") == before + 1, "the source is closed", 3)


@pytest.mark.parametrize("way", ["fastapi", "starlette", "base"])
def test_background_tasks_run_once_the_export_is_sent(shop, way):
    before = told(shop, "background")
    get(shop, f"{way}/whole")
    wait_until(lambda: told(shop, "background") == before + 1, "the background task has run", 3)


def test_a_dependency_is_closed_behind_the_export(shop):
    before = told(shop, "dependency")
    for kind in ("whole", "wrong"):
        get(shop, f"fastapi/{kind}")
    wait_until(lambda: told(shop, "dependency") >= before + 1, "the dependency is closed", 3)


def test_a_handler_may_put_headers_and_cookies_on_its_answer(shop):
    answer = get(shop, "fastapi/adorned/whole")
    assert answer.headers.get_list("x-teas") == ["3", "4"]
    assert answer.cookies["seen"] == "yes"
    assert answer.headers["content-disposition"] == 'attachment; filename="teas.csv"'


def test_a_middleware_may_add_headers(shop):
    assert get(shop, "base/whole").headers["x-passed"] == "yes"
    assert get(shop, "cors/whole").headers["access-control-allow-origin"] == "*"
