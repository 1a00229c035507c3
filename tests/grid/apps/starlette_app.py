"""The shop on Starlette, with a middleware that is plain ASGI."""

from contextlib import asynccontextmanager

import shelf
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.datastructures import MutableHeaders
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute


@asynccontextmanager
async def lifespan(app):
    yield {"opened": shelf.opened()}
    shelf.closed()


class OpenShop:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def with_header(message):
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-shop"] = "open"
            await send(message)

        await self.app(scope, receive, with_header)


class Item(HTTPEndpoint):
    async def get(self, request):
        item_id = request.path_params["item_id"]
        shelf.log.info("item read", extra={"item": item_id})
        return JSONResponse({"id": item_id, "opened": request.state.opened})

    async def put(self, request):
        return JSONResponse({"id": request.path_params["item_id"], **await request.json()})


async def seen_request(request):
    return JSONResponse(
        {
            "method": request.method,
            "path": request.url.path,
            "query": request.url.query,
            "things": request.headers.getlist("x-thing"),
            "long": max(len(value) for value in request.headers.values()),
        }
    )


async def url(request):
    return JSONResponse({"url": str(request.url_for("item", item_id="7"))})


async def own(request):
    return JSONResponse({"error": "ours"}, request.path_params["status"])


async def breaks(request):
    raise RuntimeError("the shelf fell down")


async def half(request):
    return StreamingResponse(shelf.half())


async def empty(request):
    return Response(status_code=204)


async def same(request):
    return Response(status_code=304, headers={"etag": '"same"'})


async def cookies(request):
    response = JSONResponse({})
    response.set_cookie("tea", "green")
    response.set_cookie("cup", "large")
    return response


async def large(request):
    return JSONResponse({}, headers={"x-large": shelf.LARGE})


def thread(request):
    shelf.log.info("from a thread")
    return JSONResponse({})


async def meet(request):
    await shelf.meet(request.path_params["name"])
    return JSONResponse({})


async def upload(request):
    received = shelf.Received(request.path_params["key"])
    try:
        async for piece in request.stream():
            received.add(piece)
    except ClientDisconnect as error:
        received.left(error)
        raise
    return JSONResponse(received.result)


async def held(request):
    received = shelf.Received(request.path_params["key"])
    pieces = request.stream()
    received.add(await anext(pieces))
    await shelf.released(received.key)
    async for piece in pieces:
        received.add(piece)
    return JSONResponse(received.result)


async def guarded(request):
    return JSONResponse({"error": "who are you?"}, 401)


async def stream(request):
    return StreamingResponse(shelf.first_and_last(request.path_params["key"]))


async def flood(request):
    return StreamingResponse(shelf.flood(request.path_params["key"]))


async def ticks(request):
    return StreamingResponse(shelf.ticks(request.path_params["key"]))


async def wait(request):
    return JSONResponse({"text": await shelf.waited(request.path_params["key"])})


async def events(request):
    async def sent():
        yield b"data: one\n\n"
        await shelf.released(request.path_params["key"])
        yield b"data: two\n\n"

    return StreamingResponse(sent(), media_type="text/event-stream")


async def slow(request):
    return StreamingResponse(shelf.slow())


async def later(request):
    return JSONResponse({}, 202, background=BackgroundTask(shelf.afterwards, request.path_params["key"]))


async def hello(request):
    return JSONResponse({"hello": request.path_params["name"]})


async def seen(request):
    return JSONResponse({"seen": shelf.seen.get(request.path_params["key"])})


async def release(request):
    shelf.release(request.path_params["key"])
    return JSONResponse({})


class Echo(WebSocketEndpoint):
    async def on_connect(self, websocket):
        await websocket.accept("shop" if "shop" in websocket.scope["subprotocols"] else None)

    async def on_receive(self, websocket, data):
        if data == "close":
            await websocket.close(4001)
        elif data == "raise":
            raise RuntimeError("the line is cut")
        elif isinstance(data, str):
            await websocket.send_text(data)
        else:
            await websocket.send_bytes(data)

    async def decode(self, websocket, message):
        return message["text"] if message.get("text") is not None else message["bytes"]

    async def on_disconnect(self, websocket, close_code):
        shelf.seen[websocket.path_params["key"]] = f"told: {close_code}"


async def denied(websocket):
    await websocket.close()


app = Starlette(
    lifespan=lifespan,
    middleware=[Middleware(OpenShop)],
    routes=[
        Route("/items/{item_id}", Item, name="item"),
        Route("/request", seen_request),
        Route("/url", url),
        Route("/own/{status:int}", own),
        Route("/breaks", breaks),
        Route("/half", half),
        Route("/empty", empty),
        Route("/same", same),
        Route("/cookies", cookies),
        Route("/large", large),
        Route("/thread", thread),
        Route("/meet/{name}", meet),
        Route("/upload/{key}", upload, methods=["POST"]),
        Route("/held/{key}", held, methods=["POST"]),
        Route("/guarded", guarded, methods=["POST"]),
        Route("/stream/{key}", stream),
        Route("/flood/{key}", flood),
        Route("/ticks/{key}", ticks),
        Route("/wait/{key}", wait),
        Route("/events/{key}", events),
        Route("/slow", slow),
        Route("/later/{key}", later, methods=["POST"]),
        Mount("/sub", routes=[Route("/hello/{name}", hello)]),
        Route("/seen/{key}", seen),
        Route("/release/{key}", release, methods=["POST"]),
        WebSocketRoute("/ws/{key}", Echo),
        WebSocketRoute("/denied", denied),
    ],
)
