"""What PostgreSQL itself says of its sessions, where the backend depends on one: that there are more, and that some are
in a transaction that nobody ends. A pool hides both from whoever counts sockets alone."""

import re
from typing import Final

import msgspec

from holdfast.errors import HoldfastError
from holdfast.prove.counters import sessions
from holdfast.prove.props.holding import Held
from holdfast.prove.running import App

_DRIVER: Final = re.compile(r"^(postgres(?:ql)?)\+\w+://")
_LOOK_S: Final = 2.0
_UNENDED: Final = "idle in transaction"


def addresses(app: App) -> list[str]:
    """Where each PostgreSQL is, as the backend was told, but for the name of a driver."""
    told = [_DRIVER.sub(r"\1://", each.value) for each in app.neighbours.values()]
    return [one for one in told if one.startswith(("postgres://", "postgresql://"))]


async def with_sessions(app: App, found: Held) -> Held:
    """What a backend holds, with its sessions; without them where no server tells."""
    open_, unended = 0, 0
    for address in addresses(app):
        try:
            seen = await sessions(address, _LOOK_S)
        except HoldfastError:
            continue
        open_ += len(seen)
        unended += sum((one.state or "").startswith(_UNENDED) for one in seen)
    return msgspec.structs.replace(found, sessions=open_, transactions=unended)
