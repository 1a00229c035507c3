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


def test_a_client_may_come_from_another_address_of_this_machine():
    async def run() -> tuple[str, bytes]:
        came: list[str] = []

        async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.append(writer.get_extra_info("peername")[0])
            await saying(OK)(reader, writer)
            writer.close()

        server = await asyncio.start_server(served, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            answer = await Client("127.0.0.1", port).at("127.0.0.3").with_headers(X_More="1").ask("GET", "/")
            return came[0], answer.body

    assert asyncio.run(run()) == ("127.0.0.3", b"hello")


def test_small_segments_keep_the_other_sides_kernel_from_taking_much():
    async def run() -> list[int]:
        taken: list[int] = []

        async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            sock, size = writer.get_extra_info("socket"), 0
            while size < 1 << 23:
                writer.write(bytes(1 << 16))
                size += 1 << 16
                await asyncio.sleep(0.001)
                if writer.transport.get_write_buffer_size():
                    break
            taken.append(size)
            sock.close()

        server = await asyncio.start_server(served, "127.0.0.1", 0)
        async with server:
            client = Client("127.0.0.1", server.sockets[0].getsockname()[1])
            for few in (0, 1400):
                async with client.wire(receive_bytes=4096, segment_bytes=few) as wire:
                    await wire.send(client.head("GET", "/"))
                    while len(taken) < (1 if not few else 2):
                        await asyncio.sleep(0.01)
        return taken

    many, few = asyncio.run(run())
    assert few < many / 4
