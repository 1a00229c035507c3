"""Refusals, looked at one by one while more comes than can be served: what they say, and whom they meet.

    async with watching(app, "/items", "/health") as seen:
        ...  # a load
    seen.found(others)

They are asked for beside the load, a few a second, by somebody who reads their heads.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, cast

import msgspec

from holdfast.decide.verdicts import Judgement, broken
from holdfast.prove.http import Answer
from holdfast.prove.running import App

MARK: Final = "holdfast-not-executed"
"""Says that nothing was begun, so that also a POST may be sent again."""
_EVERY_S: Final = 0.1
_PATIENCE_S: Final = 2.0
_FEWEST: Final = 3
_MOST: Final = 400
_OWN: Final = ("id", "time", "date", "instance", "retry")
"""What differs from refusal to refusal has one of these in its name."""
_MEND: Final = "Say in each refusal when to come again: `Retry-After`, with some chance in it. `holdfast run` does."
_MEND_MARK: Final = "Say in each refusal that nothing was begun, as the others do: `Holdfast-Not-Executed: 1`."
_MEND_PROBE: Final = "Answer probes before anything is refused: who restarts or removes the process believes them."


class Refusals(msgspec.Struct, frozen=True):
    """What was seen of refusals."""

    seen: int = 0
    silent: int = 0
    """Those that do not say when to come again, where others of the same backend do, or their own words say so."""
    unmarked: int = 0
    """Those that do not say that nothing was begun."""
    marks: bool = False
    """Whether another refusal of the same backend says so."""
    probe: str = ""
    """The path that says whether it is ready."""
    probed: int = 0
    probes_refused: int = 0
    """In the same words as ordinary requests."""


class Seen:
    """Answers that came so far."""

    def __init__(self, probe: str) -> None:
        """None yet."""
        self.refused: list[Answer] = []
        self.probed: list[Answer] = []
        self._probe = probe

    @property
    def _promised(self) -> bool:
        """Whether Retry-After is in any refusal, as a header or in what it says."""
        return any("retry-after" in one.headers or b"retry-after" in one.body.lower() for one in self.refused)

    def found(self, *, marks: bool) -> Refusals:
        """What they amount to. `marks`: another refusal says that nothing was begun."""
        words = {_words(one) for one in self.refused}
        return Refusals(
            seen=len(self.refused),
            silent=sum("retry-after" not in one.headers for one in self.refused) if self._promised else 0,
            unmarked=sum(MARK not in one.headers for one in self.refused),
            marks=marks or any(MARK in one.headers for one in self.refused),
            probe=self._probe,
            probed=len(self.probed),
            probes_refused=sum(_refuses(one) and _words(one) in words for one in self.probed),
        )


def _refuses(answer: Answer) -> bool:
    return answer.status in {429, 503} and not answer.error


def _words(answer: Answer) -> str:
    """What a refusal says, without what is another each time."""
    said = answer.json()
    if isinstance(said, dict):
        table = cast("dict[str, object]", said)
        return str({key: each for key, each in table.items() if not any(word in key.lower() for word in _OWN)})
    return f"{answer.status} {answer.body[:200]!r}"


@asynccontextmanager
async def watching(app: App, path: str, probe: str) -> AsyncGenerator[Seen]:
    """Ask for `path`, and for `probe` where one is known, again and again while the block runs."""
    seen = Seen(probe)
    tasks = [asyncio.create_task(_ordinary(app, path, seen))]
    if probe and probe.partition("?")[0] != path.partition("?")[0]:
        tasks.append(asyncio.create_task(_probes(app, probe, seen)))
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ordinary(app: App, path: str, seen: Seen) -> None:
    while len(seen.refused) < _MOST:
        answer = await app.client.ask("GET", path, timeout_s=_PATIENCE_S)
        if _refuses(answer):
            seen.refused.append(answer)
        await asyncio.sleep(_EVERY_S)


async def _probes(app: App, probe: str, seen: Seen) -> None:
    while len(seen.probed) < _MOST:
        seen.probed.append(await app.stranger.ask("GET", probe, timeout_s=_PATIENCE_S))
        await asyncio.sleep(_EVERY_S)


async def marks_others(app: App, path: str) -> bool:
    """Whether a request whose time is over before it came is refused with the mark, so that the backend knows it."""
    answer = await app.client.ask("GET", path, headers={"Holdfast-Timeout-Ms": "0"}, timeout_s=5.0)
    return answer.status >= 400 and MARK in answer.headers


def amiss(found: Refusals) -> Judgement | None:
    """Broken where refusals leave out what whoever is refused has to know, or meet a probe."""
    if found.silent >= _FEWEST:
        return broken(
            f"Of {found.seen} refusals {found.silent} had no Retry-After, though the backend speaks of it: who is "
            "refused does not learn when to come again.",
            f"{found.silent} of {found.seen} without Retry-After",
            mend=_MEND,
            certain=True,
        )
    if found.marks and found.unmarked >= _FEWEST:
        return broken(
            f"Of {found.seen} refusals {found.unmarked} had no Holdfast-Not-Executed, and others of the same backend "
            "have it: nobody may send a POST again.",
            f"{found.unmarked} of {found.seen} without Holdfast-Not-Executed",
            mend=_MEND_MARK,
            certain=True,
        )
    if found.probes_refused >= _FEWEST:
        return broken(
            f"Past its capacity {found.probes_refused} of {found.probed} requests of GET {found.probe} were refused as "
            "any other: who restarts or removes what does not answer its probes would do so.",
            f"{found.probes_refused} of {found.probed} probes refused",
            mend=_MEND_PROBE,
        )
    return None
