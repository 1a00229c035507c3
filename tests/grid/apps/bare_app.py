"""The shop as a bare ASGI callable: no framework at all."""

import asyncio
import json
import os

import shelf

sub_prefix = "/sub"


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        if os.environ.get("SHOP_LIFESPAN") == "none":
            raise RuntimeError("only requests are served here")
        await live(scope, receive, send)
    elif scope["type"] == "websocket":
        await socket(scope, receive, send)
    else:
        await open_shop(scope, receive, send)


async def live(scope, receive, send):
    await receive()
    try:
        scope["state"]["opened"] = shelf.opened()
    except RuntimeError as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    try:
        shelf.closed()
    except RuntimeError as error:
        await send({"type": "lifespan.shutdown.failed", "message": str(error)})
        return
    await send({"type": "lifespan.shutdown.complete"})


async def open_shop(scope, receive, send):
    """The middleware."""

    async def with_header(message):
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"x-shop", b"open")]}
        await send(message)

    path = scope["path"].removeprefix(scope["root_path"])
    name, _, rest = path.removeprefix("/").partition("/")
    serve = ROUTES.get(name, nowhere)
    await serve(scope, receive, with_header, rest)


async def answer(send, body, status=200, kind=b"application/json", headers=()):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [(b"content-type", kind), (b"content-length", str(len(content)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": content})


async def stream(receive, send, pieces, kind=b"text/plain"):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})

    async def pass_on():
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def until_gone():
        while (await receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.create_task(pass_on()), asyncio.create_task(until_gone())]
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await pieces.aclose()
    for task in done:
        task.result()


async def pieces_of(receive):
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the client has left")
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


async def nowhere(scope, receive, send, rest):
    await answer(send, b"Not Found", 404, b"text/plain")


async def items(scope, receive, send, rest):
    if scope["method"] == "PUT":
        body = b"".join([piece async for piece in pieces_of(receive)])
        await answer(send, {"id": rest, **json.loads(body)})
    elif scope["method"] in {"GET", "HEAD"}:
        shelf.log.info("item read", extra={"item": rest})
        await answer(send, {"id": rest, "opened": scope.get("state", {}).get("opened")})
    else:
        await answer(send, b"Method Not Allowed", 405, b"text/plain", [(b"allow", b"GET, HEAD, PUT")])


async def request(scope, receive, send, rest):
    things = [value.decode() for name, value in scope["headers"] if name == b"x-thing"]
    await answer(
        send,
        {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "things": things,
            "long": max(len(value) for _, value in scope["headers"]),
        },
    )


async def url(scope, receive, send, rest):
    await answer(send, {"url": scope["root_path"] + "/items/7"})


async def own(scope, receive, send, rest):
    await answer(send, {"error": "ours"}, int(rest))


async def breaks(scope, receive, send, rest):
    raise RuntimeError("the shelf fell down")


async def half(scope, receive, send, rest):
    await stream(receive, send, shelf.half())


async def empty(scope, receive, send, rest):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def same(scope, receive, send, rest):
    await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", b'"same"')]})
    await send({"type": "http.response.body", "body": b""})


async def cookies(scope, receive, send, rest):
    await answer(send, {}, headers=[(b"set-cookie", b"tea=green"), (b"set-cookie", b"cup=large")])


async def large(scope, receive, send, rest):
    await answer(send, {}, headers=[(b"x-large", shelf.LARGE.encode())])


async def thread(scope, receive, send, rest):
    await asyncio.to_thread(shelf.log.info, "from a thread")
    await answer(send, {})


async def meet(scope, receive, send, rest):
    await shelf.meet(rest)
    await answer(send, {})


async def upload(scope, receive, send, rest):
    received = shelf.Received(rest)
    try:
        async for piece in pieces_of(receive):
            received.add(piece)
    except ConnectionResetError as error:
        received.left(error)
        return
    await answer(send, received.result)


async def held(scope, receive, send, rest):
    received = shelf.Received(rest)
    pieces = pieces_of(receive)
    received.add(await anext(pieces))
    await shelf.released(rest)
    async for piece in pieces:
        received.add(piece)
    await answer(send, received.result)


async def guarded(scope, receive, send, rest):
    await answer(send, {"error": "who are you?"}, 401)


async def streamed(scope, receive, send, rest):
    await stream(receive, send, shelf.first_and_last(rest))


async def flood(scope, receive, send, rest):
    await stream(receive, send, shelf.flood(rest))


async def ticks(scope, receive, send, rest):
    await stream(receive, send, shelf.ticks(rest))


async def wait(scope, receive, send, rest):
    await answer(send, {"text": await shelf.waited(rest)})


async def events(scope, receive, send, rest):
    async def sent():
        yield b"data: one\n\n"
        await shelf.released(rest)
        yield b"data: two\n\n"

    await stream(receive, send, sent(), b"text/event-stream")


async def slow(scope, receive, send, rest):
    await stream(receive, send, shelf.slow())


async def later(scope, receive, send, rest):
    await answer(send, {}, 202)
    await shelf.afterwards(rest)


async def sub(scope, receive, send, rest):
    page, _, name = rest.partition("/")
    if page == "hello":
        await answer(send, {"hello": name})
    else:
        await nowhere(scope, receive, send, rest)


async def seen(scope, receive, send, rest):
    await answer(send, {"seen": shelf.seen.get(rest)})


async def release(scope, receive, send, rest):
    shelf.release(rest)
    await answer(send, {})


async def socket(scope, receive, send):
    await receive()
    path = scope["path"].removeprefix(scope["root_path"])
    if path == "/denied":
        await send({"type": "websocket.close"})
        return
    key = path.removeprefix("/ws/")
    await send({"type": "websocket.accept", "subprotocol": "shop" if "shop" in scope["subprotocols"] else None})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            shelf.seen[key] = f"told: {message['code']}"
            return
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4001})
            return
        if message.get("text") == "raise":
            raise RuntimeError("the line is cut")
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


ROUTES = {
    **{
        function.__name__: function
        for function in (
            *(items, request, url, own, breaks, half, empty, same, cookies, large, thread, meet, upload, held, guarded),
            *(flood, ticks, wait, events, slow, later, sub, seen, release),
        )
    },
    "stream": streamed,
}
