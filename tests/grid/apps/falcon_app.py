"""The shop on Falcon. What is mounted elsewhere has a prefix here."""

import functools

import falcon.asgi
import shelf
from falcon import WebSocketDisconnected
from falcon.asgi import SSEvent
from falcon.util import sync_to_async


class OpenShop:
    opened = ""

    async def process_startup(self, scope, event):
        OpenShop.opened = shelf.opened()

    async def process_shutdown(self, scope, event):
        shelf.closed()

    async def process_response(self, req, resp, resource, req_succeeded):
        resp.set_header("x-shop", "open")


class Item:
    async def on_get(self, req, resp, item_id):
        shelf.log.info("item read", extra={"item": item_id})
        resp.media = {"id": item_id, "opened": OpenShop.opened}

    on_head = on_get

    async def on_put(self, req, resp, item_id):
        resp.media = {"id": item_id, **await req.get_media()}


class SeenRequest:
    async def on_get(self, req, resp):
        things = [value.decode() for name, value in req.scope["headers"] if name == b"x-thing"]
        resp.media = {
            "method": req.method,
            "path": req.root_path + req.path,
            "query": req.query_string,
            "things": things,
            "long": max(len(value) for value in req.headers.values()),
        }


class Url:
    async def on_get(self, req, resp):
        resp.media = {"url": f"{req.prefix}/items/7"}


class Own:
    async def on_get(self, req, resp, status):
        resp.status = status
        resp.media = {"error": "ours"}


class Breaks:
    async def on_get(self, req, resp):
        raise RuntimeError("the shelf fell down")


class Half:
    async def on_get(self, req, resp):
        resp.stream = shelf.half()


class Empty:
    async def on_get(self, req, resp):
        resp.status = falcon.HTTP_204


class Same:
    async def on_get(self, req, resp):
        resp.status = falcon.HTTP_304
        resp.etag = "same"


class Cookies:
    async def on_get(self, req, resp):
        resp.media = {}
        resp.set_cookie("tea", "green")
        resp.set_cookie("cup", "large")


class Large:
    async def on_get(self, req, resp):
        resp.media = {}
        resp.set_header("x-large", shelf.LARGE)


class Thread:
    async def on_get(self, req, resp):
        await sync_to_async(shelf.log.info, "from a thread")
        resp.media = {}


class Meet:
    async def on_get(self, req, resp, name):
        await shelf.meet(name)
        resp.media = {}


class Upload:
    async def on_post(self, req, resp, key):
        received = shelf.Received(key)
        try:
            async for piece in req.stream:
                received.add(piece)
        except BaseException as error:
            received.left(error)
            raise
        resp.media = received.result


class Held:
    async def on_post(self, req, resp, key):
        received = shelf.Received(key)
        received.add(await req.stream.read(65_536))
        await shelf.released(key)
        while piece := await req.stream.read(65_536):
            received.add(piece)
        resp.media = received.result


class Guarded:
    async def on_post(self, req, resp):
        resp.status = falcon.HTTP_401
        resp.media = {"error": "who are you?"}


class Stream:
    async def on_get(self, req, resp, key):
        resp.stream = shelf.first_and_last(key)

    on_head = on_get


class Flood:
    async def on_get(self, req, resp, key):
        resp.stream = shelf.flood(key)


class Ticks:
    async def on_get(self, req, resp, key):
        resp.stream = shelf.ticks(key)


class Wait:
    async def on_get(self, req, resp, key):
        resp.media = {"text": await shelf.waited(key)}


class Events:
    async def on_get(self, req, resp, key):
        async def sent():
            yield SSEvent(text="one")
            await shelf.released(key)
            yield SSEvent(text="two")

        resp.sse = sent()


class Slow:
    async def on_get(self, req, resp):
        resp.stream = shelf.slow()


class Later:
    async def on_post(self, req, resp, key):
        resp.status = falcon.HTTP_202
        resp.media = {}
        resp.schedule(functools.partial(shelf.afterwards, key))


class Hello:
    async def on_get(self, req, resp, name):
        resp.media = {"hello": name}


class Seen:
    async def on_get(self, req, resp, key):
        resp.media = {"seen": shelf.seen.get(key)}


class Release:
    async def on_post(self, req, resp, key):
        shelf.release(key)
        resp.media = {}


class Echo:
    async def on_websocket(self, req, ws, key):
        await ws.accept("shop" if "shop" in ws.subprotocols else None)
        try:
            while True:
                message = await ws._receive()
                if message.get("text") == "close":
                    await ws.close(4001)
                    return
                if message.get("text") == "raise":
                    raise RuntimeError("the line is cut")
                if message.get("text") is not None:
                    await ws.send_text(message["text"])
                else:
                    await ws.send_data(message["bytes"])
        except WebSocketDisconnected as left:
            shelf.seen[key] = f"told: {left.code}"


class Denied:
    async def on_websocket(self, req, ws):
        await ws.close()


app = falcon.asgi.App(middleware=[OpenShop()])
for template, resource in {
    "/items/{item_id}": Item,
    "/request": SeenRequest,
    "/url": Url,
    "/own/{status:int}": Own,
    "/breaks": Breaks,
    "/half": Half,
    "/empty": Empty,
    "/same": Same,
    "/cookies": Cookies,
    "/large": Large,
    "/thread": Thread,
    "/meet/{name}": Meet,
    "/upload/{key}": Upload,
    "/held/{key}": Held,
    "/guarded": Guarded,
    "/stream/{key}": Stream,
    "/flood/{key}": Flood,
    "/ticks/{key}": Ticks,
    "/wait/{key}": Wait,
    "/events/{key}": Events,
    "/slow": Slow,
    "/later/{key}": Later,
    "/sub/hello/{name}": Hello,
    "/seen/{key}": Seen,
    "/release/{key}": Release,
    "/ws/{key}": Echo,
    "/denied": Denied,
}.items():
    app.add_route(template, resource())
