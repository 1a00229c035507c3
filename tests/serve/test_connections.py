"""Connections at the door, in this process: what ends them, and offers that are not taken."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from calling import answering
from uvicorn.config import Config

from holdfast.serve.door import Door
from holdfast.serve.state import DoorState

pytestmark = pytest.mark.anyio
OFFER = b"connection: upgrade\r\nupgrade: h2c\r\n"


@asynccontextmanager
async def connected(app=None, keep_alive_s: float = 5):
    """Both ends of a connection to a door with an application behind it."""
    config = Config(app or answering(), http=Door, lifespan="off", log_config=None, timeout_keep_alive=keep_alive_s)
    config.load()
    state = DoorState(head_max_bytes=65_536, observe=False, trusted=())
    server = await asyncio.get_running_loop().create_server(lambda: Door(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()
        await server.wait_closed()


async def test_a_connection_that_idles_after_an_early_answer_is_closed_as_any_other():
    async with connected(answering(headers=[(b"content-length", b"2")]), keep_alive_s=0.2) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhello")
        assert (await asyncio.wait_for(reader.readuntil(b"ok"), 10)).startswith(b"HTTP/1.1 200")
        writer.write(b"world")
        assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_many_offers_in_one_packet_are_all_answered():
    request = b"GET / HTTP/1.1\r\nhost: x\r\n" + OFFER + b"\r\n"
    async with connected() as (reader, writer):
        writer.write(request * 1500 + b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answers = await asyncio.wait_for(reader.read(), 30)
    assert answers.count(b"HTTP/1.1 200") == 1501


@pytest.mark.parametrize("said", [b"connection: close, upgrade\r\n", b"connection: close\r\nconnection: upgrade\r\n"])
async def test_an_offer_on_the_last_request_of_a_connection_is_answered_too(said):
    async with connected() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n" + said + b"upgrade: nothing\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("cut", range(0, 120, 7))
async def test_an_offer_with_a_body_is_read_however_it_is_cut_into_packets(cut):
    async def echo(scope, receive, send):
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        await answering(body=body)(scope, receive, send)

    sent = b"POST / HTTP/1.1\r\nhost: x\r\n" + OFFER + b"content-length: 5\r\n\r\nhello"
    sent += b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\nworld"
    async with connected(echo) as (reader, writer):
        writer.write(sent[:cut])
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(sent[cut:])
        answers = await asyncio.wait_for(reader.read(), 10)
    assert answers.count(b"HTTP/1.1 200") == 2
    assert answers.index(b"hello") < answers.index(b"world")


@pytest.mark.parametrize(
    "request_line", [b"CONNECT shop.test:443 HTTP/1.1\r\nhost: x\r\n", b"CONNECT / HTTP/1.1\r\nhost: x\r\n" + OFFER]
)
async def test_a_tunnel_is_refused(request_line):
    async with connected() as (reader, writer):
        writer.write(request_line + b"\r\n")
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 400")


async def test_a_stream_to_a_client_that_left_is_stopped():
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    left = False

    async def endless(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"tick", "more_body": True})
                if not left:  # from then on it gives the loop no turn of itself
                    await asyncio.sleep(0)
        except ConnectionResetError as error:
            told.set_result(str(error))
            raise

    async with connected(endless) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"tick")
        writer.transport.abort()
        await asyncio.sleep(0.1)
        left = True
        assert await asyncio.wait_for(told, 10) == "The client has left."
