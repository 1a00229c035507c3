"""FastAPI behind real sockets: what its handlers are given is open while they need it, and no longer."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx2
import pytest
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request, WebSocket
from fastapi.exceptions import DependencyScopeError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel
from starlette.middleware.base import BaseHTTPMiddleware
from websockets.asyncio.client import connect

from holdfast import Conflict, Holdfast, Resources
from holdfast.contrib.fastapi import given, problem_details
from holdfast.resources import open_containers

pytestmark = pytest.mark.anyio


class Session:
    """Stands for one connection of a pool, and for what a transaction does."""


class Shop:
    """A registry whose sessions tell what happens to them; at most `pool` of them are open at once."""

    def __init__(self, pool: int = 5) -> None:
        self.told: list[str] = []
        self.resources = Resources()
        self.pool = asyncio.Semaphore(pool)
        self.failure: Exception | None = None
        self.resources.request(open_within=1)(self.session)
        self.app = FastAPI()
        self.given = given(self.resources, Session)
        self.claimed = given(self.resources, Session, claim=True)

    async def session(self) -> AsyncIterator[Session]:
        async with self.pool:
            self.told.append("begin")
            try:
                yield Session()
            except BaseException as error:
                self.told.append(f"rollback for {type(error).__name__}")
                raise
            if self.failure is not None:
                raise self.failure
            self.told.append("commit")

    def stream(self, *, chunks: int = 2) -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            for _ in range(chunks):
                self.told.append("streaming")
                yield b"x" * 1000

        return StreamingResponse(body())


@pytest.fixture
def shop() -> Shop:
    return Shop()


def around(shop: Shop) -> Holdfast:
    return Holdfast(shop.app, resources=shop.resources, own_logs=False)


@asynccontextmanager
async def served(app) -> AsyncGenerator[httpx2.AsyncClient, None]:
    """`app` behind uvicorn on a free port, and a client for it."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, ws="websockets-sansio", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx2.AsyncClient(base_url=url, timeout=10) as client:
            await until(lambda: server.started or serving.done())
            yield client
    finally:
        server.should_exit = True
        await serving
    assert open_containers() == []


async def until(holds) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.002)


# -- when it closes --


async def test_what_a_handler_is_given_closes_before_its_answer_streams(shop):
    @shop.app.get("/")
    async def handler(session: Annotated[Session, shop.given]):
        assert isinstance(session, Session)
        shop.told.append("handler")
        return shop.stream()

    async with served(around(shop)) as client:
        assert len((await client.get("/")).content) == 2000
    assert shop.told == ["begin", "handler", "commit", "streaming", "streaming"]


async def test_what_is_claimed_stays_open_until_the_answer_has_ended(shop):
    @shop.app.get("/")
    async def handler(session: Annotated[Session, shop.claimed]):
        return shop.stream()

    async with served(around(shop)) as client:
        await client.get("/")
    assert shop.told == ["begin", "streaming", "streaming", "commit"]


async def test_plain_code_in_a_handler_gets_and_claims_the_same(shop):
    @shop.app.get("/get")
    async def get():
        await shop.resources.get(Session)
        return shop.stream(chunks=1)

    @shop.app.get("/claim")
    async def claim():
        assert await shop.resources.get(Session) is await shop.resources.claim(Session)
        return shop.stream(chunks=1)

    @shop.app.get("/while-it-streams")
    async def late():
        async def body() -> AsyncIterator[bytes]:
            shop.told.append("streaming")
            await shop.resources.get(Session)
            yield b"x"

        return StreamingResponse(body())

    async with served(around(shop)) as client:
        await client.get("/get")
        assert shop.told == ["begin", "commit", "streaming"]
        shop.told.clear()
        await client.get("/claim")
        assert shop.told == ["begin", "streaming", "commit"]
        shop.told.clear()
        await client.get("/while-it-streams")
    assert shop.told == ["streaming", "begin", "commit"]


async def test_slow_readers_hold_no_connection_of_the_pool():
    shop = Shop(pool=1)

    @shop.app.get("/export")
    async def export(session: Annotated[Session, shop.given]):
        return shop.stream(chunks=10_000)

    @shop.app.get("/item")
    async def item(session: Annotated[Session, shop.given]):
        return "one"

    async with served(around(shop)) as client:
        readers = [client.stream("GET", "/export") for _ in range(5)]
        for reader in readers:
            assert (await reader.__aenter__()).status_code == 200  # and reads no further
        assert (await client.get("/item")).json() == "one"
        for reader in readers:
            await reader.__aexit__(None, None, None)


