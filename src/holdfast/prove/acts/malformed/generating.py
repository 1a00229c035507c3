"""Requests that schemathesis makes of an OpenAPI document: such as fit it, and such as do not.

`python -m holdfast.prove.acts.malformed.generating SEED` reads the document on its standard input and writes a line for
each request, until it is ended: making them takes a core and some memory, which is not to be ours.
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import sys
import warnings
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from holdfast.errors import ExtraMissing

_LINE: Final = 1 << 20
_ROUNDS: Final = 40
_FITTING: Final = {0, 1}
_OURS: Final = {"user-agent", "accept-encoding", "connection", "content-length", "host", "authorization", "cookie"}
_LAST: Final = ("logout", "sign-out", "signout", "session", "token", "account", "password", "user", "shutdown")


class Case(msgspec.Struct, frozen=True):
    """A request that was made."""

    operation: str
    """`GET /items/{id}`."""
    method: str
    path: str
    """With its query."""
    headers: dict[str, str]
    body: bytes | None


@asynccontextmanager
async def generated(document: object, seed: int, folder: Path) -> AsyncGenerator[AsyncIterator[Case]]:
    """Cases of a document, one after the other, as they are made. Raises ExtraMissing."""
    if importlib.util.find_spec("schemathesis") is None:
        raise ExtraMissing("schemathesis is not installed: pip install schemathesis")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "holdfast.prove.acts.malformed.generating", str(seed)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=folder,
        env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis")},
        limit=_LINE,
    )
    assert process.stdin is not None  # noqa: S101 - it has pipes
    assert process.stdout is not None  # noqa: S101 - it was asked for as a pipe
    try:
        with contextlib.suppress(ConnectionError):
            process.stdin.write(json.dumps(document).encode())
            await process.stdin.drain()
        process.stdin.close()
        yield _cases(process.stdout)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())


async def _cases(stream: asyncio.StreamReader) -> AsyncIterator[Case]:
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # a case larger than is wanted
            continue
        if not line:
            return
        yield msgspec.json.decode(line, type=Case)


# -- the process that makes them --


def main() -> None:
    """Make requests of a document, and write them."""
    warnings.simplefilter("ignore")
    import schemathesis  # noqa: PLC0415 - it is an extra

    document = json.load(sys.stdin)
    schema: Any = schemathesis.openapi.from_dict(document)
    operations: list[Any] = [found.ok() for found in schema.get_all_operations() if hasattr(found, "ok")]
    operations.sort(key=lambda one: (one.method.lower() == "delete", any(word in one.path.lower() for word in _LAST)))
    negative, positive = schemathesis.GenerationMode.NEGATIVE, schemathesis.GenerationMode.POSITIVE
    seed = int(sys.argv[1])
    barren: set[tuple[int, object]] = set()
    for number in range(_ROUNDS):  # what fits comes first, for it is made at once
        mode = positive if number in _FITTING or number % 4 == 0 else negative
        for at, operation in enumerate(operations):
            if (at, mode) not in barren and not _write(operation, mode, seed + number):
                barren.add((at, mode))


def _write(operation: Any, mode: object, seed: int) -> int:
    """Make some of an operation; how many could be made."""
    import hypothesis  # noqa: PLC0415 - it comes with schemathesis
    import requests  # noqa: PLC0415 - as above

    count = 0

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=4,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=[*hypothesis.HealthCheck.__members__.values()],
        verbosity=hypothesis.Verbosity.quiet,
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def make(case: Any) -> None:
        nonlocal count
        known = ("method", "url", "headers", "params", "json", "data", "files")
        described = case.as_transport_kwargs(base_url="http://backend.invalid")
        made = requests.Request(**{name: described[name] for name in known if name in described}).prepare()
        body = made.body.encode() if isinstance(made.body, str) else made.body
        found = Case(
            f"{operation.method.upper()} {operation.path}",
            str(made.method),
            made.path_url,
            {name: _text(value) for name, value in made.headers.items() if _wanted(name)},
            body if isinstance(body, bytes) else None,
        )
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        sys.stdout.flush()
        count += 1

    with contextlib.suppress(Exception):  # there is nothing that does not fit some operations
        make()
    return count


def _wanted(name: str) -> bool:
    return name.lower() not in _OURS and not name.lower().startswith("x-schemathesis")


def _text(value: object) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return text.replace("\r", " ").replace("\n", " ")


if __name__ == "__main__":
    main()
