"""The layer: the gate in front of an application, under any server. What a server has let in already it lets through.

A slot is held for the work up to the answer: a stream gives it back with its first piece, a WebSocket once it is
accepted, and holds one again for each message until it answers or asks for the next.
"""

import asyncio
import time
from collections.abc import Awaitable, Collection
from typing import Final

from holdfast.asgi import ASGIApp, Message, Receive, Scope, Send
from holdfast.context import RequestContext, current
from holdfast.decide.admission import Ticket
from holdfast.decide.priorities import Said, priority
from holdfast.parts.shedding.gate import Gate
from holdfast.parts.shedding.refusals import refusal


def layer(app: ASGIApp, gate: Gate | None, exempt: Collection[str] = ()) -> ASGIApp:
    """Let through what `gate` lets in; paths that are `exempt` never ask. Needs the context layer outside of it."""
    if gate is None:
        return app

    async def ask(record: RequestContext, receive: Receive, send: Send) -> None:
        guest = Guest(record, gate)
        if not await guest.let_in():
            await _refuse(record, send)
            return
        try:
            await app(record.scope, guest.hearing(receive), guest.answering(send))
        finally:
            guest.leave()

    def shedding(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        record = current()
        if record is None or record.scope is not scope or record.admitted or record.path in exempt:
            return app(scope, receive, send)
        return ask(record, receive, send)

    return shedding


def ticket_of(gate: Gate, record: RequestContext, subject: object) -> Ticket:
    """What is to be known of a request that has to wait."""
    purpose = urgency = None
    for name, value in record.scope["headers"]:
        if name == b"sec-purpose":
            purpose = value.decode("latin-1")
        elif name == b"priority":
            urgency = value.decode("latin-1")
    route = gate.routes.find(record.method, record.path) if gate.routes else None
    said = Said(record.asked_priority, record.trusted_peer, purpose, urgency)
    return Ticket(
        subject,
        priority(said, route=route[1] if route is not None else None, principal=gate.principal_of(record.scope)),
        time.monotonic(),
        deadline=record.deadline,
        tenant=record.client,
    )


class Guest:
    """A request at the gate, whose task waits."""

    def __init__(self, record: RequestContext, gate: Gate) -> None:
        """The request of `record`, not let in yet."""
        self._record = record
        self._gate = gate
        self._decided: asyncio.Future[bool] | None = None
        self._let_in: bool | None = None
        self._ticket: Ticket | None = None
        self._holds = False
        self._works = False
        """Whether a message of a WebSocket is worked on."""
        self._began = 0.0

    async def let_in(self) -> bool:
        """Wait until it is decided, and say whether it is let in."""
        self._gate.enter(self)
        if self._let_in is None:
            self._decided = asyncio.get_running_loop().create_future()
            try:
                await self._decided
            except asyncio.CancelledError:
                if self._ticket is not None:
                    self._gate.withdraw(self._ticket)
                self.leave()
                raise
        return self._let_in is True

    # -- what the gate asks --

    def begin(self) -> None:
        """Go on."""
        self._holds = True
        self._began = time.monotonic()
        self._decide(let_in=True)

    def refuse(self) -> None:
        """Go away."""
        self._decide(let_in=False)

    drop = refuse

    def ticket(self) -> Ticket:
        """What is to be known of it while it waits."""
        self._ticket = ticket_of(self._gate, self._record, self)
        return self._ticket

    def gone(self) -> bool:
        """Whether the client has left."""
        return self._record.client_left.gone

    def path(self) -> str:
        """The path that was asked for."""
        return self._record.path

    def _decide(self, *, let_in: bool) -> None:
        self._let_in = let_in
        if self._decided is not None and not self._decided.done():
            self._decided.set_result(let_in)

    # -- the slot --

    def leave(self) -> None:
        """Give the slot back, if one is held."""
        self._put_down()
        if self._holds:
            self._holds = False
            record = self._record
            self._gate.leave(record.route, time.monotonic() - self._began, answered=bool(record.status))

    def answering(self, send: Send) -> Send:
        """`send`, by which the slot is given back once there is an answer."""

        def pass_on(message: Message) -> Awaitable[None]:
            self._put_down()
            if self._holds and message["type"] in _ANSWERS:
                self.leave()
            return send(message)

        return pass_on

    def hearing(self, receive: Receive) -> Receive:
        """`receive`, by which no slot is held while the client is waited for.

        A message of a WebSocket holds one until it is answered or the next is asked for; a request none while more of
        its body is to come.
        """
        return self._hearing_messages(receive) if self._record.kind == "websocket" else self._hearing_body(receive)

    def _hearing_messages(self, receive: Receive) -> Receive:
        async def hear() -> Message:
            self._put_down()
            message = await receive()
            if message["type"] == "websocket.receive":
                self._works = True
                self._gate.occupy()
            return message

        return hear

    def _hearing_body(self, receive: Receive) -> Receive:
        coming = False

        async def hear_more() -> Message:
            nonlocal coming
            began = time.monotonic()
            self._gate.vacate()
            try:
                message = await receive()
            finally:
                self._gate.occupy()
                self._began += time.monotonic() - began
            coming = message.get("more_body", False)
            return message

        async def hear() -> Message:
            nonlocal coming
            if coming and self._holds:
                return await hear_more()
            message = await receive()
            coming = message.get("more_body", False)
            return message

        return hear

    def _put_down(self) -> None:
        if self._works:
            self._works = False
            self._gate.vacate()


_ANSWERS: Final = frozenset(
    {"http.response.body", "websocket.accept", "websocket.close", "websocket.http.response.start"}
)


async def _refuse(record: RequestContext, send: Send) -> None:
    if record.kind == "http":
        await refusal().answer(record, send)
        return
    record.refused = True
    answer = refusal()
    if "websocket.http.response" in (record.scope.get("extensions") or {}):
        await send({"type": "websocket.http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "websocket.http.response.body", "body": answer.body(record.id)})
    else:
        await send({"type": "websocket.close", "code": 1013})
