"""What is on the wire: answers that are whole, cut, or never come, and requests that are answered before they end."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from holdfast.prove.http import Answer, Client

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Request-ID: a\r\n\r\nhello"


def asked(serve: Serve, **what: object) -> Answer:
    """The answer of a server that does this with each connection."""

    async def run() -> Answer:
        async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(served, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            request = {"method": "GET", "path": "/", "timeout_s": 2.0, **what}
            return await Client("127.0.0.1", port).ask(**request)

    return asyncio.run(run())


def saying(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return serve


def test_an_answer_is_read_whole():
    answer = asked(saying(OK))
    assert (answer.status, answer.body, answer.request_id, answer.error) == (200, b"hello", "a", "")
    assert answer.good


def test_chunks_are_put_together():
    answer = asked(saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))
    assert (answer.body, answer.length) == (b"abcde", 5)


@pytest.mark.parametrize(
    "cut",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"this is no HTTP at all\r\n\r\n",
    ],
)
def test_an_answer_that_is_cut_is_not_good(cut):
    answer = asked(saying(cut))
    assert not answer.good
    assert answer.error


def test_an_answer_that_does_not_come_is_told_in_time():
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    answer = asked(silent, timeout_s=0.2)
    assert (answer.status, answer.error) == (0, "no answer within 0.2 s")


def test_nobody_there_is_told():
    async def run() -> Answer:
        return await Client("127.0.0.1", 1).ask("GET", "/")

    assert "no connection" in asyncio.run(run()).error


def test_a_server_that_answers_before_the_body_has_ended_is_heard():
    async def pieces():
        for _ in range(10_000):
            yield b"x" * 65_536

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        await reader.read(1 << 20)

    assert asked(refuse, method="POST", body=pieces(), length=10_000 * 65_536, timeout_s=10.0).status == 413


def test_a_body_without_a_length_goes_in_chunks():
    got: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(OK)
        await writer.drain()

    async def pieces():
        yield b"ab"
        yield b"c"

    assert asked(take, method="POST", body=pieces()).good
    assert got[0].endswith(b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
