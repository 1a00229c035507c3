"""A generator in a process of its own, so that the caller's event loop disturbs it as little as it disturbs that."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from holdfast.decide.latencies import Look, Request, Result, Stall
from holdfast.prove.load.job import Job, encoded

TIED = "tied"
"""The argument that ties a generator to whoever holds the other end of its stdin."""


class LoadFailed(RuntimeError):
    """The generator could not do its work; the text is what it said last."""


class Offering:
    """A load that is under way."""

    def __init__(self, process: asyncio.subprocess.Process, began: float) -> None:
        """`began`: its moment 0, by the monotonic clock."""
        self._process = process
        self.began: float = began

    @property
    def pid(self) -> int:
        """The generator's process."""
        return self._process.pid

    async def result(self) -> Result:
        """What it brought, once it is over. Raises LoadFailed."""
        text, errors = await asyncio.gather(_read(self._process.stdout), _read(self._process.stderr))
        if await self._process.wait():
            raise LoadFailed(_said(errors, self._process))
        return result(json.loads(text))


@asynccontextmanager
async def offering(job: Job) -> AsyncGenerator[Offering, None]:
    """Start a load, which has begun, or will within some milliseconds, as the block is entered; its end ends the load.

    Raises LoadFailed.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "holdfast.prove.load", TIED),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Offering(process, await _begun(process, job))
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
        if process.stdin is not None:
            process.stdin.close()


async def _begun(process: asyncio.subprocess.Process, job: Job) -> float:
    assert process.stdin is not None  # noqa: S101 - it has pipes
    assert process.stdout is not None  # noqa: S101 - it was asked for as a pipe
    process.stdin.write(encoded(job).encode() + b"\n")
    with contextlib.suppress(ConnectionError):  # it has ended: why is told below
        await process.stdin.drain()
    line = await process.stdout.readline()
    if not line:
        raise LoadFailed(_said(await _read(process.stderr), process))
    return float(json.loads(line)["began"])


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    return await stream.read() if stream is not None else b""


def _said(errors: bytes, process: asyncio.subprocess.Process) -> str:
    lines = errors.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"the generator ended with code {process.returncode}"


async def offered(job: Job) -> Result:
    """Offer a load, and say what it brought. Cancelling ends it. Raises LoadFailed."""
    async with offering(job) as running:
        return await running.result()


# -- a result as JSON, in columns, and back --


def plain(found: Result) -> dict[str, Any]:
    """A result as what JSON can hold."""
    columns = list(zip(*found.requests, strict=True)) or [()] * len(Request._fields)
    requests = {name: list(map(_rounded, column)) for name, column in zip(Request._fields, columns, strict=True)}
    return {**found._asdict(), "requests": requests, "late": list(map(_rounded, found.late))}


def _rounded(value: float) -> float:
    return round(value, 6) if isinstance(value, float) else value


def result(found: Mapping[str, Any]) -> Result:
    """The result that was made plain."""
    requests = found["requests"]
    columns = zip(*(requests[name] for name in Request._fields), strict=True)
    records: dict[str, Any] = {
        "requests": [Request(*one) for one in columns],
        "looks": [Look(*one) for one in found["looks"]],
        "stalls": [Stall(*one) for one in found["stalls"]],
    }
    whole: dict[str, Any] = {**found, **records}
    return Result(**whole)
