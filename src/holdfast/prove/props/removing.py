"""How something that was made is removed again: by DELETE, where the backend has that for it.

Where there is an OpenAPI document, it says for which paths there is a DELETE. Without one it is tried: the path that
gives the thing back, up to its ID, and as a whole. What is tried that way is ours, made a moment before.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from holdfast.decide.openapi import operations
from holdfast.prove.config import Template
from holdfast.prove.running import App
from holdfast.prove.sending import Request, filled
from holdfast.prove.stage import Target

GONE: Final = frozenset({404, 410})
DONE: Final = frozenset({200, 204})
"""What says that it is removed; 202 only says that it will be."""
_PATIENCE_S: Final = 2.0
_LOOK_S: Final = 0.1


async def removals(app: App, target: Target, made: Template | None) -> list[str]:
    """The paths, with `{id}` in them, at which what `made` makes may be removed; empty where there is none."""
    if made is None or "{id}" not in made.content or not made.id:
        return []
    path = made.content.partition("?")[0]
    found = list(dict.fromkeys((path.partition("{id}")[0] + "{id}", path)))
    if not target.schema:
        return found
    answer = await app.client.ask("GET", target.schema)
    known = [one.path for one in operations(answer.json())[0] if one.method == "DELETE"]
    return [each for each in found if any(_fits(each, one) for one in known)]


def _fits(path: str, template: str) -> bool:
    """Whether a path is one that a template of OpenAPI describes."""
    ours, theirs = path.strip("/").split("/"), template.strip("/").split("/")
    return len(ours) == len(theirs) and all(
        our == their or (our == "{id}" and their.startswith("{") and their.endswith("}"))
        for our, their in zip(ours, theirs, strict=True)
    )


async def gone(app: App, path: str) -> bool:
    """Whether what was removed is not given out any more, at once or a little later."""
    until = time.monotonic() + _PATIENCE_S
    while (answer := await app.client.ask("GET", path)).status not in GONE:
        if time.monotonic() > until:
            return False
        await asyncio.sleep(_LOOK_S)
    return not answer.error


def removal(path: str, called: str, names: Mapping[str, str]) -> Request:
    """Asks that what is `called` so be removed."""
    known = {**names, "id": called}
    return Request("DELETE", filled(path, known, quoted=True), {}, None, known)
