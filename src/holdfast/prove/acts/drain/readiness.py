"""Somebody who balances the load: asks the path that tells whether the backend is ready, again and again."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from holdfast.prove.running import App

_EVERY_S: Final = 0.1
_PATIENCE_S: Final = 2.0


class Readiness:
    """What was said."""

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self.ready: list[float] = []
        """When it said that it is ready."""
        self.unready: list[float] = []
        """When it said that it is not: any answer but 2xx."""


@asynccontextmanager
async def readiness(app: App) -> AsyncGenerator[Readiness]:
    """Ask ten times a second until the block is left; nothing where no such path is configured."""
    found = Readiness()
    task = asyncio.create_task(_ask(app, found)) if app.config.ready else None
    try:
        yield found
    finally:
        if task is not None:
            task.cancel()
            await asyncio.wait([task])


async def _ask(app: App, found: Readiness) -> None:
    while True:
        answer = await app.stranger.ask("GET", app.config.ready, timeout_s=_PATIENCE_S)
        if answer.status and not answer.error:
            (found.ready if answer.good else found.unready).append(time.monotonic())
        await asyncio.sleep(_EVERY_S)
