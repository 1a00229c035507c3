"""A pulse of cheap requests, against a server that can be made to stand still, as a whole or for one of its paths."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from holdfast.prove.acts.slow_handler.heavy import Heavy, heads
from holdfast.prove.acts.slow_handler.pulse import Probe, Pulse, beating, cheap, nonsense
from holdfast.prove.config import parse
from holdfast.prove.http import Client
from holdfast.prove.props.canary import Machine
from holdfast.prove.running import HOST, App
from holdfast.prove.stage import Target


class Server:
    """Answers 200 to what is HTTP, and 400 to what is none; what is in `held` waits for the future there."""

    def __init__(self) -> None:
        self.held: dict[str, asyncio.Future[None]] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                for word in [word for word in self.held if word.encode() in head]:
                    await asyncio.shield(self.held[word])
                if b"HTPP" in head:
                    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    return
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def hold(self, seconds: float, *words: str) -> None:
        """Let all requests with one of the words in their head wait."""
        future = asyncio.get_running_loop().create_future()
        self.held.update(dict.fromkeys(words, future))
        await asyncio.sleep(seconds)
        self.held.clear()
        future.set_result(None)


def config(**more: object) -> Target:
    said = parse({"serve": "shop --port {port}", "read": "GET /items", "ready": "/ready", **more})
    return Target(said, said.read, upload=said.upload)


async def served(acting) -> None:
    server = Server()
    listening = await asyncio.start_server(server.serve, HOST, 0)
    port = listening.sockets[0].getsockname()[1]
    client = Client(HOST, port)
    app = SimpleNamespace(stranger=client, client=client, names={})
    async with listening:
        probes = await cheap(app, config(), nonsense())
        async with beating(app, probes, Machine(1)) as pulse:
            await asyncio.sleep(0.1)
            await acting(server, pulse)


def test_what_holds_up_every_kind_is_felt_for_as_long_as_it_lasts():
    async def acting(server: Server, pulse: Pulse) -> None:
        held_s, _ = await pulse.felt(lambda: server.hold(0.4, "ready", "no-such", "HTPP"))
        assert 0.3 < held_s < 0.6
        quiet_s, _ = await pulse.felt(lambda: asyncio.sleep(0.1))
        assert quiet_s < 0.2

    asyncio.run(served(acting))


def test_what_holds_up_one_kind_is_not():
    async def acting(server: Server, pulse: Pulse) -> None:
        held_s, _ = await pulse.felt(lambda: server.hold(0.4, "ready", "no-such"))
        assert held_s < 0.2

    asyncio.run(served(acting))


def test_time_in_which_nothing_of_ours_ran_is_taken_off():
    async def acting(server: Server, pulse: Pulse) -> None:
        began = time.monotonic()
        await pulse.felt(lambda: server.hold(0.3, "ready", "no-such", "HTPP"))
        pulse._machine.late_s = lambda begin, end: end - begin
        assert pulse.held_s(began, time.monotonic()) < 0.05

    asyncio.run(served(acting))


def test_what_is_asked_is_told():
    async def acting(_: Server, pulse: Pulse) -> None:
        assert pulse.shown.startswith("GET /ready and a request that is no HTTP and GET /no-such-")

    asyncio.run(served(acting))


def test_probes_that_are_not_answered_at_once_are_left_out():
    async def main() -> None:
        app = SimpleNamespace(stranger=Client(HOST, 9), client=Client(HOST, 9), names={})
        assert await cheap(app, config(), Probe("x", b"x\r\n\r\n")) == []

    asyncio.run(main())


def shown(tmp_path, **more: object) -> list[Heavy]:
    target = config(**more)
    return list(heads(App(target.config, tmp_path, tmp_path, {}, "secret"), target))


@pytest.mark.parametrize(
    ("upload", "said"),
    [
        ({"request": "POST /files?name={name}"}, "POST /files with a Content-Disposition that does not end"),
        ({"request": "POST /files", "file": "file"}, "POST /files with a file name that does not end"),
    ],
)
def test_heads_that_do_not_end_are_sent_to_what_reads_and_to_what_takes_files(tmp_path, upload, said):
    names = [one.shown for one in shown(tmp_path, upload=upload)]
    assert "GET /items with a Cookie that does not end" in names
    assert said in names
