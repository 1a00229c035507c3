"""Forms that are larger than any form is: to where one signs in, and to whatever takes a form."""

import time
from collections.abc import AsyncIterator
from typing import Final

from holdfast.decide.openapi import operations
from holdfast.prove.counters import Samples
from holdfast.prove.props.entrance import entrance
from holdfast.prove.props.growth import MB, Peak, peak
from holdfast.prove.running import App
from holdfast.prove.sending import Request
from holdfast.prove.stage import Target

PHASE: Final = "a form came"
_KIND: Final = "application/x-www-form-urlencoded"
_SIZES_MB: Final = (8, 96)
_BLOCK: Final = b"a" * (256 << 10)
_MOST_PLACES: Final = 2
_TIMEOUT_S: Final = 10.0


async def forms(app: App, target: Target, samples: Samples) -> list[Peak]:
    """Send them, and note what memory that took: nothing where no place is known that takes a form."""
    peaks: list[Peak] = []
    for place in await _places(app, target):
        for mb in _SIZES_MB:
            began = time.monotonic()
            client = app.stranger if "Cookie" in place.headers else app.client
            first = (place.body or b"") + b"&note="
            await client.ask(
                place.method,
                place.path,
                headers=place.headers,
                body=_long(first, mb),
                length=len(first) + mb * MB,
                timeout_s=_TIMEOUT_S,
            )
            peaks.append(
                peak(samples.series, f"{PHASE} to {place.path.partition('?')[0]}", mb * MB, (began, time.monotonic()))
            )
    return peaks


async def _places(app: App, target: Target) -> list[Request]:
    found: dict[str, Request] = {}
    place = await entrance(app, "someone", "a password that nobody has")
    if place is not None and place.headers.get("Content-Type", "") == _KIND:
        found[place.path] = place
    if target.schema:
        answer = await app.client.ask("GET", target.schema)
        for one in operations(answer.json())[0]:
            if one.plain and _KIND in one.consumes:
                found.setdefault(one.path, Request(one.method, one.path, {"Content-Type": _KIND}, b"name=x", {}))
    return list(found.values())[:_MOST_PLACES]


async def _long(first: bytes, mb: int) -> AsyncIterator[bytes]:
    yield first
    for _ in range(mb * MB // len(_BLOCK)):
        yield _BLOCK
