"""The gate as a layer, as it works under any server: who is let in, who waits, who is refused."""

import asyncio

import pytest
from calling import Answer, call, scope_of
from waiting import cancelled, until

from holdfast import context
from holdfast.decide.admission import Priority
from holdfast.parts import shedding
from holdfast.parts.shedding import Gate, SheddingSettings

pytestmark = pytest.mark.anyio


class Service:
    """An application that answers when it is told to, behind a gate for one at a time."""

    def __init__(self, wait_ms: int = 10_000, principal=None, **settings) -> None:
        settings = SheddingSettings(shed_at_once_max=1, shed_wait_ms=wait_ms, **settings)
        self.gate = Gate(settings, principal)
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.app = context.layer(shedding.layer(self._app, self.gate, {"/-/live"}))

    async def _app(self, scope, receive, send):
        self.begun.append(scope["path"])
        self.ends[scope["path"]] = asyncio.Event()
        if scope["path"] == "/fails":
            raise ValueError("on purpose")
        if scope["path"] == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await self.ends[scope["path"]].wait()
        if scope["path"] != "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    def ask(self, path: str, **scope) -> "asyncio.Task[Answer]":
        return asyncio.create_task(call(self.app, scope_of(path, **scope)))

    async def asked(self, path: str, **scope) -> "asyncio.Task[Answer]":
        """A request that has begun."""
        asking = self.ask(path, **scope)
        await until(lambda: path in self.begun)
        return asking

    async def waiting(self, path: str, **scope) -> "asyncio.Task[Answer]":
        """A request that waits."""
        before = self.gate.admission.waiting
        asking = self.ask(path, **scope)
        await until(lambda: self.gate.admission.waiting == before + 1)
        return asking

    async def end(self, path: str) -> None:
        await until(lambda: path in self.ends)
        self.ends[path].set()


async def test_who_finds_no_free_slot_waits_and_is_served_then():
    service = Service()
    first = await service.asked("/first")
    second = await service.waiting("/second")
    assert service.begun == ["/first"]
    await service.end("/first")
    await service.end("/second")
    assert ((await first).status, (await second).status) == (200, 200)
    assert service.gate.admission.in_flight == 0


async def test_who_waited_too_long_is_told_that_nothing_was_begun():
    service = Service(wait_ms=20)
    first = await service.asked("/first")
    refused = await service.ask("/second")
    assert (refused.status, refused.header("holdfast-not-executed")) == (503, "1")
    assert b"urn:holdfast:problem:overloaded" in refused.body
    assert service.begun == ["/first"]
    await service.end("/first")
    assert (await first).status == 200


async def test_who_is_cancelled_while_waiting_leaves_nothing_behind():
    service = Service()
    first = await service.asked("/first")
    await cancelled(await service.waiting("/second"))
    assert service.gate.admission.waiting == 0
    await service.end("/first")
    await first
    assert (service.begun, service.gate.admission.in_flight) == (["/first"], 0)


async def test_a_handler_that_fails_gives_its_slot_back():
    service = Service()
    with pytest.raises(ValueError, match="on purpose"):
        await service.ask("/fails")
    assert service.gate.admission.in_flight == 0


async def test_a_handler_that_is_cancelled_gives_its_slot_back():
    service = Service()
    await cancelled(await service.asked("/first"))
    assert service.gate.admission.in_flight == 0


async def test_a_stream_gives_its_slot_back_with_its_first_piece():
    service = Service()
    stream = await service.asked("/stream")
    assert service.gate.admission.in_flight == 0
    second = await service.asked("/second")
    await service.end("/second")
    await service.end("/stream")
    assert ((await second).body, (await stream).body) == (b"ok", b"firstok")


async def test_paths_that_are_exempt_never_wait():
    service = Service()
    first = await service.asked("/first")
    probe = await service.asked("/-/live")
    for path, asking in (("/-/live", probe), ("/first", first)):
        await service.end(path)
        assert (await asking).status == 200


async def test_the_application_may_say_who_is_important():
    def principal(scope):
        return Priority.CRITICAL if (b"x-plan", b"paid") in scope["headers"] else None

    service = Service(principal=principal)
    first = await service.asked("/first")
    free = await service.waiting("/free")
    paid = await service.waiting("/paid", headers=[("x-plan", "paid")])
    for path in ("/first", "/paid", "/free"):
        await service.end(path)
    assert [(await asking).status for asking in (first, paid, free)] == [200] * 3
    assert service.begun == ["/first", "/paid", "/free"]


async def test_a_message_of_a_websocket_holds_a_slot_until_it_is_answered():
    gate = Gate(SheddingSettings(shed_at_once_max=1))
    seen = []

    async def echo(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        seen.append(gate.admission.in_flight)
        await receive()
        seen.append(gate.admission.in_flight)
        await send({"type": "websocket.send", "text": "hello"})
        seen.append(gate.admission.in_flight)
        await receive()

    coming = [
        {"type": "websocket.disconnect", "code": 1000},
        {"type": "websocket.receive", "text": "hello"},
        {"type": "websocket.connect"},
    ]

    async def receive():
        return coming.pop()

    async def send(message):
        pass

    scope = {"type": "websocket", "path": "/", "query_string": b"", "headers": [], "client": None}
    await context.layer(shedding.layer(echo, gate))(scope, receive, send)
    assert (seen, gate.admission.in_flight) == ([0, 1, 0], 0)


async def test_what_is_only_observed_is_served():
    service = Service(shed="observe")
    first = await service.asked("/first")
    others = [await service.asked(f"/{number}") for number in range(5)]
    await service.end("/first")
    for number in range(5):
        await service.end(f"/{number}")
    assert [(await asking).status for asking in (first, *others)] == [200] * 6
    assert sum(service.gate.report.totals.values()) > 0
    assert service.gate.admission.in_flight == 0


def test_one_gate_serves_one_loop_after_another():
    service = Service()

    async def left_behind():
        await cancelled(await service.asked("/first"))
        await service.asked("/second")  # its loop ends before it does

    async def served():
        third = await service.asked("/third")
        await service.end("/third")
        return (await third).status

    asyncio.run(left_behind())
    assert asyncio.run(served()) == 200