async def test_without_holdfast_around_the_app_it_is_the_same(shop):
    @shop.app.get("/given")
    async def handler(
        session: Annotated[Session, shop.given], again: Annotated[Session, given(shop.resources, Session)]
    ):
        assert session is again
        return shop.stream(chunks=1)

    @shop.app.get("/claimed")
    async def claimed(session: Annotated[Session, shop.given], again: Annotated[Session, shop.claimed]):
        assert session is again
        assert session is await shop.resources.get(Session)
        return shop.stream(chunks=1)

    @shop.app.get("/raises")
    async def raises(session: Annotated[Session, shop.given]):
        raise HTTPException(409)

    async with served(shop.app) as client:
        await client.get("/given")
        assert shop.told == ["begin", "commit", "streaming"]
        shop.told.clear()
        await client.get("/claimed")
        assert shop.told == ["begin", "streaming", "commit"]
        shop.told.clear()
        assert (await client.get("/raises")).status_code == 409
        assert shop.told == ["begin", "rollback for HTTPException"]


async def test_a_websocket_keeps_what_it_is_given_for_the_whole_conversation(shop):
    @shop.app.websocket("/")
    async def talk(websocket: WebSocket, session: Annotated[Session, shop.given]):
        assert await shop.resources.get(Session) is session
        await websocket.accept()
        shop.told.append(await websocket.receive_text())
        assert await shop.resources.get(Session) is session
        await websocket.close()

    async with served(around(shop)) as client:
        async with connect(str(client.base_url).replace("http", "ws")) as websocket:
            await websocket.send("hello")
            await websocket.wait_closed()
        await until(lambda: shop.told == ["begin", "hello", "commit"])


# -- what fails --


async def test_an_exception_of_the_handler_reaches_the_provider(shop):
    errors = {"http": HTTPException(409), "ours": Conflict(), "any": KeyError("stock")}

    @shop.app.get("/given/{which}")
    async def with_given(which: str, session: Annotated[Session, shop.given]):
        raise errors[which]

    @shop.app.get("/get/{which}")
    async def with_get(which: str):
        await shop.resources.get(Session)
        raise errors[which]

    async with served(around(shop)) as client:
        for way in ("given", "get"):
            for which, status in {"http": 409, "ours": 409, "any": 500}.items():
                shop.told.clear()
                assert (await client.get(f"/{way}/{which}")).status_code == status
                assert shop.told == ["begin", f"rollback for {type(errors[which]).__name__}"], way


async def test_a_commit_that_fails_is_told_to_the_caller(shop):
    @shop.app.get("/given")
    async def with_given(session: Annotated[Session, shop.given]):
        return "stored"

    @shop.app.get("/get")
    async def with_get():
        await shop.resources.get(Session)
        return "stored"

    @shop.app.get("/stream")
    async def with_get_and_a_stream():
        await shop.resources.get(Session)
        return shop.stream()

    async with served(around(shop)) as client:
        for way in ("given", "get", "stream"):
            for failure, status in {OSError("the disk is full"): 500, Conflict("changed"): 409}.items():
                shop.failure = failure
                answer = await client.get(f"/{way}")
                assert (answer.status_code, way) == (status, way)
                assert answer.headers["content-type"] == "application/problem+json"
                assert "disk" not in answer.text


async def test_a_handler_of_the_app_may_answer_for_a_commit_that_failed(shop):
    shop.failure = OSError("changed by another")

    @shop.app.exception_handler(OSError)
    async def answer(request: Request, error: OSError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 409)

    @shop.app.get("/")
    async def handler(session: Annotated[Session, shop.given]):
        return "stored"

    async with served(around(shop)) as client:
        answered = await client.get("/")
    assert (answered.status_code, answered.json()) == (409, {"error": "changed by another"})


async def test_a_client_that_vanishes_leaves_nothing_open(shop):
    @shop.app.get("/")
    async def handler(session: Annotated[Session, shop.claimed]):
        return shop.stream(chunks=100_000)

    async with served(around(shop)) as client:
        async with client.stream("GET", "/"):
            assert shop.told[0] == "begin"
        await until(lambda: not open_containers())
    assert "commit" not in shop.told
    assert shop.told[-1].startswith("rollback for ")


async def test_a_pool_that_is_exhausted_is_a_503_that_tells_no_secrets():
    shop = Shop(pool=0)
    shop.resources = Resources()
    shop.resources.request(open_within=0.02)(shop.session)

    @shop.app.get("/")
    async def handler(session: Annotated[Session, given(shop.resources, Session)]):
        return "never"

    async with served(around(shop)) as client:
        answer = await client.get("/")
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:holdfast:problem:resource-failed"
    assert "session" not in answer.text.lower()


