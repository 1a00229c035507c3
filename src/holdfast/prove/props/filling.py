"""Something to export: what is filled in before, and how large the export is then."""

import asyncio
import time
from typing import Final

from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.running import App
from holdfast.prove.sending import table
from holdfast.prove.stage import Target, send

_LOOK_S: Final = 0.2
_BYTES_A_ROW: Final = 20
"""At least; what is exported may be another shape than what was filled in."""


async def filled(app: App, target: Target, rows: int, *, within_s: float = 10.0) -> Answer | None:
    """Fill in so many rows, wait until the export has as many, and give its answer; None where there is no export.

    Where nothing says how to fill, or it takes too long, the answer is the export as it is.
    """
    export = target.export
    if export is None:
        return None
    wanted = 0
    if export.fill is not None:
        await _fill(app, export.fill, rows)
        wanted = rows * _BYTES_A_ROW
    until = time.monotonic() + within_s
    while True:
        _, answer = await send(app, export, timeout_s=max(1.0, until - time.monotonic()))
        if answer.length >= wanted or time.monotonic() > until:
            return answer
        await asyncio.sleep(_LOOK_S)


async def _fill(app: App, fill: Template, rows: int) -> None:
    content = table(rows) if fill.file else None
    await send(app, fill, {"rows": str(rows)}, content=content)
