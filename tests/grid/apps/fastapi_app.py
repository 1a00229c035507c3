"""The shop on FastAPI."""

from contextlib import asynccontextmanager

import shelf
from fastapi import APIRouter, BackgroundTasks, FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel
from starlette.requests import ClientDisconnect


@asynccontextmanager
async def lifespan(app):
    yield {"opened": shelf.opened()}
    shelf.closed()


app = FastAPI(lifespan=lifespan)
items = APIRouter(prefix="/items")
sub = FastAPI()


class Item(BaseModel):
    name: str


@app.middleware("http")
async def open_shop(request: Request, call_next):
    response = await call_next(request)
    response.headers["x-shop"] = "open"
    return response


@items.api_route("/{item_id}", methods=["GET", "HEAD"])
async def item(item_id: str, request: Request):
    shelf.log.info("item read", extra={"item": item_id})
    return {"id": item_id, "opened": request.state.opened}


@items.put("/{item_id}")
async def put_item(item_id: str, item: Item):
    return {"id": item_id, "name": item.name}


app.include_router(items)


@app.get("/request")
async def seen_request(request: Request):
    return {
        "method": request.method,
        "path": request.url.path,
        "query": request.url.query,
        "things": request.headers.getlist("x-thing"),
        "long": max(len(value) for value in request.headers.values()),
    }


@app.get("/url")
async def url(request: Request):
    return {"url": str(request.url_for("item", item_id="7"))}


@app.get("/own/{status}")
async def own(status: int):
    return JSONResponse({"error": "ours"}, status)


@app.get("/breaks")
async def breaks():
    raise RuntimeError("the shelf fell down")


@app.get("/half")
async def half():
    return StreamingResponse(shelf.half())


@app.get("/empty", status_code=204)
async def empty():
    return None


@app.get("/same")
async def same():
    return Response(status_code=304, headers={"etag": '"same"'})


@app.get("/cookies")
async def cookies(response: Response):
    response.set_cookie("tea", "green")
    response.set_cookie("cup", "large")


@app.get("/large")
async def large(response: Response):
    response.headers["x-large"] = shelf.LARGE


@app.get("/thread")
def thread():
    shelf.log.info("from a thread")


@app.get("/meet/{name}")
async def meet(name: str):
    await shelf.meet(name)


@app.post("/upload/{key}")
async def upload(key: str, request: Request):
    received = shelf.Received(key)
    try:
        async for piece in request.stream():
            received.add(piece)
    except ClientDisconnect as error:
        received.left(error)
        raise
    return received.result


@app.post("/held/{key}")
async def held(key: str, request: Request):
    received = shelf.Received(key)
    pieces = request.stream()
    received.add(await anext(pieces))
    await shelf.released(key)
    async for piece in pieces:
        received.add(piece)
    return received.result


@app.post("/guarded", status_code=401)
async def guarded():
    return {"error": "who are you?"}


@app.api_route("/stream/{key}", methods=["GET", "HEAD"])
async def stream(key: str):
    return StreamingResponse(shelf.first_and_last(key))


@app.get("/flood/{key}")
async def flood(key: str):
    return StreamingResponse(shelf.flood(key))


@app.get("/ticks/{key}")
async def ticks(key: str):
    return StreamingResponse(shelf.ticks(key))


@app.get("/wait/{key}")
async def wait(key: str):
    return {"text": await shelf.waited(key)}


@app.get("/events/{key}", response_class=EventSourceResponse)
async def events(key: str):
    yield ServerSentEvent(raw_data="one")
    await shelf.released(key)
    yield ServerSentEvent(raw_data="two")


@app.get("/slow")
async def slow():
    return StreamingResponse(shelf.slow())


@app.post("/later/{key}", status_code=202)
async def later(key: str, background: BackgroundTasks):
    background.add_task(shelf.afterwards, key)


@sub.get("/hello/{name}")
async def hello(name: str):
    return {"hello": name}


app.mount("/sub", sub)


@app.get("/seen/{key}")
async def seen(key: str):
    return {"seen": shelf.seen.get(key)}


@app.post("/release/{key}")
async def release(key: str):
    shelf.release(key)


@app.websocket("/ws/{key}")
async def echo(websocket: WebSocket, key: str):
    await websocket.accept("shop" if "shop" in websocket.scope["subprotocols"] else None)
    try:
        while True:
            message = await websocket.receive()
            websocket._raise_on_disconnect(message)
            if message.get("text") == "close":
                await websocket.close(4001)
                return
            if message.get("text") == "raise":
                raise RuntimeError("the line is cut")
            if message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    except WebSocketDisconnect as left:
        shelf.seen[key] = f"told: {left.code}"


@app.websocket("/denied")
async def denied(websocket: WebSocket):
    await websocket.close()
