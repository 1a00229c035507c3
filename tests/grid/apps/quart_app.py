"""The shop on Quart. What is mounted elsewhere is a blueprint here."""

import asyncio

import shelf
from quart import Blueprint, Quart, abort, g, jsonify, request, url_for, websocket

app = Quart(__name__)
app.config["MAX_CONTENT_LENGTH"] = None
sub = Blueprint("sub", __name__, url_prefix="/sub")
opened = {}


@app.while_serving
async def lifespan():
    opened["opened"] = shelf.opened()
    yield
    shelf.closed()


@app.before_request
async def take_state():
    g.opened = opened["opened"]


@app.after_request
async def open_shop(response):
    response.headers["x-shop"] = "open"
    return response


@app.get("/items/<item_id>")
async def item(item_id):
    shelf.log.info("item read", extra={"item": item_id})
    return {"id": item_id, "opened": g.opened}


@app.put("/items/<item_id>")
async def put_item(item_id):
    return {"id": item_id, **await request.get_json()}


@app.get("/request")
async def seen_request():
    return {
        "method": request.method,
        "path": request.root_path + request.path,
        "query": request.query_string.decode(),
        "things": request.headers.getlist("x-thing"),
        "long": max(len(value) for value in request.headers.values()),
    }


@app.get("/url")
async def url():
    return {"url": url_for("item", item_id="7")}


@app.get("/own/<int:status>")
async def own(status):
    return {"error": "ours"}, status


@app.get("/breaks")
async def breaks():
    raise RuntimeError("the shelf fell down")


@app.get("/half")
async def half():
    return shelf.half()


@app.get("/empty")
async def empty():
    return "", 204


@app.get("/same")
async def same():
    return "", 304, {"etag": '"same"'}


@app.get("/cookies")
async def cookies():
    response = jsonify({})
    response.set_cookie("tea", "green")
    response.set_cookie("cup", "large")
    return response


@app.get("/large")
async def large():
    return {}, {"x-large": shelf.LARGE}


@app.get("/thread")
def thread():
    shelf.log.info("from a thread")
    return {}


@app.get("/meet/<name>")
async def meet(name):
    await shelf.meet(name)
    return {}


@app.post("/upload/<key>")
async def upload(key):
    received = shelf.Received(key)
    try:
        async for piece in request.body:
            received.add(piece)
    except asyncio.CancelledError as error:
        received.left(error)
        raise
    return received.result


@app.post("/held/<key>")
async def held(key):
    received = shelf.Received(key)
    received.add(await anext(request.body))
    await shelf.released(key)
    async for piece in request.body:
        received.add(piece)
    return received.result


@app.post("/guarded")
async def guarded():
    return {"error": "who are you?"}, 401


@app.get("/stream/<key>")
async def stream(key):
    return shelf.first_and_last(key)


@app.get("/flood/<key>")
async def flood(key):
    return shelf.flood(key)


@app.get("/ticks/<key>")
async def ticks(key):
    return shelf.ticks(key)


@app.get("/wait/<key>")
async def wait(key):
    return {"text": await shelf.waited(key)}


@app.get("/events/<key>")
async def events(key):
    async def sent():
        yield "data: one\n\n"
        await shelf.released(key)
        yield "data: two\n\n"

    return sent(), {"content-type": "text/event-stream"}


@app.get("/slow")
async def slow():
    return shelf.slow()


@app.post("/later/<key>")
async def later(key):
    app.add_background_task(shelf.afterwards, key)
    return {}, 202


@sub.get("/hello/<name>")
async def hello(name):
    return {"hello": name}


app.register_blueprint(sub)


@app.get("/seen/<key>")
async def seen(key):
    return {"seen": shelf.seen.get(key)}


@app.post("/release/<key>")
async def release(key):
    shelf.release(key)
    return {}


@app.websocket("/ws/<key>")
async def echo(key):
    await websocket.accept(subprotocol="shop" if "shop" in websocket.requested_subprotocols else None)
    try:
        while True:
            message = await websocket.receive()
            if message == "close":
                await websocket.close(4001)
                return
            if message == "raise":
                raise RuntimeError("the line is cut")
            await websocket.send(message)
    except asyncio.CancelledError:
        shelf.seen[key] = "told: cancelled"
        raise


@app.websocket("/denied")
async def denied():
    abort(403)
