"""Who is compared: ways to serve the same application in one process on one core."""

import importlib.util
import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

PYTHON: Final = sys.executable
UVICORN: Final = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")


class Contender(NamedTuple):
    """A way to serve."""

    name: str
    command: tuple[str, ...]
    """What starts it, but for the port, which follows."""
    environment: Mapping[str, str] = {}
    family: str = ""
    """Contenders that differ in one setting; the best of them is shown."""
    needs: str = ""
    """A module, without which it cannot run."""
    ours: bool = False

    @property
    def shown(self) -> str:
        """What stands for it in tables with the others."""
        return self.family or self.name


def _uvicorn(app: str = "app:app", *more: str) -> tuple[str, ...]:
    return (PYTHON, "-m", "uvicorn", app, *UVICORN, *more, "--port")


def _granian(*more: str) -> tuple[str, ...]:
    quiet = ("--interface", "asgi", "--loop", "uvloop", "--no-ws", "--log-level", "warning")
    return (PYTHON, "-m", "granian", "app:app", *quiet, *more, "--port")


def ours(name: str, environment: Mapping[str, str]) -> Contender:
    """`holdfast run`; it believes the classes that the generator names."""
    trusting = {"HOLDFAST_TRUSTED_PROXIES": "127.0.0.1", **environment}
    return Contender(name, (PYTHON, "-m", "holdfast", "run", "app:app", "--port"), trusting, ours=True)


PLAIN: Final = Contender("uvicorn", _uvicorn())
OURS: Final = ours("holdfast run", {})

CONTENDERS: Final = (
    OURS,
    PLAIN,
    *(
        Contender(f"uvicorn --limit-concurrency {limit}", _uvicorn("app:app", "--limit-concurrency", limit), {}, family)
        for family in ("uvicorn --limit-concurrency",)
        for limit in ("16", "64", "100")
    ),
    Contender("uvicorn --backlog 64", _uvicorn("app:app", "--backlog", "64")),
    Contender("a fixed limit of 64", _uvicorn("limited:app")),
    Contender("aioresilience", _uvicorn("resilient:app"), needs="aioresilience"),
    Contender("granian", _granian(), needs="granian"),
    *(
        Contender(f"granian --backpressure {limit}", _granian("--backpressure", limit), {}, family, needs="granian")
        for family in ("granian --backpressure",)
        for limit in ("8", "16", "64")
    ),
)


def wanted(only: str) -> list[Contender]:
    """Those that have one of the texts in their name and can run here; a line says who cannot, and why."""
    found = [one for one in CONTENDERS if any(map(one.name.count, only.split(",")))]
    for one in found:
        if not there(one):
            print(f"left out, for {one.needs} is missing: {one.name}", file=sys.stderr)
    return [one for one in found if there(one)]


def there(contender: Contender) -> bool:
    """Whether it can run here."""
    return not contender.needs or importlib.util.find_spec(contender.needs) is not None
