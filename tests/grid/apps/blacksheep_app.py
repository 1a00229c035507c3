"""The shop on BlackSheep."""

import asyncio

import shelf
from blacksheep import Application, Content, Cookie, FromJSON, Request, Response, StreamedContent, WebSocket
from blacksheep.exceptions import MessageAborted
from blacksheep.server.responses import json, no_content, not_modified
from blacksheep.server.routing import Router
from blacksheep.server.sse import ServerSentEventsResponse, TextServerSentEvent
from blacksheep.server.websocket import WebSocketDisconnectError

app = Application(router=Router())
sub = Application(router=Router())
opened = {}


@app.lifespan
async def lifespan():
    opened["opened"] = shelf.opened()
    yield
    shelf.closed()


async def open_shop(request, handler):
    response = await handler(request)
    response.add_header(b"x-shop", b"open")
    return response


app.middlewares.append(open_shop)


def streamed(pieces):
    """A streamed answer; BlackSheep wants a function that makes the pieces."""

    async def made():
        async for piece in pieces:
            yield piece

    return Response(200, content=StreamedContent(b"text/plain", made))


@app.router.route("/items/{item_id}", methods=["GET", "HEAD"])
async def item(item_id: str):
    shelf.log.info("item read", extra={"item": item_id})
    return json({"id": item_id, **opened})


@app.router.put("/items/{item_id}")
async def put_item(item_id: str, data: FromJSON[dict]):
    return json({"id": item_id, **data.value})


@app.router.get("/request")
async def seen_request(request: Request):
    return json(
        {
            "method": request.method,
            "path": request.scope["root_path"] + request.url.path.decode(),
            "query": (request.url.query or b"").decode(),
            "things": [value.decode() for value in request.headers.get(b"x-thing")],
            "long": max(len(value) for _, value in request.headers),
        }
    )


@app.router.get("/url")
async def url(request: Request):
    return json({"url": f"{request.base_path}/items/7"})


@app.router.get("/own/{int:status}")
async def own(status: int):
    return json({"error": "ours"}, status)


@app.router.get("/breaks")
async def breaks():
    raise RuntimeError("the shelf fell down")


@app.router.get("/half")
async def half():
    return streamed(shelf.half())


@app.router.get("/empty")
async def empty():
    return no_content()


@app.router.get("/same")
async def same():
    response = not_modified()
    response.add_header(b"etag", b'"same"')
    return response


@app.router.get("/cookies")
async def cookies():
    response = json({})
    response.set_cookie(Cookie("tea", "green"))
    response.set_cookie(Cookie("cup", "large"))
    return response


@app.router.get("/large")
async def large():
    response = json({})
    response.add_header(b"x-large", shelf.LARGE.encode())
    return response


@app.router.get("/thread")
async def thread():
    await asyncio.to_thread(shelf.log.info, "from a thread")
    return json({})


@app.router.get("/meet/{name}")
async def meet(name: str):
    await shelf.meet(name)
    return json({})


@app.router.post("/upload/{key}")
async def upload(key: str, request: Request):
    received = shelf.Received(key)
    try:
        async for piece in request.stream():
            received.add(piece)
    except MessageAborted as error:
        received.left(error)
        raise
    return json(received.result)


@app.router.post("/held/{key}")
async def held(key: str, request: Request):
    received = shelf.Received(key)
    pieces = request.stream()
    received.add(await anext(pieces))
    await shelf.released(key)
    async for piece in pieces:
        received.add(piece)
    return json(received.result)


@app.router.post("/guarded")
async def guarded():
    return Response(401, content=Content(b"application/json", b'{"error": "who are you?"}'))


@app.router.route("/stream/{key}", methods=["GET", "HEAD"])
async def stream(key: str):
    return streamed(shelf.first_and_last(key))


@app.router.get("/flood/{key}")
async def flood(key: str):
    return streamed(shelf.flood(key))


@app.router.get("/ticks/{key}")
async def ticks(key: str):
    return streamed(shelf.ticks(key))


@app.router.get("/wait/{key}")
async def wait(key: str):
    return json({"text": await shelf.waited(key)})


@app.router.get("/events/{key}")
async def events(key: str):
    async def sent():
        yield TextServerSentEvent("one")
        await shelf.released(key)
        yield TextServerSentEvent("two")

    return ServerSentEventsResponse(sent)


@app.router.get("/slow")
async def slow():
    return streamed(shelf.slow())


@sub.router.get("/hello/{name}")
async def hello(name: str):
    return json({"hello": name})


app.mount("/sub", sub)


@app.router.get("/seen/{key}")
async def seen(key: str):
    return json({"seen": shelf.seen.get(key)})


@app.router.post("/release/{key}")
async def release(key: str):
    shelf.release(key)
    return json({})


@app.router.ws("/ws/{key}")
async def echo(websocket: WebSocket, key: str):
    await websocket.accept(subprotocol="shop" if "shop" in websocket.scope["subprotocols"] else None)
    try:
        while True:
            message = await websocket.receive()
            if message.get("text") == "close":
                await websocket.close(4001)
                return
            if message.get("text") == "raise":
                raise RuntimeError("the line is cut")
            if message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    except WebSocketDisconnectError as left:
        shelf.seen[key] = f"told: {left.code}"


@app.router.ws("/denied")
async def denied(websocket: WebSocket):
    await websocket.close()
