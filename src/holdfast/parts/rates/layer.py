"""The layer: each client is counted before the application is called, and told how it stands."""

import time
from collections.abc import Awaitable
from typing import Final, NamedTuple

from holdfast.asgi import ASGIApp, Headers, Message, Receive, Scope, Send
from holdfast.context import RequestContext, current
from holdfast.decide.rates import Rate, Verdict, limit_field, partition, policy_field
from holdfast.parts.rates.asking import OBSERVED, REFUSED, refusal, told
from holdfast.parts.rates.process import table
from holdfast.parts.rates.settings import Rates
from holdfast.problems import NOT_EXECUTED, Refusal

_OURS: Final = "/-/"
"""What Holdfast answers itself is asked for by those who watch over the service."""
_STARTS: Final = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})
_DENIAL: Final = "websocket.http.response"


class _Policy(NamedTuple):
    """What is allowed under one name, and what is sent in any case."""

    name: str
    allowed: Rate
    field: bytes
    refusal: Refusal


def layer(app: ASGIApp, rates: Rates) -> ASGIApp:
    """Refuse who comes more often than `rates` allow. Where nothing is limited it is `app` itself."""
    if not rates:
        return app
    # Made now: within a request, a refusal would be taken for the answer to that.
    policies = {name: _policy(name, allowed) for name, allowed in reversed(rates.all())}
    counted = table()

    def limited(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        record = current()
        if record is None or record.client is None or record.path.startswith(_OURS):
            return app(scope, receive, send)
        found = rates.of(record.method, record.path.removeprefix(scope.get("root_path", "")))
        if found is None:
            return app(scope, receive, send)
        policy = policies[found[0]]
        verdict = counted.ask(f"{policy.name}\0{partition(record.client)}", policy.allowed, time.monotonic())
        if rates.observes:
            if not verdict.allowed:
                OBSERVED.happened({"policy": policy.name, "client": record.client, "request": record.id})
            return app(scope, receive, send)
        if verdict.allowed:
            return app(scope, receive, _telling(send, policy, verdict))
        return _refuse(record, scope, send, policy, verdict)

    return limited


def _policy(name: str, allowed: Rate) -> _Policy:
    return _Policy(name, allowed, policy_field(name, allowed).encode("ascii"), Refusal(refusal(name), NOT_EXECUTED))


def _telling(send: Send, policy: _Policy, verdict: Verdict) -> Send:
    """Have the answer say how the client stands."""

    def tell(message: Message) -> Awaitable[None]:
        if message["type"] in _STARTS:
            fields: Headers = [
                (b"ratelimit-policy", policy.field),
                (b"ratelimit", limit_field(policy.name, verdict).encode("ascii")),
            ]
            message = {**message, "headers": [*(message.get("headers") or ()), *fields]}
        return send(message)

    return tell


async def _refuse(record: RequestContext, scope: Scope, send: Send, policy: _Policy, verdict: Verdict) -> None:
    record.refused = True
    record.problem = policy.refusal.code
    REFUSED.happened({"policy": policy.name, "client": record.client, "request": record.id})
    prefix = ""
    if scope["type"] == "websocket":
        if _DENIAL not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        prefix = "websocket."
    own = told(policy.name, policy.allowed, verdict)
    headers = [*policy.refusal.headers, *((name.lower().encode(), value.encode()) for name, value in own.items())]
    await send({"type": f"{prefix}http.response.start", "status": policy.refusal.status, "headers": headers})
    await send({"type": f"{prefix}http.response.body", "body": policy.refusal.body(record.id)})
