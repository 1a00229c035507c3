"""kill -9 at a moment that was chosen before: while clients are busy, or with an acknowledgement still warm."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Coroutine, Iterable
from typing import Any, Final

from holdfast.prove.running import App

_UNWIND_S: Final = 5.0


class Killing:
    """One kill -9 of a backend and all of its group."""

    def __init__(self, app: App, *, after: int, delay_s: float = 0.0) -> None:
        """It comes with the acknowledgement number `after`, or so long after it."""
        self._app = app
        self._left = after
        self._delay_s = delay_s
        self.done: asyncio.Event = asyncio.Event()

    def acknowledged(self) -> None:
        """A client has the last byte of an acknowledgement."""
        self._left -= 1
        if self._left == 0:
            self.strike(self._delay_s)

    def strike(self, delay_s: float = 0.0) -> None:
        """Kill it, at once or so much later."""
        if delay_s > 0:
            asyncio.get_running_loop().call_later(delay_s, self._kill)
        else:
            self._kill()

    def _kill(self) -> None:
        if not self.done.is_set():
            self.done.set()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._app.pid, signal.SIGKILL)

    async def amid(self, clients: Iterable[Coroutine[Any, Any, None]], within_s: float) -> bool:
        """Let clients be busy until it has come, at the latest after so long; whether the backend ended by it."""
        tasks = [asyncio.ensure_future(client) for client in clients]
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self.done.wait()
            self.strike()
            await asyncio.wait(tasks, timeout=_UNWIND_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return await self._app.ended(_UNWIND_S) and self._app.exit_code == -signal.SIGKILL
