"""The layer: each request is driven by its `Work`."""

import time
from collections.abc import Awaitable
from typing import Final

from holdfast.asgi import ASGIApp, Receive, Scope, Send
from holdfast.context import current
from holdfast.decide.deadlines import Timeouts
from holdfast.errors import DeadlinePassed
from holdfast.parts.deadlines.work import Talk, Work
from holdfast.problems import NOT_EXECUTED, Refusal

_PASSED: Final = Refusal(DeadlinePassed(), NOT_EXECUTED)
_KINDS: Final[dict[str, type[Work]]] = {"http": Work, "websocket": Talk}


def layer(app: ASGIApp, rule: Timeouts) -> ASGIApp:
    """End what is overdue in `app`. Needs the context and the problems layers outside of it."""

    def kept(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        record = current()
        kind = _KINDS.get(scope["type"])
        if record is None or kind is None or record.watched:
            return app(scope, receive, send)
        record.watched = True
        work = kind(app, record, receive, send, rule)
        if time.monotonic() >= work.until and kind is Work and not rule.observes:
            return _PASSED.answer(record, send)
        return work

    return kept
