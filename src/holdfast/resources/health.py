"""Health: the pings of the application's resources."""

import asyncio
import inspect
import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

from holdfast.decide.wiring import Scope
from holdfast.resources.container import Container
from holdfast.resources.providers import Declaration

_LOG = logging.getLogger("holdfast.resources")


class Health(NamedTuple):
    """How a resource answered its ping."""

    well: bool
    seconds: float
    """How long the answer took."""
    why: str | None = None
    """What is wrong: the name of an error, never its text."""


class Pings:
    """Asks resources how they are, and logs only when that changes: probes ask often."""

    def __init__(self) -> None:
        """Nobody was asked yet."""
        self._unwell: set[str] = set()

    async def ask(
        self, root: Container | None, declarations: Sequence[Declaration], within: float
    ) -> dict[str, Health]:
        """How each of `declarations` is that can be asked, or that ended by itself."""
        asked = [
            declaration
            for declaration in declarations
            if declaration.wire.scope is Scope.APPLICATION
            and (declaration.ping is not None or (root is not None and root.broken(declaration.wire.key)))
        ]
        answers = await asyncio.gather(*(self._ask(root, declaration, within) for declaration in asked))
        return dict(zip(_names(asked), answers, strict=True))

    async def _ask(self, root: Container | None, declaration: Declaration, within: float) -> Health:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(within):
                why = await _ping(root, declaration)
            error = None
        except TimeoutError as late:
            why, error = f"no answer within {within:g} s", late
        except Exception as failed:  # noqa: BLE001 - whatever a ping raises says that it is not well
            why, error = type(failed).__name__, failed
        self._log(declaration.wire.label, why, error)
        return Health(why is None, time.perf_counter() - began, why)

    def _log(self, label: str, why: str | None, error: Exception | None) -> None:
        if why is not None and label not in self._unwell:
            self._unwell.add(label)
            _LOG.warning("a resource is not well", exc_info=error, extra={"resource": label, "why": why})
        elif why is None and label in self._unwell:
            self._unwell.remove(label)
            _LOG.info("a resource is well again", extra={"resource": label})


async def _ping(root: Container | None, declaration: Declaration) -> str | None:
    broken = root.broken(declaration.wire.key) if root is not None else None
    if root is None or broken is None:
        return "not open"
    if broken:
        return "ended by itself"
    if declaration.ping is None:
        return None
    answer = declaration.ping(await root.value(declaration.wire.key))
    if inspect.isawaitable(answer):
        answer = await answer
    return "its ping says so" if answer is False else None


def _names(declarations: Sequence[Declaration]) -> list[str]:
    """A short name for each: its own, or its provider's; with the module where two have the same."""
    short = [d.wire.key.name or d.wire.label.rpartition(".")[2] for d in declarations]
    return [s if short.count(s) == 1 else d.wire.label for s, d in zip(short, declarations, strict=True)]
