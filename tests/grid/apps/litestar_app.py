"""The shop on Litestar."""

from contextlib import asynccontextmanager

import shelf
from litestar import Litestar, MediaType, Request, Response, WebSocket, asgi, get, post, put, route, websocket
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import Cookie, State
from litestar.enums import ScopeType
from litestar.exceptions import InternalServerException, WebSocketDisconnect
from litestar.middleware import ASGIMiddleware
from litestar.params import FromPath, JSONBody
from litestar.response import ServerSentEvent, Stream
from litestar.types import Receive, Scope, Send


@asynccontextmanager
async def lifespan(app):
    app.state.opened = shelf.opened()
    yield
    shelf.closed()


class OpenShop(ASGIMiddleware):
    scopes = (ScopeType.HTTP,)

    async def handle(self, scope, receive, send, next_app):
        async def with_header(message):
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-shop", b"open")]}
            await send(message)

        await next_app(scope, receive, with_header)


@route("/items/{item_id:str}", http_method=["GET", "HEAD"], name="item")
async def item(item_id: FromPath[str], state: State) -> dict:
    shelf.log.info("item read", extra={"item": item_id})
    return {"id": item_id, "opened": state.opened}


@put("/items/{item_id:str}")
async def put_item(item_id: FromPath[str], data: JSONBody[dict[str, str]]) -> dict:
    return {"id": item_id, **data}


@get("/request")
async def seen_request(request: Request) -> dict:
    return {
        "method": request.method,
        "path": request.url.path,
        "query": request.url.query,
        "things": request.headers.getall("x-thing", []),
        "long": max(len(value) for value in request.headers.values()),
    }


@get("/url")
async def url(request: Request) -> dict:
    return {"url": request.url_for("item", item_id="7")}


@get("/own/{status:int}")
async def own(status: FromPath[int]) -> Response:
    return Response({"error": "ours"}, status_code=status)


@get("/breaks")
async def breaks() -> None:
    raise RuntimeError("the shelf fell down")


@get("/half")
async def half() -> Stream:
    return Stream(shelf.half())


@get("/empty", status_code=204)
async def empty() -> None:
    return None


@get("/same", status_code=304)
async def same() -> Response[None]:
    return Response(None, headers={"etag": '"same"'})


@get("/cookies")
async def cookies() -> Response:
    return Response({}, cookies=[Cookie("tea", value="green"), Cookie("cup", value="large")])


@get("/large")
async def large() -> Response:
    return Response({}, headers={"x-large": shelf.LARGE})


@get("/thread", sync_to_thread=True)
def thread() -> dict:
    shelf.log.info("from a thread")
    return {}


@get("/meet/{name:str}")
async def meet(name: FromPath[str]) -> dict:
    await shelf.meet(name)
    return {}


@post("/upload/{key:str}", status_code=200, request_max_body_size=None)
async def upload(key: FromPath[str], request: Request) -> dict:
    received = shelf.Received(key)
    try:
        async for piece in request.stream():
            received.add(piece)
    except InternalServerException as error:
        received.left(error)
        raise
    return received.result


@post("/held/{key:str}", status_code=200, request_max_body_size=None)
async def held(key: FromPath[str], request: Request) -> dict:
    received = shelf.Received(key)
    pieces = request.stream()
    received.add(await anext(pieces))
    await shelf.released(key)
    async for piece in pieces:
        received.add(piece)
    return received.result


@post("/guarded", status_code=401)
async def guarded() -> dict:
    return {"error": "who are you?"}


@route("/stream/{key:str}", http_method=["GET", "HEAD"], media_type=MediaType.TEXT)
async def stream(key: FromPath[str]) -> Stream:
    return Stream(shelf.first_and_last(key))


@get("/flood/{key:str}")
async def flood(key: FromPath[str]) -> Stream:
    return Stream(shelf.flood(key))


@get("/ticks/{key:str}")
async def ticks(key: FromPath[str]) -> Stream:
    return Stream(shelf.ticks(key))


@get("/wait/{key:str}")
async def wait(key: FromPath[str]) -> dict:
    return {"text": await shelf.waited(key)}


@get("/events/{key:str}")
async def events(key: FromPath[str]) -> ServerSentEvent:
    async def sent():
        yield "one"
        await shelf.released(key)
        yield "two"

    return ServerSentEvent(sent())


@get("/slow")
async def slow() -> Stream:
    return Stream(shelf.slow())


@post("/later/{key:str}", status_code=202)
async def later(key: FromPath[str]) -> Response:
    return Response({}, background=BackgroundTask(shelf.afterwards, key))


@get("/hello/{name:str}")
async def hello(name: FromPath[str]) -> dict:
    return {"hello": name}


sub_app = Litestar([hello], openapi_config=None)


@asgi("/sub", is_mount=True, copy_scope=True)
async def sub(scope: Scope, receive: Receive, send: Send) -> None:
    await sub_app(scope, receive, send)


@get("/seen/{key:str}")
async def seen(key: FromPath[str]) -> dict:
    return {"seen": shelf.seen.get(key)}


@post("/release/{key:str}")
async def release(key: FromPath[str]) -> dict:
    shelf.release(key)
    return {}


@websocket("/ws/{key:str}")
async def echo(socket: WebSocket, key: FromPath[str]) -> None:
    await socket.accept("shop" if "shop" in socket.scope["subprotocols"] else None)
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(code=message["code"], detail="left")
            if message.get("text") == "close":
                await socket.close(4001)
                return
            if message.get("text") == "raise":
                raise RuntimeError("the line is cut")
            if message.get("text") is not None:
                await socket.send_text(message["text"])
            else:
                await socket.send_bytes(message["bytes"])
    except WebSocketDisconnect as left:
        shelf.seen[key] = f"told: {left.code}"


@websocket("/denied")
async def denied(socket: WebSocket) -> None:
    await socket.close()


app = Litestar(
    [
        *(
            item,
            put_item,
            seen_request,
            url,
            own,
            breaks,
            half,
            empty,
            same,
            cookies,
            large,
            thread,
            meet,
            upload,
            held,
        ),
        *(guarded, stream, flood, ticks, wait, events, slow, later, sub, seen, release, echo, denied),
    ],
    lifespan=[lifespan],
    middleware=[OpenShop()],
    openapi_config=None,
)