# -- together with other dependencies --


async def test_a_dependency_that_uses_what_is_given_ends_before_it_closes(shop):
    async def unit(session: Annotated[Session, shop.given]) -> AsyncIterator[str]:
        yield "unit"
        shop.told.append("unit ends")

    @shop.app.get("/")
    async def handler(
        unit: Annotated[str, Depends(unit, scope="function")], again: Annotated[Session, given(shop.resources, Session)]
    ):
        return unit

    async with served(around(shop)) as client:
        assert (await client.get("/")).json() == "unit"
    assert shop.told == ["begin", "unit ends", "commit"]


def test_a_dependency_that_would_outlive_what_it_is_given_is_refused_at_the_start(shop):
    async def unit(session: Annotated[Session, shop.given]) -> AsyncIterator[str]:
        yield "unit"

    with pytest.raises(DependencyScopeError, match=r"cannot depend on dependencies with scope .function."):

        @shop.app.get("/")
        async def handler(unit: Annotated[str, Depends(unit)]): ...


async def test_a_resource_of_the_application_is_given_to_any_dependency(shop):
    shop.resources.value(int, 42)

    async def unit(answer: Annotated[int, given(shop.resources, int)]) -> AsyncIterator[int]:
        yield answer

    @shop.app.get("/")
    async def handler(unit: Annotated[int, Depends(unit)]):
        return unit

    async with served(around(shop)) as client:
        assert (await client.get("/")).json() == 42
        with shop.resources.override(int, 43):
            assert (await client.get("/")).json() == 43


async def test_below_a_middleware_that_moves_the_handler_to_another_task_it_is_the_same(shop):
    async def passing(request, call_next):
        return await call_next(request)

    shop.app.add_middleware(BaseHTTPMiddleware, dispatch=passing)

    @shop.app.get("/")
    async def handler(session: Annotated[Session, shop.given]):
        return shop.stream(chunks=1)

    @shop.app.get("/get")
    async def get():
        await shop.resources.get(Session)
        return shop.stream(chunks=1)

    @shop.app.get("/sync")
    def sync(session: Annotated[Session, shop.given]):
        raise HTTPException(404)

    async with served(around(shop)) as client:
        await client.get("/")
        assert shop.told == ["begin", "commit", "streaming"]
        shop.told.clear()
        await client.get("/get")
        assert shop.told[0] == "begin"
        assert "commit" in shop.told
        shop.told.clear()
        assert (await client.get("/sync")).status_code == 404
    assert shop.told == ["begin", "rollback for HTTPException"]


# -- problems --


class Order(BaseModel):
    item: str
    count: int


async def test_what_fastapi_finds_invalid_is_a_problem_that_repeats_nothing(shop):
    problem_details(shop.app)

    @shop.app.post("/orders/{shop_id}")
    async def order(shop_id: int, orders: list[Order], page: Annotated[int, Query(ge=1)] = 1):
        return "ordered"

    async with served(around(shop)) as client:
        answer = await client.post("/orders/hunter1?page=0", json=[{"count": "hunter2", "a/b": 1}])
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        document = answer.json()
        assert document["type"] == "urn:holdfast:problem:invalid"
        assert document["request_id"] == answer.headers["x-request-id"]
        assert [(e["in"], e.get("name"), e.get("pointer")) for e in document["errors"]] == [
            ("path", "shop_id", None),
            ("query", "page", None),
            ("body", None, "/0/item"),
            ("body", None, "/0/count"),
        ]
        assert all(e["detail"] for e in document["errors"])
        assert "hunter" not in answer.text
        broken = await client.post("/orders/1", content=b"[{,", headers={"content-type": "application/json"})
        assert broken.status_code == 422
        assert broken.json()["errors"] == [{"detail": "JSON decode error", "in": "body", "position": 2}]
        assert (await client.post("/orders/1", json=[])).json() == "ordered"


def test_the_openapi_document_says_so(shop):
    problem_details(shop.app)

    @shop.app.post("/orders")
    async def order(order: Order):
        return "ordered"

    for _ in range(2):
        document = shop.app.openapi()
        answer = document["paths"]["/orders"]["post"]["responses"]["422"]
        assert answer["content"] == {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/InvalidProblem"}}
        }
        assert set(document["components"]["schemas"]) == {"InvalidProblem", "Order"}
