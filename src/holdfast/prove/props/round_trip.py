"""What a backend does, done once each by clients that behave: whether it does so still, after trouble."""

import asyncio
from collections.abc import Coroutine
from typing import Final

import msgspec

from holdfast.prove.config import Template
from holdfast.prove.http import Answer
from holdfast.prove.running import App
from holdfast.prove.sending import Request, table
from holdfast.prove.stage import Target, send

_READS: Final = 16
_PATIENCE_S: Final = 8.0


class Trip(msgspec.Struct, frozen=True):
    """What was tried, and what of it failed."""

    good: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    """With what came instead."""

    def missed(self, before: "Trip") -> str:
        """What was good before and is not, in words; empty where nothing is."""
        return "; ".join(each for each in self.failed if each.partition(" said ")[0] in before.good)


async def round_trip(app: App, target: Target) -> Trip:
    """Many cheap requests at once, an upload and an export."""
    kinds: list[tuple[Template, bytes | None]] = [(target.read, None)] * _READS
    kinds += [(target.upload, table(20))] if target.upload else []
    kinds += [(target.export, None)] if target.export else []
    asking: list[Coroutine[None, None, tuple[Request, Answer]]] = [
        send(app, template, content=content, timeout_s=_PATIENCE_S) for template, content in kinds
    ]
    answers = [answer for _, answer in await asyncio.gather(*asking)]
    good, failed = dict[str, None](), dict[str, str]()
    for (template, _), answer in zip(kinds, answers, strict=True):
        if answer.good:
            good[template.shown] = None
        else:
            failed.setdefault(template.shown, f"{template.shown} said {answer.shown}")
    return Trip(tuple(one for one in good if one not in failed), tuple(failed.values()))


async def recovered(app: App, target: Target, before: Trip, within_s: float) -> Trip:
    """Try until all that was good before is good again, or time is over: the last try."""
    until = asyncio.get_running_loop().time() + within_s
    while True:
        trip = await round_trip(app, target)
        if not trip.missed(before) or asyncio.get_running_loop().time() > until:
            return trip
        await asyncio.sleep(0.2)
